// Package listen opens the places where clients connect: TCP and Unix sockets,
// plain or with TLS. It knows addresses and certificates, and must not know MQTT.
package listen

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"strings"
	"syscall"
	"time"

	"fieldgate/internal/fault"
)

// Config is one listener, as in the host file.
type Config struct {
	Address   string `json:"address"`             // host:port, or unix:PATH; port 0 takes a free one
	Transport string `json:"transport,omitempty"` // "tcp" or empty
	Path      string `json:"path,omitempty"`      // of a websocket
	TLS       *TLS   `json:"tls,omitempty"`       // nil for plain
}

// TLS says with what certificate a listener proves who it is, and whom it lets in.
type TLS struct {
	CertFile          string `json:"cert_file"`
	KeyFile           string `json:"key_file"`
	ClientCAFile      string `json:"client_ca_file,omitempty"`
	RequireClientCert bool   `json:"require_client_cert,omitempty"`
}

// Validate tells what is wrong, with JSON pointers that begin at the listener.
func (c Config) Validate() fault.List {
	var faults fault.List
	if path, unix := strings.CutPrefix(c.Address, "unix:"); unix {
		if path == "" || len(path) > 100 {
			faults.Add("/address", fault.Invalid, "must be unix: and a path of at most 100 bytes")
		}
	} else if c.Address == "" {
		faults.Add("/address", fault.Required, "must be host:port or unix:PATH")
	} else if err := checkHostPort(c.Address); err != nil {
		faults.Add("/address", fault.Invalid, "must be host:port or unix:PATH, such as 127.0.0.1:1883: %v", err)
	}
	switch c.Transport {
	case "", "tcp":
		if c.Path != "" {
			faults.Add("/path", fault.Invalid, "only a websocket has a path")
		}
	default:
		faults.Add("/transport", fault.Invalid, "must be tcp")
	}
	if c.TLS != nil {
		c.TLS.validate(&faults)
	}
	return faults
}

func checkHostPort(address string) error {
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return errors.New("there is no port")
	}
	if _, err := net.LookupPort("tcp", port); err != nil || port == "" {
		return fmt.Errorf("%q is no port", port)
	}
	return nil
}

func (t *TLS) validate(faults *fault.List) {
	if t.CertFile == "" {
		faults.Add("/tls/cert_file", fault.Required, "must name the certificate file (PEM)")
	}
	if t.KeyFile == "" {
		faults.Add("/tls/key_file", fault.Required, "must name the file of the certificate's key (PEM)")
	}
	if t.RequireClientCert && t.ClientCAFile == "" {
		faults.Add("/tls/client_ca_file", fault.Required, "must name the certificates that client certificates are checked with, as require_client_cert is set")
	}
}

// Open starts to listen. The error says what to do about it.
func Open(ctx context.Context, c Config) (net.Listener, error) {
	tlsConfig, err := c.TLS.load()
	if err != nil {
		return nil, err
	}
	// The system's probes find peers that vanished without a word and whose MQTT keep alive is 0.
	lc := net.ListenConfig{KeepAlive: time.Minute}
	network, address := "tcp", c.Address
	if path, unix := strings.CutPrefix(c.Address, "unix:"); unix {
		network, address = "unix", path
		removeStale(path)
	}
	ln, err := lc.Listen(ctx, network, address)
	if err != nil {
		return nil, advise(c.Address, err)
	}
	if tlsConfig != nil {
		ln = tls.NewListener(ln, tlsConfig)
	}
	return ln, nil
}

// removeStale takes a socket away that a killed process left behind: nobody answers there.
func removeStale(path string) {
	if info, err := os.Lstat(path); err != nil || info.Mode().Type() != fs.ModeSocket {
		return
	}
	nc, err := net.DialTimeout("unix", path, time.Second)
	if err == nil {
		nc.Close()
		return
	}
	if errors.Is(err, syscall.ECONNREFUSED) {
		_ = os.Remove(path) // when it stays, Listen says why
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

// load gives nil for a nil receiver: no TLS.
func (t *TLS) load() (*tls.Config, error) {
	if t == nil {
		return nil, nil
	}
	cert, err := tls.LoadX509KeyPair(t.CertFile, t.KeyFile)
	if err != nil {
		return nil, fmt.Errorf("load certificate %s with key %s: %w", t.CertFile, t.KeyFile, err)
	}
	config := &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12}
	if t.ClientCAFile == "" {
		return config, nil
	}
	pem, err := os.ReadFile(t.ClientCAFile)
	if err != nil {
		return nil, fmt.Errorf("load client certificates: %w", err)
	}
	config.ClientCAs = x509.NewCertPool()
	if !config.ClientCAs.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("load client certificates: %s holds no PEM certificate", t.ClientCAFile)
	}
	config.ClientAuth = tls.VerifyClientCertIfGiven
	if t.RequireClientCert {
		config.ClientAuth = tls.RequireAndVerifyClientCert
	}
	return config, nil
}
