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

// OwnFiles names what the page keeps in the data directory.
func OwnFiles() []string { return []string{ownCert, ownKey} }

// certificate gives what the page is served with. When the files of the config
// can't be read it is the own one, with an alarm: the page comes up all the same.
func (s *Server) certificate() (tls.Certificate, error) {
	if s.cfg.TLS.Mode == TLSFiles {
		cert, err := tls.LoadX509KeyPair(s.cfg.TLS.CertFile, s.cfg.TLS.KeyFile)
		if err == nil {
			s.alarms.Clear(alarmPart, codeCertificate)
			return cert, nil
		}
		s.alarms.Raise(alarmPart, codeCertificate, fmt.Sprintf("read the admin page's certificate %s and key %s: %v; its own certificate is used until they can be read at a restart",
			s.cfg.TLS.CertFile, s.cfg.TLS.KeyFile, err))
		s.log.Error("certificate not readable", "cert_file", s.cfg.TLS.CertFile, "err", err)
	}
	cert, err := s.ownCertificate()
	if err != nil {
		return cert, fmt.Errorf("make the admin page's own certificate: %w", err)
	}
	return cert, nil
}

// ownCertificate reads the own certificate from the data directory, or makes it. Without a directory it lasts as long as the process.
func (s *Server) ownCertificate() (tls.Certificate, error) {
	certFile, keyFile := filepath.Join(s.cfg.DataDir, ownCert), filepath.Join(s.cfg.DataDir, ownKey)
	if s.cfg.DataDir != "" {
		cert, err := tls.LoadX509KeyPair(certFile, keyFile)
		if err == nil {
			return cert, nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			s.log.Warn("own certificate not readable, a new one is made", "cert_file", certFile, "err", err)
		}
	}
	certPEM, keyPEM, err := makeCertificate()
	if err != nil {
		return tls.Certificate{}, err
	}
	if s.cfg.DataDir != "" {
		if err := s.keepCertificate(certPEM, keyPEM); err != nil {
			return tls.Certificate{}, err
		}
		s.log.Info("own certificate made", "cert_file", certFile)
	}
	return tls.X509KeyPair(certPEM, keyPEM)
}

// makeCertificate signs an own certificate for the machine's names and addresses.
// Its validity does not begin with the machine's clock, which may be wrong at the
// first start, and does not end in the life of the machine: browsers keep the
// exception that a person made for exactly this certificate.
func makeCertificate() (certPEM, keyPEM []byte, err error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return nil, nil, err
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
		return nil, nil, err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, nil, err
	}
	certPEM = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert})
	return certPEM, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}), nil
}

// writeFile writes a file whole or not at all.
func writeFile(name string, text []byte, mode fs.FileMode) error {
	f, err := os.OpenFile(name+".new", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, mode)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
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
