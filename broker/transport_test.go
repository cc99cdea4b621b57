package broker_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	paho "github.com/eclipse/paho.mqtt.golang"
	"github.com/stretchr/testify/require"

	"fieldgate/broker"
	"fieldgate/broker/listen"
	"fieldgate/broker/packet"
)

// keys is a folder with an authority, a server's certificate and one of anna.
type keys struct {
	dir    string
	cfg    listen.TLS
	client *tls.Config // with anna's certificate
}

func newKeys(t testing.TB) keys {
	k := keys{dir: t.TempDir()}
	ca, caKey := k.sign(t, "ca", nil, nil)
	k.sign(t, "server", ca, caKey)
	k.sign(t, "anna", ca, caKey)
	k.cfg = listen.TLS{CertFile: k.file("server.pem"), KeyFile: k.file("server.key"), ClientCAFile: k.file("ca.pem")}
	anna, err := tls.LoadX509KeyPair(k.file("anna.pem"), k.file("anna.key"))
	require.NoError(t, err)
	k.client = &tls.Config{RootCAs: x509.NewCertPool(), Certificates: []tls.Certificate{anna}}
	k.client.RootCAs.AddCert(ca)
	return k
}

func (k keys) file(name string) string { return filepath.Join(k.dir, name) }

// sign writes a certificate with its key; without an authority it is one.
func (k keys) sign(t testing.TB, name string, ca *x509.Certificate, caKey *ecdsa.PrivateKey) (*x509.Certificate, *ecdsa.PrivateKey) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, BasicConstraintsValid: true, IsCA: ca == nil,
	}
	if ca == nil {
		ca, caKey = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, ca, &key.PublicKey, caKey)
	require.NoError(t, err)
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(k.file(name+".pem"), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600))
	require.NoError(t, os.WriteFile(k.file(name+".key"), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}), 0o600))
	cert, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	return cert, key
}

// transports are all ways in, with the scheme that clients call them by.
func transports(t testing.TB, k keys) map[string]listen.Config {
	socket := filepath.Join(t.TempDir(), "mqtt.sock")
	return map[string]listen.Config{
		"tcp":  {Address: "127.0.0.1:0"},
		"ssl":  {Address: "127.0.0.1:0", TLS: &k.cfg},
		"ws":   {Address: "127.0.0.1:0", Transport: "websocket"},
		"wss":  {Address: "127.0.0.1:0", Transport: "websocket", TLS: &k.cfg},
		"unix": {Address: "unix:" + socket},
	}
}

// url gives where a client finds the only listener.
func (b *testBroker) url(t testing.TB, scheme string) string {
	require.Eventually(t, func() bool { return len(b.Addrs()) > 0 }, 10*time.Second, time.Millisecond)
	address := b.Addrs()[0].String()
	if strings.HasPrefix(scheme, "ws") {
		address += "/mqtt"
	}
	return scheme + "://" + address
}

func TestPaho_ExchangesMessagesOverEveryTransport(t *testing.T) {
	k := newKeys(t)
	for scheme, cfg := range transports(t, k) {
		t.Run(scheme, func(t *testing.T) {
			b := start(t, memory(t), func(c *broker.Config) { c.Listeners = []listen.Config{cfg} })
			connect := func(id string) paho.Client {
				c := paho.NewClient(paho.NewClientOptions().AddBroker(b.url(t, scheme)).SetClientID(id).SetTLSConfig(k.client).SetConnectTimeout(10 * time.Second).SetAutoReconnect(false))
				done(t, c.Connect())
				return c
			}
			got := make(chan []byte, 1000)
			s, p := connect("sub"), connect("pub")
			done(t, s.Subscribe("t/+", 2, func(_ paho.Client, m paho.Message) { got <- m.Payload() }))
			for qos := range byte(3) {
				for n := range 50 {
					p.Publish("t/x", qos, false, fmt.Sprint(qos, "/", n))
				}
				for n := range 50 {
					require.Equal(t, fmt.Sprint(qos, "/", n), string(receive(t, got)))
				}
			}
			long := bytes.Repeat([]byte("0123456789abcdef"), 60_000) // of many reads, messages and TLS records
			done(t, p.Publish("t/x", 1, false, long))
			require.True(t, bytes.Equal(long, receive(t, got)))
			s.Disconnect(100)
			p.Disconnect(100)
			require.Eventually(t, func() bool { return b.Stats().ClientsConnected == 0 }, 10*time.Second, time.Millisecond)
		})
	}
}

