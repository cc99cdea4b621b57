package listen

import (
	"bufio"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"path"
	"strings"
	"sync"
	"time"

	"github.com/coder/websocket"
)

// Limits of the HTTP request that opens a WebSocket.
const (
	requestTimeout = 10 * time.Second // TLS handshake and header; the answer has as long
	idleTimeout    = 5 * time.Second  // until the next request, after one that opened none
	headerBytes    = 8 << 10
)

// webSocket is a listener that answers HTTP and gives out the WebSockets that
// come of it.
type webSocket struct {
	net.Listener
	path    string
	origins []string
	server  *http.Server
	conns   chan net.Conn // no place: whoever is not accepted waits in its request

	closing func() error
	closed  chan struct{}
	serving sync.WaitGroup
	failed  chan struct{} // closed when err is set
	err     error
}

func newWebSocket(ln net.Listener, path string, origins []string, log *slog.Logger) *webSocket {
	w := &webSocket{
		Listener: ln,
		path:     path,
		origins:  origins,
		conns:    make(chan net.Conn),
		closed:   make(chan struct{}),
		failed:   make(chan struct{}),
	}
	w.server = &http.Server{
		Handler:           w,
		ReadHeaderTimeout: requestTimeout,
		ReadTimeout:       requestTimeout,
		WriteTimeout:      requestTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    headerBytes,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug), // what strangers do wrong
	}
	w.closing = sync.OnceValue(func() error {
		close(w.closed)
		return w.server.Close()
	})
	w.serving.Go(func() {
		if w.err = w.server.Serve(ln); errors.Is(w.err, http.ErrServerClosed) {
			w.err = net.ErrClosed
		}
		close(w.failed)
	})
	return w
}

// Accept waits for the next WebSocket.
func (w *webSocket) Accept() (net.Conn, error) {
	select {
	case nc := <-w.conns:
		return nc, nil
	case <-w.closed:
		return nil, net.ErrClosed
	case <-w.failed:
		return nil, w.err
	}
}

// Close ends the listening; WebSockets that were accepted stay.
func (w *webSocket) Close() error {
	err := w.closing()
	w.serving.Wait()
	return err
}

// ServeHTTP makes a WebSocket of the request, or says why not.
func (w *webSocket) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	if status, text := w.check(r); status != 0 {
		rw.Header().Set("Connection", "close")
		if status == http.StatusUpgradeRequired {
			rw.Header().Set("Connection", "Upgrade, close")
			rw.Header().Set("Upgrade", "websocket")
		}
		http.Error(rw, text, status)
		return
	}
	var nc net.Conn
	ws, err := websocket.Accept(hijacker{rw, &nc}, r, &websocket.AcceptOptions{
		Subprotocols:       subprotocols(),
		InsecureSkipVerify: true, // check did it
	})
	if err != nil {
		return // the client was told
	}
	c := newWSConn(ws, nc, identity(r.TLS))
	select {
	case w.conns <- c:
	case <-w.closed:
		_ = c.Close() // it was never served
	}
}

// subprotocols are those of [v3.1.1 MQTT-6.0.0-4] and of MQTT 3.1's clients, the best first.
func subprotocols() []string { return []string{"mqtt", "mqttv3.1"} }

// check gives the HTTP status and words of a refusal, or 0.
func (w *webSocket) check(r *http.Request) (status int, text string) {
	switch {
	case r.URL.Path != w.path:
		return http.StatusNotFound, "there is nothing here; MQTT over WebSocket is at " + w.path
	case !hasToken(r.Header, "Upgrade", "websocket"):
		return http.StatusUpgradeRequired, "this is MQTT over WebSocket and no web page; connect with an MQTT client"
	case !offersMQTT(r.Header):
		return http.StatusBadRequest, "the WebSocket must offer one of the subprotocols " + strings.Join(subprotocols(), ", ")
	case !w.allowsOrigin(r):
		return http.StatusForbidden, fmt.Sprintf("pages of %.200q may not connect here; an administrator can add them to the listener's origins", r.Header.Get("Origin"))
	}
	return 0, ""
}

func offersMQTT(h http.Header) bool {
	for _, name := range subprotocols() {
		if hasToken(h, "Sec-Websocket-Protocol", name) {
			return true
		}
	}
	return false
}

// hasToken tells whether a header's comma-separated list holds the token, in any case of letters.
func hasToken(h http.Header, key, token string) bool {
	for _, line := range h.Values(key) {
		for t := range strings.SplitSeq(line, ",") {
			if strings.EqualFold(strings.TrimSpace(t), token) {
				return true
			}
		}
	}
	return false
}

// allowsOrigin tells whether the page that the request comes from may connect:
// one of the same host name, whatever its port, or a configured one.
func (w *webSocket) allowsOrigin(r *http.Request) bool {
	origin := r.Header.Get("Origin")
	if origin == "" {
		return true // no browser
	}
	u, err := url.Parse(origin)
	if err != nil {
		return false
	}
	request := url.URL{Host: r.Host}
	if u.Hostname() != "" && strings.EqualFold(u.Hostname(), request.Hostname()) {
		return true
	}
	for _, pattern := range w.origins {
		target := u.Host
		if strings.Contains(pattern, "://") {
			target = u.Scheme + "://" + u.Host
		}
		if ok, err := path.Match(strings.ToLower(pattern), strings.ToLower(target)); ok && err == nil {
			return true
		}
	}
	return false
}

// hijacker remembers the connection that is taken out of the HTTP server.
type hijacker struct {
	http.ResponseWriter
	nc *net.Conn
}

// Sizes in bytes of what a WebSocket reads and writes through; net/http's own are
// longer. Payloads that are longer go past them.
const (
	readerBytes = 512
	writerBytes = 1 << 10
)

// Hijack implements http.Hijacker.
func (h hijacker) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	nc, rw, err := http.NewResponseController(h.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	*h.nc = nc
	if rw.Reader.Buffered() == 0 { // else the client did not wait for the answer
		rw.Reader = bufio.NewReaderSize(nc, readerBytes)
	}
	rw.Writer = bufio.NewWriterSize(nc, writerBytes)
	return nc, rw, nil
}
