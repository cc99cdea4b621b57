package listen

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"path"
	"strconv"
	"strings"

	"fieldgate/internal/fault"
)

// The transports.
const (
	TCP       = "tcp" // also over a Unix socket
	WebSocket = "websocket"
)

// What holds where the host file is silent.
const (
	DefaultPath          = "/mqtt" // of a websocket
	DefaultMost          = 10_000  // connections of one listener
	DefaultMostOfAddress = 2_000   // of them from one address
	DefaultRate          = 1_000   // new connections a second
	DefaultRateTLS       = 200     // the same with TLS, whose handshake costs more than all else
	DefaultRateOfAddress = 100     // of them from one address
	DefaultBurst         = 2_000   // new connections at once, from one address too
)

// mostLimit is the highest number of connections that may be configured.
const mostLimit = 1_000_000

// Config is one listener, as in the host file.
type Config struct {
	Address string `json:"address"` // host:port, [IPv6]:port or unix:PATH; without a host all addresses of IPv4 and IPv6; port 0 takes a free one

	// Transport is TCP or WebSocket; empty means TCP.
	Transport string `json:"transport,omitempty"`
	// Path is where a websocket is found, from its first /; empty means DefaultPath.
	Path string `json:"path,omitempty"`
	// Origins are the web pages that may open a websocket, beside those of the same host name: patterns of
	// path.Match such as panel.example.com, https://*.example.com or * for all. Programs that are no browser
	// send no origin and are not checked.
	Origins []string `json:"origins,omitempty"`

	TLS *TLS `json:"tls,omitempty"` // nil for plain

	// MaxConnections is how many clients this listener serves at the same time, 1 to 1,000,000; 0 means
	// DefaultMost. The broker's own limit counts over all listeners.
	MaxConnections int `json:"max_connections,omitempty"`
	// MaxConnectionsPerAddress is how many of them may come from one IPv4 address or one IPv6 network of
	// 64 bits, 1 to 1,000,000; 0 means DefaultMostOfAddress. This machine's own addresses (loopback, Unix
	// sockets) are not limited.
	MaxConnectionsPerAddress int `json:"max_connections_per_address,omitempty"`
	// MaxConnectionRate is how many new clients this listener takes in a second after MaxConnectionBurst at once,
	// 1 to 1,000,000; 0 means DefaultRate, with TLS DefaultRateTLS. More of them wait; nobody is sent away for it.
	// This machine's own addresses wait too.
	MaxConnectionRate int `json:"max_connection_rate,omitempty"`
	// MaxConnectionRatePerAddress is how many of them may come from one IPv4 address or one IPv6 network of 64
	// bits, after MaxConnectionBurst at once too, 1 to 1,000,000; 0 means DefaultRateOfAddress. More of them wait, and
	// others overtake them. This machine's own addresses are not limited.
	MaxConnectionRatePerAddress int `json:"max_connection_rate_per_address,omitempty"`
	// MaxConnectionBurst is how many may come at once, 1 to 1,000,000; 0 means DefaultBurst. It is full again
	// after MaxConnectionBurst / MaxConnectionRate seconds without new connections.
	MaxConnectionBurst int `json:"max_connection_burst,omitempty"`
}

// TLS says with what certificate a listener proves who it is, and whom it lets
// in. The files are read again when they change; connections stay.
type TLS struct {
	CertFile string `json:"cert_file"` // PEM, with the intermediate certificates
	KeyFile  string `json:"key_file"`  // PEM
	// ClientCAFile holds the certificates (PEM) that sign client certificates. The name in a valid client
	// certificate is a user name that needs no password.
	ClientCAFile string `json:"client_ca_file,omitempty"`
	// RequireClientCert lets nobody in without a valid client certificate.
	RequireClientCert bool `json:"require_client_cert,omitempty"`
}

// Validate tells what is wrong, with JSON pointers that begin at the listener.
func (c Config) Validate() fault.List {
	var faults fault.List
	if socket, unix := strings.CutPrefix(c.Address, "unix:"); unix {
		if socket == "" || len(socket) > 100 {
			faults.Add("/address", fault.Invalid, "must be unix: and a path of at most 100 bytes")
		}
	} else if c.Address == "" {
		faults.Add("/address", fault.Required, "must be host:port or unix:PATH")
	} else if err := checkHostPort(c.Address); err != nil {
		faults.Add("/address", fault.Invalid, "must be host:port or unix:PATH, such as 127.0.0.1:1883: %v", err)
	}
	switch c.Transport {
	case "", TCP:
		if c.Path != "" {
			faults.Add("/path", fault.Invalid, "only a websocket has a path")
		}
		if len(c.Origins) > 0 {
			faults.Add("/origins", fault.Invalid, "only a websocket has origins")
		}
	case WebSocket:
		c.validateWebSocket(&faults)
	default:
		faults.Add("/transport", fault.Invalid, "must be %s or %s", TCP, WebSocket)
	}
	if c.TLS != nil {
		c.TLS.validate(&faults)
	}
	for _, n := range []struct {
		key   string
		value int
	}{
		{"max_connections", c.MaxConnections},
		{"max_connections_per_address", c.MaxConnectionsPerAddress},
		{"max_connection_rate", c.MaxConnectionRate},
		{"max_connection_rate_per_address", c.MaxConnectionRatePerAddress},
		{"max_connection_burst", c.MaxConnectionBurst},
	} {
		if n.value < 0 || n.value > mostLimit {
			faults.Add("/"+n.key, fault.OutOfRange, "must be 1 to %d", mostLimit)
		}
	}
	return faults
}

// limits gives the limits with what holds where the host file is silent.
func (c Config) limits() limits {
	rate := DefaultRate
	if c.TLS != nil {
		rate = DefaultRateTLS
	}
	return limits{
		most: cmp.Or(c.MaxConnections, DefaultMost), mostOfAddress: cmp.Or(c.MaxConnectionsPerAddress, DefaultMostOfAddress),
		rate: cmp.Or(c.MaxConnectionRate, rate), burst: cmp.Or(c.MaxConnectionBurst, DefaultBurst),
		rateOfAddress: cmp.Or(c.MaxConnectionRatePerAddress, DefaultRateOfAddress),
	}
}

func (c Config) validateWebSocket(faults *fault.List) {
	switch {
	case c.Path == "":
	case !strings.HasPrefix(c.Path, "/") || len(c.Path) > 255 || strings.ContainsAny(c.Path, "?#% ") || path.Clean(c.Path) != c.Path:
		faults.Add("/path", fault.Invalid, "must be a path of at most 255 bytes such as /mqtt, without ?, #, %%, spaces and a / at its end")
	}
	for i, pattern := range c.Origins {
		if _, err := path.Match(pattern, ""); err != nil || pattern == "" {
			faults.Add("/origins/"+strconv.Itoa(i), fault.Invalid, "must be a host such as panel.example.com, or with its scheme such as https://*.example.com")
		}
	}
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
