package listen_test

import (
	"bytes"
	"crypto/tls"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"fieldgate/broker/listen"
)

// crowd is a number of connections from one address that all wait already.
func crowd(n int) *arrivals {
	waiting := make(arrivals, n)
	for i := range waiting {
		waiting[i] = from("10.0.0.1")
	}
	return &waiting
}

// acceptAll takes whoever waits and tells after what time each of them came in.
func acceptAll(t *testing.T, ln net.Listener) []time.Duration {
	t.Helper()
	began := time.Now()
	var took []time.Duration
	for {
		nc, err := ln.Accept()
		if err != nil {
			require.ErrorIs(t, err, io.EOF)
			return took
		}
		took = append(took, time.Since(began))
		require.NoError(t, nc.Close())
	}
}

func TestRate_LetsABurstInAndThenOneAfterTheOther(t *testing.T) {
	const ms = time.Millisecond
	for _, c := range []struct {
		name        string
		rate, burst int
		before      int           // that came
		idle        time.Duration // after them
		want        []time.Duration
	}{
		{"nobody came before", 10, 3, 0, 0, []time.Duration{0, 0, 0, 100 * ms, 200 * ms}},
		{"no burst", 10, 1, 0, 0, []time.Duration{0, 100 * ms, 200 * ms}},
		{"the burst was used just now", 10, 3, 3, 0, []time.Duration{100 * ms, 200 * ms}},
		{"a part of the burst is free again", 10, 3, 3, 250 * ms, []time.Duration{0, 0, 50 * ms, 150 * ms}},
		{"the burst never grows", 10, 3, 3, time.Hour, []time.Duration{0, 0, 0, 100 * ms}},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				waiting := crowd(c.before)
				ln := listen.Limit(waiting, listen.Config{MaxConnectionRate: c.rate, MaxConnectionBurst: c.burst}, slog.New(slog.DiscardHandler))
				for range c.before {
					_, err := ln.Accept()
					require.NoError(t, err)
				}
				time.Sleep(c.idle)
				*waiting = *crowd(len(c.want))
				require.Equal(t, c.want, acceptAll(t, ln))
			})
		})
	}
}

func TestRate_HasRoomForEverybodyAfterAPowerCut(t *testing.T) {
	for _, c := range []struct {
		name    string
		clients int
		tls     *listen.TLS
		most    time.Duration
	}{
		{"a thousand", 1000, nil, 0},
		{"a thousand over TLS", 1000, &listen.TLS{}, 0},
		{"as many as a listener takes", listen.DefaultMost, nil, 8 * time.Second},
		{"as many over TLS", listen.DefaultMost, &listen.TLS{}, 40 * time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ln := listen.Limit(crowd(c.clients), listen.Config{TLS: c.tls}, slog.New(slog.DiscardHandler))
				came := acceptAll(t, ln)
				require.Len(t, came, c.clients)
				require.Equal(t, c.most, came[len(came)-1])
			})
		})
	}
}

func TestRate_IsToldOnceAMinuteAndCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var said bytes.Buffer
		ln := listen.Limit(crowd(10*90), listen.Config{MaxConnectionRate: 10, MaxConnectionBurst: 1}, slog.New(slog.NewTextHandler(&said, nil)))
		acceptAll(t, ln)
		refused, delayed := ln.Limited()
		require.Zero(t, refused)
		require.EqualValues(t, 10*90-1, delayed)
		require.Equal(t, 2, strings.Count(said.String(), "connections wait"), "in 90 s")
		require.Contains(t, said.String(), "max_connection_rate=10")
		require.Contains(t, said.String(), "remote=10.0.0.1:1")
	})
}

