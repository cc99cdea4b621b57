package storage_test

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"fieldgate/broker/mqtt"
	"fieldgate/broker/session"
)

// The wall clock of a gateway without a battery is wrong until NTP sets it, in either direction. What was accepted
// under one time and is read under another one is as old as time has passed, and no older.
func TestSpool_TellsTheAgeOfMessagesWithoutTheWallClock(t *testing.T) {
	for _, c := range []struct {
		name string
		set  time.Duration // how far the clock was from what it is now when the message came
	}{
		{"the clock is set forward by 50 years", -50 * 365 * 24 * time.Hour},
		{"the clock is set back by a day", 24 * time.Hour},
		{"the clock is right", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			db, _ := openWithAlarms(t, dir)
			s := db.Spool()
			put(t, s, 1)
			s.SetLimits(1, session.Limits{Age: time.Hour})
			m := &mqtt.Message{Topic: "t", Payload: []byte("p"), QoS: 1, Retain: true, Expiry: time.Hour, Accepted: time.Now().Round(0).Add(c.set)}
			s.Append(session.Entry{Message: m, Retain: true, Owed: []session.Owed{{Session: 1, QoS: 1}}}, nil)
			commit(t, s)
			require.NoError(t, db.Close())

			s = open(t, dir).Spool()
			s.SetLimits(1, session.Limits{Age: time.Hour})
			page, err := s.Page(1, 0, 10, 1<<20)
			require.NoError(t, err)
			require.Len(t, page, 1)
			requireYoung(t, page[0].Message)
			found := false
			require.NoError(t, s.Load(session.Visitor{Retained: func(m *mqtt.Message) {
				found = true
				requireYoung(t, m)
			}}))
			require.True(t, found)
		})
	}
}

// requireYoung says that the message has waited for less than its hour, whatever the wall clock says.
func requireYoung(t *testing.T, m *mqtt.Message) {
	t.Helper()
	require.Equal(t, time.Hour, m.Expiry)
	waited := time.Since(m.Accepted)
	require.True(t, waited >= 0 && waited < time.Hour/2, "it has waited for %s", waited)
}

// What passed while the machine was off is unknown: messages become younger by that, never older.
func TestSpool_TimeCountsWhileTheMachineRuns(t *testing.T) {
	for _, c := range []struct {
		name string
		old  bool
	}{
		{"the machine kept running", true},
		{"the machine was started again", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			db, _ := openWithAlarms(t, dir)
			s := db.Spool()
			put(t, s, 1)
			m := &mqtt.Message{Topic: "t", QoS: 1, Expiry: time.Hour, Accepted: time.Now()}
			s.Append(session.Entry{Message: m, Owed: []session.Owed{{Session: 1, QoS: 1}}}, nil)
			commit(t, s)
			require.NoError(t, db.Close())
			closed := time.Now()
			if !c.old { // another boot id, which stands behind the format and its own length
				script(t, filepath.Join(dir, "spool.db"), "UPDATE meta SET v = CAST(substr(v, 1, 2) || 'x' || substr(v, 4) AS BLOB) WHERE k = 'clock'")
			}
			for time.Since(closed) < 30*time.Millisecond {
				time.Sleep(time.Millisecond) // the time that is to count, or not
			}
			opened := time.Now()
			s = open(t, dir).Spool()
			page, err := s.Page(1, 0, 10, 1<<20)
			require.NoError(t, err)
			require.Len(t, page, 1)
			waited := time.Since(page[0].Message.Accepted)
			if c.old {
				require.GreaterOrEqual(t, waited, 30*time.Millisecond)
			} else {
				require.Less(t, waited, closed.Sub(m.Accepted)+time.Since(opened)+5*time.Millisecond)
			}
		})
	}
}
