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

// Limit gives a listener limits.
func Limit(ln net.Listener, most, mostOfAddress int, log *slog.Logger) net.Listener {
	return newLimited(ln, most, mostOfAddress, log)
}