func TestRateOfAddress_LetsOthersOvertake(t *testing.T) {
	const ms = time.Millisecond
	for _, c := range []struct {
		name        string
		rate, burst int
		from        []string
		want        []time.Duration
	}{
		{"a burst, and then by rate", 10, 2, []string{"10.0.0.1", "10.0.0.1", "10.0.0.1", "10.0.0.1"}, []time.Duration{0, 0, 100 * ms, 200 * ms}},
		{"another is not in its way", 10, 1, []string{"10.0.0.1", "10.0.0.1", "10.0.0.1", "10.0.0.2"}, []time.Duration{0, 100 * ms, 200 * ms, 0}},
		{"a house of IPv6 is one", 10, 1, []string{"2001:db8::1", "2001:db8::2"}, []time.Duration{0, 100 * ms}},
		{"this machine is not limited", 10, 1, []string{"127.0.0.1", "127.0.0.1", "::1", "::1", "", ""}, []time.Duration{0, 0, 0, 0, 0, 0}},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var waiting arrivals
				for _, ip := range c.from {
					waiting = append(waiting, from(ip))
				}
				// The rate of the listener itself is out of reach.
				ln := listen.Limit(&waiting, listen.Config{MaxConnectionRate: 1_000_000, MaxConnectionRatePerAddress: c.rate, MaxConnectionBurst: c.burst}, slog.New(slog.DiscardHandler))
				began := time.Now()
				served := make([]time.Duration, len(c.from))
				var all sync.WaitGroup
				for i := range served {
					nc, err := ln.Accept()
					require.NoError(t, err)
					all.Go(func() {
						switch i % 3 {
						case 0:
							listen.Await(nc)
						case 1:
							_, _ = nc.Read(make([]byte, 1))
						case 2:
							listen.Await(tls.Server(nc, nil))
						}
						served[i] = time.Since(began).Truncate(ms)
					})
				}
				all.Wait()
				require.Equal(t, c.want, served)
			})
		})
	}
}

func TestRateOfAddress_DoesNotHoldTheEndUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ln := listen.Limit(crowd(2), listen.Config{MaxConnectionRatePerAddress: 1, MaxConnectionBurst: 1, MaxConnectionRate: 1000}, slog.New(slog.DiscardHandler))
		_, err := ln.Accept()
		require.NoError(t, err)
		nc, err := ln.Accept()
		require.NoError(t, err)
		began := time.Now()
		time.AfterFunc(100*time.Millisecond, func() { _ = nc.Close() })
		_, err = nc.Read(make([]byte, 1))
		require.ErrorIs(t, err, net.ErrClosed)
		require.Equal(t, 100*time.Millisecond, time.Since(began))
	})
}

func TestRateOfAddress_RemembersNoMoreThanItMust(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var waiting arrivals
		for i := range 10_000 {
			waiting = append(waiting, from(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}).String()))
		}
		ln := listen.Limit(&waiting, listen.Config{MaxConnectionRatePerAddress: 1, MaxConnectionBurst: 10_000, MaxConnectionRate: 1_000_000}, slog.New(slog.DiscardHandler))
		for range 10_000 {
			nc, err := ln.Accept()
			require.NoError(t, err)
			listen.Await(nc) // those for whom there is no room have a burst together
			require.NoError(t, nc.Close())
		}
		require.LessOrEqual(t, ln.Remembered(), 4097)
		waiting = append(waiting, from("10.1.0.1"))
		time.Sleep(3 * time.Hour)
		_, err := ln.Accept()
		require.NoError(t, err)
		require.Equal(t, 1, ln.Remembered())
	})
}

// endless is a listener at which somebody waits until it is closed.
type endless struct {
	arrivals
	closed bool
}

func (e *endless) Accept() (net.Conn, error) {
	if e.closed {
		return nil, net.ErrClosed
	}
	return from("10.0.0.1"), nil
}

func (e *endless) Close() error {
	e.closed = true
	return nil
}

func TestRate_DoesNotHoldTheEndUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ln := listen.Limit(&endless{}, listen.Config{MaxConnectionRate: 1, MaxConnectionBurst: 1}, slog.New(slog.DiscardHandler))
		_, err := ln.Accept()
		require.NoError(t, err)
		began := time.Now()
		time.AfterFunc(100*time.Millisecond, func() { _ = ln.Close() })
		_, err = ln.Accept()
		require.ErrorIs(t, err, net.ErrClosed)
		require.Equal(t, 100*time.Millisecond, time.Since(began))
	})
}
