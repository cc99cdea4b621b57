package gateway_test

import (
	"crypto/tls"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"fieldgate/broker/listen"
	"fieldgate/webui"
)

// TestRun_MQTTOverTLSHasThePagesCertificateFromTheFirstStart is the package's host file, in an empty data folder.
func TestRun_MQTTOverTLSHasThePagesCertificateFromTheFirstStart(t *testing.T) {
	file := hostFile(t)
	file.Admin.TLS = webui.TLSConfig{Mode: webui.TLSAuto}
	file.MQTT.Listeners[0].TLS = &listen.TLS{CertFile: filepath.Join(file.DataDir, "admin-cert.pem"), KeyFile: filepath.Join(file.DataDir, "admin-key.pem")}
	g := build(t, file)
	run(t, g)
	ready(t, g)
	require.Eventually(t, func() bool { return len(g.MQTTAddrs()) == 1 }, patience, time.Millisecond)
	conn, err := tls.Dial("tcp", g.MQTTAddrs()[0].String(), &tls.Config{InsecureSkipVerify: true})
	require.NoError(t, err)
	require.NoError(t, conn.ConnectionState().PeerCertificates[0].VerifyHostname("127.0.0.1"))
	require.NoError(t, conn.Close())
	logs := ask(t, g, "GET", "/logs?level=error", "", 200)
	require.NotContains(t, logs, "listener can't be opened", "the certificate stood before the listener wanted it")
}
