package webui

import (
	"context"
	"errors"
	"net"
	"sync"
	"time"
)

const (
	sniffTimeout   = 10 * time.Second
	recordOfTLS    = 0x16 // the first byte of a TLS handshake (RFC 8446 section 5.1); no HTTP method begins with it
	acceptedQueued = 16
)

// sniffer parts the connections of one listener by their first byte.
type sniffer struct {
	source     net.Listener
	tls, plain *queueListener
}

func newSniffer(source net.Listener) *sniffer {
	return &sniffer{source: source, tls: newQueueListener(source.Addr()), plain: newQueueListener(source.Addr())}
}

// run accepts until ctx is done or the source fails.
func (s *sniffer) run(ctx context.Context) error {
	var sniffing sync.WaitGroup
	defer sniffing.Wait()
	stop := context.AfterFunc(ctx, func() { _ = s.source.Close() }) // Accept reports it
	defer stop()
	for {
		c, err := s.source.Accept()
		if err != nil {
			_ = s.source.Close() // the accept error is what matters
			return err
		}
		sniffing.Go(func() { s.sniff(ctx, c) })
	}
}

// sniff reads one byte and hands the connection on.
func (s *sniffer) sniff(ctx context.Context, c net.Conn) {
	stop := context.AfterFunc(ctx, func() { _ = c.SetReadDeadline(time.Unix(1, 0)) }) // ends the read
	defer stop()
	var first [1]byte
	err := c.SetReadDeadline(time.Now().Add(sniffTimeout))
	if err == nil {
		_, err = c.Read(first[:])
	}
	if err == nil && stop() {
		err = c.SetReadDeadline(time.Time{})
	}
	if err != nil || ctx.Err() != nil {
		_ = c.Close() // a client that said nothing, or a server that stops
		return
	}
	to := s.plain
	if first[0] == recordOfTLS {
		to = s.tls
	}
	to.put(&peekedConn{Conn: c, first: first[:]})
}

// peekedConn gives back the byte that was read ahead.
type peekedConn struct {
	net.Conn
	first []byte
}

// Read gives the first byte, then the rest.
func (c *peekedConn) Read(b []byte) (int, error) {
	if len(c.first) > 0 && len(b) > 0 {
		n := copy(b, c.first)
		c.first = c.first[n:]
		return n, nil
	}
	return c.Conn.Read(b)
}

// queueListener accepts the connections that are put into it.
type queueListener struct {
	addr  net.Addr
	conns chan net.Conn
	once  sync.Once
	done  chan struct{}
}

func newQueueListener(addr net.Addr) *queueListener {
	return &queueListener{addr: addr, conns: make(chan net.Conn, acceptedQueued), done: make(chan struct{})}
}

func (l *queueListener) put(c net.Conn) {
	select {
	case <-l.done:
	default:
		select {
		case l.conns <- c:
			return
		case <-l.done:
		}
	}
	_ = c.Close() // the server has stopped
}

// Accept waits for a connection.
func (l *queueListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

// Close ends Accept and the connections that nobody took.
func (l *queueListener) Close() error {
	l.once.Do(func() { close(l.done) })
	var errs []error
	for {
		select {
		case c := <-l.conns:
			errs = append(errs, c.Close())
		default:
			return errors.Join(errs...)
		}
	}
}

// Addr is the address of the listener behind it.
func (l *queueListener) Addr() net.Addr { return l.addr }
