package listen

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"net"
	"os"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"

	"fieldgate/internal/fault"
)

// checkEvery is how often certificate files are looked at, at most; a handshake and Vouches do.
const checkEvery = 2 * time.Second

// certificates are the files of one listener, as they were when they were last good.
type certificates struct {
	cfg    TLS
	part   string // of the alarm
	alarms *fault.Alarms
	log    *slog.Logger

	mu      sync.Mutex
	config  *tls.Config
	checked time.Time
	read    [3]fileState // when they were last read, good or not
}

// fileState changes when the file does; it is zero when the file can't be found.
type fileState struct {
	size     int64
	modified time.Time
}

func stateOf(file string) fileState {
	info, err := os.Stat(file)
	if err != nil {
		return fileState{}
	}
	return fileState{info.Size(), info.ModTime()}
}

// openCertificates reads the files for the first time.
func openCertificates(cfg TLS, part string, alarms *fault.Alarms, log *slog.Logger) (*certificates, error) {
	c := &certificates{cfg: cfg, part: part, alarms: alarms, log: log, checked: time.Now()}
	c.read = c.states() // before the files are read: what changes meanwhile is read again
	config, err := cfg.load()
	if err != nil {
		return nil, err
	}
	c.config = config
	return c, nil
}

// serverConfig gives a configuration that follows the files.
func (c *certificates) serverConfig() *tls.Config {
	return &tls.Config{
		MinVersion:         tls.VersionTLS12,
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return c.current(), nil },
	}
}

func (c *certificates) states() [3]fileState {
	states := [3]fileState{stateOf(c.cfg.CertFile), stateOf(c.cfg.KeyFile)}
	if c.cfg.ClientCAFile != "" {
		states[2] = stateOf(c.cfg.ClientCAFile)
	}
	return states
}

// current gives the configuration for one handshake. New files that are broken
// leave the old certificate in place.
func (c *certificates) current() *tls.Config {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	if now.Sub(c.checked) < checkEvery {
		return c.config
	}
	c.checked = now
	states := c.states()
	if states == c.read {
		return c.config
	}
	c.read = states
	config, err := c.cfg.load()
	if err != nil {
		c.log.Error("changed certificate can't be used; the old one stays", "err", err)
		c.alarms.Raise(c.part, fault.Invalid, "changed certificate can't be used, the old one stays: "+err.Error())
		return c.config
	}
	c.alarms.Clear(c.part, fault.Invalid)
	c.log.Info("certificate changed", "cert_file", c.cfg.CertFile)
	c.config = config
	return config
}

// load reads the files.
func (t *TLS) load() (*tls.Config, error) {
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

// Identity gives the name in the valid client certificate of a connection that
// Open's listener accepted: the common name, else the first DNS name, else the
// first e-mail address. It is empty without a certificate, and before the first
// Read has returned.
func Identity(nc net.Conn) string {
	switch c := nc.(type) {
	case *tls.Conn:
		state := c.ConnectionState()
		return identity(&state)
	case *wsConn:
		return c.identity
	}
	return ""
}

func identity(state *tls.ConnectionState) string {
	if state == nil || len(state.VerifiedChains) == 0 {
		return ""
	}
	leaf := state.PeerCertificates[0]
	name := leaf.Subject.CommonName
	switch {
	case name != "":
	case len(leaf.DNSNames) > 0:
		name = leaf.DNSNames[0]
	case len(leaf.EmailAddresses) > 0:
		name = leaf.EmailAddresses[0]
	}
	if !isUserName(name) {
		return ""
	}
	return name
}

// isUserName tells whether MQTT could carry the name as a user name, and a log could show it.
func isUserName(name string) bool {
	if len(name) > 1024 || !utf8.ValidString(name) {
		return false
	}
	for _, r := range name {
		if unicode.IsControl(r) {
			return false
		}
	}
	return true
}
