package storage

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"fieldgate/internal/fault"
)

// Restore reads a backup, checks it, and keeps it for the next Open, which puts it
// into the place of what is here; that stays in before-restore until the next
// Restore. Of directories only those in dirs are taken. A backup without messages
// leaves the spool as it is. What is no backup, or one of a newer version, is
// refused with fault.Invalid, and nothing changes.
func (db *DB) Restore(ctx context.Context, from io.Reader, dirs []string) error {
	if !db.copying.TryLock() {
		return fault.New(fault.Conflict, "another backup is under way")
	}
	defer db.copying.Unlock()
	arriving := filepath.Join(db.cfg.DataDir, arrivingDir)
	defer func() { _ = os.RemoveAll(arriving) }()
	if err := os.RemoveAll(arriving); err != nil {
		return err
	}
	if err := os.Mkdir(arriving, 0o700); err != nil {
		return fmt.Errorf("make room for a backup: %w", err)
	}
	if err := db.unpack(ctx, from, arriving, dirs); err != nil {
		return err
	}
	if err := checkArrived(arriving); err != nil {
		return err
	}
	restore := filepath.Join(db.cfg.DataDir, restoreDir)
	for _, old := range []string{restore, filepath.Join(db.cfg.DataDir, beforeDir)} {
		if err := os.RemoveAll(old); err != nil {
			return err
		}
	}
	if err := os.Rename(arriving, restore); err != nil {
		return err
	}
	return syncDir(db.cfg.DataDir)
}

// unpack writes the files of a backup below dir.
func (db *DB) unpack(ctx context.Context, from io.Reader, dir string, dirs []string) error {
	zip, err := gzip.NewReader(from)
	if err != nil {
		return noBackup(err)
	}
	in := tar.NewReader(zip)
	for n := 0; ; n++ {
		header, err := in.Next()
		if errors.Is(err, io.EOF) && n > 0 {
			return checkEnd(zip)
		}
		if err != nil {
			return noBackup(err)
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if n == 0 && header.Name != manifestName {
			return fault.New(fault.Invalid, "this is no backup of fieldgate: it begins with %q", header.Name)
		}
		if n == maxFiles {
			return fault.New(fault.Invalid, "this is no backup of fieldgate: it holds more than %d files", maxFiles)
		}
		if !wanted(header.Name, dirs) || header.Typeflag != tar.TypeReg {
			return fault.New(fault.Invalid, "the backup holds %q, which this version does not know", header.Name)
		}
		if err := db.needRoom(header.Size); err != nil {
			return err
		}
		if err := arrive(filepath.Join(dir, filepath.FromSlash(header.Name)), in); err != nil {
			return err
		}
		if n == 0 {
			if err := checkManifest(filepath.Join(dir, manifestName), header.Size); err != nil {
				return err
			}
		}
	}
}

// checkEnd reads up to the checksum, which stands behind the padding of the archive.
func checkEnd(zip io.Reader) error {
	n, err := io.Copy(io.Discard, io.LimitReader(zip, maxPadding+1))
	if err == nil && n > maxPadding {
		err = errors.New("something stands behind its end")
	}
	return noBackup(err)
}

func noBackup(err error) error {
	if err == nil {
		return nil
	}
	return fault.New(fault.Invalid, "this is no whole backup of fieldgate: %v", err)
}

// wanted tells whether a backup may hold a file of that name.
func wanted(name string, dirs []string) bool {
	if _, known := databases()[name]; known || name == manifestName {
		return true
	}
	for _, dir := range dirs {
		if file, below := strings.CutPrefix(name, dir+"/"); below && isFileName(file) {
			return true
		}
	}
	return false
}

func checkManifest(file string, size int64) error {
	var m manifest
	if size > maxManifest {
		return fault.New(fault.Invalid, "this is no backup of fieldgate: %s is too large", manifestName)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(text, &m); err != nil || m.Format < 1 {
		return fault.New(fault.Invalid, "this is no backup of fieldgate: %s makes no sense", manifestName)
	}
	if m.Format > backupFormat {
		return fault.New(fault.Invalid, "the backup was made by a newer version of fieldgate (%s)", m.Version)
	}
	return nil
}

// arrive writes one file and flushes it.
func arrive(name string, from io.Reader) error {
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		return err
	}
	file, err := os.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if errors.Is(err, os.ErrExist) {
		return fault.New(fault.Invalid, "the backup holds %q twice", filepath.Base(name))
	}
	if err != nil {
		return err
	}
	_, err = io.Copy(file, from)
	if err == nil {
		err = file.Sync()
	}
	if closeErr := file.Close(); err == nil {
		return closeErr
	}
	if _, disk := errors.AsType[*os.PathError](err); disk {
		return err
	}
	return noBackup(err)
}

// checkArrived looks whether the databases are whole and not too new.
func checkArrived(dir string) error {
	if _, err := os.Stat(filepath.Join(dir, "state.db")); err != nil {
		return fault.New(fault.Invalid, "the backup holds no state.db")
	}
	for name, kind := range databases() {
		file := filepath.Join(dir, name)
		if _, err := os.Stat(file); errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err := checkDatabase(file, kind); err != nil {
			return fault.New(fault.Invalid, "%s of the backup can't be used: %v", name, err)
		}
	}
	return syncTree(dir)
}

// syncTree makes the names in the directory and those below it survive a power cut.
func syncTree(dir string) error {
	return filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if err != nil || !e.IsDir() {
			return err
		}
		return syncDir(path)
	})
}

