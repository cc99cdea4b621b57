package listen_test

import (
	"bytes"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"fieldgate/broker/listen"
	"fieldgate/internal/fault"
	"fieldgate/internal/leak"
)

func TestMain(m *testing.M) { leak.Main(m) }

func TestValidate_NamesWhatIsWrong(t *testing.T) {
	for _, c := range []struct {
		name    string
		cfg     listen.Config
		pointer string
	}{
		{"a port", listen.Config{Address: "127.0.0.1:1883"}, ""},
		{"all addresses", listen.Config{Address: ":1883", Transport: "tcp"}, ""},
		{"IPv6", listen.Config{Address: "[::1]:0"}, ""},
		{"a socket", listen.Config{Address: "unix:/run/x.sock"}, ""},
		{"nothing", listen.Config{}, "/address"},
		{"no port", listen.Config{Address: "127.0.0.1"}, "/address"},
		{"an empty port", listen.Config{Address: "127.0.0.1:"}, "/address"},
		{"a port too high", listen.Config{Address: ":65536"}, "/address"},
		{"no path", listen.Config{Address: "unix:"}, "/address"},
		{"an unknown transport", listen.Config{Address: ":1883", Transport: "quic"}, "/transport"},
		{"a websocket", listen.Config{Address: ":8083", Transport: "websocket"}, ""},
		{"a websocket with all", listen.Config{Address: ":8083", Transport: "websocket", Path: "/a/b", Origins: []string{"*", "https://*.example.com"}, MaxConnections: 5, MaxConnectionsPerAddress: 1}, ""},
		{"a websocket on a socket", listen.Config{Address: "unix:/run/x.sock", Transport: "websocket"}, ""},
		{"a path without /", listen.Config{Address: ":8083", Transport: "websocket", Path: "mqtt"}, "/path"},
		{"a path with a query", listen.Config{Address: ":8083", Transport: "websocket", Path: "/mqtt?x"}, "/path"},
		{"a path that is not clean", listen.Config{Address: ":8083", Transport: "websocket", Path: "/mqtt/../x"}, "/path"},
		{"a broken origin", listen.Config{Address: ":8083", Transport: "websocket", Origins: []string{"a", "[b"}}, "/origins/1"},
		{"an empty origin", listen.Config{Address: ":8083", Transport: "websocket", Origins: []string{""}}, "/origins/0"},
		{"origins on TCP", listen.Config{Address: ":1883", Origins: []string{"a"}}, "/origins"},
		{"too few connections", listen.Config{Address: ":1883", MaxConnections: -1}, "/max_connections"},
		{"a rate and a burst", listen.Config{Address: ":1883", MaxConnectionRate: 1, MaxConnectionRatePerAddress: 1_000_000, MaxConnectionBurst: 1_000_000}, ""},
		{"a rate beyond all clocks", listen.Config{Address: ":1883", MaxConnectionRate: 1_000_001}, "/max_connection_rate"},
		{"a rate of an address below nothing", listen.Config{Address: ":1883", MaxConnectionRatePerAddress: -1}, "/max_connection_rate_per_address"},
		{"a burst below nothing", listen.Config{Address: ":1883", MaxConnectionBurst: -1}, "/max_connection_burst"},
		{"too many of an address", listen.Config{Address: ":1883", MaxConnectionsPerAddress: 1_000_001}, "/max_connections_per_address"},
		{"a path on TCP", listen.Config{Address: ":1883", Path: "/mqtt"}, "/path"},
		{"no certificate", listen.Config{Address: ":1883", TLS: &listen.TLS{KeyFile: "k"}}, "/tls/cert_file"},
		{"no key", listen.Config{Address: ":1883", TLS: &listen.TLS{CertFile: "c"}}, "/tls/key_file"},
		{"no client CA", listen.Config{Address: ":1883", TLS: &listen.TLS{CertFile: "c", KeyFile: "k", RequireClientCert: true}}, "/tls/client_ca_file"},
	} {
		t.Run(c.name, func(t *testing.T) {
			faults := c.cfg.Validate()
			if c.pointer == "" {
				require.Empty(t, faults)
				return
			}
			require.Len(t, faults, 1)
			require.Equal(t, c.pointer, faults[0].Field)
		})
	}
}

