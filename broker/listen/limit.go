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

// newsEvery is how often a listener says in the log that it refuses connections, or lets them wait.
const newsEvery = time.Minute

// limits are those of one listener; none is 0.
type limits struct {
	most, mostOfAddress int // connections at the same time
	rate, burst         int // new ones a second, and at once
	rateOfAddress       int // of them from one address
}

// limited is a listener that closes at once who comes beyond its limits. Who comes too fast waits: in the
// system's queue when the listener takes nobody, else accepted but not served yet, so that others may overtake.
type limited struct {
	net.Listener
	limits
	pace   *pace
	shares *shares
	log    *slog.Logger

	mu               sync.Mutex
	count            int
	of               map[netip.Addr]int
	refusals, delays news
}

// news is something that happens often and is told seldom.
type news struct {
	total  int64
	untold int64
	told   time.Time
}

// happened counts; it gives how often it happened since it was told last when it is time to tell it again, or 0.
func (n *news) happened() (untold int64) {
	n.total++
	n.untold++
	now := time.Now()
	if now.Sub(n.told) < newsEvery {
		return 0
	}
	untold, n.untold, n.told = n.untold, 0, now
	return untold
}

func newLimited(ln net.Listener, l limits, log *slog.Logger) *limited {
	return &limited{
		Listener: ln, limits: l, pace: newPace(l.rate, l.burst), shares: newShares(l.rateOfAddress, l.burst),
		log: log, of: map[netip.Addr]int{},
	}
}

// Accept waits for the next connection that is within the limits.
func (l *limited) Accept() (net.Conn, error) {
	for {
		waited := l.pace.wait()
		nc, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		l.pace.took()
		from := limitedAs(nc.RemoteAddr())
		if !l.take(from) {
			l.refuse(nc.RemoteAddr())
			_ = nc.Close() // it was never served
			continue
		}
		turn := l.turnOf(from)
		if waited || turn != nil {
			l.delay(nc.RemoteAddr())
		}
		return &counted{Conn: nc, from: from, of: l, turn: turn}, nil
	}
}

// turnOf gives when a connection from the address may be served; nil for at once.
func (l *limited) turnOf(from netip.Addr) *turn {
	if !from.IsValid() {
		return nil
	}
	now := time.Now()
	left := l.shares.took(from, now)
	if left == 0 {
		return nil
	}
	return &turn{at: now.Add(left), gone: make(chan struct{})}
}

// Close ends the listening.
func (l *limited) Close() error {
	defer l.pace.stop() // who waits finds the listener closed
	return l.Listener.Close()
}

// delay counts who has to wait because too many came.
func (l *limited) delay(from net.Addr) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if n := l.delays.happened(); n > 0 {
		l.log.Warn("connections wait: they come faster than the listener takes them", "remote", textOf(from), "delayed", n,
			"connections", l.count, "max_connection_rate", l.rate, "max_connection_rate_per_address", l.rateOfAddress, "max_connection_burst", l.burst)
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
	if ip.Is6() && !ip.IsLinkLocalUnicast() { // one house has as many as it likes of these
		network, _ := ip.Prefix(64) // never fails with 64 bits
		return network.Addr()
	}
	return ip
}

// textOf names who connects, for the log.
func textOf(a net.Addr) string {
	if text := a.String(); text != "" {
		return text
	}
	return "local" // a Unix socket
}

func (l *limited) take(from netip.Addr) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.count >= l.most || from.IsValid() && l.of[from] >= l.mostOfAddress {
		return false
	}
	l.count++
	if from.IsValid() {
		l.of[from]++
	}
	return true
}

// refuse counts who was sent away.
func (l *limited) refuse(from net.Addr) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if n := l.refusals.happened(); n > 0 {
		l.log.Warn("connections refused: the listener's limit is reached", "remote", textOf(from), "refused", n,
			"connections", l.count, "max_connections", l.most, "max_connections_per_address", l.mostOfAddress)
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
	turn   *turn // nil when it may be served at once
}

var _ syscall.Conn = (*counted)(nil)

// SyscallConn gives the socket itself.
func (c *counted) SyscallConn() (syscall.RawConn, error) {
	return c.Conn.(syscall.Conn).SyscallConn() // listeners of this package have only TCP and Unix sockets below
}

// Read waits for the connection's turn, too.
func (c *counted) Read(p []byte) (int, error) {
	c.turn.wait()
	return c.Conn.Read(p)
}

// Close closes the socket.
func (c *counted) Close() error {
	err := c.Conn.Close()
	if c.closed.CompareAndSwap(false, true) {
		c.of.give(c.from)
		if c.turn != nil {
			close(c.turn.gone) // who waits finds the socket closed
		}
	}
	return err
}
