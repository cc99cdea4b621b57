package webui_test

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"fieldgate/bridges"
	"fieldgate/broker"
	"fieldgate/internal/fault"
	"fieldgate/internal/logring"
	"fieldgate/storage"
	"fieldgate/webui"
	"fieldgate/webui/api"
)

// nothing is settings, bridges and uplinks of a gateway that has none.
type nothing struct{ panics bool }

func (n nothing) List(string) []json.RawMessage {
	if n.panics {
		panic("boom")
	}
	return nil
}

func (nothing) Change(context.Context, string, string, string, func(json.RawMessage) (json.RawMessage, error)) (json.RawMessage, error) {
	return nil, errors.New("disk on fire")
}

func (nothing) Export(context.Context) (json.RawMessage, error) { return json.RawMessage("{}"), nil }

func (nothing) Apply(context.Context, string, json.RawMessage, bool) (json.RawMessage, error) {
	return json.RawMessage("{}"), nil
}

func (nothing) Revisions(context.Context) (json.RawMessage, error) { return json.RawMessage("[]"), nil }

func (nothing) Revision(context.Context, int64) (json.RawMessage, error) {
	return json.RawMessage("{}"), nil
}

func (nothing) Restore(context.Context, string, int64, bool) (json.RawMessage, error) {
	return json.RawMessage("{}"), nil
}

func (nothing) Statuses() []bridges.Status { return nil }

func (nothing) Devices() []bridges.Device { return nil }

func (nothing) Check(bridges.Config) error { return nil }

func (nothing) Test(context.Context, bridges.Config, string) ([]bridges.Reading, error) {
	return nil, nil
}

func (nothing) ValuesSince(uint64) ([]bridges.Reading, uint64) { return nil, 1 }

func (nothing) Write(context.Context, string, string, json.RawMessage) (bridges.WriteResult, error) {
	return bridges.WriteResult{}, nil
}

func (nothing) DropQueue(context.Context, string) error { return nil }

func (nothing) Clients() []broker.ClientInfo { return nil }

// house is a server over a real store.
type house struct {
	t      *testing.T
	dir    string
	alarms *fault.Alarms
	deps   api.Deps
}

func newHouse(t *testing.T) *house {
	t.Helper()
	h := &house{t: t, dir: filepath.Join(t.TempDir(), "d"), alarms: &fault.Alarms{}}
	cfg := storage.Default()
	cfg.DataDir = h.dir
	db, err := storage.Open(cfg, h.alarms, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	h.deps = api.Deps{
		Settings: nothing{}, Bridges: nothing{}, Field: bridges.NewSupervisor(bridges.FieldRole, nil, nil, h.alarms, slog.New(slog.DiscardHandler)), Uplinks: nothing{}, Clients: nothing{}, Store: db.State(), Alarms: h.alarms,
		Passwords:   api.Passwords{Hash: broker.HashPassword, Verify: verify},
		SerialPorts: func(context.Context) ([]api.SerialPort, error) { return nil, nil },
		System:      func() api.System { return api.System{} },
		Broker:      func() (api.Broker, error) { return nil, fault.New(fault.Unavailable, "no broker here") },
		Disk:        func() api.Disk { return api.Disk{} },
		Logs:        logring.New(10),
	}
	return h
}

func verify(hash, password string) (bool, error) {
	err := broker.VerifyPassword(hash, password)
	if errors.Is(err, broker.ErrCredentials) {
		return false, nil
	}
	return err == nil, err
}

func (h *house) server(change func(*webui.Config)) *webui.Server {
	h.t.Helper()
	cfg := webui.DefaultConfig()
	cfg.Address, cfg.DataDir = "127.0.0.1:0", h.dir
	if change != nil {
		change(&cfg)
	}
	s, err := webui.New(cfg, h.deps, slog.New(slog.DiscardHandler))
	require.NoError(h.t, err)
	return s
}

// run runs the server until the test ends, and gives where it listens.
func (h *house) run(change func(*webui.Config)) string {
	h.t.Helper()
	_, addr := h.start(change)
	return addr
}

// start is run with the server.
func (h *house) start(change func(*webui.Config)) (*webui.Server, string) {
	h.t.Helper()
	s := h.server(change)
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { _ = s.Run(ctx) })
	h.t.Cleanup(func() {
		http.DefaultClient.CloseIdleConnections()
		cancel()
		wg.Wait()
	})
	select {
	case <-s.Bound():
	case <-time.After(20 * time.Second):
		h.t.Fatal("the server does not listen")
	}
	return s, s.Addr().String()
}

