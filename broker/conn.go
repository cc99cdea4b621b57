package broker

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"runtime/debug"
	"sync/atomic"
	"syscall"
	"time"

	"fieldgate/broker/access"
	"fieldgate/broker/listen"
	"fieldgate/broker/mqtt"
	"fieldgate/broker/packet"
)

// uncommittedLimit is how many bytes of one connection may wait for their commit
// before the broker stops reading from it.
const uncommittedLimit = 1 << 20

// conn is one network connection, from its first byte to its last.
type conn struct {
	b        *Broker
	nc       net.Conn
	listener string
	door     *listen.Listener // that accepted it; nil for none
	vouch    listen.Vouch     // of door; of the sweep
	identity string           // the name in the client's certificate, known with CONNECT; empty without one
	number   uint64           // names it to the spool as a publisher
	in       input
	turns    turns
	out      outbox
	answers  answers       // under out.mu
	room     chan struct{} // under out.mu; one place: a limit that this connection waits for may have gone; nil until it waits
	refused  bool          // under out.mu: something could not be kept, so nothing more is acknowledged
	held     atomic.Bool   // the broker does not read, because commits are slow

	// Set by the connection's own goroutine on CONNECT.
	client                *client
	attached              atomic.Pointer[client] // the same, for other goroutines
	modern                *modern                // nil for 3.x
	clientID              atomic.Pointer[string]
	user                  atomic.Pointer[string] // user name, nil for an anonymous client
	will                  *bequest               // nil for none
	writes                access.Cache           // of the session's rights; of the connection's own goroutine
	since                 time.Time
	keepAlive             atomic.Int64 // the longest silence, in nanoseconds, 1.5 times what the client promised; 0 for any
	version               mqtt.Version
	clean                 bool // CONNECT asked for a clean start
	deniedOne, refusedOne bool // the log knows that a PUBLISH was denied, that a subscription was refused

	carried traffic
	heard   atomic.Int64           // when the last packet came, in nanoseconds since the broker's start
	ended   atomic.Pointer[ending] // why it ends; the first reason counts
	dead    chan struct{}          // closed with ended
	done    chan struct{}          // closed when all is cleaned up
}

// ending is why a connection ends.
type ending struct {
	text   string          // for the log
	reason mqtt.ReasonCode // for the DISCONNECT of 5.0
	err    error
	clean  bool // the client said goodbye: its will is forgotten
	quiet  bool // it needs no warning
}

func (b *Broker) newConn(nc net.Conn, listener string) *conn {
	c := &conn{
		b:        b,
		nc:       nc,
		listener: listener,
		number:   b.lastConn.Add(1) + insidePublisher,
		dead:     make(chan struct{}),
		done:     make(chan struct{}),
		since:    time.Now(),
	}
	var raw syscall.RawConn
	if socket, ok := nc.(syscall.Conn); ok { // neither TLS nor a WebSocket
		raw, _ = socket.SyscallConn()
	}
	c.in.buffers, c.out.buffers, c.out.sent, c.out.unsent = &b.reads, &b.outs, &b.stats.bytesSent, &b.unsent
	c.in.open(nc, raw)
	c.out.open(nc, raw)
	c.out.owner = c
	c.heard.Store(int64(time.Since(b.started)))
	return c
}

// log tells something about the connection. It needs no logger of its own: ten thousand idle
// connections would hold theirs, and a storm of short ones would make two of them each.
func (c *conn) log(level slog.Level, words string, args ...any) {
	ctx := context.Background()
	if !c.b.log.Enabled(ctx, level) {
		return
	}
	all := make([]any, 0, 6+len(args))
	all = append(all, "remote", remoteOf(c.nc), "listener", c.listener)
	if id := c.clientID.Load(); id != nil {
		all = append(all, "client_id", *id)
	}
	c.b.log.Log(ctx, level, words, append(all, args...)...)
}

func remoteOf(nc net.Conn) string {
	if a := nc.RemoteAddr(); a != nil && a.String() != "" {
		return a.String()
	}
	return "local"
}

