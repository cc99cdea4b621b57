package storage_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"fieldgate/broker/session"
	"fieldgate/storage"
)

func TestSpool_ShrinksWhenDrained(t *testing.T) {
	dir := t.TempDir()
	db, err := storage.Open(storage.WithTidyPause(config(dir), 20*time.Millisecond), noAlarms(), discard())
	require.NoError(t, err)
	s := db.Spool()
	put(t, s, 1, 2)
	for n := range 20_000 {
		publish(s, "t", fmt.Sprintf("%d %s", n, strings.Repeat("x", 500)), 1)
	}
	commit(t, s)
	large := size(t, dir)
	require.Greater(t, large, int64(6<<20))
	all := ids(t, s, 1)
	for _, id := range all[:len(all)-1] {
		s.Acked(1, id)
	}
	commit(t, s)
	require.Equal(t, 1, len(ids(t, s, 1)))
	s.Acked(1, all[len(all)-1])
	publish(s, "t", "another", 2)
	for _, id := range ids(t, s, 2) {
		s.Acked(2, id)
	}
	require.Eventually(t, func() bool { return size(t, dir) < large/2 }, 30*time.Second, 10*time.Millisecond)
	publish(s, "t", "goes on", 1)
	commit(t, s)
	require.Equal(t, []string{"goes on"}, payloads(t, s, 1))
	require.NoError(t, db.Close())
	require.Equal(t, []string{"goes on"}, payloads(t, open(t, dir).Spool(), 1))
	requireWhole(t, filepath.Join(dir, "spool.db"))
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