func call(t *testing.T, handler http.Handler, method, target, body string, header ...string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), method, target, strings.NewReader(body))
	for i := 0; i < len(header); i += 2 {
		if header[i] == "Host" {
			r.Host = header[i+1]
			continue
		}
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, r)
	return w
}

func TestServer_ServesTheInterfaceAndThePage(t *testing.T) {
	addr := newHouse(t).run(nil)
	for name, row := range map[string]struct {
		path   string
		status int
		kind   string
		body   string
	}{
		"page":             {"/", 200, "text/html; charset=utf-8", "fieldgate"},
		"path of the page": {"/devices/meter", 200, "text/html; charset=utf-8", "fieldgate"},
		"health":           {"/api/v1/health/live", 200, "application/json", "ok"},
		"nothing":          {"/api/v1/nothing", 404, "application/problem+json", "not_found"},
		"other version":    {"/api/v9/bridges", 404, "application/problem+json", "not_found"},
		"wrong method":     {"/api/v1/uplinks/x/pause", 405, "application/problem+json", "method_not_allowed"},
		"without login":    {"/api/v1/bridges", 401, "application/problem+json", "unauthorized"},
	} {
		t.Run(name, func(t *testing.T) {
			resp, err := http.Get("http://" + addr + row.path)
			require.NoError(t, err)
			defer resp.Body.Close()
			body, err := io.ReadAll(resp.Body)
			require.NoError(t, err)
			require.Equal(t, row.status, resp.StatusCode, string(body))
			require.Equal(t, row.kind, strings.ToLower(resp.Header.Get("Content-Type")))
			require.Contains(t, string(body), row.body)
			require.Contains(t, resp.Header.Get("Content-Security-Policy"), "default-src 'none'")
			require.Equal(t, "nosniff", resp.Header.Get("X-Content-Type-Options"))
			require.Equal(t, "DENY", resp.Header.Get("X-Frame-Options"))
			require.Equal(t, "no-referrer", resp.Header.Get("Referrer-Policy"))
			require.Empty(t, resp.Header.Get("Access-Control-Allow-Origin"))
		})
	}
}

func TestServer_SocketAndHandlerAreTheAdministrators(t *testing.T) {
	h := newHouse(t)
	addr := h.run(nil)
	path := filepath.Join(h.dir, "admin.sock")
	var info os.FileInfo
	require.Eventually(t, func() bool {
		var err error
		info, err = os.Stat(path)
		return err == nil
	}, 20*time.Second, time.Millisecond)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())

	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", path)
	}}}
	resp, err := client.Get("http://fieldgate/api/v1/session")
	require.NoError(t, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.JSONEq(t, `{"user":{"name":"local","role":"admin","language":"en"}}`, string(body))

	w := call(t, h.server(nil).Handler(), "GET", "/api/v1/users", "")
	require.Equal(t, 200, w.Code)

	plain, err := http.Get("http://" + addr + "/api/v1/users")
	require.NoError(t, err)
	defer plain.Body.Close()
	require.Equal(t, 401, plain.StatusCode)
}

func TestServer_SocketOfAKilledProcessIsReplacedAndGoesAtTheEnd(t *testing.T) {
	h := newHouse(t)
	path := filepath.Join(h.dir, "admin.sock")
	l, err := net.Listen("unix", path)
	require.NoError(t, err)
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	require.NoError(t, l.Close())
	t.Run("runs", func(t *testing.T) {
		inner := *h
		inner.t = t
		inner.run(nil)
		require.Eventually(t, func() bool {
			c, err := net.Dial("unix", path)
			return err == nil && c.Close() == nil
		}, 20*time.Second, time.Millisecond)
	})
	require.NoFileExists(t, path)
}

func TestServer_PortTakenIsAnAlarmUntilItIsFree(t *testing.T) {
	h := newHouse(t)
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	s := h.server(func(c *webui.Config) { c.Address = taken.Addr().String() })
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { _ = s.Run(ctx) })
	defer wg.Wait()
	defer cancel()
	require.Eventually(t, func() bool {
		all, _ := h.alarms.List()
		return len(all) == 1 && all[0].Part == "webui" && strings.Contains(all[0].Message, "address already in use")
	}, 20*time.Second, time.Millisecond)
	require.Nil(t, s.Addr())
	require.NoError(t, taken.Close())
	<-s.Bound()
	require.Equal(t, taken.Addr().String(), s.Addr().String())
	require.Eventually(t, func() bool {
		all, _ := h.alarms.List()
		return len(all) == 0
	}, 20*time.Second, time.Millisecond)
}

