package webui

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"
)

const (
	ownCert = "admin-cert.pem"
	ownKey  = "admin-key.pem"
)

// certificate reads the certificate of the config, or makes the own one.
func (s *Server) certificate() (tls.Certificate, error) {
	certFile, keyFile := s.cfg.TLS.CertFile, s.cfg.TLS.KeyFile
	if s.cfg.TLS.Mode == TLSAuto {
		certFile, keyFile = filepath.Join(s.cfg.DataDir, ownCert), filepath.Join(s.cfg.DataDir, ownKey)
		if _, err := os.Stat(certFile); errors.Is(err, fs.ErrNotExist) {
			if err := makeCertificate(certFile, keyFile); err != nil {
				return tls.Certificate{}, fmt.Errorf("make the admin page's own certificate: %w", err)
			}
			s.log.Info("own certificate made", "cert_file", certFile)
		}
	}
	cert, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		return cert, fmt.Errorf("read the admin page's certificate %s and key %s: %w", certFile, keyFile, err)
	}
	return cert, nil
}

// makeCertificate signs an own certificate for the machine's names and addresses.
// Its validity does not begin with the machine's clock, which may be wrong at the
// first start, and does not end in the life of the machine: browsers keep the
// exception that a person made for exactly this certificate.
func makeCertificate(certFile, keyFile string) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return err
	}
	name, _, _ := strings.Cut(hostname(), ".")
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: name, Organization: []string{"fieldgate"}},
		NotBefore: time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC), NotAfter: time.Date(2055, 1, 1, 0, 0, 0, 0, time.UTC),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, BasicConstraintsValid: true,
		DNSNames: []string{name, name + ".local", "localhost"}, IPAddresses: ownAddresses(),
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	// the certificate last: where it stands, its key stands too
	if err := writeFile(keyFile, &pem.Block{Type: "PRIVATE KEY", Bytes: private}, 0o600); err != nil {
		return err
	}
	return writeFile(certFile, &pem.Block{Type: "CERTIFICATE", Bytes: cert}, 0o644)
}

// writeFile writes a PEM file whole or not at all.
func writeFile(name string, block *pem.Block, mode fs.FileMode) error {
	f, err := os.OpenFile(name+".new", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, mode)
	if err != nil {
		return err
	}
	if err := errors.Join(pem.Encode(f, block), f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(name+".new", name)
}

// ownAddresses gives the machine's addresses; a machine that does not tell has the loopback ones.
func ownAddresses() []net.IP {
	ips := []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback}
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return ips
	}
	for _, a := range addrs {
		if n, ok := a.(*net.IPNet); ok && !n.IP.IsLoopback() && !n.IP.IsLinkLocalUnicast() {
			ips = append(ips, n.IP)
		}
	}
	return ips
}
