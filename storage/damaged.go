package storage

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	sqlite3 "github.com/mattn/go-sqlite3"

	"fieldgate/internal/fault"
)

// Codes of the alarms that only storage raises.
const (
	Damaged           fault.Code = "damaged"            // a database file could not be used and was moved aside
	LostMessages      fault.Code = "lost_messages"      // stored messages could not be read
	LostSubscriptions fault.Code = "lost_subscriptions" // stored subscriptions could not be read
	QueueFull         fault.Code = "queue_full"         // messages were dropped or refused because of a session's limits
	LowDisk           fault.Code = "low_disk"           // less than min_free_disk is free
	NotCommitted      fault.Code = "not_committed"      // the disk takes no commit
)

// keepDamaged is the number of damaged copies of a file that stay.
const keepDamaged = 2

var (
	errNewer   = errors.New("made by a newer version of fieldgate")
	errDamaged = errors.New("the content makes no sense")
)

// beyondRepair tells whether the file's content is to blame, and not the disk
// below it, memory or a permission: then the file is left where it is.
func beyondRepair(err error) bool {
	if errors.Is(err, errNewer) || errors.Is(err, errDamaged) {
		return true
	}
	e, ok := errors.AsType[sqlite3.Error](err)
	if !ok {
		return false
	}
	switch e.Code {
	case sqlite3.ErrCorrupt, sqlite3.ErrNotADB, sqlite3.ErrError, sqlite3.ErrSchema, sqlite3.ErrConstraint, sqlite3.ErrMismatch, sqlite3.ErrFormat:
		return true
	case sqlite3.ErrCantOpen:
		return e.SystemErrno == syscall.EISDIR || e.SystemErrno == 0
	}
	return false
}

// openOrReplace calls open. When the content of the file is beyond repair, what
// can be read of it is saved into a new file, the old one moves aside, an alarm for
// the part says so, and open is called again. The old file stays where it is until
// the new one is complete: a crash meanwhile only makes it begin again.
func openOrReplace(file, part string, alarms *fault.Alarms, log *slog.Logger, salvage func(from, to string) (string, error), open func() error) error {
	salvaged := file + ".salvaged"
	if err := goOn(file, salvaged); err != nil {
		return err
	}
	err := open()
	if err == nil {
		_ = removeDatabase(salvaged) // of a crash before the last steps; some later damage must not bring it back
	}
	if err == nil || !beyondRepair(err) {
		return err
	}
	words := "an empty one was begun"
	if !errors.Is(err, errNewer) {
		saved, failed := saveInto(file, salvaged, salvage)
		switch {
		case failed == nil:
			words = saved
		case !beyondRepair(failed):
			return errors.Join(err, fmt.Errorf("save what can be read: %w", failed))
		}
	}
	aside, moveErr := moveAside(file, time.Now())
	if moveErr != nil {
		return errors.Join(err, moveErr)
	}
	if renameErr := os.Rename(salvaged, file); renameErr != nil && !errors.Is(renameErr, os.ErrNotExist) {
		return errors.Join(err, renameErr)
	}
	log.Error("database moved aside", "file", file, "aside", aside, "err", err, "saved", words)
	alarms.Raise(part, Damaged, fmt.Sprintf("%s could not be read (%v); it was kept as %s; %s", filepath.Base(file), err, filepath.Base(aside), words))
	return open()
}

// goOn takes the last steps of openOrReplace again when a crash came between them: the file is
// aside, and its log may still stand where the salvaged file must not find it.
func goOn(file, salvaged string) error {
	if exists(file) {
		return nil
	}
	copies, err := damagedCopies(file)
	if err != nil {
		return err
	}
	if n := len(copies); n > 0 && !exists(copies[n-1]+"-wal") {
		if err := renameDatabase(file, copies[n-1]); err != nil {
			return err
		}
	}
	if err := os.Rename(salvaged, file); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// saveInto makes the file salvaged of what can be read, or none.
func saveInto(file, salvaged string, salvage func(from, to string) (string, error)) (words string, err error) {
	draft := file + ".salvaging"
	defer func() { _ = removeDatabase(draft) }()
	if words, err = salvage(file, draft); err != nil {
		return "", err
	}
	if err := os.Rename(draft, salvaged); err != nil {
		return "", err
	}
	return words, syncDir(filepath.Dir(file))
}

// moveAside renames the database with its companions and removes the oldest copies beyond keepDamaged.
func moveAside(file string, now time.Time) (string, error) {
	aside := file + ".damaged-" + now.UTC().Format("20060102T150405.000000000")
	if err := renameDatabase(file, aside); err != nil {
		return "", err
	}
	_ = os.Remove(suspectFile(file)) // at worst the new file is saved into a newer one
	copies, err := damagedCopies(file)
	if err != nil {
		return "", err
	}
	for len(copies) > keepDamaged {
		_ = removeDatabase(copies[0])
		copies = copies[1:]
	}
	return aside, syncDir(filepath.Dir(file))
}

// exists tells whether there is a file of that name, or something that keeps us from seeing it.
func exists(name string) bool {
	_, err := os.Stat(name)
	return !errors.Is(err, os.ErrNotExist)
}

// damagedCopies gives the copies of the file that were moved aside, the newest last.
func damagedCopies(file string) ([]string, error) {
	copies, err := filepath.Glob(globQuote(file) + ".damaged-*[0-9]")
	slices.Sort(copies)
	return copies, err
}

// databaseFiles are the endings of a database's files: without its log the first one may be of long ago.
func databaseFiles() []string { return []string{"", "-wal", "-shm"} }

// renameDatabase renames those of a database's files that exist, the database itself first.
func renameDatabase(from, to string) error {
	for _, ending := range databaseFiles() {
		if err := os.Rename(from+ending, to+ending); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	return nil
}

// removeDatabase removes a database with its log.
func removeDatabase(file string) error {
	for _, ending := range databaseFiles() {
		if err := os.RemoveAll(file + ending); err != nil {
			return err
		}
	}
	return nil
}

// globQuote makes a path its own pattern.
func globQuote(path string) string {
	var quoted []rune
	for _, r := range path {
		if slices.Contains([]rune(`*?[\`), r) {
			quoted = append(quoted, '\\')
		}
		quoted = append(quoted, r)
	}
	return string(quoted)
}

// syncDir makes the names in the directory survive a power cut.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer func() { _ = d.Close() }()
	return d.Sync()
}
