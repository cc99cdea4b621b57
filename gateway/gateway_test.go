package gateway_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"fieldgate/broker"
	"fieldgate/broker/listen"
	"fieldgate/gateway"
	"fieldgate/gateway/config"
	"fieldgate/internal/fault"
)

const patience = 20 * time.Second

// hostFile takes free ports and a folder of its own.
func hostFile(t *testing.T) config.File {
	t.Helper()
	file, err := config.Parse("test.yaml", fmt.Appendf(nil, "data_dir: %s\nadmin: {address: '127.0.0.1:0'}\nmqtt: {allow_anonymous: true, listeners: [{address: '127.0.0.1:0'}]}\n", t.TempDir()))
	require.NoError(t, err)
	return file
}

func build(t *testing.T, file config.File) *gateway.Gateway {
	t.Helper()
	g, err := gateway.New(file, "1.2.3", slog.New(slog.NewTextHandler(t.Output(), nil)))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, g.Close()) })
	return g
}

// run runs the gateway until the test ends and gives the page's address.
func run(t *testing.T, g *gateway.Gateway) string {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1) // one send, whoever waits
	go func() { ended <- g.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		require.NoError(t, <-ended)
	})
	wait, cancelWait := context.WithTimeout(t.Context(), patience)
	defer cancelWait()
	addr, err := g.PageAddr(wait)
	require.NoError(t, err)
	return "http://" + addr.String()
}

func get(t *testing.T, url string) string {
	t.Helper()
	client := http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Get(url)
	require.NoError(t, err)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, response.StatusCode, "%s", body)
	return string(body)
}

func ready(t *testing.T, g *gateway.Gateway) {
	t.Helper()
	select {
	case <-g.Ready():
	case <-time.After(patience):
		t.Fatal("the gateway does not become ready")
	}
}

// connect makes an MQTT connection and reads the CONNACK.
func connect(t *testing.T, addr net.Addr) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", addr.String())
	require.NoError(t, err)
	t.Cleanup(func() { conn.Close() })
	require.NoError(t, conn.SetDeadline(time.Now().Add(patience)))
	_, err = conn.Write([]byte("\x10\x0d\x00\x04MQTT\x04\x02\x00\x3c\x00\x01a"))
	require.NoError(t, err)
	var connack [4]byte
	_, err = io.ReadFull(conn, connack[:])
	require.NoError(t, err)
	require.Equal(t, []byte{0x20, 2, 0, 0}, connack[:])
	return conn
}

func TestRun_ServesPageAndBroker(t *testing.T) {
	g := build(t, hostFile(t))
	url := run(t, g)
	require.Contains(t, get(t, url+"/api/v1/health/live"), "ok")
	ready(t, g)
	require.Eventually(t, func() bool { return len(g.MQTTAddrs()) == 1 }, patience, 10*time.Millisecond)
	connect(t, g.MQTTAddrs()[0])
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	require.True(t, g.Probe(ctx))
	var system struct {
		Version string
		MQTT    struct {
			Listeners []string
			Clients   int
		}
	}
	w := &answer{header: http.Header{}}
	g.Handler().ServeHTTP(w, must(http.NewRequest(http.MethodGet, "http://localhost/api/v1/system", nil)))
	require.NoError(t, json.Unmarshal(w.body, &system), "%s", w.body)
	require.Equal(t, "1.2.3", system.Version)
	require.Equal(t, []string{g.MQTTAddrs()[0].String()}, system.MQTT.Listeners)
	require.Equal(t, 1, system.MQTT.Clients)
}

func TestRun_ShowsThePageWhateverFailsAfterIt(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer taken.Close()
	file := hostFile(t)
	file.MQTT.Listeners = []listen.Config{{Address: taken.Addr().String()}}
	require.NoError(t, os.WriteFile(filepath.Join(file.DataDir, "spool.db"), []byte("this is no database, and long enough to be looked at as one; so it is moved aside"), 0o600))
	g := build(t, file)
	url := run(t, g)
	require.Contains(t, get(t, url+"/api/v1/health/live"), "ok")
	require.Eventually(t, func() bool {
		parts := map[string]bool{}
		alarms, _ := g.Alarms().List()
		for _, a := range alarms {
			parts[a.Part] = true
		}
		return len(parts) >= 2
	}, patience, 10*time.Millisecond, "a taken port and a damaged spool are alarms")
	ready(t, g)
}

func TestRun_ServesTheCommandLineWhenThePagesPortIsTaken(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer taken.Close()
	file := hostFile(t)
	file.Admin.Address = taken.Addr().String()
	g := build(t, file)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1) // one send, whoever waits
	go func() { ended <- g.Run(ctx) }()
	ready(t, g)
	require.Eventually(t, func() bool {
		_, err := os.Stat(filepath.Join(file.DataDir, "admin.sock"))
		return err == nil
	}, patience, 10*time.Millisecond)
	cancel()
	require.NoError(t, <-ended)
}

func TestNew_RefusesASecondProcessOnTheSameData(t *testing.T) {
	file := hostFile(t)
	build(t, file)
	_, err := gateway.New(file, "1.2.3", slog.New(slog.DiscardHandler))
	require.Equal(t, fault.Conflict, fault.CodeOf(err))
}

func TestRun_AnAccountMayConnectFromTheFirstMomentOn(t *testing.T) {
	file := hostFile(t)
	file.MQTT = broker.DefaultConfig()
	file.MQTT.Listeners[0].Address = "127.0.0.1:0"
	g := build(t, file)
	_, err := g.Settings().Change(t.Context(), "test", config.Accounts, "a", func(json.RawMessage) (json.RawMessage, error) {
		return json.RawMessage(`{"username":"a","password":"secret"}`), nil
	})
	require.NoError(t, err)
	run(t, g)
	require.Eventually(t, func() bool { return len(g.MQTTAddrs()) == 1 }, patience, time.Millisecond)
	conn, err := net.Dial("tcp", g.MQTTAddrs()[0].String())
	require.NoError(t, err)
	defer conn.Close()
	require.NoError(t, conn.SetDeadline(time.Now().Add(patience)))
	_, err = conn.Write([]byte("\x10\x18\x00\x04MQTT\x04\xc2\x00\x3c\x00\x01a\x00\x01a\x00\x06secret"))
	require.NoError(t, err)
	var connack [4]byte
	_, err = io.ReadFull(conn, connack[:])
	require.NoError(t, err)
	require.Equal(t, []byte{0x20, 2, 0, 0}, connack[:])
}

// answer is a http.ResponseWriter into memory.
type answer struct {
	header http.Header
	status int
	body   []byte
}

func (a *answer) Header() http.Header         { return a.header }
func (a *answer) WriteHeader(status int)      { a.status = status }
func (a *answer) Write(b []byte) (int, error) { a.body = append(a.body, b...); return len(b), nil }

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
