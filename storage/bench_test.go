package storage_test

import (
	"database/sql/driver"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	sqlite3 "github.com/mattn/go-sqlite3"
	"github.com/stretchr/testify/require"

	"fieldgate/broker/mqtt"
	"fieldgate/broker/session"
)

// BenchmarkCommit takes the floor, SQLite alone and the spool in turns, each behind each
// of the others as often, so that all meet the same disk: the floor appends the same bytes
// to a preallocated file and flushes them, SQLite writes them as one row. A commit of the
// spool lasts until its last callback runs; that the benchmark is woken then is no part of it.
func BenchmarkCommit(b *testing.B) {
	const size = 256
	for _, batch := range []int{1, 10, 100} {
		b.Run(fmt.Sprint("batch=", batch), func(b *testing.B) {
			dir := b.TempDir()
			s := open(b, dir).Spool()
			put(b, s, 1, 2, 3)
			raw := preallocated(b, dir)
			bare := bareSQLite(b, filepath.Join(dir, "bare.db"))
			owed := []session.Owed{{Session: 1, QoS: 1}, {Session: 2, QoS: 1}, {Session: 3, QoS: 1}}
			record := make([]byte, batch*(size+40))
			done := make(chan error, 1)
			var floor, alone, spool []time.Duration
			flush := func() {
				if at, err := raw.Seek(0, io.SeekCurrent); err != nil || at+int64(len(record)) > floorBytes {
					_, err = raw.Seek(0, io.SeekStart)
					require.NoError(b, err)
				}
				began := time.Now()
				_, err := raw.Write(record)
				require.NoError(b, err)
				require.NoError(b, syscall.Fdatasync(int(raw.Fd())))
				floor = append(floor, time.Since(began))
			}
			transact := func() {
				began := time.Now()
				bare(record)
				alone = append(alone, time.Since(began))
			}
			commit := func() {
				var took time.Duration
				began := time.Now()
				for i := range batch { // the last one takes all along
					payload := binary.BigEndian.AppendUint64(make([]byte, 0, size), uint64(i))
					e := session.Entry{Message: &mqtt.Message{Topic: "fieldgate/meter/power", Payload: payload[:size], QoS: 1}, Owed: owed, Unhurried: i < batch-1}
					var safe func(error)
					if !e.Unhurried {
						safe = func(err error) {
							took = time.Since(began)
							done <- err
						}
					}
					s.Append(e, safe)
				}
				require.NoError(b, <-done)
				spool = append(spool, took)
			}
			turns := []func(){flush, transact, commit}
			for turn := 0; b.Loop(); turn++ {
				for i := range turns {
					turns[(i*(1+turn/3%2)+turn)%3]()
				}
			}
			b.ReportMetric(float64(median(floor))/float64(median(spool)), "of-floor")
			b.ReportMetric(float64(median(floor).Microseconds()), "floor-µs")
			b.ReportMetric(float64(median(alone).Microseconds()), "sqlite-µs")
			b.ReportMetric(float64(median(spool).Microseconds()), "spool-µs")
		})
	}
}

// bareSQLite gives a transaction of one row on a file with the spool's settings.
func bareSQLite(b *testing.B, path string) func(row []byte) {
	b.Helper()
	dc, err := (&sqlite3.SQLiteDriver{}).Open(path)
	require.NoError(b, err)
	c := dc.(*sqlite3.SQLiteConn)
	b.Cleanup(func() { require.NoError(b, c.Close()) })
	for _, text := range []string{"PRAGMA page_size=4096", "PRAGMA journal_mode=WAL", "PRAGMA synchronous=FULL", "CREATE TABLE t(id INTEGER PRIMARY KEY, body BLOB)"} {
		_, err := c.Exec(text, nil)
		require.NoError(b, err)
	}
	var steps []*sqlite3.SQLiteStmt
	for _, text := range []string{"BEGIN IMMEDIATE", "INSERT INTO t(body) VALUES(?)", "COMMIT"} {
		s, err := c.Prepare(text)
		require.NoError(b, err)
		b.Cleanup(func() { require.NoError(b, s.Close()) })
		steps = append(steps, s.(*sqlite3.SQLiteStmt))
	}
	return func(row []byte) {
		for i, s := range steps {
			var args []driver.Value
			if i == 1 {
				args = append(args, row)
			}
			_, err := s.Exec(args)
			require.NoError(b, err)
		}
	}
}

