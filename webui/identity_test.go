package webui_test

import (
	"crypto/tls"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"fieldgate/webui"
	"fieldgate/webui/api"
)

// shown gives the certificate that a new connection is shown.
func shown(t *testing.T, addr string) []byte {
	t.Helper()
	conn, err := tls.Dial("tcp", addr, &tls.Config{InsecureSkipVerify: true})
	require.NoError(t, err)
	defer conn.Close()
	return conn.ConnectionState().PeerCertificates[0].Raw
}

func TestTLS_CertificateIsReplacedWhileThePageRuns(t *testing.T) {
	other := newHouse(t)
	otherAddr := other.run(func(c *webui.Config) { c.TLS = webui.TLSConfig{Mode: webui.TLSAuto} })
	foreign := shown(t, otherAddr)
	certPEM, err := os.ReadFile(filepath.Join(other.dir, "admin-cert.pem"))
	require.NoError(t, err)
	keyPEM, err := os.ReadFile(filepath.Join(other.dir, "admin-key.pem"))
	require.NoError(t, err)

	h := newHouse(t)
	s, addr := h.start(func(c *webui.Config) { c.TLS = webui.TLSConfig{Mode: webui.TLSAuto} })
	first := shown(t, addr)
	own, err := s.Certificate()
	require.NoError(t, err)
	require.True(t, own.Own)
	require.Equal(t, webui.TLSAuto, own.Mode)
	require.Contains(t, own.Names, "127.0.0.1")
	require.Len(t, own.Fingerprint, 95)

	require.NoError(t, s.Replace(certPEM, keyPEM))
	require.Equal(t, foreign, shown(t, addr), "a new connection gets the new one")
	kept, err := os.ReadFile(filepath.Join(h.dir, "admin-cert.pem"))
	require.NoError(t, err)
	require.Equal(t, string(certPEM), string(kept), "after a restart too")

	for name, pair := range map[string][2]string{
		"/certificate": {"nonsense", string(keyPEM)},
		"/key":         {string(certPEM), "nonsense"},
	} {
		err := s.Replace([]byte(pair[0]), []byte(pair[1]))
		require.ErrorContains(t, err, "can't be used")
		require.ErrorContains(t, err, name[1:])
		require.NotContains(t, err.Error(), "nonsense")
	}
	require.Equal(t, foreign, shown(t, addr), "what can't be used changes nothing")

	require.NoError(t, s.Renew())
	require.NotEqual(t, foreign, shown(t, addr))
	require.NotEqual(t, first, shown(t, addr))
}

func TestTLS_HostFileDecides(t *testing.T) {
	h := newHouse(t)
	certFile, keyFile := filepath.Join(h.dir, "c.pem"), filepath.Join(h.dir, "k.pem")
	for mode, change := range map[string]webui.TLSConfig{
		"off":   {Mode: webui.TLSOff},
		"files": {Mode: webui.TLSFiles, CertFile: certFile, KeyFile: keyFile},
	} {
		t.Run(mode, func(t *testing.T) {
			s := h.server(func(c *webui.Config) { c.TLS = change })
			w := call(t, s.Handler(), "GET", "http://localhost/api/v1/system/tls", "")
			require.Equal(t, http.StatusOK, w.Code, w.Body)
			var c api.Certificate
			require.NoError(t, json.Unmarshal(w.Body.Bytes(), &c))
			require.Equal(t, mode, c.Mode)
			w = call(t, s.Handler(), "PUT", "http://localhost/api/v1/system/tls", `{"certificate":"c","key":"k"}`, "Content-Type", "application/json")
			require.Equal(t, http.StatusConflict, w.Code, w.Body)
			require.True(t, strings.Contains(w.Body.String(), "host file"))
			require.Equal(t, http.StatusConflict, call(t, s.Handler(), "DELETE", "http://localhost/api/v1/system/tls", "").Code)
		})
	}
}