func TestEveryTransport_PublishesTheWillOfAClientThatIsCutOff(t *testing.T) {
	k := newKeys(t)
	for scheme, cfg := range transports(t, k) {
		t.Run(scheme, func(t *testing.T) {
			b := start(t, memory(t), func(c *broker.Config) { c.Listeners = []listen.Config{cfg} })
			got := make(chan string, 1)
			options := func(id string) *paho.ClientOptions {
				return paho.NewClientOptions().AddBroker(b.url(t, scheme)).SetClientID(id).SetTLSConfig(k.client).SetConnectTimeout(10 * time.Second).SetAutoReconnect(false)
			}
			watcher := paho.NewClient(options("watcher"))
			done(t, watcher.Connect())
			done(t, watcher.Subscribe("will", 1, func(_ paho.Client, m paho.Message) { got <- string(m.Payload()) }))
			lost := make(chan error, 1)
			dying := paho.NewClient(options("dying").SetWill("will", "gone", 1, false).SetConnectionLostHandler(func(_ paho.Client, err error) { lost <- err }))
			done(t, dying.Connect())
			thief := paho.NewClient(options("dying"))
			done(t, thief.Connect())
			require.Equal(t, "gone", receive(t, got))
			require.Error(t, receive(t, lost))
			thief.Disconnect(100)
			watcher.Disconnect(100)
		})
	}
}

func TestWebSocket_PublishesTheWillAfterACloseFrame(t *testing.T) {
	b := start(t, memory(t), func(c *broker.Config) {
		c.Listeners = []listen.Config{{Address: "127.0.0.1:0", Transport: "websocket"}}
	})
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	ws, _, err := websocket.Dial(ctx, b.url(t, "ws"), &websocket.DialOptions{Subprotocols: []string{"mqtt"}})
	require.NoError(t, err)
	c := packet.Connect{Version: 4, ClientID: "c", CleanStart: true, HasWill: true, Will: packet.Will{Topic: "will", Payload: []byte("gone"), Retain: true}}
	require.NoError(t, ws.Write(ctx, websocket.MessageBinary, c.Append(nil)))
	_, ack, err := ws.Read(ctx)
	require.NoError(t, err)
	require.Equal(t, packet.CONNACK, packet.TypeOf(ack[0]))
	require.NoError(t, ws.Close(websocket.StatusNormalClosure, ""))
	got := make(chan string, 1)
	watcher := paho.NewClient(paho.NewClientOptions().AddBroker(b.url(t, "ws")).SetConnectTimeout(10 * time.Second).SetAutoReconnect(false))
	done(t, watcher.Connect())
	done(t, watcher.Subscribe("will", 1, func(_ paho.Client, m paho.Message) { got <- string(m.Payload()) }))
	require.Equal(t, "gone", receive(t, got))
	watcher.Disconnect(100)
}

func TestMosquittoClients_LogInWithACertificate(t *testing.T) {
	sub := tool(t, "mosquitto_sub")
	k := newKeys(t)
	accounts := broker.NewAccounts()
	b := startWith(t, memory(t), accounts, func(c *broker.Config) {
		k.cfg.RequireClientCert = true
		c.Listeners = []listen.Config{{Address: "127.0.0.1:0", TLS: &k.cfg}}
		c.AllowAnonymous = false
	})
	args := []string{"-h", "127.0.0.1", "-p", fmt.Sprint(b.address(t).Port), "-t", "a", "--cafile", k.file("ca.pem")}
	anna := append(args, "-i", "c1", "--cert", k.file("anna.pem"), "--key", k.file("anna.key"))
	s := exec.Command(sub, anna...)
	require.NoError(t, s.Start())
	require.Eventually(t, func() bool { return b.Stats().Subscriptions == 1 }, 10*time.Second, time.Millisecond)
	infos := b.Clients()
	require.Len(t, infos, 1)
	require.Equal(t, "anna", infos[0].Username)
	require.Equal(t, "anna", infos[0].Certificate)

	out, err := exec.Command(sub, append(args, "-C", "1", "-W", "10")...).CombinedOutput()
	require.Error(t, err, "without a certificate: %s", out)
	out, err = exec.Command(sub, append(anna, "-u", "ben", "-P", "wrong", "-C", "1", "-W", "10")...).CombinedOutput()
	require.Error(t, err)
	require.Contains(t, string(out), "bad user name or password", "another user needs a password")

	accounts.Set([]broker.Account{{Username: "anna", PasswordHash: hash(t, "secret"), Disabled: true}})
	out, err = exec.Command(sub, append(anna, "-C", "1", "-W", "10")...).CombinedOutput()
	require.Error(t, err)
	require.Contains(t, string(out), "not authori", "a disabled account stays out")
	require.NoError(t, s.Process.Kill())
	_ = s.Wait() // it was killed
}

