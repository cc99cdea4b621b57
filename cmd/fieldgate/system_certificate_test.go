package main_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestSystem_PagesLogInWithACertificate drives MQTT.js, the Paho JavaScript client and our module in a Chromium
// whose certificate store holds a client certificate, over wss; the listener lets nobody in without one.
func TestSystem_PagesLogInWithACertificate(t *testing.T) {
	b, a := newBox(t), newAuthority(t)
	home := a.browserHome(t, "panel")
	certFile, keyFile := a.server(t)
	ports := freePorts(t, 3) // none of them twice
	b.mqtt, b.admin = ports[0], ports[1]
	secure := ports[2]
	host := fmt.Sprintf(`data_dir: %s
mqtt:
  listeners:
    - {address: "%s"}
    - {address: "%s", transport: websocket, tls: {cert_file: %s, key_file: %s, client_ca_file: %s, require_client_cert: true}}
  allow_anonymous: false
admin: {address: "%s"}
`, b.data(), b.mqtt, secure, certFile, keyFile, a.file("ca.pem"), b.admin)
	require.NoError(t, os.WriteFile(b.config(), []byte(host), 0o600))
	b.start()
	for _, address := range []string{b.admin, secure} {
		awaitPort(t, address)
	}
	chromium(t, "certificate.test", "FG_CLIENT=http://"+b.admin, "FG_WSS_CERT=wss://"+secure+"/mqtt", "FG_HOME="+home)
}

// authority signs certificates; its own is the file ca.pem.
type authority struct {
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	a := &authority{dir: t.TempDir(), key: key}
	a.cert = &x509.Certificate{Subject: pkix.Name{CommonName: "authority"}, IsCA: true, KeyUsage: x509.KeyUsageCertSign}
	der := a.sign(t, a.cert, &key.PublicKey)
	a.cert, err = x509.ParseCertificate(der)
	require.NoError(t, err)
	a.write(t, "ca.pem", "CERTIFICATE", der)
	return a
}

func (a *authority) file(name string) string { return filepath.Join(a.dir, name) }

func (a *authority) write(t *testing.T, name, kind string, der []byte) {
	t.Helper()
	require.NoError(t, os.WriteFile(a.file(name), pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600))
}

// sign gives the certificate of a key for an hour.
func (a *authority) sign(t *testing.T, template *x509.Certificate, public any) []byte {
	t.Helper()
	template.SerialNumber = big.NewInt(time.Now().UnixNano())
	template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	template.BasicConstraintsValid = true
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, public, a.key)
	require.NoError(t, err)
	return der
}

// server writes a certificate for this machine, and its key.
func (a *authority) server(t *testing.T) (certFile, keyFile string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	a.write(t, "server.pem", "CERTIFICATE", a.sign(t, &x509.Certificate{
		DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}, &key.PublicKey))
	der, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	a.write(t, "server.key", "PRIVATE KEY", der)
	return a.file("server.pem"), a.file("server.key")
}

// browserHome makes a home folder where Chromium finds a certificate of the user, whose key never leaves
// the folder, and trusts the authority.
func (a *authority) browserHome(t *testing.T, user string) string {
	t.Helper()
	home := t.TempDir()
	database := filepath.Join(home, ".pki/nssdb")
	require.NoError(t, os.MkdirAll(database, 0o700))
	tool := need(t, "certutil")
	certutil := func(args ...string) {
		out, err := exec.Command(tool, append(args, "-d", "sql:"+database)...).CombinedOutput()
		require.NoError(t, err, "%s", out)
	}
	noise := make([]byte, 64)
	_, _ = rand.Read(noise) // it never fails
	require.NoError(t, os.WriteFile(a.file("noise"), noise, 0o600))
	certutil("-N", "--empty-password")
	certutil("-R", "-s", "CN="+user, "-k", "ec", "-q", "nistp256", "-z", a.file("noise"), "-o", a.file("request"))
	der, err := os.ReadFile(a.file("request"))
	require.NoError(t, err)
	request, err := x509.ParseCertificateRequest(der)
	require.NoError(t, err)
	cert := a.sign(t, &x509.Certificate{Subject: request.Subject, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}, request.PublicKey)
	require.NoError(t, os.WriteFile(a.file("user"), cert, 0o600))
	certutil("-A", "-n", user, "-t", ",,", "-i", a.file("user"))
	certutil("-A", "-n", "authority", "-t", "C,,", "-i", a.file("ca.pem"), "-a")
	return home
}
