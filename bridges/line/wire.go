package line

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// wire is an open link. One goroutine may use it; Interrupt and Close may be called by others.
type wire interface {
	// Read waits until the deadline for bytes; 0 and no error when none came, or Interrupt ended the wait.
	Read(p []byte, deadline time.Time) (int, error)
	// Write sends all of p before the deadline.
	Write(p []byte, deadline time.Time) error
	// Interrupt ends the Read that waits, or the next one.
	Interrupt()
	io.Closer
}

const (
	pollEvery   = 200 * time.Millisecond // also how late a stop or a silence may be seen
	dialWithin  = 5 * time.Second
	retrySerial = 100 * time.Millisecond
	retryTCP    = time.Second
)

// open opens the link of the bridge; the error says what to do.
func (b *bridge) open(ctx context.Context) (wire, error) {
	if s := b.settings.Link.Serial; s != nil {
		return s.open(b.ports, "bridge "+b.settings.ID)
	}
	return b.settings.Link.TCP.open(ctx)
}

func (t *TCP) open(ctx context.Context) (wire, error) {
	d := net.Dialer{
		Timeout: dialWithin,
		// A serial server that lost its power says nothing: ask it.
		KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 5 * time.Second, Interval: 2 * time.Second, Count: 3},
	}
	conn, err := d.DialContext(ctx, "tcp", t.Address)
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", t.Address, plainNetError(err))
	}
	return &tcpWire{conn: conn}, nil
}

// plainNetError leaves out what the words around it say already.
func plainNetError(err error) error {
	if op, ok := errors.AsType[*net.OpError](err); ok {
		if sys, ok := errors.AsType[*os.SyscallError](op.Err); ok {
			return sys.Err
		}
		return op.Err
	}
	return err
}

// retry is the pause before the link is opened again.
func (l Link) retry() time.Duration {
	if l.Serial != nil {
		return retrySerial
	}
	return retryTCP
}

type tcpWire struct {
	conn net.Conn

	mu          sync.Mutex // protects what follows, and the deadline of Read
	waiting     bool
	interrupted bool
}

func (w *tcpWire) Read(p []byte, deadline time.Time) (int, error) {
	w.mu.Lock()
	if w.interrupted {
		w.interrupted = false
		w.mu.Unlock()
		return 0, nil
	}
	err := w.conn.SetReadDeadline(deadline)
	w.waiting = err == nil
	w.mu.Unlock()
	if err != nil {
		return 0, fmt.Errorf("read from %s: %w", w.conn.RemoteAddr(), plainNetError(err))
	}
	n, err := w.conn.Read(p)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.waiting = false
	if errors.Is(err, os.ErrDeadlineExceeded) {
		w.interrupted, err = false, nil
	}
	if err != nil {
		err = fmt.Errorf("read from %s: %w", w.conn.RemoteAddr(), plainNetError(err))
	}
	return n, err
}

func (w *tcpWire) Write(p []byte, deadline time.Time) error {
	err := w.conn.SetWriteDeadline(deadline)
	if err == nil {
		_, err = w.conn.Write(p)
	}
	if err != nil {
		return fmt.Errorf("write to %s: %w", w.conn.RemoteAddr(), plainNetError(err))
	}
	return nil
}

func (w *tcpWire) Interrupt() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.interrupted = true
	if w.waiting {
		_ = w.conn.SetReadDeadline(time.Unix(1, 0)) // fails only when the connection is closed, which ends Read too
	}
}

func (w *tcpWire) Close() error { return w.conn.Close() }
