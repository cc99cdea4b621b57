package storage_test

import (
	"bytes"
	"database/sql/driver"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	sqlite3 "github.com/mattn/go-sqlite3"
	"github.com/stretchr/testify/require"

	"fieldgate/broker/session"
	"fieldgate/storage"
)

func TestSpool_NeverDeliversAFlippedByte(t *testing.T) {
	const damaged = "message-13."
	for _, c := range []struct {
		name     string
		messages int // more than a segment: read by Page; less: found at open
	}{
		{"growing segment", 100},
		{"sealed segment", 5000},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			db, _ := openWithAlarms(t, dir)
			put(t, db.Spool(), 1, 2)
			var want []string
			for n := range c.messages {
				payload := fmt.Sprintf("message-%d.", n)
				publish(db.Spool(), "t", payload, 1, 2)
				if payload != damaged {
					want = append(want, payload)
				}
			}
			commit(t, db.Spool())
			require.NoError(t, db.Close())
			flip(t, filepath.Join(dir, "spool.db"), damaged)

			db, alarms := openWithAlarms(t, dir)
			require.Equal(t, want, payloads(t, db.Spool(), 1))
			require.Equal(t, want, payloads(t, db.Spool(), 2))
			require.EqualValues(t, len(want), db.Spool().Usage(1).Messages)
			list, _ := alarms.List()
			require.Len(t, list, 1)
			require.Equal(t, storage.LostMessages, list[0].Code)
			require.NoError(t, db.Close())
		})
	}
}

// flip changes the last byte of every row that holds the text.
func flip(t *testing.T, path, text string) {
	t.Helper()
	// what the WAL still holds would be read instead
	script(t, path, "PRAGMA wal_checkpoint(TRUNCATE)")
	raw, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Contains(t, string(raw), text)
	raw = bytes.ReplaceAll(raw, []byte(text), []byte(text[:len(text)-1]+"!"))
	require.NoError(t, os.WriteFile(path, raw, 0o600))
}

func TestSpool_AcknowledgesNothingWhileTheFileTakesNoCommit(t *testing.T) {
	dir := t.TempDir()
	db, alarms := openWithAlarms(t, dir)
	s := db.Spool()
	put(t, s, 1)
	other, err := (&sqlite3.SQLiteDriver{}).Open(filepath.Join(dir, "spool.db"))
	require.NoError(t, err)
	blocker := other.(*sqlite3.SQLiteConn)
	_, err = blocker.Exec("BEGIN IMMEDIATE", nil)
	require.NoError(t, err)

	results := make(chan error, 10)
	for n := range 10 {
		e := session.Entry{Message: message(n), Owed: []session.Owed{{Session: 1, QoS: 1}}}
		s.Append(e, func(err error) { results <- err })
	}
	require.Eventually(t, func() bool { list, _ := alarms.List(); return len(list) == 1 }, 30*time.Second, 10*time.Millisecond)
	list, _ := alarms.List()
	require.Equal(t, storage.NotCommitted, list[0].Code)
	require.Empty(t, results)
	require.Len(t, payloads(t, s, 1), 10, "it is there all the same")
	require.Positive(t, s.Pending())

	_, err = blocker.Exec("ROLLBACK", nil)
	require.NoError(t, err)
	require.NoError(t, blocker.Close())
	for range 10 {
		require.NoError(t, <-results)
	}
	list, _ = alarms.List()
	require.Empty(t, list)
	require.NoError(t, db.Close())

	require.Len(t, payloads(t, open(t, dir).Spool(), 1), 10)
}

func TestSpool_CloseSaysWhatIsNotSafe(t *testing.T) {
	dir := t.TempDir()
	db, _ := openWithAlarms(t, dir)
	s := db.Spool()
	put(t, s, 1)
	other, err := (&sqlite3.SQLiteDriver{}).Open(filepath.Join(dir, "spool.db"))
	require.NoError(t, err)
	_, err = other.(*sqlite3.SQLiteConn).Exec("BEGIN IMMEDIATE", nil)
	require.NoError(t, err)
	var result error
	s.Append(session.Entry{Message: message(1), Owed: []session.Owed{{Session: 1, QoS: 1}}}, func(err error) { result = err })
	require.NoError(t, db.Close())
	require.ErrorContains(t, result, "locked")
	require.NoError(t, other.Close())

	late := false
	s.Append(session.Entry{Message: message(1)}, func(err error) { late = err != nil })
	require.True(t, late)
	require.Empty(t, payloads(t, open(t, dir).Spool(), 1))
}

// count reads a number from the file while it is in use.
func count(t testing.TB, dir, query string) int64 {
	t.Helper()
	c, err := (&sqlite3.SQLiteDriver{}).Open(filepath.Join(dir, "spool.db"))
	require.NoError(t, err)
	defer func() { require.NoError(t, c.Close()) }()
	rows, err := c.(*sqlite3.SQLiteConn).Query(query, nil)
	require.NoError(t, err)
	row := make([]driver.Value, 1)
	require.NoError(t, rows.Next(row))
	require.NoError(t, rows.Close())
	return row[0].(int64)
}
