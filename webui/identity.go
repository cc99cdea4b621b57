package webui

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"fieldgate/internal/fault"
	"fieldgate/webui/api"
)

var _ api.Certificates = (*Server)(nil)

// Certificate tells what browsers are shown.
func (s *Server) Certificate() (api.Certificate, error) {
	c := api.Certificate{Mode: s.cfg.TLS.Mode}
	if c.Mode == TLSOff || c.Mode == "" {
		c.Mode = TLSOff
		return c, nil
	}
	s.certifying.Lock()
	defer s.certifying.Unlock()
	shown := s.shown.Load()
	if shown == nil { // the listener is not up
		cert, err := s.certificate()
		if err != nil {
			return c, err
		}
		shown = &cert
	}
	leaf, err := x509.ParseCertificate(shown.Certificate[0])
	if err != nil {
		return c, fmt.Errorf("read the page's certificate: %w", err)
	}
	c.Own = leaf.CheckSignatureFrom(leaf) == nil || leaf.Issuer.String() == leaf.Subject.String()
	c.Subject, c.Issuer = leaf.Subject.String(), leaf.Issuer.String()
	c.Names = append(c.Names, leaf.DNSNames...)
	for _, ip := range leaf.IPAddresses {
		c.Names = append(c.Names, ip.String())
	}
	c.NotBefore, c.NotAfter = new(leaf.NotBefore.UTC()), new(leaf.NotAfter.UTC())
	c.Fingerprint = fingerprint(leaf.Raw)
	return c, nil
}

func fingerprint(raw []byte) string {
	sum := sha256.Sum256(raw)
	return strings.ReplaceAll(fmt.Sprintf("% X", sum[:]), " ", ":")
}

// Replace takes a certificate and its key in place of the own one. A fault has a pointer to "/certificate" or "/key".
func (s *Server) Replace(certPEM, keyPEM []byte) error {
	s.certifying.Lock()
	defer s.certifying.Unlock()
	if err := s.mayCertify(); err != nil {
		return err
	}
	cert, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		at := "/certificate"
		if strings.Contains(err.Error(), "key") && strings.Contains(string(certPEM), "BEGIN CERTIFICATE") {
			at = "/key"
		}
		return fault.List{fault.At(at, fault.Invalid, "can't be used: %s", strings.TrimPrefix(err.Error(), "tls: "))}
	}
	if err := s.keepCertificate(certPEM, keyPEM); err != nil {
		return fmt.Errorf("keep the certificate: %w", err)
	}
	s.shown.Store(&cert)
	return nil
}

// Renew makes an own certificate anew.
func (s *Server) Renew() error {
	s.certifying.Lock()
	defer s.certifying.Unlock()
	if err := s.mayCertify(); err != nil {
		return err
	}
	certPEM, keyPEM, err := makeCertificate()
	if err != nil {
		return fmt.Errorf("make a certificate: %w", err)
	}
	cert, err := tls.X509KeyPair(certPEM, keyPEM)
	if err == nil {
		err = s.keepCertificate(certPEM, keyPEM)
	}
	if err != nil {
		return fmt.Errorf("keep the certificate: %w", err)
	}
	s.shown.Store(&cert)
	return nil
}

// mayCertify refuses what the host file decides.
func (s *Server) mayCertify() error {
	switch s.cfg.TLS.Mode {
	case TLSAuto:
		return nil
	case TLSFiles:
		return fault.New(fault.Conflict, "the host file names the certificate (admin.tls.cert_file); change it there and restart")
	}
	return fault.New(fault.Conflict, "the page is served without TLS; set admin.tls to auto in the host file and restart")
}

// keepCertificate writes both files. The old certificate goes first and the new one comes last: where one stands, its key does.
func (s *Server) keepCertificate(certPEM, keyPEM []byte) error {
	if s.cfg.DataDir == "" {
		return nil
	}
	certFile, keyFile := filepath.Join(s.cfg.DataDir, ownCert), filepath.Join(s.cfg.DataDir, ownKey)
	if err := os.Remove(certFile); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if err := writeFile(keyFile, keyPEM, 0o600); err != nil {
		return err
	}
	return writeFile(certFile, certPEM, 0o644)
}

// Prepare makes the own certificate if there is none yet, so that listeners that use it too find it. What fails is told by Run.
func (s *Server) Prepare() {
	if s.cfg.TLS.Mode != TLSAuto {
		return
	}
	s.certifying.Lock()
	defer s.certifying.Unlock()
	if cert, err := s.ownCertificate(); err == nil {
		s.shown.Store(&cert)
	}
}

// show gives the certificate for a handshake.
func (s *Server) show(*tls.ClientHelloInfo) (*tls.Certificate, error) { return s.shown.Load(), nil }
