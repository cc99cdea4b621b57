package loadtest_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// closedLoop publishes to a session that is away and counts what is acknowledged in a second.
func closedLoop(t testing.TB, s *server, publishers, window int, length time.Duration) (l *load, rate float64) {
	l = &load{qos: 1, size: 256, window: window, fan: 1}
	c, err := dial(s.address, "away", false)
	require.NoError(t, err)
	c.start()
	require.NoError(t, c.subscribe(1, "away/#"))
	c.leave()
	for i := range publishers {
		_, err := l.publish(s.address, fmt.Sprint("pub", i), always(fmt.Sprint("away/meter", i)))
		require.NoError(t, err)
	}
	began := time.Now()
	require.NoError(t, l.run(length, endless))
	return l, float64(l.done()) / time.Since(began).Seconds()
}

// durable kills the broker behind the last acknowledgement and counts what of the promised is gone.
func durable(t testing.TB, s *server) []sample {
	l, rate := closedLoop(t, s, 10, 20, 3*time.Second)
	s.kill(syscall.SIGKILL)
	for _, p := range l.pubs {
		p.close()
	}
	began := time.Now()
	s.start()
	restart := time.Since(began)
	c, err := dial(s.address, "away", false)
	require.NoError(t, err)
	sub := l.receive(c, len(l.pubs))
	c.start()
	l.arrive()
	sub.leave()
	v := verdict{}
	for i, p := range l.pubs {
		v.doubled += sub.tracks[i].doubled
		v.reordered += sub.tracks[i].reordered
		for seq := range p.sent.Load() {
			if p.safe.has(seq) && !sub.tracks[i].seen.has(seq) {
				v.lost++
			}
		}
	}
	fault := v.String()
	if fault != "" {
		fault += fmt.Sprintf(", of %d acknowledged", l.done())
	}
	return []sample{{rate, fault}, {restart.Seconds() * 1000, fault}, {float64(v.lost), ""}}
}

func durableTable() []scenario {
	return []scenario{{rows: []*row{
		{name: "10 publishers x window 20, 256 B", unit: "acknowledged/s", goal: 60_000, atLeast: true},
		{name: "from the start after SIGKILL to the first connection", unit: "ms"},
		{name: "acknowledged and lost", unit: "messages"},
	}, run: durable}}
}

// slowDisk is a library that makes each flush of a file last 20 ms longer.
const slowDisk = `#define _GNU_SOURCE
#include <time.h>
#include <unistd.h>
#include <sys/syscall.h>
static void rest(void) { struct timespec t = {0, 20000000}; nanosleep(&t, 0); }
int fsync(int fd) { rest(); return syscall(SYS_fsync, fd); }
int fdatasync(int fd) { rest(); return syscall(SYS_fdatasync, fd); }
`

// slow lets 200 publishers meet a disk that takes 20 ms to flush: all of them should fit one commit.
func (b *bench) slow() []scenario {
	dir := b.t.TempDir()
	require.NoError(b.t, os.WriteFile(filepath.Join(dir, "slow.c"), []byte(slowDisk), 0o600))
	library := filepath.Join(dir, "slow.so")
	out, err := exec.Command("gcc", "-shared", "-fPIC", "-o", library, filepath.Join(dir, "slow.c")).CombinedOutput()
	require.NoError(b.t, err, "%s", out)
	const publishers, sync, linger = 200, 0.020, 0.001
	return []scenario{{ours: true, rows: []*row{
		{name: "a flush takes 20 ms: 200 publishers, one message each under way", unit: "acknowledged/s", goal: 0.75 * publishers / (sync + linger), atLeast: true},
	}, run: func(t testing.TB, _ *server) []sample {
		s := launch(t, fieldgate, func(s *server) { s.env = []string{"LD_PRELOAD=" + library} })
		defer s.stop()
		l, rate := closedLoop(t, s, publishers, 1, 3*time.Second)
		l.close()
		return []sample{{value: rate}}
	}}}
}

// elision gives what reaches the disk while all acknowledge in time, beside the messages.
func elision(t testing.TB, s *server) []sample {
	l := tenToTen(t, s, 1, 256, 20, false)
	time.Sleep(1500 * time.Millisecond) // the new sessions are written
	before := s.look()
	require.NoError(t, l.run(4*time.Second, endless))
	l.arrive()
	after := s.look()
	l.close()
	return []sample{{100 * float64(after.writes-before.writes) / float64(max(l.done(), 1)*300), l.verdict().String()}}
}

func elisionTable() []scenario {
	return []scenario{{ours: true, run: elision, rows: []*row{
		{name: "bytes to disk while 10 persistent subscribers acknowledge in time, QoS 1 window 20, 256 B: of what writing the messages would be (300 B each)", unit: "%", goal: 2},
	}}}
}

// settle is how long a broker is left alone before its memory counts.
const settle = 12 * time.Second

// evict drops the programs from the file cache.
func evict(t testing.TB, programs ...string) {
	for _, program := range programs {
		if program == "" {
			continue
		}
		file, err := os.Open(program)
		require.NoError(t, err)
		require.NoError(t, file.Sync())
		require.NoError(t, unix.Fadvise(int(file.Fd()), 0, 0, unix.FADV_DONTNEED))
		require.NoError(t, file.Close())
	}
}