func TestServer_StopEndsEventStreams(t *testing.T) {
	h := newHouse(t)
	s := h.server(nil)
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { _ = s.Run(ctx) })
	<-s.Bound()
	base := "http://" + s.Addr().String() + "/api/v1"
	resp, err := http.Post(base+"/setup", "application/json", strings.NewReader(`{"name":"anna","password":"correct horse"}`))
	require.NoError(t, err)
	require.Equal(t, 201, resp.StatusCode)
	require.NoError(t, resp.Body.Close())
	r, err := http.NewRequestWithContext(t.Context(), "GET", base+"/events", nil)
	require.NoError(t, err)
	r.Header.Set("Cookie", resp.Header.Get("Set-Cookie"))
	stream, err := http.DefaultClient.Do(r)
	require.NoError(t, err)
	defer stream.Body.Close()
	require.Equal(t, 200, stream.StatusCode)
	cancel()
	_, err = io.Copy(io.Discard, stream.Body)
	require.NoError(t, err, "a clean end, not a cut")
	wg.Wait()
	http.DefaultClient.CloseIdleConnections()
}

func TestGuard_RefusesStrangeHosts(t *testing.T) {
	h := newHouse(t)
	addr := h.run(func(c *webui.Config) { c.Hosts = []string{"gw.example.com"} })
	own, err := os.Hostname()
	require.NoError(t, err)
	for host, status := range map[string]int{
		addr: 200, "192.0.2.1:8080": 200, "[2001:db8::1]": 200, "localhost:8080": 200, own: 200, strings.ToUpper(own) + ".local": 200, own + ".lan:8080": 200,
		"gw.example.com": 200, "evil.example": 421, own + ".evil.example": 421, "gw.example.com.evil.example": 421,
	} {
		t.Run(host, func(t *testing.T) {
			r, err := http.NewRequestWithContext(t.Context(), "GET", "http://"+addr+"/api/v1/health/live", nil)
			require.NoError(t, err)
			r.Host = host
			resp, err := http.DefaultClient.Do(r)
			require.NoError(t, err)
			defer resp.Body.Close()
			require.Equal(t, status, resp.StatusCode)
		})
	}
}

func TestGuard_RefusesOtherSites(t *testing.T) {
	handler := newHouse(t).server(nil).Handler()
	body := `{"name":"anna","password":"correct horse"}`
	post := func(header ...string) int {
		return call(t, handler, "POST", "http://gw/api/v1/setup", body, append(header, "Content-Type", "application/json")...).Code
	}
	require.Equal(t, 403, post("Sec-Fetch-Site", "cross-site"))
	require.Equal(t, 403, post("Sec-Fetch-Site", "same-site"))
	require.Equal(t, 403, post("Origin", "http://evil.example"))
	require.Equal(t, 201, post("Origin", "http://gw", "Sec-Fetch-Site", "same-origin"))
}

func TestGuard_SurvivesAPanicAndHidesCauses(t *testing.T) {
	h := newHouse(t)
	h.deps.Settings = nothing{panics: true}
	w := call(t, h.server(nil).Handler(), "GET", "/api/v1/bridges", "")
	require.Equal(t, 500, w.Code)
	require.NotContains(t, w.Body.String(), "boom")
	h.deps.Settings = nothing{}
	w = call(t, h.server(nil).Handler(), "POST", "/api/v1/bridges", `{"id":"a","kind":"modbus"}`, "Content-Type", "application/json")
	require.Equal(t, 500, w.Code)
	require.NotContains(t, w.Body.String(), "fire")
}

// keeper takes backups back.
type keeper struct{ bytes int64 }

func (*keeper) Backup(context.Context, bool) (api.Snapshot, error) { return nil, errors.New("none") }

func (k *keeper) Restore(_ context.Context, from io.Reader) (err error) {
	k.bytes, err = io.Copy(io.Discard, from)
	return err
}

func TestServer_BoundsBodiesButBackups(t *testing.T) {
	h := newHouse(t)
	kept := &keeper{}
	h.deps.Backups = kept
	handler := h.server(nil).Handler()
	large := strings.Repeat("x", 5<<20)
	w := call(t, handler, "POST", "http://localhost/api/v1/restore", large, "Content-Type", "application/gzip")
	require.Equal(t, http.StatusAccepted, w.Code, w.Body)
	require.EqualValues(t, len(large), kept.bytes)
	w = call(t, handler, "POST", "http://localhost/api/v1/bridges", `"`+large+`"`, "Content-Type", "application/json")
	require.Equal(t, http.StatusRequestEntityTooLarge, w.Code, w.Body)
	w = call(t, handler, "POST", "http://localhost/api/v1/setup", `{"name":"`+strings.Repeat("x", 32<<10)+`"}`, "Content-Type", "application/json")
	require.Equal(t, http.StatusRequestEntityTooLarge, w.Code, "a stranger's body is small")
}

