package uplink

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/coder/websocket"

	"fieldgate/broker/mqtt"
	"fieldgate/broker/packet"
)

const (
	// connectTimeout bounds all from the name look-up to CONNACK.
	connectTimeout = 20 * time.Second
	goodbyeTimeout = time.Second / 2
	// maxConnack bounds the cloud's first packet, in bytes: nobody has shown who he is before it.
	maxConnack = 64 << 10
	// maxPacket bounds what the cloud may send in one packet, in bytes.
	maxPacket = 8 << 20
	// sessionExpiry is how long a 5.0 cloud keeps our session while the link is down, in seconds: a week, the most that AWS IoT allows.
	sessionExpiry = 7 * 24 * 3600
)

// refused is a CONNACK that says no.
type refused struct{ reason mqtt.ReasonCode }

func (e *refused) Error() string { return "connection refused: " + e.reason.String() }

// connect dials and shakes hands; the connection is the caller's to close.
func (u *uplink) connect(ctx context.Context) (net.Conn, *packet.Connack, error) {
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	conn, err := u.dial(ctx)
	if err != nil {
		return nil, nil, err
	}
	// The handshake blocks in Read: whoever cancels ctx closes the connection under it.
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	accepted, err := u.handshake(conn)
	if !stop() && err == nil {
		err = ctx.Err()
	}
	if err != nil {
		conn.Close()
		return nil, nil, err
	}
	return conn, accepted, nil
}

func (u *uplink) dial(ctx context.Context) (net.Conn, error) {
	var secure *tls.Config
	if u.cloud.secure() {
		var err error
		if secure, err = u.cfg.TLS.client(u.cloud.name); err != nil {
			return nil, err
		}
	}
	if u.cloud.webSocket() {
		return dialWebSocket(ctx, u.cloud.url, secure)
	}
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", u.cloud.host)
	if err != nil || secure == nil {
		return conn, err
	}
	t := tls.Client(conn, secure)
	if err := t.HandshakeContext(ctx); err != nil {
		conn.Close()
		return nil, err
	}
	return t, nil
}

// client reads the certificate files at every connection, so that renewed ones are taken up.
func (t TLS) client(host string) (*tls.Config, error) {
	cfg := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: host, NextProtos: t.ALPN}
	if t.ServerName != "" {
		cfg.ServerName = t.ServerName
	}
	if t.CAFile != "" {
		pem, err := os.ReadFile(t.CAFile)
		if err != nil {
			return nil, fmt.Errorf("read ca_file: %w", err)
		}
		cfg.RootCAs = x509.NewCertPool()
		if !cfg.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("ca_file %s holds no certificate in PEM form", t.CAFile)
		}
	}
	if t.CertFile != "" {
		pair, err := tls.LoadX509KeyPair(t.CertFile, t.KeyFile)
		if err != nil {
			return nil, fmt.Errorf("read cert_file and key_file: %w", err)
		}
		cfg.Certificates = []tls.Certificate{pair}
	}
	return cfg, nil
}

func (u *uplink) handshake(conn net.Conn) (*packet.Connack, error) {
	hello := packet.Connect{
		Version:     u.cfg.Version,
		CleanStart:  false, // the cloud keeps commands for us while the link is down
		KeepAlive:   uint16(u.cfg.KeepAlive / time.Second),
		ClientID:    u.cfg.ClientID,
		HasUsername: u.cfg.Username != "",
		Username:    u.cfg.Username,
		HasPassword: u.cfg.Password != "",
		Password:    []byte(u.cfg.Password),

		SessionExpiry:  sessionExpiry,
		ReceiveMaximum: maxInflight,
		MaxPacketSize:  maxPacket,
		RequestProblem: true,
	}
	if _, err := conn.Write(hello.Append(nil)); err != nil {
		return nil, err
	}
	raw, err := readConnack(conn)
	if err != nil {
		return nil, fmt.Errorf("wait for CONNACK: %w", err)
	}
	if packet.TypeOf(raw[0]) != packet.CONNACK {
		return nil, errors.New("the far side does not speak MQTT")
	}
	var answer packet.Connack
	if err := answer.Decode(raw, u.cfg.Version); err != nil {
		return nil, err
	}
	if answer.Reason != mqtt.Success {
		return nil, &refused{answer.Reason}
	}
	return &answer, nil
}