func checkDatabase(file, kind string) error {
	c, err := dial(file, false)
	if err != nil {
		return err
	}
	defer c.close()
	if err := migrate(c, kind); err != nil {
		return err
	}
	if err := quickCheck(c); err != nil {
		return err
	}
	if err := checkSchema(c, kind); err != nil {
		return err
	}
	return c.script("PRAGMA wal_checkpoint(TRUNCATE)")
}

// checkSchema looks whether the database has the tables of its kind, and nothing that acts by itself.
func checkSchema(c *conn, kind string) error {
	for _, table := range tables(kind) {
		n, err := c.number("SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = ?", table)
		if err == nil && n == 0 {
			err = fmt.Errorf("%w: it has no table %s", errDamaged, table)
		}
		if err != nil {
			return err
		}
	}
	n, err := c.number("SELECT count(*) FROM sqlite_schema WHERE type IN ('trigger', 'view')")
	if err == nil && n > 0 {
		err = fmt.Errorf("%w: it has triggers or views", errDamaged)
	}
	return err
}

// tables are those that every database of the kind has.
func tables(kind string) []string {
	if kind == "state" {
		return []string{"document", "revision"}
	}
	return []string{"meta", "segs", "owed", "session", "sub", "q2in", "q2out", "retained"}
}

// takeRestore puts a backup that Restore has kept into place. A crash meanwhile
// leaves the rest of it for the next Open.
func takeRestore(dataDir string) (taken bool, err error) {
	restore, before := filepath.Join(dataDir, restoreDir), filepath.Join(dataDir, beforeDir)
	entries, err := os.ReadDir(restore)
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if err := os.MkdirAll(before, 0o700); err != nil {
		return false, err
	}
	for _, e := range entries {
		name := e.Name()
		_, database := databases()[name]
		if !database && !e.IsDir() {
			continue
		}
		if err := renameDatabase(filepath.Join(dataDir, name), filepath.Join(before, name)); err != nil {
			return false, err
		}
		_ = os.Remove(suspectFile(filepath.Join(dataDir, name))) // that was the other one
		if err := os.Rename(filepath.Join(restore, name), filepath.Join(dataDir, name)); err != nil {
			return false, err
		}
	}
	if err := syncDir(dataDir); err != nil {
		return false, err
	}
	return true, os.RemoveAll(restore)
}
