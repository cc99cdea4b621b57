package storage_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"fieldgate/broker/mqtt"
	"fieldgate/broker/session"
)

func TestSpool_ReopensWithWhatWasCommitted(t *testing.T) {
	dir := t.TempDir()
	db, _ := openWithAlarms(t, dir)
	s := db.Spool()
	put(t, s, 1, 2)
	for i := range 10000 {
		publish(s, "t", fmt.Sprint(i), 1, 2)
	}
	commit(t, s)
	for _, id := range ids(t, s, 1)[:9000] {
		s.Acked(1, id)
	}
	require.NoError(t, db.Close())

	db = open(t, dir)
	s = db.Spool()
	require.NoError(t, s.Load(session.Visitor{}))
	require.EqualValues(t, 1000, s.Usage(1).Messages)
	require.EqualValues(t, 10000, s.Usage(2).Messages)
	require.Equal(t, "9000", payloads(t, s, 1)[0])
	require.Len(t, payloads(t, s, 2), 10000)
	next := publish(s, "t", "new", 1)
	require.Equal(t, "new", payloads(t, s, 1)[1000])
	require.Greater(t, next, mqtt.MsgID(10000))
}

func ids(t testing.TB, s session.Spool, id session.ID) []mqtt.MsgID {
	t.Helper()
	var all []mqtt.MsgID
	for after := mqtt.MsgID(0); ; {
		page, err := s.Page(id, after, 1000, 1<<30)
		require.NoError(t, err)
		if len(page) == 0 {
			return all
		}
		for _, q := range page {
			after = q.Message.ID
			all = append(all, after)
		}
	}
}
