package storage_test

import (
	"fmt"
	"log/slog"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"fieldgate/broker/mqtt"
	"fieldgate/broker/session"
	"fieldgate/internal/fault"
	"fieldgate/internal/leak"
	"fieldgate/storage"
)

// TestMain is also the child of the crash tests: see child.
func TestMain(m *testing.M) {
	if dir := os.Getenv(childEnv); dir != "" {
		child(dir)
		return
	}
	if dir := os.Getenv(fullEnv); dir != "" {
		if err := full(dir); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		return
	}
	leak.Main(m)
}

// open opens the directory for the rest of the test.
func open(t testing.TB, dir string) *storage.DB {
	t.Helper()
	db, _ := openWithAlarms(t, dir)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	return db
}

// openWithAlarms leaves Close to the test.
func openWithAlarms(t testing.TB, dir string) (*storage.DB, *fault.Alarms) {
	t.Helper()
	alarms := &fault.Alarms{}
	db, err := storage.Open(config(dir), alarms, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	return db, alarms
}

func config(dir string) storage.Config {
	cfg := storage.Default()
	cfg.DataDir = dir
	return cfg
}

// put makes sessions with those IDs and waits until they are committed.
func put(t testing.TB, s session.Spool, ids ...session.ID) {
	t.Helper()
	for _, id := range ids {
		apply(t, s, session.Change{Session: id, Put: &session.Record{ID: id, ClientID: clientID(id)}})
	}
}

func clientID(id session.ID) string {
	return "client-" + string(rune('a'+id%26)) + string(rune('0'+id/26))
}

// apply waits until the change is committed.
func apply(t testing.TB, s session.Spool, c session.Change) {
	t.Helper()
	done := make(chan error, 1)
	s.Apply(c, func(err error) { done <- err })
	require.NoError(t, <-done)
}

// commit waits until all that was appended before is committed.
func commit(t testing.TB, s session.Spool) {
	t.Helper()
	apply(t, s, session.Change{})
}

// publish appends a message that is owed with QoS 1 to the sessions.
func publish(s session.Spool, topic, payload string, owed ...session.ID) mqtt.MsgID {
	e := session.Entry{Message: &mqtt.Message{Topic: topic, Payload: []byte(payload), QoS: 1}}
	for _, id := range owed {
		e.Owed = append(e.Owed, session.Owed{Session: id, QoS: mqtt.AtLeastOnce})
	}
	return s.Append(e, nil)
}

// payloads gives the whole queue of a session, read in small pages.
func payloads(t testing.TB, s session.Spool, id session.ID) []string {
	t.Helper()
	var all []string
	for after := mqtt.MsgID(0); ; {
		page, err := s.Page(id, after, 100, 1<<20)
		require.NoError(t, err)
		if len(page) == 0 {
			return all
		}
		for _, q := range page {
			if q.Message.ID <= after { // require would cost more than the page
				require.Greater(t, q.Message.ID, after)
			}
			after = q.Message.ID
			all = append(all, string(q.Message.Payload))
		}
	}
}

func noAlarms() *fault.Alarms { return &fault.Alarms{} }

func discard() *slog.Logger { return slog.New(slog.DiscardHandler) }
