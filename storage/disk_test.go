package storage_test

import (
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"fieldgate/broker/mqtt"
	"fieldgate/broker/session"
	"fieldgate/internal/fault"
	"fieldgate/storage"
)

// smallDisk mounts a file system of so many bytes.
func smallDisk(t *testing.T, bytes string) string {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size="+bytes); err != nil {
		t.Skipf("only root can mount a small file system: %v", err)
	}
	t.Cleanup(func() { require.NoError(t, syscall.Unmount(dir, syscall.MNT_DETACH)) })
	return dir
}

func codes(alarms *fault.Alarms) (list []fault.Code) {
	all, _ := alarms.List()
	for _, a := range all {
		list = append(list, a.Code)
	}
	return list
}

// TestSpool_DrainsAFullDisk fills a disk with a queue; all that is delivered makes
// room for what waits, and nothing is lost or acknowledged too early. When somebody
// else takes the last byte, it goes on once that is given back.
func TestSpool_DrainsAFullDisk(t *testing.T) {
	const messages, size = 3000, 10_000
	for _, c := range []struct {
		name string
		hog  int64 // bytes that somebody else writes, once the queue waits
	}{
		{"by the queue", 0},
		{"by somebody else too", 64 << 20},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := smallDisk(t, "24m")
			db, alarms := openWithAlarms(t, dir)
			s := db.Spool()
			put(t, s, 1)
			results := make(chan error, messages)
			for n := range messages {
				m := message(n)
				m.Payload = append(m.Payload, make([]byte, size)...)
				s.Append(session.Entry{Message: m, Owed: []session.Owed{{Session: 1, QoS: 1}}}, func(err error) { results <- err })
			}
			require.Eventually(t, func() bool { return len(codes(alarms)) == 2 }, 30*time.Second, time.Millisecond)
			require.ElementsMatch(t, []fault.Code{storage.LowDisk, storage.NotCommitted}, codes(alarms))
			require.Less(t, len(results), messages)
			require.Greater(t, len(results), messages/4)
			hog := filepath.Join(dir, "hog")
			if c.hog > 0 {
				require.ErrorIs(t, os.WriteFile(hog, make([]byte, c.hog), 0o600), syscall.ENOSPC)
			}

			var after mqtt.MsgID
			for n := 0; n < messages; {
				page, err := s.Page(1, after, 100, 1<<30)
				require.NoError(t, err)
				for _, q := range page {
					require.Contains(t, string(q.Message.Payload), string(message(n).Payload), "in order")
					n++
					after = q.Message.ID
					s.Acked(1, after)
				}
			}
			if c.hog > 0 {
				require.NoError(t, os.Remove(hog))
			}
			for range messages {
				require.NoError(t, <-results)
			}
			id := publish(s, "t", "last", 1)
			commit(t, s)
			require.NotContains(t, codes(alarms), storage.NotCommitted)
			require.NoError(t, db.Close())
			s = open(t, dir).Spool()
			page, err := s.Page(1, id-1, 10, 1000)
			require.NoError(t, err)
			require.Len(t, page, 1)
		})
	}
}

// TestSpool_ServesOnAFullDisk shows that what is delivered needs no room.
func TestSpool_ServesOnAFullDisk(t *testing.T) {
	dir := smallDisk(t, "12m")
	db, alarms := openWithAlarms(t, dir)
	s := db.Spool()
	put(t, s, 1, 2)
	kept := publish(s, "t", "kept", 2)
	commit(t, s)
	hog := filepath.Join(dir, "hog")
	require.ErrorIs(t, os.WriteFile(hog, make([]byte, 64<<20), 0o600), syscall.ENOSPC)
	for round := range 3 {
		const messages = 100
		results := make(chan error, messages)
		var ids []mqtt.MsgID
		for n := range messages {
			m := message(n)
			m.Payload = make([]byte, 50_000)
			ids = append(ids, s.Append(session.Entry{Message: m, Owed: []session.Owed{{Session: 1, QoS: 1}}}, func(err error) { results <- err }))
		}
		require.Eventually(t, func() bool { return len(codes(alarms)) == 2 }, 30*time.Second, time.Millisecond, "round %d", round)
		for _, id := range ids {
			s.Acked(1, id)
		}
		for range messages {
			require.NoError(t, <-results)
		}
	}
	require.NoError(t, os.Remove(hog))
	publish(s, "t", "last", 2)
	commit(t, s)
	require.Eventually(t, func() bool { return len(codes(alarms)) == 0 }, 30*time.Second, time.Millisecond)
	require.NoError(t, db.Close())
	s = open(t, dir).Spool()
	require.Equal(t, []string{"kept", "last"}, payloads(t, s, 2))
	require.Empty(t, payloads(t, s, 1))
	page, err := s.Page(2, 0, 1, 100)
	require.NoError(t, err)
	require.Equal(t, kept, page[0].Message.ID)
}

