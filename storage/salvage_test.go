package storage_test

import (
	"bytes"
	"database/sql/driver"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	sqlite3 "github.com/mattn/go-sqlite3"
	"github.com/stretchr/testify/require"

	"fieldgate/broker/mqtt"
	"fieldgate/broker/session"
	"fieldgate/storage"
)

// hurt damages a closed database file.
type hurt func(t *testing.T, raw []byte) []byte

func overwrite(from, to int, with byte) hurt {
	return func(_ *testing.T, raw []byte) []byte {
		for i := from; i < to; i++ {
			raw[i] = with
		}
		return raw
	}
}

// zeroPageWith zeroes the pages that hold the text.
func zeroPageWith(text string) hurt {
	return func(t *testing.T, raw []byte) []byte {
		found := false
		for at := 0; at < len(raw); at += 4096 {
			if page := raw[at:min(at+4096, len(raw))]; bytes.Contains(page, []byte(text)) {
				clear(page)
				found = true
			}
		}
		require.True(t, found)
		return raw
	}
}

func cutAt(share int) hurt {
	return func(_ *testing.T, raw []byte) []byte { return raw[:len(raw)*share/100/4096*4096] }
}

func damage(t *testing.T, path string, how hurt) {
	t.Helper()
	script(t, path, "PRAGMA wal_checkpoint(TRUNCATE)")
	raw, err := os.ReadFile(path)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(path, how(t, raw), 0o600))
	require.NoError(t, os.RemoveAll(path+"-wal"))
	require.NoError(t, os.RemoveAll(path+"-shm"))
}

// TestOpen_SavesWhatCanBeRead damages a spool with sealed, merged and growing segments: the broker gets all that
// does not stand in the damage, in order, with sessions and subscriptions, and nothing that was never there.
func TestOpen_SavesWhatCanBeRead(t *testing.T) {
	t.Parallel()
	const messages = 20_000
	whole := t.TempDir()
	db, _ := openWithAlarms(t, whole)
	s := db.Spool()
	put(t, s, 1, 2)
	apply(t, s, session.Change{Session: 1, Subscribe: []mqtt.Subscription{{Filter: "a/#", QoS: 1}}})
	for n := range messages {
		publish(s, "t", fmt.Sprintf("message-%d.", n), 1, 2)
	}
	s.Append(session.Entry{Message: &mqtt.Message{Topic: "r", Payload: []byte("kept"), QoS: 1}, Retain: true}, nil)
	commit(t, s)
	for _, id := range ids(t, s, 2)[:5000] {
		s.Acked(2, id)
	}
	require.NoError(t, db.Close())
	for _, c := range []struct {
		name  string
		how   hurt
		least int  // per cent of the messages that must be there
		quiet bool // found by reading only, not at open
	}{
		{"header overwritten", overwrite(0, 100, 0xaa), 100, false},
		{"magic flipped", overwrite(3, 4, 'X'), 100, false},
		{"a page of messages zeroed", zeroPageWith("message-9000."), 99, true},
		{"a page of the growing segment zeroed", zeroPageWith("message-19990."), 99, false},
		{"cut to nine tenths", cutAt(90), 50, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			require.NoError(t, os.CopyFS(dir, os.DirFS(whole)))
			damage(t, filepath.Join(dir, "spool.db"), c.how)

			db, alarms := openWithAlarms(t, dir)
			s := db.Spool()
			requireMost(t, payloads(t, s, 1), 0, messages, c.least)
			requireMost(t, payloads(t, s, 2), 5000, messages, c.least)
			list, _ := alarms.List()
			require.NotEmpty(t, list)
			if !c.quiet {
				require.Equal(t, storage.Damaged, list[0].Code)
				require.Contains(t, list[0].Message, "for 2 sessions were saved")
				copies, err := filepath.Glob(filepath.Join(dir, "spool.db.damaged-*[0-9]"))
				require.NoError(t, err)
				require.Len(t, copies, 1)
			}
			subs, retained := 0, ""
			require.NoError(t, s.Load(session.Visitor{
				Subscription: func(session.ID, mqtt.Subscription) { subs++ },
				Retained:     func(m *mqtt.Message) { retained = string(m.Payload) },
			}))
			require.Equal(t, 1, subs)
			require.Equal(t, "kept", retained)

			// it works as ever, and once more from the file
			last := publish(s, "t", "message-20000.", 1)
			commit(t, s)
			for _, id := range ids(t, s, 1) {
				if id != last {
					s.Acked(1, id)
				}
			}
			for _, id := range ids(t, s, 2) {
				s.Acked(2, id)
			}
			require.NoError(t, db.Close())
			db, alarms = openWithAlarms(t, dir)
			require.Equal(t, []string{"message-20000."}, payloads(t, db.Spool(), 1))
			require.Empty(t, payloads(t, db.Spool(), 2))
			require.NoError(t, db.Close())
			list, _ = alarms.List()
			if c.quiet { // found while it was in use: this start has made a new file
				require.Len(t, list, 1)
				require.Contains(t, list[0].Message, "1 messages for 2 sessions were saved")
			} else {
				require.Empty(t, list)
			}
			requireWhole(t, filepath.Join(dir, "spool.db"))
		})
	}
}

