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
	"path"
	"path/filepath"
	"strings"
	"time"

	"fieldgate/internal/fault"
)

// A backup is a tar file, gzipped: manifest.json first, then the databases as VACUUM
// INTO makes them, and the files of directories that go along. It holds every secret
// that the data directory holds.
const (
	backupFormat = 1
	manifestName = "manifest.json"
	draftDir     = "backup.tmp"     // a backup on its way out
	arrivingDir  = "restore.tmp"    // one on its way in
	restoreDir   = "restore"        // one that has come whole: the next Open takes it
	beforeDir    = "before-restore" // what the last one has replaced
	maxManifest  = 64 << 10         // bytes
	maxFiles     = 1000             // of a backup on its way in
	maxPadding   = 1 << 20          // bytes behind its archive
)

// databases are the files of a backup that storage knows, and their kinds of schema.
func databases() map[string]string {
	return map[string]string{"state.db": "state", "spool.db": "spool"}
}

// BackupOptions say what goes into a backup.
type BackupOptions struct {
	Messages bool     // the spool too: sessions, retained messages, queues
	Version  string   // of the program, for people
	Dirs     []string // directories below the data directory whose files go along
}

type manifest struct {
	Format  int       `json:"format"`
	Version string    `json:"version"`
	Created time.Time `json:"created"`
}

// Backup is a snapshot that waits to be written. Close it.
type Backup struct {
	db    *DB
	names []string // below the data directory's draft, or the directory itself
}

// Backup takes a snapshot while everything goes on. It holds what was committed
// when it began. It fails with fault.Conflict while another one is under way, and
// with fault.Unavailable when the disk has no room for it.
func (db *DB) Backup(ctx context.Context, o BackupOptions) (*Backup, error) {
	if !db.copying.TryLock() {
		return nil, fault.New(fault.Conflict, "another backup is under way")
	}
	b := &Backup{db: db}
	if err := b.take(ctx, o); err != nil {
		return nil, errors.Join(err, b.Close())
	}
	return b, nil
}

func (b *Backup) take(ctx context.Context, o BackupOptions) error {
	dir := filepath.Join(b.db.cfg.DataDir, draftDir)
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		return fmt.Errorf("make room for a backup: %w", err)
	}
	text, err := json.Marshal(manifest{Format: backupFormat, Version: o.Version, Created: time.Now().UTC().Truncate(time.Second)})
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, manifestName), text, 0o600); err != nil {
		return err
	}
	b.names = []string{manifestName}
	for _, name := range []string{"state.db", "spool.db"} {
		if name == "spool.db" && !o.Messages {
			continue
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := b.db.snapshot(name, filepath.Join(dir, name)); err != nil {
			return fmt.Errorf("snapshot of %s: %w", name, err)
		}
		b.names = append(b.names, name)
	}
	for _, along := range o.Dirs {
		if err := b.copyDir(along); err != nil {
			return err
		}
	}
	return nil
}

// snapshot copies a database that is in use.
func (db *DB) snapshot(name, to string) error {
	file := filepath.Join(db.cfg.DataDir, name)
	info, err := os.Stat(file)
	if err != nil {
		return err
	}
	if err := db.needRoom(info.Size()); err != nil {
		return err
	}
	c, err := dial(file, false)
	if err != nil {
		return err
	}
	defer c.close()
	return c.exec("VACUUM INTO ?", to)
}

// needRoom fails when so many bytes do not fit beside what is to stay free.
func (db *DB) needRoom(bytes int64) error {
	d := disk{dir: db.cfg.DataDir, minFree: int64(db.cfg.Spool.MinFreeDisk)}
	free, keep, err := d.space()
	if err == nil && free-keep < bytes {
		err = fault.New(fault.Unavailable, "the disk of %s has no room for %d MiB more beside min_free_disk", db.cfg.DataDir, bytes>>20+1)
	}
	return err
}

// isFileName tells whether a file of that name may go along.
func isFileName(name string) bool {
	odd := func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '.' || r == '_' || r == '-')
	}
	return name != "" && len(name) <= 200 && name[0] != '.' && name[0] != '-' && !strings.ContainsFunc(name, odd)
}

func (b *Backup) copyDir(along string) error {
	entries, err := os.ReadDir(filepath.Join(b.db.cfg.DataDir, along))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.Type().IsRegular() && isFileName(e.Name()) {
			b.names = append(b.names, path.Join(along, e.Name()))
		}
	}
	return nil
}

// WriteTo implements io.WriterTo.
func (b *Backup) WriteTo(w io.Writer) (int64, error) {
	counted := &counter{to: w}
	zip := gzip.NewWriter(counted)
	out := tar.NewWriter(zip)
	for _, name := range b.names {
		if err := b.write(out, name); err != nil {
			return counted.n, fmt.Errorf("write %s: %w", name, err)
		}
	}
	return counted.n, errors.Join(out.Close(), zip.Close())
}

func (b *Backup) write(out *tar.Writer, name string) error {
	file, err := os.Open(filepath.Join(b.db.cfg.DataDir, draftDir, name))
	if errors.Is(err, os.ErrNotExist) {
		file, err = os.Open(filepath.Join(b.db.cfg.DataDir, filepath.FromSlash(name)))
	}
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }()
	info, err := file.Stat()
	if err != nil {
		return err
	}
	if err := out.WriteHeader(&tar.Header{Name: name, Mode: 0o600, Size: info.Size(), ModTime: info.ModTime(), Format: tar.FormatPAX}); err != nil {
		return err
	}
	_, err = io.Copy(out, file)
	return err
}

// Close removes the snapshot.
func (b *Backup) Close() error {
	defer b.db.copying.Unlock()
	return os.RemoveAll(filepath.Join(b.db.cfg.DataDir, draftDir))
}

type counter struct {
	to io.Writer
	n  int64
}

func (c *counter) Write(p []byte) (int, error) {
	n, err := c.to.Write(p)
	c.n += int64(n)
	return n, err
}
