// Package storage keeps everything that survives a restart in two SQLite files:
// spool.db with sessions, their queues and retained messages, and state.db with
// settings, users and revisions. It must not know what the documents in state.db
// mean, nor anything of sockets and bridges. DESIGN.md says why it is as it is.
package storage

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"

	"fieldgate/internal/fault"
)

// DB is the open data directory.
type DB struct {
	cfg   Config
	lock  *lock
	spool *Spool
	state *State

	copying sync.Mutex // held by a backup and by Restore
}

// Open takes the data directory for this process and opens both files. A file
// that is damaged or of a newer major version is moved aside with an alarm and
// begun anew; Open fails only when the directory can't be used, with
// fault.Conflict when another process uses it.
func Open(cfg Config, alarms *fault.Alarms, log *slog.Logger) (*DB, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if err := makeDir(cfg.DataDir); err != nil {
		return nil, err
	}
	lock, err := takeLock(cfg.DataDir)
	if err != nil {
		return nil, err
	}
	db := &DB{cfg: cfg, lock: lock}
	err = db.open(cfg, alarms, log)
	if isFull(err) && os.Remove(reserveFile(cfg.DataDir)) == nil { // on a full disk not even the index of the log can be made
		db.closeFiles()
		err = db.open(cfg, alarms, log)
	}
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}

func (db *DB) open(cfg Config, alarms *fault.Alarms, log *slog.Logger) (err error) {
	for _, half := range []string{draftDir, arrivingDir} { // of a backup that was cut short
		_ = os.RemoveAll(filepath.Join(cfg.DataDir, half))
	}
	restored, err := takeRestore(cfg.DataDir)
	if err != nil {
		return fmt.Errorf("restore the backup: %w", err)
	}
	if restored {
		log.Info("backup restored", "replaced", filepath.Join(cfg.DataDir, beforeDir))
	}
	if db.state, err = openState(filepath.Join(cfg.DataDir, "state.db"), alarms, log); err != nil {
		return err
	}
	if db.spool, err = openSpool(filepath.Join(cfg.DataDir, "spool.db"), cfg.Spool, alarms, log); err != nil {
		return err
	}
	// without it a power cut after the first acknowledgement could take the files' names
	if err := syncDir(cfg.DataDir); err != nil {
		return fmt.Errorf("sync data directory: %w", err)
	}
	return nil
}

// makeDir makes the directory, for nobody but the owner.
func makeDir(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("make data directory: %w", err)
	}
	info, err := os.Stat(dir)
	if err != nil {
		return fmt.Errorf("data directory: %w", err)
	}
	if info.Mode().Perm() == 0o700 {
		return nil
	}
	if err := os.Chmod(dir, 0o700); err != nil {
		return fmt.Errorf("data directory: %w", err)
	}
	return nil
}

// Spool gives the message store.
func (db *DB) Spool() *Spool { return db.spool }

// State gives the documents and revisions.
func (db *DB) State() *State { return db.state }

// Close commits what is pending, closes both files and frees the directory. It
// must be called once, after everything that uses Spool and State has ended.
func (db *DB) Close() error {
	db.closeFiles()
	return db.lock.release()
}

func (db *DB) closeFiles() {
	if db.spool != nil {
		db.spool.close()
	}
	if db.state != nil {
		db.state.close()
	}
}
