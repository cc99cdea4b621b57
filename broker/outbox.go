package broker

import (
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"
)

// Sizes of the out buffers, in bytes.
const (
	outStart = 2 << 10 // of a fresh one
	outStep  = 4       // how many times longer the next one is
	outSizes = 5       // so many sizes are kept; the last is outKeep
	outKeep  = outStart << (2 * (outSizes - 1))
	outLimit = 1 << 20 // what a slow reader may let wait before QoS 0 is dropped and its queue stays where it is
)

// outBuffers holds the buffers of connections that have nothing to send, by size.
type outBuffers struct{ pools [outSizes]sync.Pool }

// get gives an empty buffer for at least so many bytes.
func (p *outBuffers) get(need int) []byte {
	size := outStart
	for i := range p.pools {
		if need <= size {
			if first, ok := p.pools[i].Get().(*byte); ok {
				return unsafe.Slice(first, size)[:0]
			}
			return make([]byte, 0, size)
		}
		size *= outStep
	}
	return make([]byte, 0, need+need/4) // else each message that a slow reader lets wait would move all of them
}

// put takes a buffer that nobody needs; one of another size than get gives is not kept.
// A pool holds pointers: that to the first byte is there already, one to b would be an allocation.
func (p *outBuffers) put(b []byte) {
	size := outStart
	for i := range p.pools {
		if cap(b) == size {
			p.pools[i].Put(unsafe.SliceData(b))
		}
		size *= outStep
	}
}

// outbox gathers what one connection is to be sent. Whoever appends to it marks
// it and flushes it later with one write that does not block; a goroutine of its
// own exists only while the socket is full.
type outbox struct {
	nc      net.Conn
	raw     syscall.RawConn // nil when nc can't be written to without blocking
	buffers *outBuffers
	sent    *atomic.Int64 // bytes, of all connections
	unsent  *unsent       // of all connections whose socket is full
	own     atomic.Int64  // bytes, of this one
	tap     atomic.Pointer[tap]
	owner   *conn              // is told of failures and of room; never with the lock held, of a failure perhaps twice
	helper  sync.WaitGroup     // the goroutine that waits for a full socket
	tryFunc func(uintptr) bool // try, made once

	mu                 sync.Mutex
	buf                []byte // waits to be written
	writing            int    // bytes that are being written, beside buf
	busy               bool   // one goroutine writes; it takes what is appended meanwhile
	dirty              bool   // someone has promised to flush
	closed             bool
	starved            bool          // somebody waits for room
	counted            int           // bytes that unsent knows of
	packets, publishes int64         // that were appended
	drained            chan struct{} // set by farewell: nothing may be appended any more; told when nothing waits

	// what try works on; it belongs to the goroutine that made busy true
	chunk   []byte
	written int
	err     error
}

func (o *outbox) open(nc net.Conn, raw syscall.RawConn) {
	o.nc, o.raw = nc, raw
	o.tryFunc = o.try
}

// grow makes sure that there is a buffer with room for so many bytes more; mu is held.
func (o *outbox) grow(more int) {
	need := len(o.buf) + more
	if need <= cap(o.buf) {
		return
	}
	short := o.buf
	o.buf = append(o.buffers.get(need), short...)
	o.buffers.put(short)
}

// accepts tells whether anything may still be appended; mu is held.
func (o *outbox) accepts() bool { return !o.closed && o.drained == nil }

// farewell appends the last packet of the connection and waits until it is
// written, as long as the far end may take for it.
func (o *outbox) farewell(raw []byte) {
	_ = o.nc.SetWriteDeadline(time.Now().Add(farewellPatience)) // fails only when the connection is gone
	o.mu.Lock()
	if o.closed {
		o.mu.Unlock()
		return
	}
	o.grow(len(raw))
	o.buf = append(o.buf, raw...)
	o.drained = make(chan struct{}, 1)
	o.mu.Unlock()
	o.flush()
	for {
		o.mu.Lock()
		waits := !o.closed && (o.busy || len(o.buf) > 0)
		o.mu.Unlock()
		if !waits {
			return
		}
		<-o.drained
	}
}

// tellDrained lets farewell look again; mu is held.
func (o *outbox) tellDrained() {
	select {
	case o.drained <- struct{}{}: // never while it is nil
	default:
	}
}

