package line

import (
	"errors"
	"fmt"
	"io/fs"

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
	return &linkWire{link: p}, nil
}
