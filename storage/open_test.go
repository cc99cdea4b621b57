package storage_test

import (
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	sqlite3 "github.com/mattn/go-sqlite3"
	"github.com/stretchr/testify/require"

	"fieldgate/internal/fault"
	"fieldgate/storage"
)

func TestOpen_KeepsOthersOut(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "sub", "data?dir#1")
	open(t, dir)
	info, err := os.Stat(dir)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o700), info.Mode().Perm())
	require.FileExists(t, filepath.Join(dir, "spool.db"))

	_, err = storage.Open(config(dir), &fault.Alarms{}, slog.New(slog.DiscardHandler))
	require.Equal(t, fault.Conflict, fault.CodeOf(err))
	require.ErrorContains(t, err, "in use by process "+strconv.Itoa(os.Getpid()))
}

func TestOpen_FailsWhereThereCanBeNoDirectory(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	_, err := storage.Open(config(filepath.Join(file, "data")), &fault.Alarms{}, slog.New(slog.DiscardHandler))
	require.ErrorContains(t, err, "not a directory")
}

func TestOpen_MovesADamagedFileAside(t *testing.T) {
	for _, c := range []struct {
		name, file string
		damage     func(t *testing.T, path string)
	}{
		{"garbage spool", "spool.db", garbage},
		{"garbage state", "state.db", garbage},
		{"a few bytes", "spool.db", func(t *testing.T, path string) {
			require.NoError(t, os.RemoveAll(path+"-wal"))
			require.NoError(t, os.WriteFile(path, []byte("this is no database"), 0o600))
		}},
		{"newer spool", "spool.db", func(t *testing.T, path string) { script(t, path, "PRAGMA user_version=2001") }},
		{"newer state", "state.db", func(t *testing.T, path string) { script(t, path, "PRAGMA user_version=2001") }},
		{"table missing", "spool.db", func(t *testing.T, path string) { script(t, path, "DROP TABLE segs") }},
		{"index of a segment is nonsense", "spool.db", func(t *testing.T, path string) {
			script(t, path, "INSERT INTO segs VALUES(7, 1, 1, x'0102')")
		}},
		{"torn pages", "state.db", func(t *testing.T, path string) {
			script(t, path, "PRAGMA wal_checkpoint(TRUNCATE)")
			raw, err := os.ReadFile(path)
			require.NoError(t, err)
			require.NoError(t, os.WriteFile(path, raw[:len(raw)/2], 0o600))
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, c.file)
			for range 3 {
				db, _ := openWithAlarms(t, dir)
				require.NoError(t, db.Close())
				c.damage(t, path)
			}
			for range 3 {
				db, alarms := openWithAlarms(t, dir)
				list, _ := alarms.List()
				require.NotEmpty(t, list)
				require.Equal(t, storage.Damaged, list[0].Code)
				require.Contains(t, list[0].Message, c.file)
				put(t, db.Spool(), 1)
				publish(db.Spool(), "t", "works", 1)
				require.Contains(t, payloads(t, db.Spool(), 1), "works")
				require.NoError(t, db.State().Put("b", "k", []byte("v")))
				require.NoError(t, db.Close())
				c.damage(t, path)
			}
			copies, err := filepath.Glob(path + ".damaged-*[0-9]")
			require.NoError(t, err)
			require.Len(t, copies, 2)
		})
	}
}

func TestOpen_GoesOnWithANewerMinorVersion(t *testing.T) {
	dir := t.TempDir()
	db, _ := openWithAlarms(t, dir)
	put(t, db.Spool(), 1)
	publish(db.Spool(), "t", "kept", 1)
	commit(t, db.Spool())
	require.NoError(t, db.Close())
	script(t, filepath.Join(dir, "spool.db"), "CREATE TABLE added(x); PRAGMA user_version=1900")
	require.Equal(t, []string{"kept"}, payloads(t, open(t, dir).Spool(), 1))
}

func garbage(t *testing.T, path string) {
	require.NoError(t, os.WriteFile(path, make([]byte, 10000), 0o600))
	require.NoError(t, os.RemoveAll(path+"-wal"))
	require.NoError(t, os.WriteFile(path, []byte("this is no database, but it is long enough to be one, is it not? "+string(make([]byte, 8192))), 0o600))
}

// script changes a database that nobody has open.
func script(t testing.TB, path, text string) {
	t.Helper()
	c, err := (&sqlite3.SQLiteDriver{}).Open(path)
	require.NoError(t, err)
	_, err = c.(*sqlite3.SQLiteConn).Exec(text, nil)
	require.NoError(t, err)
	require.NoError(t, c.Close())
}
