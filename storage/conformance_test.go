package storage_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"fieldgate/broker/session"
	"fieldgate/broker/session/sessiontest"
	"fieldgate/storage"
)

func TestSpool_Conforms(t *testing.T) {
	sessiontest.Run(t, func(t *testing.T) (session.Spool, func() session.Spool) {
		dir := t.TempDir()
		var db *storage.DB
		t.Cleanup(func() { require.NoError(t, db.Close()) })
		db, _ = openWithAlarms(t, dir)
		return db.Spool(), func() session.Spool {
			require.NoError(t, db.Close())
			db, _ = openWithAlarms(t, dir)
			return db.Spool()
		}
	})
}
