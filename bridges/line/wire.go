package line

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"fieldgate/bridges/internal/port"
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
	conn, err := port.Dial(ctx, t.Address)
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", t.Address, port.PlainNetError(err))
	}
	return &linkWire{link: conn}, nil
}

// retry is the pause before the link is opened again.
func (l Link) retry() time.Duration {
	if l.Serial != nil {
		return retrySerial
	}
	return retryTCP
}

// link is a *port.Port or a *port.Conn.
type link interface {
	Listen(b []byte, deadline time.Time) (int, error)
	Write(b []byte, deadline time.Time) error
	Interrupt()
	Present() bool
	Close() error
}

// linkWire is a link for which a silence is no error.
type linkWire struct {
	link link
	seen time.Time // when the link was last seen to be present
}

func (w *linkWire) Read(p []byte, deadline time.Time) (int, error) {
	n, err := w.link.Listen(p, deadline)
	if errors.Is(err, port.ErrInterrupted) {
		return 0, nil
	}
	if !errors.Is(err, port.ErrTimeout) {
		return n, err
	}
	if now := time.Now(); now.Sub(w.seen) >= pollEvery {
		if w.seen = now; !w.link.Present() { // some adapters go without a word
			return 0, port.ErrGone
		}
	}
	return n, nil
}

func (w *linkWire) Write(p []byte, deadline time.Time) error { return w.link.Write(p, deadline) }

func (w *linkWire) Interrupt() { w.link.Interrupt() }

func (w *linkWire) Close() error { return w.link.Close() }