// end makes the connection end; only the first reason counts. Anybody may call
// it, with locks held too. A client that is to be told why is told by the
// connection's own goroutine, which is woken for it.
func (c *conn) end(why ending) {
	if !c.setEnding(why) {
		return
	}
	if why.reason.Failed() && c.attached.Load() != nil && c.modern != nil {
		_ = c.nc.SetReadDeadline(time.Unix(1, 0)) // fails only when the connection is gone already
		return
	}
	c.close()
}

// setEnding notes why the connection ends; false when there is a reason already.
func (c *conn) setEnding(why ending) bool {
	if !c.ended.CompareAndSwap(nil, &why) {
		return false
	}
	close(c.dead)
	return true
}

// close closes the socket. The error is nothing that anybody could act on.
func (c *conn) close() {
	if t, isTLS := c.nc.(*tls.Conn); isTLS {
		_ = t.NetConn().Close() // without the farewell, which may block
		return
	}
	_ = c.nc.Close()
}

// serve is the connection's goroutine.
func (c *conn) serve() {
	defer close(c.done)
	c.setEnding(endingOf(c.work()))
	why := c.ended.Load()
	if c.client != nil {
		c.client.detach(c) // before the client can know that it is disconnected
	}
	if raw := c.farewell(why); raw != nil {
		c.out.farewell(raw)
	}
	c.close()
	c.out.close()
	c.finish(*why)
}

// endingOf tells why the connection's own goroutine stopped, when nobody else ended it.
func endingOf(err error) ending {
	e, isPacket := errors.AsType[*packet.Error](err)
	switch {
	case isPacket:
		return ending{text: "bad packet", reason: e.Reason, err: err}
	case errors.Is(err, errGoodbye):
		return ending{text: "disconnected", clean: true, quiet: true}
	case errors.Is(err, errWithWill):
		return ending{text: "disconnected with its will", quiet: true}
	case errors.Is(err, io.EOF):
		return ending{text: "closed without DISCONNECT", quiet: true}
	}
	return ending{text: "connection lost", err: err, quiet: true}
}

// work handles what comes in until the connection ends. A panic in it is our
// mistake about one client's bytes; the others must not pay for it.
func (c *conn) work() (err error) {
	defer c.in.release()
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
			c.log(slog.LevelError, "panic while handling a packet", "err", err, "stack", string(debug.Stack()))
		}
	}()
	c.awaitTurn()
	for {
		data, err := c.in.more()
		if err != nil {
			return err
		}
		used, err := c.handleBatch(data)
		c.in.consume(used)
		if err != nil {
			return err
		}
		c.takeTurns(used)
		if err := c.waitForRoom(); err != nil {
			return err
		}
	}
}

// awaitTurn waits when too many connections came from the client's address. Its time for CONNECT begins after that.
func (c *conn) awaitTurn() {
	c.hold(true)
	listen.Await(c.nc)
	c.hold(false)
}

// turns is the politeness of a connection that always has something to read.
type turns struct {
	bytes  int   // that were handled while the client always had more
	own    int64 // bytes of this connection that count as little
	others int64 // what the others had sent at the last turn's end
	polite int   // turns for which it still knows that there are others
}

const (
	turnBytes  = readSize / 2
	turnPause  = 50 * time.Microsecond // while nobody else says anything
	turnShare  = 4                     // the pause in turns, while somebody does
	turnMost   = 20 * time.Millisecond // the longest pause: a turn may have waited for a queue or a disk
	turnMemory = 64                    // turns
)

