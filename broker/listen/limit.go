package listen

import (
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// refusedEvery is how often a listener that is full says so in the log.
const refusedEvery = time.Minute

// limited is a listener that closes at once who comes beyond its limits.
type limited struct {
	net.Listener
	most, mostOfAddress int
	log                 *slog.Logger

	mu      sync.Mutex
	count   int
	of      map[netip.Addr]int
	refused int       // since the log was told
	told    time.Time // when that was
}

func newLimited(ln net.Listener, most, mostOfAddress int, log *slog.Logger) *limited {
	return &limited{Listener: ln, most: most, mostOfAddress: mostOfAddress, log: log, of: map[netip.Addr]int{}}
}

// Accept waits for the next connection that is within the limits.
func (l *limited) Accept() (net.Conn, error) {
	for {
		nc, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		from := limitedAs(nc.RemoteAddr())
		if l.take(from) {
			return &counted{Conn: nc, from: from, of: l}, nil
		}
		_ = nc.Close() // it was never served
	}
}

// limitedAs gives what is counted together with the address; the zero Addr is not limited.
func limitedAs(a net.Addr) netip.Addr {
	tcp, ok := a.(*net.TCPAddr)
	if !ok {
		return netip.Addr{}
	}
	ip := tcp.AddrPort().Addr().Unmap().WithZone("")
	if ip.IsLoopback() {
		return netip.Addr{}
	}
	if ip.Is6() { // one house has as many as it likes of these
		network, _ := ip.Prefix(64) // never fails with 64 bits
		return network.Addr()
	}
	return ip
}

func (l *limited) take(from netip.Addr) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.count >= l.most || from.IsValid() && l.of[from] >= l.mostOfAddress {
		l.refuse(from)
		return false
	}
	l.count++
	if from.IsValid() {
		l.of[from]++
	}
	return true
}

// refuse counts who was sent away; mu is held.
func (l *limited) refuse(from netip.Addr) {
	l.refused++
	if now := time.Now(); now.Sub(l.told) >= refusedEvery {
		l.log.Warn("connections refused: the listener's limit is reached", "remote", from.String(), "refused", l.refused,
			"connections", l.count, "max_connections", l.most, "max_connections_per_address", l.mostOfAddress)
		l.refused, l.told = 0, now
	}
}

func (l *limited) give(from netip.Addr) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.count--
	if !from.IsValid() {
		return
	}
	if l.of[from]--; l.of[from] == 0 {
		delete(l.of, from)
	}
}

// counted is a connection that gives its place back when it is closed.
type counted struct {
	net.Conn
	from   netip.Addr
	of     *limited
	closed atomic.Bool
}

var _ syscall.Conn = (*counted)(nil)

// SyscallConn gives the socket itself.
func (c *counted) SyscallConn() (syscall.RawConn, error) {
	return c.Conn.(syscall.Conn).SyscallConn() // listeners of this package have only TCP and Unix sockets below
}

// Close closes the socket.
func (c *counted) Close() error {
	if c.closed.CompareAndSwap(false, true) {
		c.of.give(c.from)
	}
	return c.Conn.Close()
}
