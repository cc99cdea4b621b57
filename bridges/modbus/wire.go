package modbus

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"fieldgate/bridges"
	"fieldgate/bridges/internal/port"
)

// wire is an open link, with the methods and errors of *port.Port.
type wire interface {
	// Read gives at least one byte; port.ErrTimeout at the deadline, any other error when the link is gone.
	Read(b []byte, deadline time.Time) (int, error)
	// Waiting gives what has come already, maybe nothing, and does not wait.
	Waiting(b []byte) (int, error)
	// Listen is a Read that Interrupt ends with port.ErrInterrupted.
	Listen(b []byte, deadline time.Time) (int, error)
	Interrupt()
	Write(b []byte, deadline time.Time) error
	// Present is false when the link must be opened again although it says nothing.
	Present() bool
	// Timed tells that nothing comes faster than the bit rate allows.
	Timed() bool
	Close() error
}

var (
	_ wire = (*port.Port)(nil)
	_ wire = (*tcpWire)(nil)
)

const (
	dialWithin = 5 * time.Second
	tcpRetry   = 500 * time.Millisecond // between attempts to connect
)

// open opens the link once; the error says what to do.
func (b *bridge) open(ctx context.Context) (wire, error) {
	switch l := b.settings.Link; {
	case l.Serial != nil:
		p, err := b.ports.Open(l.Serial.config(), "bridge "+b.settings.ID)
		if err != nil {
			return nil, b.openAdvice(err)
		}
		return p, nil
	case l.TCP != nil:
		return dial(ctx, l.TCP.Address)
	default:
		return dial(ctx, l.RTUOverTCP.Address)
	}
}

func (s *Serial) config() port.Config {
	return port.Config{Path: s.Port, Baud: s.Baud, Format: s.format, RS485: port.RS485(s.RS485)}
}

// openAdvice adds to an error of a serial port what to do about it.
func (b *bridge) openAdvice(err error) error {
	path := b.settings.Link.Serial.Port
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%w: plug the adapter in, or choose another port", err)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%w: %s", err, port.PermissionAdvice(path))
	}
	return err
}

// tcpWire is a connection to a device or a gateway.
type tcpWire struct {
	conn  net.Conn
	raw   syscall.RawConn // of conn
	close func() error

	mu          sync.Mutex // protects what follows, and the deadline of Listen
	listening   bool
	interrupted bool
}

func dial(ctx context.Context, address string) (*tcpWire, error) {
	d := net.Dialer{
		Timeout: dialWithin,
		// A device that lost its power says nothing: ask it.
		KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 5 * time.Second, Interval: 2 * time.Second, Count: 3},
	}
	conn, err := d.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, dialAdvice(address, err)
	}
	raw, err := conn.(*net.TCPConn).SyscallConn()
	if err != nil {
		return nil, errors.Join(dialAdvice(address, err), conn.Close())
	}
	return &tcpWire{conn: conn, raw: raw, close: sync.OnceValue(conn.Close)}, nil
}

// dialAdvice says in words why there is no connection, and what to do.
func dialAdvice(address string, err error) error {
	advice := "check the address"
	netErr, isNet := errors.AsType[net.Error](err)
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		advice = "the host is there but nothing listens at this port; check the port, and that Modbus/TCP is switched on in the device"
	case errors.Is(err, syscall.EHOSTUNREACH) || errors.Is(err, syscall.ENETUNREACH):
		advice = "there is no way to this host; check the address, the cable and the network settings"
	case isNet && netErr.Timeout():
		advice = "nothing answers at this address; check that the device is on, the address and the cable"
	}
	if e, ok := errors.AsType[*net.DNSError](err); ok {
		return fmt.Errorf("connect to %s: the name %s is not known; check the name and the DNS server", address, e.Name)
	}
	return fmt.Errorf("connect to %s: %w: %s", address, plainNetError(err), advice)
}

// plainNetError leaves out what the words around it say already.
func plainNetError(err error) error {
	if op, ok := errors.AsType[*net.OpError](err); ok {
		err = op.Err
	}
	if sys, ok := errors.AsType[*os.SyscallError](err); ok {
		return sys.Err
	}
	return err
}

func (w *tcpWire) Read(b []byte, deadline time.Time) (int, error) {
	if err := w.conn.SetReadDeadline(deadline); err != nil {
		return 0, w.fault(err)
	}
	return w.read(b)
}

func (w *tcpWire) read(b []byte) (int, error) {
	n, err := w.conn.Read(b)
	if n > 0 || err == nil {
		return n, nil
	}
	return 0, w.fault(err)
}

func (w *tcpWire) Waiting(b []byte) (n int, err error) {
	failed := w.raw.Control(func(fd uintptr) { n, err = syscall.Read(int(fd), b) })
	switch {
	case failed != nil:
		return 0, w.fault(failed)
	case errors.Is(err, syscall.EAGAIN), errors.Is(err, syscall.EINTR):
		return 0, nil
	case err == nil && n == 0:
		err = io.EOF
	}
	if err != nil {
		return 0, w.fault(err)
	}
	return n, nil
}

func (w *tcpWire) fault(err error) error {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return port.ErrTimeout
	}
	return fmt.Errorf("%s closed the connection: %w", w.conn.RemoteAddr(), plainNetError(err))
}

func (w *tcpWire) Listen(b []byte, deadline time.Time) (int, error) {
	w.mu.Lock()
	if w.interrupted {
		w.interrupted = false
		w.mu.Unlock()
		return 0, port.ErrInterrupted
	}
	err := w.conn.SetReadDeadline(deadline)
	w.listening = err == nil
	w.mu.Unlock()
	if err != nil {
		return 0, w.fault(err)
	}
	n, err := w.read(b)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.listening = false
	if w.interrupted && errors.Is(err, port.ErrTimeout) {
		w.interrupted = false
		return 0, port.ErrInterrupted
	}
	return n, err
}

func (w *tcpWire) Interrupt() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.interrupted = true
	if w.listening {
		_ = w.conn.SetReadDeadline(time.Unix(1, 0)) // fails only when it is closed, which ends Listen too
	}
}

func (w *tcpWire) Write(b []byte, deadline time.Time) error {
	if err := w.conn.SetWriteDeadline(deadline); err != nil {
		return w.fault(err)
	}
	if _, err := w.conn.Write(b); err != nil {
		return w.fault(err)
	}
	return nil
}

func (w *tcpWire) Present() bool { return true }

func (w *tcpWire) Timed() bool { return false }

func (w *tcpWire) Close() error { return w.close() }

// gone is the failure of a link that was lost.
func gone(err error) *failure {
	return &failure{code: bridges.ErrLink, words: err.Error(), err: err}
}
