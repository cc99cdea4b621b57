package storage_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"fieldgate/broker/session"
	"fieldgate/internal/fault"
	"fieldgate/storage"
)

func backup(t *testing.T, db *storage.DB, messages bool) []byte {
	t.Helper()
	b, err := db.Backup(t.Context(), storage.BackupOptions{Messages: messages, Version: "1.2.3", Dirs: []string{"templates"}})
	require.NoError(t, err)
	var out bytes.Buffer
	n, err := b.WriteTo(&out)
	require.NoError(t, err)
	require.EqualValues(t, out.Len(), n)
	require.NoError(t, b.Close())
	return out.Bytes()
}

func TestBackup_ComesBackWhole(t *testing.T) {
	for _, c := range []struct {
		name     string
		messages bool
		want     []string // what session 1 is owed after the restore
	}{
		{"with messages", true, []string{"0", "1", "2"}},
		{"settings only", false, []string{"0", "1", "2", "later"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			db, _ := openWithAlarms(t, dir)
			s := db.Spool()
			put(t, s, 1)
			for n := range 3 {
				publish(s, "t", fmt.Sprint(n), 1)
			}
			commit(t, s)
			require.NoError(t, db.State().Put("b", "k", []byte("then")))
			require.NoError(t, os.Mkdir(filepath.Join(dir, "templates"), 0o700))
			template := filepath.Join(dir, "templates", "own.yaml")
			require.NoError(t, os.WriteFile(template, []byte("then"), 0o600))
			saved := backup(t, db, c.messages)

			publish(s, "t", "later", 1)
			commit(t, s)
			require.NoError(t, db.State().Put("b", "k", []byte("now")))
			require.NoError(t, os.WriteFile(template, []byte("now"), 0o600))
			require.NoError(t, db.Restore(t.Context(), bytes.NewReader(saved), []string{"templates"}))
			if c.messages { // damage was found in the file that the backup replaces
				require.NoError(t, os.WriteFile(filepath.Join(dir, "spool.db.suspect"), nil, 0o600))
			}
			value, err := db.State().Get("b", "k")
			require.NoError(t, err)
			require.Equal(t, "now", string(value), "it waits for the next start")
			require.NoError(t, db.Close())

			db, alarms := openWithAlarms(t, dir)
			list, _ := alarms.List()
			require.Empty(t, list)
			value, err = db.State().Get("b", "k")
			require.NoError(t, err)
			require.Equal(t, "then", string(value))
			require.Equal(t, c.want, payloads(t, db.Spool(), 1))
			text, err := os.ReadFile(template)
			require.NoError(t, err)
			require.Equal(t, "then", string(text))
			require.FileExists(t, filepath.Join(dir, "before-restore", "state.db"))
			require.NoDirExists(t, filepath.Join(dir, "restore"))
			require.NoDirExists(t, filepath.Join(dir, "backup.tmp"))
			require.NoError(t, db.Close())
		})
	}
}

// TestBackup_HoldsABeginning takes a snapshot under load: all that was committed before it began, and no gaps.
func TestBackup_HoldsABeginning(t *testing.T) {
	dir := t.TempDir()
	db, _ := openWithAlarms(t, dir)
	s := db.Spool()
	put(t, s, 1)
	for n := range 2000 {
		publish(s, "t", fmt.Sprintf("message-%d.", n), 1)
	}
	commit(t, s)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for n := 2000; n < 12000; n++ {
			publish(s, "t", fmt.Sprintf("message-%d.", n), 1)
		}
	}()
	saved := backup(t, db, true)
	<-done
	require.NoError(t, db.Close())

	other := t.TempDir()
	db, _ = openWithAlarms(t, other)
	require.NoError(t, db.Restore(t.Context(), bytes.NewReader(saved), nil))
	require.NoError(t, db.Close())
	got := payloads(t, open(t, other).Spool(), 1)
	require.GreaterOrEqual(t, len(got), 2000)
	for n, payload := range got {
		require.Equal(t, fmt.Sprintf("message-%d.", n), payload)
	}
}

