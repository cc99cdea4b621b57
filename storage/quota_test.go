package storage_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"fieldgate/broker/session"
	"fieldgate/storage"
)

func TestSpool_AFullQueueIsAnAlarmAndKeepsTheFileSmall(t *testing.T) {
	dir := t.TempDir()
	db, alarms := openWithAlarms(t, dir)
	s := db.Spool()
	put(t, s, 1)
	s.SetLimits(1, session.Limits{Messages: 1000})
	ids := fill(t, s, 1000, 0, 100, 1)
	list, _ := alarms.List()
	require.Empty(t, list)
	for range 10 {
		ids = fill(t, s, 5000, 0, 100, 1)
	}
	list, _ = alarms.List()
	require.Len(t, list, 1)
	require.Equal(t, storage.QueueFull, list[0].Code)
	require.EqualValues(t, 50_000, s.Usage(1).Dropped)
	commit(t, s)
	require.LessOrEqual(t, count(t, dir, "SELECT count(*) FROM segs"), int64(4))
	require.NoError(t, db.Close())
	s = open(t, dir).Spool()
	page, err := s.Page(1, 0, 5, 1<<20)
	require.NoError(t, err)
	require.Equal(t, ids[len(ids)-1000], page[0].Message.ID)
	require.EqualValues(t, 1000, s.Usage(1).Messages)
}
