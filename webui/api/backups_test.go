package api_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"fieldgate/internal/fault"
	"fieldgate/webui/api"
)

// fakeBackups keeps what it was asked.
type fakeBackups struct {
	messages []bool
	fail     error
	broken   error // of writing
	open     int   // snapshots that are not closed
	restored string
}

var _ api.Backups = (*fakeBackups)(nil)

func (f *fakeBackups) Backup(_ context.Context, messages bool) (api.Snapshot, error) {
	if f.fail != nil {
		return nil, f.fail
	}
	f.messages = append(f.messages, messages)
	f.open++
	return &fakeSnapshot{f}, nil
}

func (f *fakeBackups) Restore(_ context.Context, from io.Reader) error {
	text, err := io.ReadAll(from)
	f.restored = string(text)
	return errors.Join(err, f.fail)
}

type fakeSnapshot struct{ of *fakeBackups }

func (s *fakeSnapshot) WriteTo(w io.Writer) (int64, error) {
	n, err := io.WriteString(w, "the backup")
	return int64(n), errors.Join(err, s.of.broken)
}

func (s *fakeSnapshot) Close() error { s.of.open--; return nil }

func TestBackups_AreDownloadedByAdmins(t *testing.T) {
	h := newHouse(t)
	anna := h.login("anna")
	a := anna.send("GET", "/backups/now", "").want(200)
	require.Equal(t, "the backup", a.body)
	require.Equal(t, "application/gzip", a.header.Get("Content-Type"))
	require.Equal(t, "no-store", a.header.Get("Cache-Control"))
	require.Regexp(t, `^attachment; filename="fieldgate-\d{8}-\d{6}.backup"$`, a.header.Get("Content-Disposition"))
	anna.send("GET", "/backups/now?messages=false", "").want(200)
	require.Equal(t, []bool{true, false}, h.backups.messages)
	require.Contains(t, anna.send("GET", "/audit", "").want(200).body, `"get-backup"`)

	h.backups.broken = errors.New("the disk is gone")
	anna.send("GET", "/backups/now", "").want(200)
	require.Contains(t, h.log.String(), "the disk is gone")
	require.Zero(t, h.backups.open)
	h.backups.fail = fault.New(fault.Conflict, "another backup is under way")
	require.Contains(t, anna.send("GET", "/backups/now", "").want(409).body, "another backup is under way")
}

func TestRestore_ReadsBodiesLargerThanOthers(t *testing.T) {
	h := newHouse(t)
	anna := h.login("anna")
	large := string(bytes.Repeat([]byte("x"), 9<<20))
	anna.send("POST", "/restore", large, "Content-Type", "application/gzip").want(202)
	require.Equal(t, len(large), len(h.backups.restored))
	anna.send("POST", "/restore", "x").want(415)
	h.backups.fail = fault.New(fault.Invalid, "this is no backup of fieldgate")
	require.Contains(t, anna.send("POST", "/restore", "x", "Content-Type", "application/gzip").want(422).body, "this is no backup of fieldgate")
}

func TestRestore_IsAnsweredHoweverLongItTook(t *testing.T) {
	h := newHouse(t)
	s := httptest.NewUnstartedServer(h.echo)
	s.Config.WriteTimeout = time.Nanosecond // over before the body is read
	s.Start()
	defer s.Close()
	for name, fail := range map[string]error{"done": nil, "refused": fault.New(fault.Invalid, "this is no backup")} {
		t.Run(name, func(t *testing.T) {
			h.backups.fail = fail
			r, err := http.NewRequestWithContext(t.Context(), "POST", s.URL+"/api/v1/restore", strings.NewReader("backup"))
			require.NoError(t, err)
			r.Header.Set("Content-Type", "application/gzip")
			r.Header.Set("Cookie", h.login("anna").header.Get("Cookie"))
			resp, err := s.Client().Do(r)
			require.NoError(t, err)
			defer resp.Body.Close()
			require.Equal(t, map[string]int{"done": 202, "refused": 422}[name], resp.StatusCode)
		})
	}
}
