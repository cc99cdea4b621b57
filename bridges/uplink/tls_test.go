package uplink_test

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
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"fieldgate/bridges"
	"fieldgate/broker/mqtt"
)

// certificate writes a self-signed certificate for 127.0.0.1 and its key as PEM files.
func certificate(t *testing.T) (certFile, keyFile string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "cloud"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	require.NoError(t, err)
	secret, err := x509.MarshalECPrivateKey(key)
	require.NoError(t, err)
	dir := t.TempDir()
	certFile, keyFile = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	require.NoError(t, os.WriteFile(certFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o644))
	require.NoError(t, os.WriteFile(keyFile, pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: secret}), 0o644))
	return certFile, keyFile
}

func TestUplink_VerifiesTheCloudsCertificate(t *testing.T) {
	cert, key := certificate(t)
	address := mosquitto(t, "allow_anonymous true", "certfile "+cert, "keyfile "+key)
	_, port, err := net.SplitHostPort(address)
	require.NoError(t, err)
	for _, c := range []struct{ name, settings, reason string }{
		{"nobody vouches for it", fmt.Sprintf(`"url":"mqtts://%s"`, address), "ca_file"},
		{"another name", fmt.Sprintf(`"url":"mqtts://127.0.0.1:%s","tls":{"ca_file":%q,"server_name":"other.example"}`, port, cert), "server_name"},
		{"plain where TLS is spoken", fmt.Sprintf(`"url":"mqtt://%s"`, address), "TLS"},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := newGateway()
			start(t, g, fmt.Sprintf(`{"id":"cloud",%s,"out":[{"filter":"#"}]}`, c.settings))
			require.Contains(t, g.awaitState(t, bridges.Disconnected), c.reason)
		})
	}
	t.Run("the right one", func(t *testing.T) {
		g := newGateway()
		g.offer("a", "1", mqtt.AtLeastOnce)
		start(t, g, fmt.Sprintf(`{"id":"cloud","url":"mqtts://%s","tls":{"ca_file":%q},"out":[{"filter":"#","qos":1}]}`, address, cert))
		g.awaitState(t, bridges.Connected)
		g.await(t, "the queue is empty", func() bool { return g.waiting() == 0 })
	})
}
