package broker

import "errors"

// Why a client may not connect.
var (
	ErrCredentials   = errors.New("bad user name or password")
	ErrNotAuthorized = errors.New("not authorized")
)

// Authenticator decides who may connect with a user name. All methods may be
// called at the same time.
type Authenticator interface {
	// Authenticate gives nil, ErrCredentials or ErrNotAuthorized; any other error
	// means that it can't tell. password is nil when the client gave none. It may take its time.
	Authenticate(clientID, username string, password []byte) error
	// Certified is asked instead when a valid client certificate proved the user
	// name; its errors mean the same.
	Certified(clientID, username string) error
	// Watch is called once; revoked is to be called with each user who may no
	// longer stay connected.
	Watch(revoked func(username string))
}