func TestSpool_KeepsTheDiskFree(t *testing.T) {
	dir := smallDisk(t, "100m")
	require.NoError(t, os.WriteFile(filepath.Join(dir, "hog"), make([]byte, 70<<20), 0o600))
	cfg := config(dir)
	cfg.Spool.MinFreeDisk = 9 << 20
	alarms := noAlarms()
	db, err := storage.Open(cfg, alarms, discard())
	require.NoError(t, err)
	s := db.Spool()
	put(t, s, 1)
	info, err := os.Stat(filepath.Join(dir, "reserve"))
	require.NoError(t, err)
	require.EqualValues(t, 4<<20, info.Size())
	results := make(chan error, 3000)
	for n := range 3000 {
		m := message(n)
		m.Payload = make([]byte, 10_000)
		s.Append(session.Entry{Message: m, Owed: []session.Owed{{Session: 1, QoS: 1}}}, func(err error) { results <- err })
	}
	require.Eventually(t, func() bool { return len(codes(alarms)) > 0 }, 30*time.Second, time.Millisecond)
	var fs syscall.Statfs_t
	require.NoError(t, syscall.Statfs(dir, &fs))
	require.Greater(t, int64(fs.Bavail)*fs.Bsize, int64(3<<20), "little beside the log of the last commits goes below the limit")
	require.NoError(t, os.Remove(filepath.Join(dir, "hog")))
	for range 3000 {
		require.NoError(t, <-results, "it goes on by itself")
	}
	require.NoError(t, db.Close())
	require.Len(t, payloads(t, open(t, dir).Spool(), 1), 3000)
}

// TestOpen_OnAFullDisk: somebody has taken the last byte while nobody ran. What was kept is there, and goes out.
func TestOpen_OnAFullDisk(t *testing.T) {
	for _, c := range []struct {
		name  string
		crash bool
	}{{"after a clean stop", false}, {"after a crash", true}} {
		t.Run(c.name, func(t *testing.T) {
			dir := smallDisk(t, "24m")
			if c.crash {
				source := t.TempDir()
				s := open(t, source).Spool()
				put(t, s, 1)
				publish(s, "t", "kept", 1)
				commit(t, s)
				require.NoError(t, os.CopyFS(dir, os.DirFS(source)))
				require.NoError(t, os.Remove(filepath.Join(dir, "spool.db-shm")))
				require.NoError(t, os.Remove(filepath.Join(dir, "state.db-shm")))
			} else {
				db, _ := openWithAlarms(t, dir)
				put(t, db.Spool(), 1)
				publish(db.Spool(), "t", "kept", 1)
				commit(t, db.Spool())
				require.NoError(t, db.Close())
			}
			hog := filepath.Join(dir, "hog")
			require.ErrorIs(t, os.WriteFile(hog, make([]byte, 64<<20), 0o600), syscall.ENOSPC)
			db, alarms := openWithAlarms(t, dir)
			s := db.Spool()
			require.Equal(t, []string{"kept"}, payloads(t, s, 1))
			done := make(chan error, 1)
			s.Append(session.Entry{Message: &mqtt.Message{Topic: "t", Payload: make([]byte, 1<<20), QoS: 1}, Owed: []session.Owed{{Session: 1, QoS: 1}}}, func(err error) { done <- err })
			require.Eventually(t, func() bool { return slices.Contains(codes(alarms), storage.LowDisk) }, 30*time.Second, time.Millisecond)
			require.NoError(t, os.Remove(hog))
			require.NoError(t, <-done)
			require.NoError(t, db.Close())
			require.Len(t, payloads(t, open(t, dir).Spool(), 1), 2)
		})
	}
}