// echo serves one connection and gives back what comes.
func echo(t *testing.T, ln net.Listener) {
	nc, err := ln.Accept()
	if err != nil {
		return
	}
	defer nc.Close()
	buf := make([]byte, 5)
	if _, err := nc.Read(buf); err == nil {
		_, _ = nc.Write(buf)
	}
}

func tryOpen(t testing.TB, c listen.Config) (net.Listener, error) {
	return listen.Open(t.Context(), c, "mqtt/"+c.Address, &fault.Alarms{}, slog.New(slog.DiscardHandler))
}

func open(t *testing.T, c listen.Config) net.Listener {
	t.Helper()
	ln, err := tryOpen(t, c)
	require.NoError(t, err)
	served := make(chan struct{})
	go func() {
		defer close(served)
		echo(t, ln)
	}()
	t.Cleanup(func() {
		ln.Close()
		<-served
	})
	return ln
}

func hello(t *testing.T, nc net.Conn, err error) {
	t.Helper()
	require.NoError(t, err)
	defer nc.Close()
	require.NoError(t, nc.SetDeadline(time.Now().Add(20*time.Second)))
	_, err = nc.Write([]byte("hello"))
	require.NoError(t, err)
	buf := make([]byte, 5)
	_, err = nc.Read(buf)
	require.NoError(t, err)
	require.Equal(t, "hello", string(bytes.TrimRight(buf, "\x00")))
}

func TestOpen_TCP(t *testing.T) {
	ln := open(t, listen.Config{Address: "127.0.0.1:0"})
	require.NotZero(t, ln.Addr().(*net.TCPAddr).Port)
	nc, err := net.Dial("tcp", ln.Addr().String())
	hello(t, nc, err)
	_, err = tryOpen(t, listen.Config{Address: ln.Addr().String()})
	require.ErrorContains(t, err, "another program has this port")
}

func TestOpen_UnixSocketTakesAStaleOneAway(t *testing.T) {
	path := filepath.Join(t.TempDir(), "mqtt.sock")
	stale, err := net.ListenUnix("unix", &net.UnixAddr{Name: path})
	require.NoError(t, err)
	stale.SetUnlinkOnClose(false)
	require.NoError(t, stale.Close())
	ln := open(t, listen.Config{Address: "unix:" + path})
	info, err := os.Stat(path)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o660), info.Mode().Perm())
	nc, err := net.Dial("unix", path)
	hello(t, nc, err)
	require.NoError(t, ln.Close())
	require.NoFileExists(t, path)
}

func TestOpen_UnixSocketLeavesOtherFilesAlone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "mqtt.sock")
	require.NoError(t, os.WriteFile(path, []byte("mine"), 0o600))
	_, err := tryOpen(t, listen.Config{Address: "unix:" + path})
	require.Error(t, err)
	require.FileExists(t, path)
}

func TestOpen_IPv6(t *testing.T) {
	ln, err := tryOpen(t, listen.Config{Address: "[::1]:0"})
	if err != nil && os.Getenv("CI") != "true" {
		t.Skipf("this machine has no IPv6: %v", err)
	}
	require.NoError(t, err)
	require.NoError(t, ln.Close())
	ln = open(t, listen.Config{Address: "[::1]:0"})
	nc, err := net.Dial("tcp", ln.Addr().String())
	hello(t, nc, err)
}

func TestOpen_UnixSocketLeavesOneThatAnswers(t *testing.T) {
	path := filepath.Join(t.TempDir(), "mqtt.sock")
	open(t, listen.Config{Address: "unix:" + path})
	_, err := tryOpen(t, listen.Config{Address: "unix:" + path})
	require.Error(t, err)
	require.FileExists(t, path)
}
