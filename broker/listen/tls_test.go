package listen_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"fieldgate/broker/listen"
	"fieldgate/internal/fault"
)

// signer is a certificate authority.
type signer struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pool *x509.CertPool
}

// newSigner makes an authority and writes its certificate to file.
func newSigner(t testing.TB, file string) *signer {
	s := &signer{pool: x509.NewCertPool()}
	var err error
	s.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: "authority"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, &template, &template, &s.key.PublicKey, s.key)
	require.NoError(t, err)
	s.cert, err = x509.ParseCertificate(der)
	require.NoError(t, err)
	s.pool.AddCert(s.cert)
	require.NoError(t, os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600))
	return s
}

// sign makes a certificate that is good for 127.0.0.1 and for a client, and writes it.
func (s *signer) sign(t testing.TB, subject x509.Certificate, certFile, keyFile string) tls.Certificate {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	subject.SerialNumber = big.NewInt(time.Now().UnixNano())
	subject.NotBefore, subject.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	subject.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1)}
	subject.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	der, err := x509.CreateCertificate(rand.Reader, &subject, s.cert, &key.PublicKey, s.key)
	require.NoError(t, err)
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	certPEM := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	keyPEM := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})
	require.NoError(t, os.WriteFile(certFile, certPEM, 0o600))
	require.NoError(t, os.WriteFile(keyFile, keyPEM, 0o600))
	cert, err := tls.X509KeyPair(certPEM, keyPEM)
	require.NoError(t, err)
	return cert
}

func named(name string) x509.Certificate {
	return x509.Certificate{Subject: pkix.Name{CommonName: name}}
}

// place is a folder with an authority and a server's certificate.
type place struct {
	*signer
	dir string
	cfg listen.TLS
}

func newPlace(t testing.TB) place {
	p := place{dir: t.TempDir()}
	p.cfg = listen.TLS{CertFile: p.file("cert.pem"), KeyFile: p.file("key.pem"), ClientCAFile: p.file("ca.pem")}
	p.signer = newSigner(t, p.cfg.ClientCAFile)
	p.sign(t, named("first"), p.cfg.CertFile, p.cfg.KeyFile)
	return p
}

func (p place) file(name string) string { return filepath.Join(p.dir, name) }

func (p place) client(t testing.TB, subject x509.Certificate) tls.Certificate {
	return p.sign(t, subject, p.file("client.pem"), p.file("client-key.pem"))
}

func TestOpen_TLS(t *testing.T) {
	p := newPlace(t)
	client := &tls.Config{RootCAs: p.pool}
	ln := open(t, listen.Config{Address: "127.0.0.1:0", TLS: &p.cfg})
	nc, err := tls.Dial("tcp", ln.Addr().String(), client)
	hello(t, nc, err)
	for _, c := range []struct {
		name  string
		cfg   listen.TLS
		words string
	}{
		{"no certificate", listen.TLS{CertFile: p.file("none"), KeyFile: p.cfg.KeyFile}, "load certificate"},
		{"a key of another", listen.TLS{CertFile: p.cfg.ClientCAFile, KeyFile: p.cfg.KeyFile}, "load certificate"},
		{"no authority", listen.TLS{CertFile: p.cfg.CertFile, KeyFile: p.cfg.KeyFile, ClientCAFile: p.file("none")}, "no such file"},
		{"an authority that is a key", listen.TLS{CertFile: p.cfg.CertFile, KeyFile: p.cfg.KeyFile, ClientCAFile: p.cfg.KeyFile}, "no PEM certificate"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err = tryOpen(t, listen.Config{Address: "127.0.0.1:0", TLS: &c.cfg})
			require.ErrorContains(t, err, c.words)
		})
	}
}

func TestIdentity_IsTheNameInTheClientCertificate(t *testing.T) {
	p := newPlace(t)
	other := newSigner(t, p.file("other.pem"))
	for _, c := range []struct {
		name     string
		require  bool
		certs    []tls.Certificate
		version  uint16
		identity string
		refused  bool
	}{
		{"the common name", true, []tls.Certificate{p.client(t, named("anna"))}, 0, "anna", false},
		{"over TLS 1.2", true, []tls.Certificate{p.client(t, named("anna"))}, tls.VersionTLS12, "anna", false},
		{"a DNS name", true, []tls.Certificate{p.client(t, x509.Certificate{DNSNames: []string{"a.example", "b.example"}, EmailAddresses: []string{"c@example"}})}, 0, "a.example", false},
		{"an e-mail address", true, []tls.Certificate{p.client(t, x509.Certificate{EmailAddresses: []string{"c@example"}})}, 0, "c@example", false},
		{"no name", true, []tls.Certificate{p.client(t, x509.Certificate{})}, 0, "", false},
		{"a name that can't be shown", true, []tls.Certificate{p.client(t, named("a\nb"))}, 0, "", false},
		{"no certificate", false, nil, 0, "", false},
		{"no certificate where one is required", true, nil, 0, "", true},
		{"a certificate of another authority", false, []tls.Certificate{other.sign(t, named("anna"), p.file("x"), p.file("y"))}, 0, "", true},
		{"TLS 1.1", false, nil, tls.VersionTLS11, "", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg := p.cfg
			cfg.RequireClientCert = c.require
			ln, err := tryOpen(t, listen.Config{Address: "127.0.0.1:0", TLS: &cfg})
			require.NoError(t, err)
			defer ln.Close()
			accepted := make(chan net.Conn, 1)
			go func() {
				nc, _ := ln.Accept()
				_, _ = nc.Read(make([]byte, 1))
				accepted <- nc
			}()
			socket, err := net.Dial("tcp", ln.Addr().String())
			require.NoError(t, err)
			defer socket.Close()
			client := tls.Client(socket, &tls.Config{RootCAs: p.pool, ServerName: "127.0.0.1", MinVersion: tls.VersionTLS10, MaxVersion: c.version,
				GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { // whoever the server asks for
					if len(c.certs) == 0 {
						return &tls.Certificate{}, nil
					}
					return &c.certs[0], nil
				}})
			_, err = client.Write([]byte("x"))
			if err == nil && c.refused { // TLS 1.3 tells later
				_, err = client.Read(make([]byte, 1))
			}
			require.Equal(t, c.refused, err != nil, "%v", err)
			nc := <-accepted
			defer nc.Close()
			require.Equal(t, c.identity, listen.Identity(nc))
		})
	}
}