func TestRestore_RefusesWhatIsNoBackup(t *testing.T) {
	dir := t.TempDir()
	db := open(t, dir)
	put(t, db.Spool(), 1)
	whole := backup(t, db, true)
	type file struct{ name, text string }
	archive := func(files ...file) []byte {
		var b bytes.Buffer
		zip := gzip.NewWriter(&b)
		out := tar.NewWriter(zip)
		for _, f := range files {
			require.NoError(t, out.WriteHeader(&tar.Header{Name: f.name, Size: int64(len(f.text)), Mode: 0o600}))
			_, err := io.WriteString(out, f.text)
			require.NoError(t, err)
		}
		require.NoError(t, errors.Join(out.Close(), zip.Close()))
		return b.Bytes()
	}
	good := file{"manifest.json", `{"format":1}`}
	database := func(schema string) file {
		name := filepath.Join(t.TempDir(), "state.db")
		script(t, name, schema)
		raw, err := os.ReadFile(name)
		require.NoError(t, err)
		return file{"state.db", string(raw)}
	}
	many := []file{good}
	for n := range 1000 {
		many = append(many, file{fmt.Sprintf("templates/%d", n), ""})
	}
	for _, c := range []struct {
		name, words string
		backup      []byte
	}{
		{"nothing", "no whole backup", nil},
		{"text", "no whole backup", []byte("hello")},
		{"cut short", "no whole backup", whole[:len(whole)-10]},
		{"cut in the middle", "no whole backup", whole[:len(whole)/2]},
		{"an empty archive", "no whole backup", archive()},
		{"another archive", `begins with "README"`, archive(file{"README", "x"})},
		{"a newer format", "newer version of fieldgate (9.0)", archive(file{"manifest.json", `{"format":2,"version":"9.0"}`})},
		{"a manifest that is none", "makes no sense", archive(file{"manifest.json", `[]`})},
		{"no settings", "no state.db", archive(good)},
		{"a path that leads out", `"../state.db"`, archive(good, file{"../state.db", "x"})},
		{"a file that is not ours", `"lock"`, archive(good, file{"lock", "x"})},
		{"a hidden template", `"templates/.x"`, archive(good, file{"templates/.x", "x"})},
		{"a name twice", `"x.yaml" twice`, archive(good, file{"templates/x.yaml", ""}, file{"templates/x.yaml", ""})},
		{"too many files", "more than 1000 files", archive(many...)},
		{"a bomb behind its end", "stands behind its end", slices.Concat(archive(good), zeros(2<<20))},
		{"a database without our tables", "it has no table document", archive(good, database("PRAGMA user_version=1001"))},
		{"a database that acts by itself", "triggers or views", archive(good, database(`CREATE TABLE document(x); CREATE TABLE revision(x); PRAGMA user_version=1001;
			CREATE TRIGGER t AFTER INSERT ON document BEGIN DELETE FROM revision; END`))},
		{"a database that is none", "state.db of the backup can't be used", archive(good, file{"state.db", "no database, but long enough to look at it"})},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := db.Restore(t.Context(), bytes.NewReader(c.backup), []string{"templates"})
			require.ErrorContains(t, err, c.words)
			require.Equal(t, fault.Invalid, fault.CodeOf(err))
			require.NoDirExists(t, filepath.Join(dir, "restore"))
			require.NoDirExists(t, filepath.Join(dir, "restore.tmp"))
		})
	}
}

// zeros gives so many of them, gzipped.
func zeros(n int) []byte {
	var b bytes.Buffer
	zip := gzip.NewWriter(&b)
	_, _ = zip.Write(make([]byte, n)) // into RAM
	_ = zip.Close()
	return b.Bytes()
}

func TestRestore_RefusesANewerSchema(t *testing.T) {
	newer := t.TempDir()
	db, _ := openWithAlarms(t, newer)
	require.NoError(t, db.Close())
	script(t, filepath.Join(newer, "state.db"), "PRAGMA user_version=2001")
	raw, err := os.ReadFile(filepath.Join(newer, "state.db"))
	require.NoError(t, err)
	var b bytes.Buffer
	zip := gzip.NewWriter(&b)
	out := tar.NewWriter(zip)
	for _, f := range []struct {
		name string
		text []byte
	}{{"manifest.json", []byte(`{"format":1}`)}, {"state.db", raw}} {
		require.NoError(t, out.WriteHeader(&tar.Header{Name: f.name, Size: int64(len(f.text)), Mode: 0o600}))
		_, err := out.Write(f.text)
		require.NoError(t, err)
	}
	require.NoError(t, errors.Join(out.Close(), zip.Close()))
	err = open(t, t.TempDir()).Restore(t.Context(), &b, nil)
	require.ErrorContains(t, err, "newer version of fieldgate")
}

// A crash between the steps of taking a backup leaves the rest for the next start.
func TestRestore_GoesOnAfterACrash(t *testing.T) {
	dir := t.TempDir()
	db, _ := openWithAlarms(t, dir)
	put(t, db.Spool(), 1)
	publish(db.Spool(), "t", "kept", 1)
	commit(t, db.Spool())
	require.NoError(t, db.State().Put("b", "k", []byte("then")))
	saved := backup(t, db, true)
	require.NoError(t, db.State().Put("b", "k", []byte("now")))
	apply(t, db.Spool(), session.Change{Session: 1, End: true})
	require.NoError(t, db.Restore(t.Context(), bytes.NewReader(saved), nil))
	require.NoError(t, db.Close())
	// what takeRestore does first, and then nothing
	require.NoError(t, os.Mkdir(filepath.Join(dir, "before-restore"), 0o700))
	require.NoError(t, os.Rename(filepath.Join(dir, "spool.db"), filepath.Join(dir, "before-restore", "spool.db")))
	require.NoError(t, os.Rename(filepath.Join(dir, "restore", "spool.db"), filepath.Join(dir, "spool.db")))
	require.NoError(t, os.RemoveAll(filepath.Join(dir, "spool.db-wal")))
	db = open(t, dir)
	require.Equal(t, []string{"kept"}, payloads(t, db.Spool(), 1))
	value, err := db.State().Get("b", "k")
	require.NoError(t, err)
	require.Equal(t, "then", string(value))
}
