package broker

import (
	"context"
	"sync"
)

// late is what commits of the spool have made ready: connections with
// acknowledgements to flush, sessions with deliveries that may be sent now. One
// goroutine works it off, many commits' worth at a time, so that the spool's
// goroutine never writes to a socket.
type late struct {
	wake chan struct{} // one place: somebody has to look

	mu    sync.Mutex
	conns []*conn
	pulls []*client
}

// mark remembers to flush c; c.out.mu is held.
func (l *late) mark(c *conn) {
	if c.out.busy {
		c.out.count()
	}
	if c.out.dirty {
		return
	}
	c.out.dirty = true
	l.mu.Lock()
	l.conns = append(l.conns, c)
	l.mu.Unlock()
	l.notify()
}

// pull remembers that the session is owed something.
func (l *late) pull(cl *client) {
	l.mu.Lock()
	l.pulls = append(l.pulls, cl)
	l.mu.Unlock()
	l.notify()
}

func (l *late) notify() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// run works until ctx is done.
func (l *late) run(ctx context.Context, b *Broker) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-l.wake:
		}
		w := b.batch()
		l.mu.Lock()
		w.dirty, l.conns = l.conns, w.dirty[:0]
		w.pulls, l.pulls = l.pulls, w.pulls[:0]
		l.mu.Unlock()
		w.done()
	}
}
