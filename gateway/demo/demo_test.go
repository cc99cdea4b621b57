package demo_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"fieldgate/gateway/demo"
	"fieldgate/internal/leak"
)

const patience = 30 * time.Second

func TestMain(m *testing.M) { leak.Main(m) }

// screen is what a person reads.
type screen struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (s *screen) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(b)
}

func (s *screen) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

// show runs the demo until the test ends, and gives what its banner says.
func show(t *testing.T, cfg demo.Config) (page, password, banner string) {
	t.Helper()
	t.Setenv("TMPDIR", t.TempDir())
	var out screen
	cfg.Version, cfg.Out, cfg.Log = "1.2.3", &out, slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn}))
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1) // one send, whoever waits
	go func() { ended <- demo.Run(ctx, cfg) }()
	t.Cleanup(func() {
		cancel()
		require.NoError(t, <-ended)
		left, err := os.ReadDir(os.Getenv("TMPDIR"))
		require.NoError(t, err)
		require.Empty(t, left, "nothing is left behind")
	})
	require.Eventually(t, func() bool { return strings.Contains(out.String(), "Ctrl-C") || len(ended) > 0 }, patience, 10*time.Millisecond)
	said := regexp.MustCompile(`page +(http://\S+)/\n +login +demo / (\S+)`).FindStringSubmatch(out.String())
	require.NotNil(t, said, "%s", out.String())
	return said[1], said[2], out.String()
}

// visitor is a browser that has logged in.
type visitor struct {
	t      *testing.T
	page   string
	cookie *http.Cookie
}

func login(t *testing.T, page, password string) *visitor {
	t.Helper()
	v := &visitor{t: t, page: page}
	body, err := json.Marshal(map[string]string{"name": "demo", "password": password})
	require.NoError(t, err)
	response := v.do(http.MethodPost, "/session", body)
	defer response.Body.Close()
	require.Equal(t, http.StatusOK, response.StatusCode)
	require.NotEmpty(t, response.Cookies())
	v.cookie = response.Cookies()[0]
	return v
}

func (v *visitor) do(method, path string, body []byte) *http.Response {
	v.t.Helper()
	r, err := http.NewRequestWithContext(v.t.Context(), method, v.page+"/api/v1"+path, bytes.NewReader(body))
	require.NoError(v.t, err)
	r.Header.Set("Content-Type", "application/json")
	if v.cookie != nil {
		r.AddCookie(v.cookie)
	}
	response, err := (&http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true}}).Do(r)
	require.NoError(v.t, err)
	return response
}

func (v *visitor) get(path string, into any) {
	v.t.Helper()
	response := v.do(http.MethodGet, path, nil)
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	require.NoError(v.t, err)
	require.Equal(v.t, http.StatusOK, response.StatusCode, "%s", text)
	require.NoError(v.t, json.Unmarshal(text, into))
}

func TestRun_ShowsLiveValuesAndAConnectedUplink(t *testing.T) {
	page, password, _ := show(t, demo.Config{Admin: "127.0.0.1:0", MQTT: "127.0.0.1:0"})
	v := login(t, page, password)
	require.Eventually(t, func() bool {
		var values struct{ Items []struct{ Quality string } }
		v.get("/values", &values)
		good := 0
		for _, item := range values.Items {
			if item.Quality == "good" {
				good++
			}
		}
		var uplinks struct {
			Items []struct{ Status struct{ State string } }
		}
		v.get("/uplinks", &uplinks)
		return good == len(values.Items) && good > 10 && len(uplinks.Items) == 1 && uplinks.Items[0].Status.State == "connected"
	}, patience, 50*time.Millisecond)
	var alarms struct{ Items []any }
	v.get("/alarms", &alarms)
	require.Empty(t, alarms.Items)
}

func TestRun_ComesBackAfterARestart(t *testing.T) {
	page, password, _ := show(t, demo.Config{Admin: "127.0.0.1:0", MQTT: "127.0.0.1:0"})
	v := login(t, page, password)
	var system struct {
		Started time.Time
		Uptime  int `json:"uptime_seconds"`
	}
	require.Eventually(t, func() bool { // started is told to the second
		v.get("/system", &system)
		return system.Uptime > 0
	}, patience, 50*time.Millisecond)
	before := system.Started
	response := v.do(http.MethodPost, "/system/restart", nil)
	require.NoError(t, response.Body.Close())
	require.Equal(t, http.StatusAccepted, response.StatusCode)
	require.Eventually(t, func() bool {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, page+"/api/v1/system", nil)
		require.NoError(t, err)
		r.AddCookie(v.cookie) // people stay logged in
		response, err := (&http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true}}).Do(r)
		if err != nil {
			return false // between the two
		}
		defer response.Body.Close()
		return json.NewDecoder(response.Body).Decode(&system) == nil && system.Started.After(before)
	}, patience, 50*time.Millisecond)
}

func TestRun_TakesFreePortsAndSaysSoWhenTheUsualOnesAreTaken(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer taken.Close()
	page, _, banner := show(t, demo.Config{Admin: taken.Addr().String(), MQTT: taken.Addr().String()})
	require.NotContains(t, page, taken.Addr().String())
	require.Contains(t, banner, taken.Addr().String()+" is taken, so the page has a port of its own.")
	require.Contains(t, banner, taken.Addr().String()+" is taken, so the MQTT broker has a port of its own.")
}