// memory is RSS of a fresh process, and what idle connections add.
func memory(t testing.TB, s *server) []sample {
	time.Sleep(settle)
	base := s.look()
	const n = 10_000
	held, err := hold(n, func(i int) (net.Conn, error) {
		nc, err := net.Dial("tcp", s.address)
		return greeted(nc, err, i)
	})
	time.Sleep(settle)
	full := s.look()
	time.Sleep(2 * time.Second)
	later := s.look()
	fault := ""
	if err != nil {
		fault = err.Error()
	}
	for _, nc := range held {
		_ = nc.Close()
	}
	return []sample{
		{float64(base.rss) / 1e6, ""},
		{float64(base.private) / 1e6, ""},
		{float64(full.rss-base.rss) / n / 1000, fault},
		{100 * (later.cpu - full.cpu).Seconds() / 2, fault},
	}
}

func memoryTable() []scenario {
	return []scenario{{run: memory, rows: []*row{
		{name: "RSS at start", unit: "MB", goal: 20},
		{name: "of that memory, the rest being pages of the binary that the system may drop", unit: "MB"},
		{name: "10,000 idle connections over TCP", unit: "kB each", goal: 8},
		{name: "holding them", unit: "% of a core"},
	}}, {ours: true, run: encrypted, rows: []*row{
		{name: "1,000 idle connections over TLS", unit: "kB each", goal: 40},
		{name: "1,000 idle connections over WebSocket and TLS", unit: "kB each", goal: 40},
	}}, {ours: true, run: points, rows: []*row{
		{name: "5,000 points of a Modbus bridge hold, with values, retained messages and the first minute's history", unit: "MB", goal: 10},
		{name: "by which the process grows, the garbage collector's room included", unit: "MB"},
		{name: "polling them every 2 s", unit: "% of a core"},
	}}}
}

func greeted(nc net.Conn, err error, i int) (net.Conn, error) {
	if err == nil {
		_, err = greet(nc, fmt.Sprint("idle", i), true)
	}
	return nc, err
}

// hold opens connections, sixteen at a time.
func hold(n int, open func(i int) (net.Conn, error)) ([]net.Conn, error) {
	all, errs := make([]net.Conn, n), make([]error, n)
	var wg sync.WaitGroup
	for first := range 16 {
		wg.Go(func() {
			for i := first; i < n; i += 16 {
				all[i], errs[i] = open(i)
			}
		})
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return slices.DeleteFunc(all, func(c net.Conn) bool { return c == nil }), err
		}
	}
	return all, nil
}

// encrypted holds idle connections over TLS, then over secure WebSockets, in processes of their own.
func encrypted(t testing.TB, _ *server) (out []sample) {
	const n = 1000
	unchecked := &tls.Config{InsecureSkipVerify: true}
	for _, transport := range []string{"tcp", "websocket"} {
		address := freePort(t)
		s := launch(t, fieldgate, func(s *server) {
			cert, key := certificate(t, s.dir)
			s.listeners = fmt.Sprintf(`, {address: "%s", transport: %s, tls: {cert_file: %s, key_file: %s}}`, address, transport, cert, key)
		})
		time.Sleep(settle)
		base := s.look()
		held, err := hold(n, func(i int) (net.Conn, error) {
			if transport == "tcp" {
				nc, err := tls.Dial("tcp", address, unchecked)
				if err != nil {
					return nil, err
				}
				return greeted(nc, nil, i)
			}
			nc, err := dialWebSocket(address, unchecked)
			return greeted(nc, err, i)
		})
		time.Sleep(settle)
		one := sample{value: float64(s.look().rss-base.rss) / n / 1000}
		if err != nil {
			one.fault = err.Error()
		}
		for _, nc := range held {
			_ = nc.Close()
		}
		s.stop()
		out = append(out, one)
	}
	return out
}

func dialWebSocket(address string, config *tls.Config) (net.Conn, error) {
	raw, err := tls.Dial("tcp", address, config)
	if err != nil {
		return nil, err
	}
	client := oneConnection(raw)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	c, _, err := websocket.Dial(ctx, "ws://"+address+"/mqtt", &websocket.DialOptions{HTTPClient: client, Subprotocols: []string{"mqtt"}})
	if err != nil {
		return nil, err
	}
	return websocket.NetConn(context.Background(), c, websocket.MessageBinary), nil
}

func certificate(t testing.TB, dir string) (certFile, keyFile string) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), DNSNames: []string{"localhost"}}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	require.NoError(t, err)
	private, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	certFile, keyFile = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	require.NoError(t, os.WriteFile(certFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert}), 0o600))
	require.NoError(t, os.WriteFile(keyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}), 0o600))
	return certFile, keyFile
}

// oneConnection is an HTTP client that speaks over nc and no other.
func oneConnection(nc net.Conn) *http.Client {
	return &http.Client{Transport: &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) { return nc, nil }}}
}

// idleWatch looks at a broker with a connected client that does nothing.
type idleWatch struct {
	s      *server
	held   *link
	before proc
}

func watchIdle(t testing.TB) *idleWatch {
	w := &idleWatch{s: launch(t, fieldgate, nil)}
	c, err := dial(w.s.address, "idle", false)
	require.NoError(t, err)
	c.start()
	require.NoError(t, c.subscribe(1, "idle/#"))
	w.held = c
	time.Sleep(5 * time.Second) // what the start and the subscription write
	w.before = w.s.look()
	return w
}

// end gives the row; idleness lasts at least a minute.
func (w *idleWatch) end() *row {
	time.Sleep(time.Until(w.before.at.Add(time.Minute)))
	after := w.s.look()
	w.held.leave()
	w.s.stop()
	length := after.at.Sub(w.before.at).Round(time.Second)
	return &row{name: fmt.Sprintf("bytes to disk in %v of idleness, a client connected", length), unit: "B", goal: 0.5,
		ours: []sample{{value: float64(after.writes - w.before.writes)}}}
}