func TestIdentity_OfAWebSocketIsThatOfItsTLS(t *testing.T) {
	p := newPlace(t)
	ln, err := tryOpen(t, listen.Config{Address: "127.0.0.1:0", Transport: "websocket", TLS: &p.cfg})
	require.NoError(t, err)
	defer ln.Close()
	accepted := make(chan net.Conn, 1)
	go func() {
		nc, _ := ln.Accept()
		accepted <- nc
	}()
	client := dialSecureWebSocket(t, ln, &tls.Config{RootCAs: p.pool, Certificates: []tls.Certificate{p.client(t, named("anna"))}})
	defer client.CloseNow()
	nc := <-accepted
	require.Equal(t, "anna", listen.Identity(nc))
	require.NoError(t, nc.Close())
	require.Empty(t, listen.Identity(nil))
}

// handshake gives the name of the server's certificate.
func handshake(t *testing.T, server *tls.Config, pool *x509.CertPool) (string, *tls.Conn) {
	near, far := net.Pipe()
	done := make(chan error, 1)
	s := tls.Server(far, server)
	go func() { done <- s.Handshake() }()
	c := tls.Client(near, &tls.Config{RootCAs: pool, ServerName: "127.0.0.1", MaxVersion: tls.VersionTLS12}) // which ends with the handshake
	require.NoError(t, c.Handshake())
	require.NoError(t, <-done)
	t.Cleanup(func() {
		near.Close()
		far.Close()
	})
	return c.ConnectionState().PeerCertificates[0].Subject.CommonName, c
}

func TestCertificates_AreReadAgainWhenTheyChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPlace(t)
		var alarms fault.Alarms
		server, err := listen.ServerConfig(p.cfg, "mqtt/:8883", &alarms, slog.New(slog.DiscardHandler))
		require.NoError(t, err)
		expect := func(name string, alarmed bool) {
			t.Helper()
			got, _ := handshake(t, server, p.pool)
			require.Equal(t, name, got)
			list, _ := alarms.List()
			if !alarmed {
				require.Empty(t, list)
				return
			}
			require.Len(t, list, 1)
			require.Equal(t, "mqtt/:8883", list[0].Part)
			require.Equal(t, fault.Invalid, list[0].Code)
			require.Contains(t, list[0].Message, "the old one stays")
		}
		time.Sleep(time.Minute)
		expect("first", false)

		p.sign(t, named("second certificate"), p.cfg.CertFile, p.cfg.KeyFile)
		expect("first", false) // looked at a moment ago
		time.Sleep(3 * time.Second)
		expect("second certificate", false)

		require.NoError(t, os.WriteFile(p.cfg.CertFile, []byte("half a file"), 0o600))
		time.Sleep(3 * time.Second)
		expect("second certificate", true)
		require.NoError(t, os.Remove(p.cfg.KeyFile))
		time.Sleep(3 * time.Second)
		expect("second certificate", true)

		p.sign(t, named("third"), p.cfg.CertFile, p.cfg.KeyFile)
		time.Sleep(3 * time.Second)
		expect("third", false)
	})
}

func TestCertificates_FollowTheClientAuthorityAndKeepConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPlace(t)
		p.cfg.RequireClientCert = true
		server, err := listen.ServerConfig(p.cfg, "mqtt/:8883", &fault.Alarms{}, slog.New(slog.DiscardHandler))
		require.NoError(t, err)
		client := &tls.Config{RootCAs: p.pool, ServerName: "127.0.0.1", MaxVersion: tls.VersionTLS12, // which ends with the handshake
			Certificates: []tls.Certificate{p.client(t, named("anna"))}, ClientSessionCache: tls.NewLRUClientSessionCache(1)}
		connect := func() (near, far *tls.Conn, err error) {
			a, b := net.Pipe()
			t.Cleanup(func() {
				_ = a.Close()
				_ = b.Close()
			})
			near, far = tls.Client(a, client), tls.Server(b, server)
			served := make(chan error, 1)
			go func() {
				err := far.Handshake()
				if err != nil {
					_ = b.Close()
				}
				served <- err
			}()
			_ = near.Handshake() // the server decides
			return near, far, <-served
		}
		near, far, err := connect()
		require.NoError(t, err)
		require.Equal(t, "anna", listen.Identity(far))
		_, resumed, err := connect()
		require.NoError(t, err)
		require.True(t, resumed.ConnectionState().DidResume)
		require.Equal(t, "anna", listen.Identity(resumed))

		newSigner(t, p.cfg.ClientCAFile)
		time.Sleep(3 * time.Second)
		_, _, err = connect()
		require.Error(t, err, "neither the certificate nor the session counts any more")
		go func() { _, _ = far.Write([]byte("x")) }()
		_, err = near.Read(make([]byte, 1))
		require.NoError(t, err, "a connection stays")
	})
}