func TestEveryTransport_ClosesWhoSendsNothing(t *testing.T) {
	k := newKeys(t)
	for scheme, cfg := range transports(t, k) {
		t.Run(scheme, func(t *testing.T) {
			b := start(t, memory(t), func(c *broker.Config) {
				c.Listeners = []listen.Config{cfg}
				c.ConnectTimeout = 100 * time.Millisecond
			})
			address := b.url(t, scheme)
			if scheme == "ssl" {
				scheme, address = "tcp", strings.Replace(address, "ssl", "tcp", 1) // not even the handshake
			}
			nc := dialTransport(t, scheme, address, k)
			_, err := io.Copy(io.Discard, nc)
			require.NotErrorIs(t, err, os.ErrDeadlineExceeded)
		})
	}
}

// TestIdleConnections_AreSmall counts both ends of TLS, so the server's part is about half.
func TestIdleConnections_AreSmall(t *testing.T) {
	const clients = 200
	k := newKeys(t)
	for scheme, cfg := range transports(t, k) {
		t.Run(scheme, func(t *testing.T) {
			b := start(t, memory(t), func(c *broker.Config) { c.Listeners = []listen.Config{cfg} })
			address := b.url(t, scheme)
			before := inUse()
			for n := range clients {
				nc := dialTransport(t, scheme, address, k)
				c := packet.Connect{Version: 4, ClientID: fmt.Sprint("idle", n), CleanStart: true}
				_, err := nc.Write(c.Append(nil))
				require.NoError(t, err)
				_, err = nc.Read(make([]byte, 64))
				require.NoError(t, err)
			}
			each := (inUse() - before) / clients
			t.Logf("%s: %d bytes for both ends of a connection", scheme, each)
			require.Less(t, each, int64(56<<10))
		})
	}
}

// inUse gives the memory that is held after all garbage is gone.
func inUse() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc + m.StackInuse)
}

func dialTransport(t testing.TB, scheme, address string, k keys) net.Conn {
	var nc net.Conn
	var err error
	host := strings.TrimSuffix(strings.TrimPrefix(address, scheme+"://"), "/mqtt")
	switch scheme {
	case "unix":
		nc, err = net.Dial("unix", host)
	case "tcp", "ws":
		nc, err = net.Dial("tcp", host)
	default:
		nc, err = tls.Dial("tcp", host, k.client)
	}
	require.NoError(t, err)
	t.Cleanup(func() { nc.Close() })
	require.NoError(t, nc.SetDeadline(time.Now().Add(time.Minute)))
	if strings.HasPrefix(scheme, "ws") {
		nc = &frames{nc}
		_, err = nc.(*frames).Conn.Write([]byte("GET /mqtt HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n"))
		require.NoError(t, err)
		n, err := nc.Read(make([]byte, 1000))
		require.NoError(t, err)
		require.NotZero(t, n)
	}
	return nc
}

// frames writes short messages, each as a masked frame.
type frames struct{ net.Conn }

func (f *frames) Write(b []byte) (int, error) {
	_, err := f.Conn.Write(append([]byte{0x82, 0x80 | byte(len(b)), 0, 0, 0, 0}, b...)) // masked with zeros
	return len(b), err
}

func TestEveryTransport_DisconnectsWhoseCertificateIsNotTrustedAnyMore(t *testing.T) {
	for _, scheme := range []string{"ssl", "wss"} {
		t.Run(scheme, func(t *testing.T) {
			k := newKeys(t)
			k.cfg.RequireClientCert = true
			b := startWith(t, memory(t), broker.NewAccounts(), func(c *broker.Config) {
				c.Listeners = []listen.Config{transports(t, k)[scheme]}
				c.AllowAnonymous = false
			})
			gone := make(chan error, 1)
			o := paho.NewClientOptions().AddBroker(b.url(t, scheme)).SetClientID("c").SetTLSConfig(k.client).SetAutoReconnect(false)
			o.SetConnectionLostHandler(func(_ paho.Client, err error) { gone <- err })
			c := paho.NewClient(o)
			done(t, c.Connect())
			other := newKeys(t) // another authority
			ca, err := os.ReadFile(other.file("ca.pem"))
			require.NoError(t, err)
			require.NoError(t, os.WriteFile(k.file("ca.pem"), append(ca, '\n'), 0o600))
			require.Error(t, receive(t, gone))
			require.Error(t, func() error { token := c.Connect(); token.Wait(); return token.Error() }(), "and it does not come back")
		})
	}
}
