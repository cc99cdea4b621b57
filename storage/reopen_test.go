package storage_test

import (
	"fmt"
	"os"
	"path/filepath"
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

// A crash may bring a QoS 2 delivery back that was completed, but never as one
// that has not been released: the subscriber would take it for a new message.
func TestSpool_ReleasedComesBackOnlyAsReleased(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir).Spool()
	put(t, s, 1)
	var all []mqtt.MsgID
	for n := range 40 {
		all = append(all, s.Append(session.Entry{Message: message(n), Owed: []session.Owed{{Session: 1, QoS: 2}}}, nil))
	}
	apply(t, s, session.Change{Session: 1, Released: all})
	for i, id := range all {
		s.Acked(1, id)
		commit(t, s)
		if i%4 == 0 {
			s.Acked(1, publish(s, "t", "x", 1))
		}
		crashed, _ := openWithAlarms(t, crashImage(t, dir))
		released := map[mqtt.MsgID]bool{}
		require.NoError(t, crashed.Spool().Load(session.Visitor{Released: func(_ session.ID, id mqtt.MsgID) { released[id] = true }}))
		back, err := crashed.Spool().Page(1, 0, 1000, 1<<20)
		require.NoError(t, err)
		require.GreaterOrEqual(t, len(back), len(all)-1-i)
		for _, q := range back {
			require.True(t, q.QoS == mqtt.AtLeastOnce || released[q.Message.ID], "message %d", q.Message.ID)
		}
		require.NoError(t, crashed.Close())
	}
}

// TestSpool_BitsLeftInATableDoNotSpeakForTheNextSegment: what a merge that was not followed to its end has left of a
// table must not call the next messages in it acknowledged.
func TestSpool_BitsLeftInATableDoNotSpeakForTheNextSegment(t *testing.T) {
	dir := t.TempDir()
	db, _ := openWithAlarms(t, dir)
	put(t, db.Spool(), 1)
	require.NoError(t, db.Close())
	script(t, filepath.Join(dir, "spool.db"), "INSERT INTO owed(slot, session, bits) VALUES(0, 1, X'014000')") // 64 positions, nothing owed
	s := open(t, dir).Spool()
	publish(s, "t", "kept", 1)
	commit(t, s)
	require.Equal(t, []string{"kept"}, payloads(t, open(t, crashImage(t, dir)).Spool(), 1))
}

func TestSpool_PageFailsAfterClose(t *testing.T) {
	db, _ := openWithAlarms(t, t.TempDir())
	put(t, db.Spool(), 1)
	fill(t, db.Spool(), 9, 0, 1<<20, 1) // more than stays in RAM
	require.NoError(t, db.Close())
	_, err := db.Spool().Page(1, 0, 1, 1<<21)
	require.ErrorContains(t, err, "closed")
}

// crashImage copies the files of a directory that is in use: what SIGKILL would leave.
func crashImage(t testing.TB, dir string) string {
	t.Helper()
	image := t.TempDir()
	for _, name := range []string{"spool.db", "spool.db-wal"} {
		raw, err := os.ReadFile(filepath.Join(dir, name))
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(image, name), raw, 0o600))
	}
	return image
}

// TestSpool_AfterTwoCrashesKeepsWhatTheFirstBitmapSpokeFor: the bitmap of a session speaks for positions of messages
// that were never written, because all had acknowledged them. After a crash these must not become those of new
// messages, which it would call acknowledged after the next one.
func TestSpool_AfterTwoCrashesKeepsWhatTheFirstBitmapSpokeFor(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir).Spool()
	put(t, s, 1, 2)
	publish(s, "t", "kept", 2)
	read := publish(s, "t", "read", 1)
	commit(t, s)
	for range 10 {
		m := &mqtt.Message{Topic: "t", Payload: []byte("elided"), QoS: 1}
		s.Acked(1, s.Append(session.Entry{Message: m, Owed: []session.Owed{{Session: 1, QoS: 1, Live: true}}}, nil))
	}
	commit(t, s)
	apply(t, s, session.Change{Session: 1, Completed: []mqtt.MsgID{read}}) // takes the bitmap along

	dir = crashImage(t, dir)
	s = open(t, dir).Spool()
	require.Empty(t, payloads(t, s, 1))
	for _, payload := range []string{"a", "b", "c"} {
		publish(s, "t", payload, 1)
	}
	commit(t, s)

	s = open(t, crashImage(t, dir)).Spool()
	require.Equal(t, []string{"a", "b", "c"}, payloads(t, s, 1))
	require.Equal(t, []string{"kept"}, payloads(t, s, 2))
}
