package storage_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"fieldgate/broker/session"
	"fieldgate/storage"
)

// TestSpool_ShrinksWhenDrained fills and drains a queue. A gateway is never quite still: its watchdog asks the spool
// for a sign of life, and its bridges publish values that are retained.
func TestSpool_ShrinksWhenDrained(t *testing.T) {
	for _, c := range []struct {
		name  string
		every time.Duration
		do    func(s *storage.Spool)
	}{
		{"in silence", time.Hour, func(*storage.Spool) {}},
		{"while a watchdog asks", 10 * time.Second, func(s *storage.Spool) { s.Apply(session.Change{}, nil) }},
		{"while values come", time.Second, func(s *storage.Spool) {
			s.Append(session.Entry{Message: message(1), Owed: []session.Owed{{Session: 2, QoS: 1}}, Retain: true}, nil)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			synctest.Test(t, func(t *testing.T) {
				s := open(t, dir).Spool()
				put(t, s, 1, 2)
				for n := range 20_000 {
					publish(s, "t", fmt.Sprintf("%d %s", n, strings.Repeat("x", 500)), 1)
				}
				commit(t, s)
				large := size(t, dir)
				require.Greater(t, large, int64(6<<20))
				for _, id := range ids(t, s, 1) {
					s.Acked(1, id)
				}
				for range 3 * time.Minute / c.every {
					c.do(s)
					time.Sleep(c.every)
				}
				time.Sleep(2 * time.Minute)
				require.Less(t, size(t, dir), large/2)
				publish(s, "t", "goes on", 1)
				commit(t, s)
				require.Equal(t, []string{"goes on"}, payloads(t, s, 1))
			})
			require.Equal(t, []string{"goes on"}, payloads(t, open(t, dir).Spool(), 1))
			requireWhole(t, filepath.Join(dir, "spool.db"))
		})
	}
}

func size(t *testing.T, dir string) int64 {
	t.Helper()
	info, err := os.Stat(filepath.Join(dir, "spool.db"))
	require.NoError(t, err)
	return info.Size()
}

// Damage in a part that nobody reads is found after a stop that was not clean.
func TestSpool_LooksOverAfterAStopThatWasNotClean(t *testing.T) {
	for _, c := range []struct {
		name  string
		clean bool
	}{{"clean", true}, {"not clean", false}} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			db, _ := openWithAlarms(t, dir)
			put(t, db.Spool(), 1)
			for n := range 10_000 {
				publish(db.Spool(), "t", fmt.Sprintf("message-%d.", n), 1)
			}
			commit(t, db.Spool())
			require.NoError(t, db.Close())
			damage(t, filepath.Join(dir, "spool.db"), zeroPageWith("message-5000."))
			if !c.clean {
				script(t, filepath.Join(dir, "spool.db"), "DELETE FROM meta WHERE k = 'clean'")
			}
			db, alarms := openWithAlarms(t, dir)
			found := func() bool { return len(codes(alarms)) == 1 && codes(alarms)[0] == storage.Damaged }
			if c.clean {
				apply(t, db.Spool(), session.Change{})
				require.False(t, found())
			} else {
				require.Eventually(t, found, 30*time.Second, time.Millisecond)
			}
			require.NoError(t, db.Close())
		})
	}
}
