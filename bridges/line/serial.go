package line

import (
	"errors"
	"fmt"
	"io/fs"
	"time"

	"fieldgate/bridges/internal/port"
)

// open opens the port for the holder ("bridge scale"); the error says what to do.
func (s *Serial) open(ports *port.Ports, holder string) (wire, error) {
	format, err := port.ParseFormat(s.Format)
	if err != nil {
		return nil, fmt.Errorf("format %s: %w", s.Format, err)
	}
	p, err := ports.Open(port.Config{Path: s.Port, Baud: s.Baud, Format: format, RS485: port.RS485(s.RS485)}, holder)
	switch {
	case errors.Is(err, fs.ErrPermission):
		return nil, fmt.Errorf("%w: %s", err, port.PermissionAdvice(s.Port))
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("%w: plug the adapter in, or choose another port", err)
	case err != nil:
		return nil, err
	}
	return &serialWire{port: p}, nil
}

type serialWire struct {
	port *port.Port
	seen time.Time // when the port was last seen to be present
}

func (w *serialWire) Read(p []byte, deadline time.Time) (int, error) {
	n, err := w.port.Listen(p, deadline)
	if errors.Is(err, port.ErrInterrupted) {
		return 0, nil
	}
	if !errors.Is(err, port.ErrTimeout) {
		return n, err
	}
	if now := time.Now(); now.Sub(w.seen) >= pollEvery {
		if w.seen = now; !w.port.Present() { // some adapters go without a word
			return 0, port.ErrGone
		}
	}
	return n, nil
}

func (w *serialWire) Write(p []byte, deadline time.Time) error { return w.port.Write(p, deadline) }

func (w *serialWire) Interrupt() { w.port.Interrupt() }

func (w *serialWire) Close() error { return w.port.Close() }
