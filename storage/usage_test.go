package storage_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"fieldgate/broker/mqtt"
	"fieldgate/broker/session"
)

// TestSpool_UsageAsksNoDisk: lists of all sessions and the broker's figures ask for it session by session.
func TestSpool_UsageAsksNoDisk(t *testing.T) {
	dir := t.TempDir()
	db, _ := openWithAlarms(t, dir)
	s := db.Spool()
	const sessions = 50
	for id := session.ID(1); id <= sessions; id++ {
		s.Apply(session.Change{Session: id, Put: &session.Record{ID: id, ClientID: fmt.Sprint(id)}}, nil)
		s.Append(session.Entry{Message: &mqtt.Message{Topic: "t", Payload: []byte("x"), QoS: 1, Accepted: time.Now()}, Owed: []session.Owed{{Session: id, QoS: 1}}}, nil)
	}
	require.NoError(t, db.Close())
	s = open(t, dir).Spool()
	for id := session.ID(1); id <= sessions; id++ {
		u := s.Usage(id)
		require.EqualValues(t, 1, u.Messages)
		require.WithinDuration(t, time.Now(), u.Oldest, time.Minute)
	}
	require.Zero(t, testing.AllocsPerRun(10, func() {
		for id := session.ID(1); id <= sessions; id++ {
			s.Usage(id)
		}
	}), "a page from the disk allocates")
}
