package gateway

import (
	"context"
	"io"

	"fieldgate/internal/fault"
	"fieldgate/storage"
	"fieldgate/webui/api"
)

// alongDirs are the directories in data_dir that go into a backup.
func alongDirs() []string { return []string{"templates"} }

// Backup implements api.Backups.
func (g *Gateway) Backup(ctx context.Context, messages bool) (api.Snapshot, error) {
	if g.db == nil {
		return nil, fault.New(fault.Unavailable, "there is nothing to back up: %s", g.unkept)
	}
	b, err := g.db.Backup(ctx, storage.BackupOptions{Messages: messages, Version: g.version, Dirs: alongDirs()})
	if err != nil {
		return nil, err // not b, which would be no nil Snapshot
	}
	return b, nil
}

// Restore implements api.Backups; Run ends then, and who runs it makes a new Gateway.
func (g *Gateway) Restore(ctx context.Context, from io.Reader) error {
	if g.db == nil {
		return fault.New(fault.Unavailable, "a backup can't be restored: %s", g.unkept)
	}
	if err := g.db.Restore(ctx, from, alongDirs()); err != nil {
		return err
	}
	g.startAnew()
	return nil
}

// StartAnew tells whether Run has ended, or will, so that another Gateway takes its place.
func (g *Gateway) StartAnew() bool { return g.anew.Err() != nil }