// size tells how many bytes wait; mu is held.
func (o *outbox) size() int { return len(o.buf) + o.writing }

// hasRoom tells whether the reader at the far end keeps up. When it does not,
// the owner will hear of room.
func (o *outbox) hasRoom() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	full := o.size() >= o.limit()
	if full {
		o.starved = true
	}
	return !full && !o.closed
}

// flush writes what waits, as far as that goes without blocking.
func (o *outbox) flush() {
	o.mu.Lock()
	o.dirty = false
	for len(o.buf) > 0 && !o.busy && !o.closed {
		b := o.buf
		o.buf, o.busy, o.writing = nil, true, len(b)
		o.mu.Unlock()
		o.tapped(b)
		n, err := o.tryWrite(b)
		o.mu.Lock()
		o.busy, o.writing = false, 0
		switch {
		case o.closed:
		case err != nil:
			o.fail(err)
		case n < len(b):
			o.busy, o.writing = true, len(b)-n
			o.helper.Go(func() { o.writeAll(b, n) })
		default:
			o.buffers.put(b)
		}
	}
	o.count()
	again := o.starved && o.size() < o.limit()
	if again {
		o.starved = false
	}
	o.tellDrained()
	o.mu.Unlock()
	if again {
		o.owner.onRoom()
	}
}

// fail ends the writing for good; mu is held, and let go meanwhile.
func (o *outbox) fail(err error) {
	o.buf, o.closed = nil, true
	o.count()
	o.mu.Unlock()
	o.owner.onUnsendable(err)
	o.mu.Lock()
}

// writeAll waits for a full socket. It ends when all is written.
func (o *outbox) writeAll(b []byte, from int) {
	for {
		n, err := o.nc.Write(b[from:])
		o.sent.Add(int64(n))
		o.own.Add(int64(n))
		o.mu.Lock()
		o.writing = 0
		if o.closed || err != nil {
			o.busy = false
			if err != nil {
				o.fail(err)
			}
			o.tellDrained()
			o.mu.Unlock()
			return
		}
		o.buffers.put(b)
		if o.starved && o.size() < o.limit() {
			o.starved = false
			o.mu.Unlock()
			o.owner.onRoom()
			o.mu.Lock()
		}
		if len(o.buf) == 0 {
			o.busy = false
			o.count()
			o.tellDrained()
			o.mu.Unlock()
			return
		}
		b, from = o.buf, 0
		o.buf, o.writing = nil, len(b)
		o.count()
		o.mu.Unlock()
		o.tapped(b)
	}
}

// tapped shows whole packets that are about to be written to those who trace.
func (o *outbox) tapped(b []byte) {
	if t := o.tap.Load(); t != nil {
		t.sent(b)
	}
}

// tryWrite writes as much as the socket takes now.
func (o *outbox) tryWrite(b []byte) (int, error) {
	if o.raw == nil {
		return 0, nil
	}
	o.chunk, o.written, o.err = b, 0, nil
	if err := o.raw.Write(o.tryFunc); err != nil {
		return 0, err
	}
	o.chunk = nil
	o.sent.Add(int64(o.written))
	o.own.Add(int64(o.written))
	return o.written, o.err
}

// try is called by the runtime with the socket's descriptor; it never asks to wait.
func (o *outbox) try(fd uintptr) bool {
	for o.written < len(o.chunk) {
		n, err := write(fd, o.chunk[o.written:])
		switch {
		case err == syscall.EINTR:
			continue
		case err == syscall.EAGAIN:
			return true
		case err != nil:
			o.err = err
			return true
		}
		o.written += n
	}
	return true
}

// quickWrite is how many bytes at most are written as writeNow does; more are the sign of a busy broker.
const quickWrite = 4 << 10

func write(fd uintptr, b []byte) (int, error) {
	if len(b) <= quickWrite {
		return writeNow(fd, b)
	}
	return syscall.Write(int(fd), b)
}

// close lets nothing more be written and waits for the helper. The connection must be closed already.
func (o *outbox) close() {
	o.mu.Lock()
	o.closed, o.buf = true, nil
	o.count()
	o.mu.Unlock()
	o.helper.Wait()
}
