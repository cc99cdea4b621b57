package listen_test

import (
	"bytes"
	"io"
	"log/slog"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"fieldgate/broker/listen"
)

// arrivals is a listener at which the given connections arrive.
type arrivals []net.Conn

func (a *arrivals) Accept() (net.Conn, error) {
	if len(*a) == 0 {
		return nil, io.EOF
	}
	next := (*a)[0]
	*a = (*a)[1:]
	return next, nil
}

func (a *arrivals) Close() error   { return nil }
func (a *arrivals) Addr() net.Addr { return nil }

// caller is a connection from an address.
type caller struct {
	net.Conn
	from   net.Addr
	closed bool
}

func (c *caller) RemoteAddr() net.Addr { return c.from }
func (c *caller) Close() error         { c.closed = true; return nil }

func (c *caller) Read(p []byte) (int, error) {
	if c.closed {
		return 0, net.ErrClosed
	}
	return len(p), nil
}

func from(ip string) *caller {
	if ip == "" {
		return &caller{from: &net.UnixAddr{}}
	}
	return &caller{from: &net.TCPAddr{IP: net.ParseIP(ip), Port: 1}}
}

func TestLimits_CloseWhoComesBeyondThem(t *testing.T) {
	for _, c := range []struct {
		name            string
		most, ofAddress int
		from            []string
		refused         string // one character for each
	}{
		{"the number of all", 2, 10, []string{"10.0.0.1", "10.0.0.2", "10.0.0.3"}, "..x"},
		{"the number of one address", 10, 2, []string{"10.0.0.1", "10.0.0.1", "10.0.0.1", "10.0.0.2"}, "..x."},
		{"both ways to write an address", 10, 1, []string{"10.0.0.1", "::ffff:10.0.0.1"}, ".x"},
		{"a house of IPv6 is one", 10, 1, []string{"2001:db8::1", "2001:db8::2:2", "2001:db8:0:1::1"}, ".x."},
		{"neighbours on one wire are several", 10, 1, []string{"fe80::1", "fe80::2", "fe80::1"}, "..x"},
		{"this machine is not limited", 10, 1, []string{"127.0.0.1", "127.0.0.1", "::1", "::1", "", ""}, "......"},
		{"but counts", 2, 1, []string{"127.0.0.1", "", "127.0.0.1"}, "..x"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var callers []*caller
			var waiting arrivals
			for _, ip := range c.from {
				callers = append(callers, from(ip))
				waiting = append(waiting, callers[len(callers)-1])
			}
			ln := listen.Limit(&waiting, listen.Config{MaxConnections: c.most, MaxConnectionsPerAddress: c.ofAddress}, slog.New(slog.DiscardHandler))
			for range strings.Count(c.refused, ".") {
				_, err := ln.Accept()
				require.NoError(t, err)
			}
			_, err := ln.Accept()
			require.ErrorIs(t, err, io.EOF)
			for i, who := range callers {
				require.Equal(t, c.refused[i] == 'x', who.closed, "number %d", i)
			}
		})
	}
}

func TestLimits_GiveThePlaceBackOnce(t *testing.T) {
	waiting := arrivals{from("10.0.0.1"), from("10.0.0.1"), from("10.0.0.1"), from("10.0.0.1")}
	var said bytes.Buffer
	ln := listen.Limit(&waiting, listen.Config{MaxConnections: 10, MaxConnectionsPerAddress: 2}, slog.New(slog.NewTextHandler(&said, nil)))
	first, err := ln.Accept()
	require.NoError(t, err)
	_, err = ln.Accept()
	require.NoError(t, err)
	require.NoError(t, first.Close())
	require.NoError(t, first.Close())
	_, err = ln.Accept()
	require.NoError(t, err)
	require.Empty(t, said.String())
	_, err = ln.Accept() // the fourth is refused
	require.ErrorIs(t, err, io.EOF)
	require.Contains(t, said.String(), "max_connections_per_address=2")
}

func TestOpen_LimitsKeepTheSocketWithinReach(t *testing.T) {
	ln, err := tryOpen(t, listen.Config{Address: "127.0.0.1:0", MaxConnections: 1})
	require.NoError(t, err)
	defer ln.Close()
	client, err := net.Dial("tcp", ln.Addr().String())
	require.NoError(t, err)
	defer client.Close()
	nc, err := ln.Accept()
	require.NoError(t, err)
	raw, err := nc.(syscall.Conn).SyscallConn()
	require.NoError(t, err)
	require.NoError(t, raw.Control(func(uintptr) {}))

	accepted := make(chan net.Conn, 1)
	go func() {
		next, _ := ln.Accept()
		accepted <- next
	}()
	second, err := net.Dial("tcp", ln.Addr().String())
	require.NoError(t, err)
	defer second.Close()
	require.NoError(t, second.SetDeadline(time.Now().Add(20*time.Second)))
	_, err = second.Read(make([]byte, 1))
	require.ErrorIs(t, err, io.EOF)
	require.NoError(t, nc.Close())
	third, err := net.Dial("tcp", ln.Addr().String())
	require.NoError(t, err)
	defer third.Close()
	require.NoError(t, (<-accepted).Close())
}