func median(list []time.Duration) time.Duration {
	slices.Sort(list)
	return max(list[len(list)/2], 1)
}

// floorBytes is the size of the file that the floor appends to, round and round.
const floorBytes = 32 << 20

func preallocated(b *testing.B, dir string) *os.File {
	b.Helper()
	file, err := os.Create(filepath.Join(dir, "floor"))
	require.NoError(b, err)
	b.Cleanup(func() { require.NoError(b, file.Close()) })
	_, err = file.Write(make([]byte, floorBytes))
	require.NoError(b, err)
	require.NoError(b, file.Sync())
	_, err = file.Seek(0, io.SeekStart)
	require.NoError(b, err)
	return file
}

// BenchmarkLive is a message's way through a session that is online: accepted,
// read from RAM, acknowledged.
func BenchmarkLive(b *testing.B) {
	s := open(b, b.TempDir()).Spool()
	put(b, s, 1)
	owed := []session.Owed{{Session: 1, QoS: 1}}
	payload := make([]byte, 64)
	var after mqtt.MsgID
	b.ReportAllocs()
	for b.Loop() {
		s.Append(session.Entry{Message: &mqtt.Message{Topic: "fieldgate/meter/power", Payload: payload, QoS: 1}, Owed: owed}, nil)
		page, err := s.Page(1, after, 10, 1<<20)
		if err != nil || len(page) != 1 {
			b.Fatal(len(page), err)
		}
		after = page[0].Message.ID
		s.Acked(1, after)
	}
}

// BenchmarkBytes is a steady flow to sessions that acknowledge a second later: what
// does it write to the disk, and to how many pages of the log?
func BenchmarkBytes(b *testing.B) {
	const size, lag = 256, 1000
	for _, c := range []struct{ batch, fan int }{{1, 3}, {1, 16}, {10, 3}, {10, 16}, {100, 3}} {
		b.Run(fmt.Sprintf("batch=%d/fan=%d", c.batch, c.fan), func(b *testing.B) {
			s := open(b, b.TempDir()).Spool()
			var owed []session.Owed
			for id := range session.ID(c.fan) {
				put(b, s, id+1)
				owed = append(owed, session.Owed{Session: id + 1, QoS: 1})
			}
			var all []mqtt.MsgID
			done := make(chan error, 1)
			before := diskBytes(b)
			commits := 0
			for b.Loop() {
				for range c.batch {
					e := session.Entry{Message: &mqtt.Message{Topic: "fieldgate/meter/power", Payload: make([]byte, size), QoS: 1}, Owed: owed, Unhurried: true}
					all = append(all, s.Append(e, nil))
				}
				s.Apply(session.Change{}, func(err error) { done <- err })
				require.NoError(b, <-done)
				commits++
				for len(all) > lag {
					for _, o := range owed {
						s.Acked(o.Session, all[0])
					}
					all = all[1:]
				}
			}
			written := float64(diskBytes(b) - before)
			b.ReportMetric(written/float64(commits), "B/commit")
			b.ReportMetric(written/float64(commits)-float64(2*size*c.batch), "B/commit-beside-payload")
			b.ReportMetric(written/float64(commits*c.batch), "B/message")
		})
	}
}

// diskBytes gives what this process has sent to the disk.
func diskBytes(b *testing.B) int64 {
	b.Helper()
	raw, err := os.ReadFile("/proc/self/io")
	require.NoError(b, err)
	var n int64
	for line := range strings.Lines(string(raw)) {
		if _, err := fmt.Sscanf(line, "write_bytes: %d", &n); err == nil {
			return n
		}
	}
	return 0
}

// BenchmarkDrain reads a long queue from the disk and acknowledges it.
func BenchmarkDrain(b *testing.B) {
	dir := b.TempDir()
	db, _ := openWithAlarms(b, dir)
	put(b, db.Spool(), 1)
	fill(b, db.Spool(), 50_000, 0, 256, 1)
	require.NoError(b, db.Close())
	s := open(b, dir).Spool()
	drained := 0
	for b.Loop() {
		page, err := s.Page(1, 0, 100, 1<<20)
		require.NoError(b, err)
		if len(page) == 0 {
			b.StopTimer()
			fill(b, s, 50_000, 0, 256, 1)
			b.StartTimer()
		}
		for _, q := range page {
			s.Acked(1, q.Message.ID)
		}
		drained += len(page)
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(max(drained, 1)), "µs/message")
}
