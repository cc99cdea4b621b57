package storage_test

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"fieldgate/broker/mqtt"
	"fieldgate/broker/session"
)

func message(n int) *mqtt.Message {
	return &mqtt.Message{Topic: "fieldgate/meter/power", Payload: fmt.Appendf(nil, "message-%d", n), QoS: 1}
}

// fill appends n messages to sessions and waits for their commit; every slow-th
// one is owed to session 9 as well.
func fill(t testing.TB, s session.Spool, n, slow, size int, owed ...session.ID) []mqtt.MsgID {
	t.Helper()
	all := make([]mqtt.MsgID, 0, n)
	for i := range n {
		e := session.Entry{Message: &mqtt.Message{Topic: "fieldgate/meter/power", Payload: make([]byte, size), QoS: 1, Accepted: time.Now()}}
		for _, id := range owed {
			e.Owed = append(e.Owed, session.Owed{Session: id, QoS: 1})
		}
		if slow > 0 && i%slow == 0 {
			e.Owed = append(e.Owed, session.Owed{Session: 9, QoS: 1})
		}
		all = append(all, s.Append(e, nil))
	}
	commit(t, s)
	return all
}

func TestSpool_ReusesTheRing(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir).Spool()
	put(t, s, 1)
	for range 20 {
		for _, id := range fill(t, s, 5000, 0, 20, 1) {
			s.Acked(1, id)
		}
		commit(t, s)
	}
	require.LessOrEqual(t, count(t, dir, "SELECT count(*) FROM segs"), int64(3))
	require.LessOrEqual(t, count(t, dir, "SELECT count(*) FROM sqlite_schema WHERE name LIKE 'seg_'"), int64(5))
	require.LessOrEqual(t, count(t, dir, "SELECT count(*) FROM owed"), int64(3))
}

func TestSpool_OneSlowSessionDoesNotGrowTheFile(t *testing.T) {
	dir := t.TempDir()
	db, alarms := openWithAlarms(t, dir)
	s := db.Spool()
	put(t, s, 1, 9)
	total := 0
	stop := make(chan struct{})
	var reader sync.WaitGroup
	reader.Go(func() { // merges go on below a reader that sees nothing of them
		for last := 0; ; {
			select {
			case <-stop:
				return
			default:
			}
			n := len(payloads(t, s, 9))
			if n < last {
				t.Errorf("%d messages were found after %d", n, last)
				return
			}
			last = n
		}
	})
	for range 10 {
		for _, id := range fill(t, s, 20000, 2000, 10, 1) {
			s.Acked(1, id)
		}
		total += 10
	}
	require.EqualValues(t, total, s.Usage(9).Messages)
	require.Eventually(t, func() bool {
		// any activity lets the writer look again
		publish(s, "t", "x", 1)
		commit(t, s)
		return count(t, dir, "SELECT count(*) FROM segs") < 8
	}, 30*time.Second, 50*time.Millisecond)
	close(stop)
	reader.Wait()
	list, _ := alarms.List()
	require.Empty(t, list)
	before := ids(t, s, 9)
	require.Len(t, before, total)
	s.Acked(9, before[3])
	s.Acked(9, before[50])
	want := append(append(append([]mqtt.MsgID{}, before[:3]...), before[4:50]...), before[51:]...)
	require.Equal(t, want, ids(t, s, 9))
	require.NoError(t, db.Close())

	s = open(t, dir).Spool()
	require.Equal(t, want, ids(t, s, 9))
	require.EqualValues(t, 10*len(want), s.Usage(9).Bytes)
	apply(t, s, session.Change{Session: 9, End: true})
	require.Empty(t, ids(t, s, 9))
}

func TestSpool_QueueDoesNotGrowInMemory(t *testing.T) {
	dir := t.TempDir()
	db, _ := openWithAlarms(t, dir)
	s := db.Spool()
	put(t, s, 1, 2)
	before := heap()
	fill(t, s, 200_000, 0, 256, 1, 2)
	require.EqualValues(t, 200_000, s.Usage(2).Messages)
	t.Log("heap", (heap()-before)>>10)
	require.Less(t, heap()-before, int64(16<<20), "the cache is 8 MB, the index a few bytes a message")
	require.NoError(t, db.Close())

	before = heap()
	began := time.Now()
	s = open(t, dir).Spool()
	t.Logf("opened with 200,000 messages in %s", time.Since(began))
	require.Less(t, heap()-before, int64(4<<20))
	require.EqualValues(t, 200_000, s.Usage(1).Messages)
	require.Len(t, ids(t, s, 1), 200_000)
	require.Less(t, heap()-before, int64(8<<20))
}

func heap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

func TestSpool_IdleWritesNothing(t *testing.T) {
	dir := t.TempDir()
	stamp := func() string {
		words := ""
		for _, name := range []string{"spool.db", "spool.db-wal"} {
			info, err := os.Stat(filepath.Join(dir, name))
			require.NoError(t, err)
			words += fmt.Sprint(info.ModTime().UnixNano(), info.Size(), " ")
		}
		return words
	}
	synctest.Test(t, func(t *testing.T) {
		s := open(t, dir).Spool()
		put(t, s, 1)
		all := fill(t, s, 10, 0, 10, 1)
		s.Acked(1, all[0])
		time.Sleep(time.Second)
		require.EqualValues(t, 1, count(t, dir, "SELECT count(*) FROM owed"), "the acknowledgement goes by itself")
		before := stamp()
		s.Acked(1, all[0]) // again: no change
		_ = ids(t, s, 1)
		_ = s.Usage(1)
		for range 30 { // ten minutes of a watchdog
			commit(t, s)
			time.Sleep(20 * time.Second)
		}
		require.Equal(t, before, stamp())
	})
}