// requireWhole asks SQLite whether the file is whole.
func requireWhole(t *testing.T, path string) {
	t.Helper()
	c, err := (&sqlite3.SQLiteDriver{}).Open(path)
	require.NoError(t, err)
	defer func() { require.NoError(t, c.Close()) }()
	rows, err := c.(*sqlite3.SQLiteConn).Query("PRAGMA integrity_check", nil)
	require.NoError(t, err)
	row := make([]driver.Value, 1)
	require.NoError(t, rows.Next(row))
	require.NoError(t, rows.Close())
	require.Equal(t, "ok", row[0])
}

// requireMost says that the payloads are numbers of a range, in order, each once, and at least that share of it.
func requireMost(t *testing.T, got []string, from, to, percent int) {
	t.Helper()
	last := -1
	for _, payload := range got {
		n, err := strconv.Atoi(payload[len("message-") : len(payload)-1])
		if err != nil || n <= last || n < from || n >= to { // require would cost more than the reading
			require.Fail(t, "not a message that was there, or out of order", "%q after %d, %v", payload, last, err)
		}
		last = n
	}
	require.GreaterOrEqual(t, len(got)*100, (to-from)*percent, "%d of %d", len(got), to-from)
}

// TestOpen_GoesOnAfterACrashWhileAFileMovesAside: the damaged file has its new name, its log not yet, and what was
// saved waits. The log must not find the saved file.
func TestOpen_GoesOnAfterACrashWhileAFileMovesAside(t *testing.T) {
	dir := t.TempDir()
	damaged := open(t, dir).Spool()
	put(t, damaged, 1)
	publish(damaged, "t", "of the damaged file", 1)
	commit(t, damaged)
	dir = crashImage(t, dir)
	saved := t.TempDir()
	db, _ := openWithAlarms(t, saved)
	put(t, db.Spool(), 1)
	publish(db.Spool(), "t", "saved", 1)
	commit(t, db.Spool())
	require.NoError(t, db.Close())
	script(t, filepath.Join(saved, "spool.db"), "PRAGMA wal_checkpoint(TRUNCATE)")

	file := filepath.Join(dir, "spool.db")
	aside := file + ".damaged-20260101T000000.000000000"
	require.NoError(t, os.Rename(file, aside))
	require.NoError(t, os.Rename(filepath.Join(saved, "spool.db"), file+".salvaged"))
	s := open(t, dir).Spool()
	require.Equal(t, []string{"saved"}, payloads(t, s, 1))
	requireWhole(t, file)
	require.FileExists(t, aside+"-wal", "the damaged file keeps what belongs to it")
	require.NoFileExists(t, file+".salvaged")
}

