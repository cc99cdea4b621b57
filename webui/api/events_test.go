package api_test

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"fieldgate/bridges"
	"fieldgate/webui/api"
)

type event struct {
	name string
	data string
}

// reader reads events of a stream over real HTTP.
type reader struct {
	t    *testing.T
	scan *bufio.Scanner
	resp *http.Response
}

func (h *house) events(url string, name string) *reader {
	h.t.Helper()
	r, err := http.NewRequestWithContext(h.t.Context(), "GET", url+"/api/v1/events", nil)
	require.NoError(h.t, err)
	if name != "" {
		r.Header = h.login(name).header
	}
	resp, err := http.DefaultClient.Do(r)
	require.NoError(h.t, err)
	return &reader{t: h.t, scan: bufio.NewScanner(resp.Body), resp: resp}
}

func (r *reader) next() event {
	r.t.Helper()
	var e event
	for r.scan.Scan() {
		line := r.scan.Text()
		switch {
		case line == "" && e.name != "":
			return e
		case strings.HasPrefix(line, "event: "):
			e.name = line[len("event: "):]
		case strings.HasPrefix(line, "data: "):
			e.data = line[len("data: "):]
		}
	}
	r.t.Fatalf("the stream ended: %v", r.scan.Err())
	return e
}

func (h *house) serve() *httptest.Server {
	s := httptest.NewServer(h.echo)
	h.t.Cleanup(func() {
		h.api.StopStreams()
		http.DefaultClient.CloseIdleConnections()
		s.Close()
	})
	return s
}

func TestEvents_BeginWithEverythingAndGoOnWithChanges(t *testing.T) {
	h := newHouse(t)
	var mu sync.Mutex
	state := bridges.Online
	changed := []bridges.Reading{}
	all := h.bridges.values
	h.bridges.values = func(version uint64) ([]bridges.Reading, uint64) {
		mu.Lock()
		defer mu.Unlock()
		if version == 0 {
			return all(0)
		}
		next := changed
		changed = nil
		return next, version + 1
	}
	h.bridges.statuses = func() []bridges.Status {
		mu.Lock()
		defer mu.Unlock()
		return []bridges.Status{{ID: "cabinet", Kind: "modbus", State: state}}
	}
	r := h.events(h.serve().URL, "vera")
	defer r.resp.Body.Close()
	require.Equal(t, "text/event-stream", r.resp.Header.Get("Content-Type"))

	var names []string
	for range 6 {
		e := r.next()
		names = append(names, e.name)
		var body struct{ Items []map[string]any }
		require.NoError(t, json.Unmarshal([]byte(e.data), &body))
		require.NotNil(t, body.Items)
		if e.name == "values" {
			require.Len(t, body.Items, 3)
			require.Equal(t, "limit", body.Items[0]["point"])
			require.Equal(t, true, body.Items[0]["writable"])
		}
	}
	require.Equal(t, []string{"values", "bridges", "uplinks", "alarms", "jobs", "log"}, names)

	mu.Lock()
	changed = []bridges.Reading{{Device: "meter", Point: "power", Value: bridges.Int(7), Quality: bridges.Good}}
	mu.Unlock()
	e := r.next()
	require.Equal(t, "values", e.name)
	require.Contains(t, e.data, `"value":7`)

	mu.Lock()
	state = bridges.Offline
	mu.Unlock()
	e = r.next()
	require.Equal(t, "bridges", e.name)
	require.Contains(t, e.data, `"offline"`)

	h.deps.Alarms.Raise("bridge/cabinet", "unreachable", "gone")
	require.Equal(t, "alarms", r.next().name)

	slog.New(h.deps.Logs.Handler(slog.NewTextHandler(io.Discard, nil))).Warn("state changed", "bridge", "cabinet")
	e = r.next()
	require.Equal(t, "log", e.name)
	require.Contains(t, e.data, `"message":"state changed"`)
	require.Contains(t, e.data, `"bridge":"cabinet"`)

	h.api.StopStreams()
	require.False(t, r.scan.Scan(), "the stream ends with the server")
}

func TestEvents_TellAllWhenPointsAreGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t)
		s, wg, cancel := h.follow(h.login("vera"))
		defer wg.Wait()
		defer cancel()
		synctest.Wait()
		require.Contains(t, s.take(), `"point":"power"`)
		time.Sleep(time.Second)
		synctest.Wait()
		require.Empty(t, s.take(), "nothing changed")
		h.bridges.mu.Lock()
		h.bridges.devices = []bridges.Device{{ID: "meter", Points: []bridges.Point{{ID: "limit", Writable: true}}}}
		h.bridges.values = func(version uint64) ([]bridges.Reading, uint64) {
			if version > 0 {
				return nil, version
			}
			return []bridges.Reading{{Device: "meter", Point: "limit", Quality: bridges.Bad, Error: bridges.ErrNoValueYet}}, 7
		}
		h.bridges.mu.Unlock()
		time.Sleep(time.Second)
		synctest.Wait()
		text := s.take()
		require.Equal(t, 1, strings.Count(text, "event: values\n"), text)
		require.Contains(t, text, `"all":true`)
		require.Contains(t, text, `"point":"limit"`)
		require.NotContains(t, text, `"point":"power"`)
	})
}

func TestEvents_AreBounded(t *testing.T) {
	h := newHouse(t)
	s := h.serve()
	for range api.MaxStreams {
		r := h.events(s.URL, "vera")
		defer r.resp.Body.Close()
		require.Equal(t, 200, r.resp.StatusCode)
	}
	r := h.events(s.URL, "vera")
	defer r.resp.Body.Close()
	require.Equal(t, 429, r.resp.StatusCode)
}

func TestEvents_AreForThoseWhoMayRead(t *testing.T) {
	h := newHouse(t)
	r := h.events(h.serve().URL, "")
	defer r.resp.Body.Close()
	require.Equal(t, 401, r.resp.StatusCode)
}

// sink is a response that can be looked at while it grows.
type sink struct {
	mu     sync.Mutex
	text   strings.Builder
	header http.Header
}

func (s *sink) Header() http.Header { return s.header }

func (s *sink) WriteHeader(int) {}

func (s *sink) Flush() {}

func (s *sink) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(b)
}

// take gives what came since the last time.
func (s *sink) take() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	defer s.text.Reset()
	return s.text.String()
}

// follow opens a stream in a bubble.
func (h *house) follow(who *client) (*sink, *sync.WaitGroup, context.CancelFunc) {
	ctx, cancel := context.WithCancel(h.t.Context())
	r := httptest.NewRequestWithContext(ctx, "GET", "/api/v1/events", nil)
	r.Header = who.header
	s := &sink{header: http.Header{}}
	var wg sync.WaitGroup
	wg.Go(func() { h.echo.ServeHTTP(s, r) })
	return s, &wg, cancel
}

func TestEvents_ComeAtMostFourTimesASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t)
		version := uint64(1)
		h.bridges.values = func(uint64) ([]bridges.Reading, uint64) {
			version++
			return []bridges.Reading{{Device: "meter", Point: "power", Value: bridges.Uint(version), Quality: bridges.Good}}, version
		}
		s, wg, cancel := h.follow(h.login("vera"))
		time.Sleep(10*time.Second + time.Millisecond)
		require.Equal(t, 41, strings.Count(s.take(), "event: values\n"))
		cancel()
		wg.Wait()
	})
}

func TestEvents_BeatWhileNothingHappens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t)
		s, wg, cancel := h.follow(h.login("vera"))
		synctest.Wait()
		require.Equal(t, 6, strings.Count(s.take(), "event: "))
		time.Sleep(15 * time.Second)
		synctest.Wait()
		require.Equal(t, "event: beat\ndata: {}\n\n", s.take())
		cancel()
		wg.Wait()
	})
}

func TestEvents_EndWithTheReadersRight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t)
		vera := h.login("vera")
		_, wg, cancel := h.follow(vera)
		defer cancel()
		synctest.Wait()
		vera.send("DELETE", "/session", "").want(204)
		wg.Wait() // a stream that went on would be a deadlock
	})
}
