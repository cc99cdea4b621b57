package port

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Conn is a connection to a device or a serial server, with the methods of Port. One goroutine may read and
// write; Interrupt, Present and Close may be called by others at the same time.
type Conn struct {
	conn  net.Conn
	raw   syscall.RawConn // of conn
	close func() error

	mu          sync.Mutex // protects what follows, and the deadline of Listen
	listening   bool
	interrupted bool
}

const dialWithin = 5 * time.Second

// Dial connects within 5 s. Errors are those of net.Dialer.
func Dial(ctx context.Context, address string) (*Conn, error) {
	d := net.Dialer{
		Timeout: dialWithin,
		// A device that lost its power says nothing: ask it.
		KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 5 * time.Second, Interval: 2 * time.Second, Count: 3},
	}
	conn, err := d.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	raw, err := conn.(*net.TCPConn).SyscallConn()
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return &Conn{conn: conn, raw: raw, close: sync.OnceValue(conn.Close)}, nil
}

// PlainNetError leaves out of an error what the words around it say already: the operation and the address.
func PlainNetError(err error) error {
	if op, ok := errors.AsType[*net.OpError](err); ok {
		err = op.Err
	}
	if sys, ok := errors.AsType[*os.SyscallError](err); ok {
		return sys.Err
	}
	return err
}

// Read gives 1 to len(b) bytes. Errors: ErrTimeout at the deadline, any other when the connection is gone.
func (c *Conn) Read(b []byte, deadline time.Time) (int, error) {
	if err := c.conn.SetReadDeadline(deadline); err != nil {
		return 0, c.fault(err)
	}
	return c.read(b)
}

func (c *Conn) read(b []byte) (int, error) {
	n, err := c.conn.Read(b)
	if n > 0 || err == nil {
		return n, nil
	}
	return 0, c.fault(err)
}

// Waiting gives what has come already, 0 bytes when nothing has; it does not wait.
func (c *Conn) Waiting(b []byte) (n int, err error) {
	failed := c.raw.Control(func(fd uintptr) { n, err = unix.Read(int(fd), b) })
	switch {
	case failed != nil:
		return 0, c.fault(failed)
	case errors.Is(err, unix.EAGAIN), errors.Is(err, unix.EINTR):
		return 0, nil
	case err == nil && n == 0:
		err = io.EOF
	}
	if err != nil {
		return 0, c.fault(err)
	}
	return n, nil
}

func (c *Conn) fault(err error) error {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return ErrTimeout
	}
	return fmt.Errorf("%s closed the connection: %w", c.conn.RemoteAddr(), PlainNetError(err))
}

// Listen is a Read that Interrupt ends: with ErrInterrupted at once, even when Interrupt was called before it.
func (c *Conn) Listen(b []byte, deadline time.Time) (int, error) {
	c.mu.Lock()
	if c.interrupted {
		c.interrupted = false
		c.mu.Unlock()
		return 0, ErrInterrupted
	}
	err := c.conn.SetReadDeadline(deadline)
	c.listening = err == nil
	c.mu.Unlock()
	if err != nil {
		return 0, c.fault(err)
	}
	n, err := c.read(b)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.listening = false
	if c.interrupted && errors.Is(err, ErrTimeout) {
		c.interrupted = false
		return 0, ErrInterrupted
	}
	return n, err
}

// Interrupt ends the Listen that waits, or the next one; a Read goes on.
func (c *Conn) Interrupt() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.interrupted = true
	if c.listening {
		_ = c.conn.SetReadDeadline(time.Unix(1, 0)) // fails only when it is closed, which ends Listen too
	}
}

// Write sends all of b before the deadline, or says why not.
func (c *Conn) Write(b []byte, deadline time.Time) error {
	if err := c.conn.SetWriteDeadline(deadline); err != nil {
		return c.fault(err)
	}
	if _, err := c.conn.Write(b); err != nil {
		return c.fault(err)
	}
	return nil
}

// Present is always true: a connection says itself when it is gone.
func (c *Conn) Present() bool { return true }

// Timed is always false: nothing is known of a bit rate.
func (c *Conn) Timed() bool { return false }

// Close ends the connection, and a Read that waits.
func (c *Conn) Close() error { return c.close() }
