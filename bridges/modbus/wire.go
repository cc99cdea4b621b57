package modbus

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
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
	_ wire = (*port.Conn)(nil)
)

// tcpRetry is the time between attempts to connect.
const tcpRetry = 500 * time.Millisecond

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

func dial(ctx context.Context, address string) (wire, error) {
	conn, err := port.Dial(ctx, address)
	if err != nil {
		return nil, dialAdvice(address, err)
	}
	return conn, nil
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
	return fmt.Errorf("connect to %s: %w: %s", address, port.PlainNetError(err), advice)
}

// gone is the failure of a link that was lost.
func gone(err error) *failure {
	return &failure{code: bridges.ErrLink, words: err.Error(), err: err}
}
