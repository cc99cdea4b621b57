package webui

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"path/filepath"
	"sync"
	"time"

	"fieldgate/internal/fault"
)

const (
	firstRetry = 500 * time.Millisecond
	maxRetry   = 30 * time.Second
)

// Codes of the alarms.
const (
	codeListen      fault.Code = "listen"
	codeSocket      fault.Code = "socket"
	codeCertificate fault.Code = "certificate"
)

// runAddress serves the address until ctx is done; what fails is an alarm and tried again.
func (s *Server) runAddress(ctx context.Context) {
	address := s.cfg.Address
	s.retry(ctx, codeListen, "serve the admin page on "+address, func() error {
		l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
		if err != nil {
			return err
		}
		address = l.Addr().String() // a free port that was taken once is kept
		s.setAddr(l.Addr())
		s.log.Info("admin page", "address", address, "tls", s.cfg.TLS.Mode)
		limited := limit(l, maxConnections, maxFromAddress)
		if s.cfg.TLS.Mode == TLSAuto || s.cfg.TLS.Mode == TLSFiles {
			return s.serveBoth(ctx, limited)
		}
		return s.serve(ctx, limited, http.HandlerFunc(s.handle), false)
	})
}

func (s *Server) setAddr(addr net.Addr) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.addr == nil {
		close(s.bound)
	}
	s.addr = addr
}

// runSocket serves the Unix socket. Whoever may open it is an administrator: the file's mode is the lock.
func (s *Server) runSocket(ctx context.Context) {
	path := filepath.Join(s.cfg.DataDir, socketName)
	s.retry(ctx, codeSocket, "serve the command line on "+path, func() error {
		l, err := listenUnix(ctx, path)
		if err != nil {
			return err
		}
		return s.serve(ctx, l, http.HandlerFunc(s.handle), true)
	})
}

// retry runs serve again after a back-off until ctx is done; an alarm stands while it does not run.
func (s *Server) retry(ctx context.Context, code fault.Code, what string, serve func() error) {
	for wait := firstRetry; ; wait = min(2*wait, maxRetry) {
		start := time.Now()
		stands := time.AfterFunc(firstRetry, func() { s.alarms.Clear(alarmPart, code) }) // a listener that lived that long stands
		err := serve()
		stands.Stop()
		if ctx.Err() != nil {
			return
		}
		if time.Since(start) > maxRetry {
			wait = firstRetry
		}
		s.alarms.Raise(alarmPart, code, fmt.Sprintf("%s: %v", what, err))
		s.log.Error("admin listener failed", "listener", what, "err", err, "retry", wait)
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
	}
}

// limit bounds the connections at a time: more than n wait in the kernel's queue, and an address that has each of
// them already gets no more, so that one machine can't keep the others out. The machine's own may: it may be a proxy.
func limit(l net.Listener, n, each int) net.Listener {
	return &limitListener{Listener: l, places: make(chan struct{}, n), each: each, done: make(chan struct{}), open: map[netip.Addr]int{}}
}

type limitListener struct {
	net.Listener
	places chan struct{}
	each   int
	once   sync.Once
	done   chan struct{}

	mu   sync.Mutex // guards open
	open map[netip.Addr]int
}

// Accept waits for a place, then for a connection.
func (l *limitListener) Accept() (net.Conn, error) {
	select {
	case l.places <- struct{}{}:
	case <-l.done:
		return nil, net.ErrClosed
	}
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			<-l.places
			return nil, err
		}
		if from := remoteOf(c); l.enter(from) {
			return &limitConn{Conn: c, leave: sync.OnceFunc(func() { l.exit(from); <-l.places })}, nil
		}
		_ = c.Close() // nothing was said on it
	}
}

// remoteOf gives the address that a connection counts for; the zero one for the machine's own.
func remoteOf(c net.Conn) netip.Addr {
	tcp, ok := c.RemoteAddr().(*net.TCPAddr)
	if !ok {
		return netip.Addr{}
	}
	if ip := tcp.AddrPort().Addr().Unmap(); !ip.IsLoopback() {
		return ip
	}
	return netip.Addr{}
}

func (l *limitListener) enter(from netip.Addr) bool {
	if !from.IsValid() {
		return true
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open[from] >= l.each {
		return false
	}
	l.open[from]++
	return true
}

func (l *limitListener) exit(from netip.Addr) {
	if !from.IsValid() {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open[from]--; l.open[from] <= 0 {
		delete(l.open, from)
	}
}

// Close stops listening.
func (l *limitListener) Close() error {
	l.once.Do(func() { close(l.done) })
	return l.Listener.Close()
}

type limitConn struct {
	net.Conn
	leave func()
}

// Close gives the place back.
func (c *limitConn) Close() error {
	defer c.leave()
	return c.Conn.Close()
}

// serveBoth serves TLS, and a redirect to it for who speaks plain HTTP, on one listener.
func (s *Server) serveBoth(ctx context.Context, l net.Listener) error {
	s.certifying.Lock()
	cert, err := s.certificate()
	if err == nil {
		s.shown.Store(&cert)
	}
	s.certifying.Unlock()
	if err != nil {
		return errors.Join(err, l.Close())
	}
	both := newSniffer(l)
	var parts sync.WaitGroup
	defer parts.Wait()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	parts.Go(func() { cancel(both.run(ctx)) })
	parts.Go(func() { cancel(s.serve(ctx, both.plain, http.HandlerFunc(redirect), false)) })
	config := &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: s.show, NextProtos: []string{"http/1.1"}}
	err = s.serve(ctx, tls.NewListener(both.tls, config), http.HandlerFunc(s.handle), false)
	cancel(err)
	return context.Cause(ctx)
}

// redirect sends a browser to the same address with https.
func redirect(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Connection", "close")
	http.Redirect(w, r, "https://"+r.Host+r.URL.RequestURI(), http.StatusPermanentRedirect)
}
