package storage_test

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"fieldgate/broker/mqtt"
	"fieldgate/broker/session"
	"fieldgate/storage"
)

// patient opens a spool whose windows are so long that only an acknowledgement ends them.
func patient(t testing.TB, dir string) *storage.DB {
	t.Helper()
	cfg := config(dir)
	cfg.Spool.AckWindow, cfg.Spool.AckWindowMax, cfg.Spool.BridgeWindow = 10*time.Second, 10*time.Second, 10*time.Second
	db, err := storage.Open(cfg, noAlarms(), discard())
	require.NoError(t, err)
	return db
}

func live(n int, publisher uint64, ids ...session.ID) session.Entry {
	e := session.Entry{Message: message(n), Publisher: publisher}
	for _, id := range ids {
		e.Owed = append(e.Owed, session.Owed{Session: id, QoS: 1, Live: true})
	}
	return e
}

// rows counts the messages that stand in the file.
func rows(t testing.TB, dir string) (n int64) {
	t.Helper()
	for slot := range count(t, dir, "SELECT count(*) FROM sqlite_schema WHERE name GLOB 'seg[0-9]'") {
		n += count(t, dir, "SELECT count(*) FROM seg"+string(rune('0'+slot)))
	}
	return n
}

func TestSpool_NeverWritesWhatAllHaveAcknowledged(t *testing.T) {
	dir := t.TempDir()
	db := patient(t, dir)
	defer func() { require.NoError(t, db.Close()) }()
	s := db.Spool()
	put(t, s, 1, 2)
	const total = 3 * 4096 // whole segments go round without a slot
	results := make(chan error, total)
	for n := range total {
		id := s.Append(live(n, 1, 1, 2), func(err error) { results <- err })
		s.Acked(1, id)
		s.Acked(2, id)
	}
	for range total {
		require.NoError(t, <-results)
	}
	require.Zero(t, s.Pending())
	commit(t, s)
	require.Zero(t, rows(t, dir))
	require.Zero(t, count(t, dir, "SELECT count(*) FROM owed"))
	require.Zero(t, s.Usage(1))
}

func TestSpool_WhatIsDueTakesAllThatIsOlder(t *testing.T) {
	for _, c := range []struct {
		name string
		due  func(s *storage.Spool, safe func(error))
	}{
		{"owed to an offline session", func(s *storage.Spool, safe func(error)) {
			e := live(1, 2, 1)
			e.Owed = append(e.Owed, session.Owed{Session: 2, QoS: 1})
			s.Append(e, safe)
		}},
		{"retained", func(s *storage.Spool, safe func(error)) {
			e := live(1, 2, 1)
			e.Retain = true
			s.Append(e, safe)
		}},
		{"QoS 2 delivery", func(s *storage.Spool, safe func(error)) {
			e := live(1, 2, 1)
			e.Owed[0].QoS = mqtt.ExactlyOnce
			s.Append(e, safe)
		}},
		{"QoS 2 from a persistent publisher", func(s *storage.Spool, safe func(error)) {
			e := live(1, 2, 1)
			e.From, e.PacketID = 1, 5
			s.Append(e, safe)
		}},
		{"change", func(s *storage.Spool, safe func(error)) { s.Apply(session.Change{}, safe) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			synctest.Test(t, func(t *testing.T) {
				db := patient(t, dir)
				defer func() { require.NoError(t, db.Close()) }()
				s := db.Spool()
				put(t, s, 1, 2)
				began := time.Now()
				var order []int
				done := make(chan error, 1)
				s.Append(live(0, 1, 1), func(error) { order = append(order, 0) })
				c.due(s, func(err error) { order = append(order, 1); done <- err })
				require.NoError(t, <-done)
				require.Zero(t, time.Since(began), "it did not wait for the window")
				require.Equal(t, []int{0, 1}, order)
				require.Positive(t, rows(t, dir))
			})
		})
	}
}

func TestSpool_ASessionThatFallsBehindIsNotWaitedFor(t *testing.T) {
	dir := t.TempDir()
	cfg := config(dir)
	cfg.Spool.AckWindow, cfg.Spool.AckWindowMax = 10*time.Millisecond, 10*time.Second
	db, err := storage.Open(cfg, noAlarms(), discard())
	require.NoError(t, err)
	defer func() { require.NoError(t, db.Close()) }()
	s := db.Spool()
	put(t, s, 1)
	done := make(chan error, 1)
	s.Append(live(0, 1, 1), func(err error) { done <- err })
	require.NoError(t, <-done, "the window ends")
	time.Sleep(cfg.Spool.AckWindow)
	s.Append(live(1, 1, 1), func(err error) { done <- err })
	require.NoError(t, <-done)
	require.EqualValues(t, 2, rows(t, dir))
}

func TestSpool_EndOfASessionMakesSafe(t *testing.T) {
	db := patient(t, t.TempDir())
	defer func() { require.NoError(t, db.Close()) }()
	s := db.Spool()
	put(t, s, 1)
	done := make(chan error, 1)
	s.Append(live(0, 1, 1), func(err error) { done <- err })
	s.Apply(session.Change{Session: 1, End: true}, nil)
	require.NoError(t, <-done)
}

func TestSpool_CloseKeepsWhatWaits(t *testing.T) {
	dir := t.TempDir()
	db := patient(t, dir)
	put(t, db.Spool(), 1)
	results := make(chan error, 100)
	for n := range 100 {
		e := live(n, uint64(n%3), 1)
		e.Unhurried = n%3 == 0
		id := db.Spool().Append(e, func(err error) { results <- err })
		if n%5 == 0 {
			db.Spool().Acked(1, id)
		}
	}
	require.NoError(t, db.Close())
	for range 100 {
		require.NoError(t, <-results)
	}
	require.Len(t, payloads(t, open(t, dir).Spool(), 1), 80)
}

// TestSpool_KeepsEachPublishersOrder mixes all that may overtake.
func TestSpool_KeepsEachPublishersOrder(t *testing.T) {
	dir := t.TempDir()
	db, _ := openWithAlarms(t, dir)
	s := db.Spool()
	put(t, s, 1, 2)
	const publishers, each = 6, 2000
	var wg, acks sync.WaitGroup
	last := make([]int, publishers)
	for p := range publishers {
		wg.Go(func() {
			window := make(chan struct{}, 50)
			for n := range each {
				window <- struct{}{}
				safe := func(err error) {
					if err != nil || last[p] != n {
						t.Errorf("publisher %d: %d after %d, %v", p, n, last[p], err)
					}
					last[p] = n + 1
					<-window
				}
				if n%97 == p {
					s.Apply(session.Change{Session: 1, Forget: []uint16{1}}, safe)
					continue
				}
				e := live(n, uint64(p+1), 1)
				if n%211 == p {
					e.Owed = append(e.Owed, session.Owed{Session: 2, QoS: 1})
				}
				id := s.Append(e, safe)
				if n%13 != 0 {
					acks.Go(func() { s.Acked(1, id) })
				}
			}
		})
	}
	wg.Wait()
	acks.Wait()
	require.NoError(t, db.Close())
	for p := range publishers {
		require.Equal(t, each, last[p])
	}
	require.NotEmpty(t, payloads(t, open(t, dir).Spool(), 2))
}
