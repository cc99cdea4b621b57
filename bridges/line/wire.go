package line

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"
)

// wire is an open link. Only one goroutine may use it.
type wire interface {
	// Read waits at most pollEvery for bytes; 0 and no error when none came.
	Read(p []byte) (int, error)
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
	return tcpWire{conn}, nil
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

type tcpWire struct{ conn net.Conn }

func (w tcpWire) Read(p []byte) (int, error) {
	if err := w.conn.SetReadDeadline(time.Now().Add(pollEvery)); err != nil {
		return 0, err
	}
	n, err := w.conn.Read(p)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		err = nil
	}
	if err != nil {
		err = fmt.Errorf("read from %s: %w", w.conn.RemoteAddr(), plainNetError(err))
	}
	return n, err
}

func (w tcpWire) Close() error { return w.conn.Close() }