func TestOpen_ForgetsWhatACrashLeftOfASalvage(t *testing.T) {
	dir := t.TempDir()
	db, _ := openWithAlarms(t, dir)
	require.NoError(t, db.Close())
	for _, name := range []string{"spool.db.salvaged", "state.db.salvaged"} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte("of long ago"), 0o600))
	}
	require.NoError(t, os.Mkdir(filepath.Join(dir, "restore.tmp"), 0o700))
	db, _ = openWithAlarms(t, dir)
	require.NoError(t, db.Close())
	for _, name := range []string{"spool.db.salvaged", "state.db.salvaged", "restore.tmp"} {
		require.NoFileExists(t, filepath.Join(dir, name))
		require.NoDirExists(t, filepath.Join(dir, name))
	}
}

func TestOpen_SavesDocuments(t *testing.T) {
	const documents = 400
	for _, c := range []struct {
		name  string
		how   hurt
		least int
	}{
		{"header overwritten", overwrite(0, 100, 0), documents},
		{"a page zeroed", zeroPageWith("document 200."), documents - 40},
		{"cut to nine tenths", cutAt(90), documents / 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			db, _ := openWithAlarms(t, dir)
			require.NoError(t, db.State().Update(func(tx *storage.Tx) error {
				for n := range documents {
					if err := tx.Put("bucket", strconv.Itoa(n), fmt.Appendf(nil, "document %d.%200d", n, n)); err != nil {
						return err
					}
				}
				return nil
			}))
			require.NoError(t, db.Close())
			damage(t, filepath.Join(dir, "state.db"), c.how)
			db, alarms := openWithAlarms(t, dir)
			got, err := db.State().List("bucket")
			require.NoError(t, err)
			require.GreaterOrEqual(t, len(got), c.least)
			for key, value := range got {
				require.Contains(t, string(value), "document "+key+".")
			}
			list, _ := alarms.List()
			require.Len(t, list, 1)
			require.Contains(t, list[0].Message, fmt.Sprintf("%d documents were saved", len(got)))
			require.NoError(t, db.Close())
		})
	}
}

// TestOpen_SurvivesAnyDamage overwrites random parts of a spool: it opens or moves aside, and works.
func TestOpen_SurvivesAnyDamage(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	db, _ := openWithAlarms(t, dir)
	s := db.Spool()
	put(t, s, 1, 2)
	for n := range 5000 {
		publish(s, "t", fmt.Sprintf("message-%d.", n), 1, 2)
	}
	commit(t, s)
	require.NoError(t, db.Close())
	script(t, filepath.Join(dir, "spool.db"), "PRAGMA wal_checkpoint(TRUNCATE)")
	whole, err := os.ReadFile(filepath.Join(dir, "spool.db"))
	require.NoError(t, err)
	for round := range 25 {
		seed := rand.Uint64()
		r := rand.New(rand.NewPCG(seed, 0))
		raw := bytes.Clone(whole)
		for range 1 + r.IntN(4) {
			at := r.IntN(len(raw))
			for i := at; i < min(at+1+r.IntN(5000), len(raw)); i++ {
				raw[i] = byte(r.Uint32())
			}
		}
		dir := t.TempDir()
		require.NoError(t, os.WriteFile(filepath.Join(dir, "spool.db"), raw, 0o600))
		db, err := storage.Open(config(dir), noAlarms(), discard())
		require.NoError(t, err, "round %d, seed %d", round, seed)
		s := db.Spool()
		put(t, s, 3)
		publish(s, "t", "message-5000.", 3)
		commit(t, s)
		require.Equal(t, []string{"message-5000."}, payloads(t, s, 3), "seed %d", seed)
		for _, id := range []session.ID{1, 2} {
			requireMost(t, payloads(t, s, id), 0, 5000, 0)
		}
		require.NoError(t, db.Close())
	}
}
