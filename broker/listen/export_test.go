package listen

import (
	"crypto/tls"
	"log/slog"
	"net"

	"fieldgate/internal/fault"
)

// ServerConfig is what a TLS listener uses.
func ServerConfig(cfg TLS, part string, alarms *fault.Alarms, log *slog.Logger) (*tls.Config, error) {
	certs, err := openCertificates(cfg, part, alarms, log)
	if err != nil {
		return nil, err
	}
	return certs.serverConfig(), nil
}

// Limit gives a listener the limits of a Config.
func Limit(ln net.Listener, c Config, log *slog.Logger) *Listener {
	limited := newLimited(ln, c.limits(), log)
	return &Listener{Listener: limited, limited: limited}
}

// Remembered tells of how many addresses it is known when they came.
func (l *Listener) Remembered() int { return len(l.limited.shares.due) }