// readConnack reads exactly one packet and nothing behind it.
func readConnack(r io.Reader) ([]byte, error) {
	raw := make([]byte, 0, 64)
	for {
		n, err := packet.Length(raw, maxConnack)
		if err != nil {
			return nil, err
		}
		if n == 0 { // one more byte of the fixed header
			n = len(raw) + 1
		} else if n <= len(raw) {
			return raw, nil
		}
		had := len(raw)
		raw = append(raw, make([]byte, n-had)...)
		if _, err := io.ReadFull(r, raw[had:]); err != nil {
			return nil, err
		}
	}
}

func goodbye(conn net.Conn, v mqtt.Version) error {
	conn.SetWriteDeadline(time.Now().Add(goodbyeTimeout))
	_, err := conn.Write((&packet.Disconnect{}).Append(nil, v))
	return errors.Join(err, conn.Close())
}

func dialWebSocket(ctx context.Context, url string, secure *tls.Config) (net.Conn, error) {
	opts := &websocket.DialOptions{Subprotocols: []string{"mqtt"}}
	if secure != nil {
		opts.HTTPClient = &http.Client{Transport: &http.Transport{TLSClientConfig: secure, Proxy: http.ProxyFromEnvironment}}
	}
	c, _, err := websocket.Dial(ctx, url, opts)
	if err != nil {
		return nil, err
	}
	c.SetReadLimit(maxPacket)
	// The handshake's context ends before the connection does.
	return websocket.NetConn(context.Background(), c, websocket.MessageBinary), nil
}

// explain says what went wrong in words that tell a person what to do.
func explain(err error) string {
	if r, ok := errors.AsType[*refused](err); ok {
		switch r.reason {
		case mqtt.BadUserNameOrPassword:
			return "the broker refuses the username or the password: check both"
		case mqtt.NotAuthorized:
			return "the broker does not let this client in: check username, password and its access rules"
		case mqtt.ClientIdentifierNotValid:
			return "the broker refuses the client identifier: give another client_id"
		case mqtt.UnsupportedProtocolVersion:
			return "the broker does not speak this version of MQTT: set version to 4 or 5"
		}
		return "the broker refuses the connection: " + r.reason.String()
	}
	if dns, ok := errors.AsType[*net.DNSError](err); ok {
		if dns.IsNotFound {
			return "the host name " + dns.Name + " is not known: check its spelling"
		}
		return "the host name " + dns.Name + " could not be looked up: check the network and its DNS server"
	}
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return "nothing listens at this host and port: check both, and whether the broker runs"
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return "there is no way to this host: check the network cable and the router"
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded):
		return "the broker did not answer in time: check host, port and firewall"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET):
		return "the broker closed the connection: check whether it wants TLS, a username, or has another client with the same client identifier"
	}
	return explainTLS(err)
}

func explainTLS(err error) string {
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return "the broker's certificate is signed by nobody that this gateway trusts: give its certificate authority as ca_file"
	}
	if e, ok := errors.AsType[x509.HostnameError](err); ok {
		return "the broker's certificate is for another name than " + e.Host + ": check the host or set server_name"
	}
	if e, ok := errors.AsType[x509.CertificateInvalidError](err); ok && e.Reason == x509.Expired {
		return "the broker's certificate is not valid now: check the date of this gateway and of the certificate"
	}
	if _, ok := errors.AsType[tls.RecordHeaderError](err); ok {
		return "the broker does not speak TLS at this port: use mqtt:// or another port"
	}
	return strings.TrimPrefix(err.Error(), "tls: ")
}