func TestTLS_OwnCertificateAndRedirectOnOnePort(t *testing.T) {
	h := newHouse(t)
	addr := h.run(func(c *webui.Config) { c.TLS = webui.TLSConfig{Mode: webui.TLSAuto} })
	secure := &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
	client := http.Client{Transport: secure, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}

	resp, err := client.Get("http://" + addr + "/devices?x=1")
	require.NoError(t, err)
	defer resp.Body.Close()
	require.Equal(t, 308, resp.StatusCode)
	require.Equal(t, "https://"+addr+"/devices?x=1", resp.Header.Get("Location"))

	resp, err = client.Post("https://"+addr+"/api/v1/setup", "application/json", strings.NewReader(`{"name":"anna","password":"correct horse"}`))
	require.NoError(t, err)
	defer resp.Body.Close()
	require.Equal(t, 201, resp.StatusCode)
	require.Contains(t, resp.Header.Get("Set-Cookie"), "; Secure")
	first := resp.TLS.PeerCertificates[0]
	require.NoError(t, first.VerifyHostname("127.0.0.1"))
	require.NoError(t, first.VerifyHostname("localhost"))

	info, err := os.Stat(filepath.Join(h.dir, "admin-key.pem"))
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())

	again := h.run(func(c *webui.Config) {
		c.DataDir = ""
		c.TLS = webui.TLSConfig{Mode: webui.TLSFiles, CertFile: filepath.Join(h.dir, "admin-cert.pem"), KeyFile: filepath.Join(h.dir, "admin-key.pem")}
	})
	resp, err = client.Get("https://" + again + "/api/v1/health/live")
	require.NoError(t, err)
	defer resp.Body.Close()
	require.Equal(t, first.Raw, resp.TLS.PeerCertificates[0].Raw)
}

func TestTLS_SilentClientDoesNotHoldTheOthers(t *testing.T) {
	h := newHouse(t)
	addr := h.run(func(c *webui.Config) { c.TLS = webui.TLSConfig{Mode: webui.TLSAuto} })
	silent, err := net.Dial("tcp", addr)
	require.NoError(t, err)
	defer silent.Close()
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	resp, err := client.Get("https://" + addr + "/api/v1/health/live")
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
}

func TestTLS_UnreadableCertificateIsAnAlarmAndThePageIsUp(t *testing.T) {
	h := newHouse(t)
	addr := h.run(func(c *webui.Config) {
		c.DataDir = ""
		c.TLS = webui.TLSConfig{Mode: webui.TLSFiles, CertFile: "/nowhere.pem", KeyFile: "/nowhere.key"}
	})
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	resp, err := client.Get("https://" + addr + "/api/v1/health/ready")
	require.NoError(t, err)
	defer resp.Body.Close()
	require.Equal(t, 503, resp.StatusCode)
	all, _ := h.alarms.List()
	require.Len(t, all, 1)
	require.Contains(t, all[0].Message, "/nowhere.pem")
}

func TestTLS_DamagedOwnCertificateIsMadeAnew(t *testing.T) {
	h := newHouse(t)
	require.NoError(t, os.WriteFile(filepath.Join(h.dir, "admin-cert.pem"), []byte("half a f"), 0o644))
	addr := h.run(func(c *webui.Config) { c.TLS = webui.TLSConfig{Mode: webui.TLSAuto} })
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	resp, err := client.Get("https://" + addr + "/api/v1/health/ready")
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.Equal(t, 200, resp.StatusCode)
}

func TestServer_KeepsPeopleOverARestart(t *testing.T) {
	h := newHouse(t)
	first := h.server(nil).Handler()
	require.Equal(t, 201, call(t, first, "POST", "/api/v1/setup", `{"name":"anna","password":"correct horse"}`, "Content-Type", "application/json").Code)
	again := h.server(nil).Handler()
	login := func(password string) int {
		return call(t, again, "POST", "/api/v1/session", `{"name":"anna","password":"`+password+`"}`, "Content-Type", "application/json").Code
	}
	require.Equal(t, 200, login("correct horse"))
	require.Equal(t, 401, login("wrong horse"))
}

func TestServer_ServesMetricsWherePrometheusLooks(t *testing.T) {
	h := newHouse(t)
	s := h.server(nil)
	answer := call(t, s.Handler(), http.MethodGet, "http://localhost/metrics", "")
	require.Equal(t, http.StatusOK, answer.Code)
	require.Contains(t, answer.Body.String(), "fieldgate_build_info")
}
