package listen

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"time"
)

// Listener is an open listener.
type Listener struct {
	net.Listener
	limited *limited      // below TLS and WebSocket
	certs   *certificates // nil without TLS
}

// Limited tells how many connections were closed at once because of the listener's limits, and how many
// had to wait because of its rate, since it was opened. Anybody may ask at any time.
func (l *Listener) Limited() (refused, delayed int64) {
	l.limited.mu.Lock()
	defer l.limited.mu.Unlock()
	return l.limited.refusals.total, l.limited.delays.total
}

// Vouch remembers why the certificate of a client is good, so that the same need
// not be asked again. The zero value knows nothing.
type Vouch struct {
	by    *tls.Config
	until time.Time
}

// Vouches tells whether the certificate of a client that this listener accepted,
// and whose handshake is over, is still one that it would let in: the files may
// have changed since, and certificates end. The error says what is wrong; nil also
// for a client without a certificate. It costs little while nothing has changed.
func (l *Listener) Vouches(nc net.Conn, known Vouch, now time.Time) (Vouch, error) {
	secure := secureOf(nc)
	if l.certs == nil || secure == nil {
		return known, nil
	}
	config := l.certs.current()
	if config == known.by && now.Before(known.until) {
		return known, nil
	}
	chain := secure.ConnectionState().PeerCertificates
	if len(chain) == 0 || config.ClientCAs == nil {
		return Vouch{config, now.AddDate(100, 0, 0)}, nil
	}
	between := x509.NewCertPool()
	until := chain[0].NotAfter
	for _, c := range chain[1:] {
		between.AddCert(c)
		if c.NotAfter.Before(until) {
			until = c.NotAfter
		}
	}
	_, err := chain[0].Verify(x509.VerifyOptions{
		Roots: config.ClientCAs, Intermediates: between, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}, CurrentTime: now,
	})
	if err != nil {
		return Vouch{}, fmt.Errorf("client certificate of %.100q: %w", chain[0].Subject.CommonName, err)
	}
	return Vouch{config, until}, nil
}

// secureOf gives the TLS below a connection; nil when there is none.
func secureOf(nc net.Conn) *tls.Conn {
	switch c := nc.(type) {
	case *tls.Conn:
		return c
	case *wsConn:
		secure, _ := c.Conn.(*tls.Conn)
		return secure
	}
	return nil
}
