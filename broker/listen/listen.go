// Package listen opens the places where clients connect: TCP and Unix sockets,
// plain or with TLS, with MQTT right on them or inside a WebSocket. It knows
// addresses, certificates and HTTP, and must not know MQTT beyond its name.
package listen

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"strings"
	"syscall"
	"time"

	"fieldgate/internal/fault"
)

// socketMode lets the service's group connect, and nobody else.
const socketMode = 0o660

// Open starts to listen. What it accepts has no CONNECT yet, over TLS perhaps no
// handshake either: the first Read does it. The error says what to do about it.
// While the listener lives, certificates that can't be read any more are the
// alarm part with the code fault.Invalid.
func Open(ctx context.Context, c Config, part string, alarms *fault.Alarms, log *slog.Logger) (*Listener, error) {
	l := &Listener{}
	if c.TLS != nil {
		var err error
		if l.certs, err = openCertificates(*c.TLS, part, alarms, log); err != nil {
			return nil, err
		}
	}
	ln, err := open(ctx, c)
	if err != nil {
		return nil, err
	}
	l.limited = newLimited(ln, c.limits(), log)
	ln = l.limited
	if l.certs != nil {
		ln = tls.NewListener(ln, l.certs.serverConfig())
	}
	if c.Transport == WebSocket {
		ln = newWebSocket(ln, cmp.Or(c.Path, DefaultPath), c.Origins, log)
	}
	l.Listener = ln
	return l, nil
}

func open(ctx context.Context, c Config) (net.Listener, error) {
	// The system's probes find peers that vanished without a word and whose MQTT keep alive is 0.
	lc := net.ListenConfig{KeepAlive: time.Minute}
	socket, unix := strings.CutPrefix(c.Address, "unix:")
	if !unix {
		ln, err := lc.Listen(ctx, "tcp", c.Address)
		if err != nil {
			return nil, advise(c.Address, err)
		}
		return ln, nil
	}
	removeStale(socket)
	ln, err := lc.Listen(ctx, "unix", socket) // its file goes when it is closed
	if err != nil {
		return nil, advise(c.Address, err)
	}
	if err := os.Chmod(socket, socketMode); err != nil {
		_ = ln.Close() // it was never used
		return nil, fmt.Errorf("listen on %s: %w", c.Address, err)
	}
	return ln, nil
}

// removeStale takes a socket away that a killed process left behind: nobody answers there.
func removeStale(socket string) {
	if info, err := os.Lstat(socket); err != nil || info.Mode().Type() != fs.ModeSocket {
		return
	}
	nc, err := net.DialTimeout("unix", socket, time.Second)
	if err == nil {
		_ = nc.Close() // it was only a question
		return
	}
	if errors.Is(err, syscall.ECONNREFUSED) {
		_ = os.Remove(socket) // when it stays, Listen says why
	}
}

func advise(address string, err error) error {
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("listen on %s: another program has this port; stop it or choose another address", address)
	case errors.Is(err, syscall.EACCES):
		return fmt.Errorf("listen on %s: not permitted; choose a port above 1023 or a folder that the service may write to", address)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return fmt.Errorf("listen on %s: this machine has no such address now; check the network or listen on all addresses", address)
	}
	return fmt.Errorf("listen on %s: %w", address, err)
}