// takeTurns lets others go first when this connection has filled its buffer again and again. It has to
// sleep: while a goroutine only yields, the runtime does not ask the system who else has something to
// read, and everybody waits for many milliseconds behind one who floods. Beside clients that send little
// a flooder gets a fifth of one processor; alone, or among its like, it gets nearly all there is.
func (c *conn) takeTurns(used int) {
	t := &c.turns
	dry := c.in.dry
	c.in.dry = false
	if dry || !c.in.filled(used) {
		t.bytes = 0
		return
	}
	if t.bytes += used; t.bytes < turnBytes {
		return
	}
	t.bytes = 0
	if others := c.b.stats.littleReceived.Load() - t.own; others != t.others {
		t.others, t.polite = others, turnMemory
	}
	pause := turnPause
	if t.polite > 0 {
		t.polite--
		took := time.Since(c.b.started) - time.Duration(c.heard.Load())
		pause = min(max(pause, turnShare*took), turnMost)
	}
	time.Sleep(pause)
}

// handleBatch handles what one read brought. Whatever happens in it, the clients
// that it touched are flushed.
func (c *conn) handleBatch(data []byte) (used int, err error) {
	w := c.b.batch()
	defer w.done()
	return c.handleAll(w, data)
}

// handleAll handles all whole packets at the front of data and tells how many bytes they were.
func (c *conn) handleAll(w *batch, data []byte) (used int, err error) {
	packets, publishes, tap := 0, 0, c.out.tap.Load()
	for ahead := 0; used < len(data); {
		if used >= ahead && w.cache.WantsAhead() {
			ahead = used + w.lookAhead(data[used:])
		}
		n, err := packet.Length(data[used:], c.b.cfg.MaxPacketSize)
		if err != nil {
			return used, err
		}
		if n == 0 || used+n > len(data) {
			break
		}
		raw := data[used : used+n : used+n]
		w.count.messagesReceived++
		packets++
		if packet.TypeOf(raw[0]) == packet.PUBLISH {
			publishes++
		}
		used += n
		first := c.client == nil
		if tap != nil {
			tap.received(raw)
		}
		if err := c.handle(w, raw); err != nil {
			return used, err
		}
		if first { // CONNECT told who it is
			tap = c.out.tap.Load()
		}
	}
	if c.in.filled(used) {
		c.b.stats.muchReceived.Add(int64(used))
	} else {
		c.turns.own += int64(used)
		c.b.stats.littleReceived.Add(int64(used))
	}
	if used > 0 {
		c.hear(w.now.Sub(c.b.started))
		c.carried.in(packets, publishes, used)
	}
	return used, nil
}

// What ends work beside errors of the socket and of packets.
var (
	errGoodbye  = errors.New("the client disconnected")
	errWithWill = errors.New("the client disconnected and wants its will published")
	errEnded    = errors.New("the connection was ended") // and somebody has said why
)

// waitForRoom waits while too much of this connection is not committed, or while
// its client does not read what it is sent.
func (c *conn) waitForRoom() error {
	return c.wait(func() bool {
		uncommitted := c.answers.cost > uncommittedLimit
		c.hold(uncommitted)
		return !uncommitted && c.out.size() < 2*c.out.limit()
	})
}

// waitForSocket waits until the client keeps up with what it is sent.
func (c *conn) waitForSocket() error {
	return c.wait(func() bool { return c.out.size() < c.out.limit() })
}

// wait waits for the condition, which is asked with out.mu held.
func (c *conn) wait(met func() bool) error {
	for {
		c.out.mu.Lock()
		ok := met()
		c.out.starved = c.out.starved || !ok
		if !ok && c.room == nil {
			c.room = make(chan struct{}, 1)
		}
		room := c.room
		c.out.mu.Unlock()
		if ok {
			return nil
		}
		select {
		case <-room:
		case <-c.dead:
			return errEnded
		}
	}
}

// wake lets waitForRoom look again; out.mu is held.
func (c *conn) wake() {
	select {
	case c.room <- struct{}{}:
	default:
	}
}

// onUnsendable ends the connection: it can't be written to.
func (c *conn) onUnsendable(err error) {
	c.end(ending{text: "connection lost", err: err, quiet: true})
}

// onRoom is called when a full socket has taken bytes.
func (c *conn) onRoom() {
	c.out.mu.Lock()
	c.wake()
	c.out.mu.Unlock()
	if cl := c.attached.Load(); cl != nil {
		w := c.b.batch()
		cl.refill(w)
		w.done()
	}
}
