package main_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestSystem_PagesOfOthers drives the page of docs/browser.md, its client, MQTT.js and the Paho JavaScript
// client in Chromium against our WebSocket listeners.
func TestSystem_PagesOfOthers(t *testing.T) {
	b := newBox(t)
	ports := freePorts(t, 5) // none of them twice
	b.mqtt, b.admin = ports[0], ports[1]
	closed, open, secure := ports[2], ports[3], ports[4]
	cert, key := selfSigned(t)
	host := fmt.Sprintf(`data_dir: %s
log: {level: info}
mqtt:
  listeners:
    - {address: "%s"}
    - {address: "%s", transport: websocket}
    - {address: "%s", transport: websocket, origins: ["http://localhost:*"]}
    - {address: "%s", transport: websocket, origins: ["http://localhost:*"], tls: {cert_file: %s, key_file: %s}}
  allow_anonymous: false
admin: {address: "%s"}
`, b.data(), b.mqtt, closed, open, secure, cert, key, b.admin)
	require.NoError(t, os.WriteFile(b.config(), []byte(host), 0o600))
	b.start()
	for _, address := range []string{b.admin, closed, open, secure} {
		awaitPort(t, address)
	}
	path, err := built()
	require.NoError(t, err)
	add := exec.Command(path, "account", "add", "panel", "--config", b.config())
	add.Stdin = strings.NewReader("the panel's password\n")
	out, err := add.CombinedOutput()
	require.NoError(t, err, "%s", out)
	chromium(t, "client.test", "FG_CLIENT=http://"+b.admin,
		"FG_WS=ws://"+closed+"/mqtt", "FG_WS_OPEN=ws://"+open+"/mqtt", "FG_WSS=wss://"+secure+"/mqtt")
}

// selfSigned writes a certificate for this machine and its key.
func selfSigned(t *testing.T) (certFile, keyFile string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	require.NoError(t, err)
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	dir := t.TempDir()
	certFile, keyFile = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	require.NoError(t, os.WriteFile(certFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600))
	require.NoError(t, os.WriteFile(keyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}), 0o600))
	return certFile, keyFile
}
