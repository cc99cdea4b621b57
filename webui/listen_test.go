package webui_test

import (
	"net"
	"testing"

	"github.com/stretchr/testify/require"

	"fieldgate/webui"
)

// caller is a connection from an address.
type caller struct {
	net.Conn
	from string
}

func (c caller) RemoteAddr() net.Addr { return &net.TCPAddr{IP: net.ParseIP(c.from), Port: 4711} }

// queue is a listener that accepts what stands in it.
type queue chan net.Conn

func (q queue) Accept() (net.Conn, error) {
	c, ok := <-q
	if !ok {
		return nil, net.ErrClosed
	}
	return c, nil
}

func (q queue) Close() error { close(q); return nil }

func (queue) Addr() net.Addr { return &net.TCPAddr{} }

func TestLimit_OneAddressDoesNotKeepTheOthersOut(t *testing.T) {
	q := make(queue, 16)
	l := webui.Limit(q, 10, 2)
	defer l.Close()
	far := map[string][]net.Conn{} // the other ends
	call := func(from string) {
		near, other := net.Pipe()
		far[from] = append(far[from], other)
		q <- caller{near, from}
	}
	accept := func() net.Conn {
		c, err := l.Accept()
		require.NoError(t, err)
		return c
	}
	from := func(c net.Conn) string { return c.RemoteAddr().(*net.TCPAddr).IP.String() }

	call("192.0.2.7")
	call("::ffff:192.0.2.7") // the same machine
	call("192.0.2.7")
	call("192.0.2.8")
	first, second := accept(), accept()
	require.Equal(t, "192.0.2.7", from(first))
	require.Equal(t, "192.0.2.7", from(second))
	require.Equal(t, "192.0.2.8", from(accept()), "the third of one address is turned away")
	_, err := far["192.0.2.7"][1].Read(make([]byte, 1))
	require.Error(t, err, "at once")
	require.NoError(t, first.Close())
	require.NoError(t, first.Close(), "twice counts once")
	call("192.0.2.7")
	call("192.0.2.7")
	for range 4 {
		call("127.0.0.1") // a proxy on the machine itself
	}
	require.Equal(t, "192.0.2.7", from(accept()))
	for range 4 {
		require.Equal(t, "127.0.0.1", from(accept()))
	}
}
