package sim

import (
	"io"

	"fieldgate/bridges/internal/port"
)

// PTY is the device's end of a pseudo-terminal. Read, Write and Close may be
// called at the same time.
type PTY interface {
	io.ReadWriteCloser
	// Path is what a bridge opens as its serial port.
	Path() string
}

// NewPTY makes a pseudo-terminal; with a link, a symbolic link is put there, so that
// the port can be unplugged (Close) and come back under the same path. The device's end works on
// whether or not anybody has the port open.
func NewPTY(link string) (PTY, error) {
	p, err := port.OpenPTY(link)
	if err != nil {
		return nil, err
	}
	return p, nil
}
