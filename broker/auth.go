package broker

import (
	"errors"
	"net"
	"net/netip"

	"fieldgate/broker/access"
)

// Why a client may not connect.
var (
	ErrCredentials   = errors.New("bad user name or password")
	ErrNotAuthorized = errors.New("not authorized")
	ErrTooMany       = errors.New("too many wrong passwords from this address")
)

// Login is a client that wants to connect with a user name.
type Login struct {
	ClientID string
	Username string
	Password []byte     // nil when the client gave none
	From     netip.Addr // invalid when it is not known, as on a Unix socket
}

// Authenticator decides who may connect with a user name, and what clients may do.
// All methods may be called at the same time.
type Authenticator interface {
	// Authenticate gives nil, ErrCredentials, ErrNotAuthorized or ErrTooMany; any
	// other error means that it can't tell. It may take its time.
	Authenticate(l Login) error
	// Certified is asked instead when a valid client certificate proved the user
	// name; its errors mean the same.
	Certified(l Login) error
	// Policy gives what clients may do now; nil for everything.
	Policy() *access.Policy
	// Watch is called once; revoked is to be called with each user who may no
	// longer stay connected, changed after Policy gives another one.
	Watch(revoked func(username string), changed func())
}

// addressOf gives the address that a connection comes from.
func addressOf(nc net.Conn) netip.Addr {
	if a, ok := nc.RemoteAddr().(*net.TCPAddr); ok {
		return a.AddrPort().Addr().Unmap()
	}
	if a := nc.RemoteAddr(); a != nil {
		if ap, err := netip.ParseAddrPort(a.String()); err == nil { // a WebSocket's
			return ap.Addr().Unmap()
		}
	}
	return netip.Addr{}
}
