package storage_test

import (
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"fieldgate/broker/mqtt"
	"fieldgate/broker/session"
	"fieldgate/storage"
)

// closedLoop lets publishers send one message after the other, each once the one
// before is acknowledged and a little later, for that time; it gives what every one waited.
func closedLoop(t *testing.T, s session.Spool, publishers int, length time.Duration) (waits []time.Duration) {
	t.Helper()
	var mu sync.Mutex
	var wg sync.WaitGroup
	end := time.Now().Add(length)
	for i := range publishers {
		wg.Go(func() {
			done := make(chan error, 1)
			for time.Now().Before(end) {
				time.Sleep(200*time.Microsecond + time.Duration(i)*10*time.Microsecond)
				began := time.Now()
				m := &mqtt.Message{Topic: "t", Payload: make([]byte, 256), QoS: 1}
				s.Append(session.Entry{Message: m, Publisher: uint64(i + 1), Owed: []session.Owed{{Session: 1, QoS: 1}}}, func(err error) { done <- err })
				if err := <-done; err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				waits = append(waits, time.Since(began))
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	return waits
}

// openSlow opens a spool in the bubble, on a disk that takes so long to flush.
func openSlow(t *testing.T, dir string, flush time.Duration) *storage.DB {
	t.Helper()
	db, _ := openWithAlarms(t, dir)
	storage.SlowDisk(db, flush)
	put(t, db.Spool(), 1)
	return db
}

func TestSpool_GathersPublishersOnASlowDisk(t *testing.T) {
	tests := []struct {
		name  string
		flush time.Duration
	}{
		{"an SD card", 20 * time.Millisecond},
		{"a worn one", 200 * time.Millisecond},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			synctest.Test(t, func(t *testing.T) {
				db := openSlow(t, dir, test.flush)
				const publishers = 200
				length := 100 * test.flush
				n := len(closedLoop(t, db.Spool(), publishers, length))
				require.NoError(t, db.Close())
				rate := float64(n) / length.Seconds()
				require.Greater(t, rate, 0.75*publishers/(test.flush+test.flush/20).Seconds())
			})
		})
	}
}

func TestSpool_NobodyElseWaitsOnASlowDisk(t *testing.T) {
	const flush = 20 * time.Millisecond
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		db := openSlow(t, dir, flush)
		waits := closedLoop(t, db.Spool(), 1, time.Second)
		require.NoError(t, db.Close())
		require.Equal(t, flush, slices.Max(waits), "a publisher alone waits for the disk and for nothing else")
	})
}
