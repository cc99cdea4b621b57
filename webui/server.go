// Package webui serves the admin page and the REST interface: one listener with
// or without TLS, and a Unix socket for the machine's administrator. It must not
// know what the interface does; that is webui/api.
package webui

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/labstack/echo/v4"

	"fieldgate/internal/fault"
	"fieldgate/webui/api"
)

const (
	headerTimeout   = 10 * time.Second
	readTimeout     = 60 * time.Second // headers and body
	answerTimeout   = 2 * time.Minute  // a test of a slow bus included; event streams set their own
	idleTimeout     = 2 * time.Minute
	shutdownTimeout = 3 * time.Second
	maxHeaderBytes  = 32 << 10
	maxConnections  = 256 // the page needs two a tab; more is no person
	maxFromAddress  = 64  // of them, from one address that is not the machine's own
)

// alarmPart is the part of the alarms of this package.
const alarmPart = "webui"

// Server is the admin server. New makes it, Run runs it once.
type Server struct {
	cfg    Config
	log    *slog.Logger
	alarms *fault.Alarms
	echo   *echo.Echo
	api    *api.API

	bound chan struct{} // closed when addr is set

	certifying sync.Mutex // held while the certificate changes
	shown      atomic.Pointer[tls.Certificate]

	mu   sync.Mutex // guards addr
	addr net.Addr
}

// New builds the server; it opens no listener yet. It fails on a config that
// Validate refuses and when the store can't be read.
func New(cfg Config, deps api.Deps, log *slog.Logger) (*Server, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	s := &Server{cfg: cfg, log: log, alarms: deps.Alarms, echo: echo.New(), bound: make(chan struct{})}
	s.echo.HideBanner, s.echo.HidePort = true, true
	s.echo.IPExtractor = echo.ExtractIPDirect()
	s.echo.HTTPErrorHandler = s.answerError
	files, err := embedded()
	if err != nil {
		return nil, err
	}
	page, err := newPage(files, deps.Notice)
	if err != nil {
		return nil, err
	}
	s.echo.Pre(s.guard(page))
	deps.Certificates = s
	if s.api, err = api.New(s.echo, deps, log); err != nil {
		return nil, err
	}
	return s, nil
}

// Handler is the whole server for calls in the process, as the machine's administrator. It works without Run.
func (s *Server) Handler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.handle(w, r.WithContext(api.WithLocal(r.Context())))
	})
}

// handle answers one request.
func (s *Server) handle(w http.ResponseWriter, r *http.Request) {
	s.api.Open()
	s.echo.ServeHTTP(w, r)
}

// Addr is the address that the listener is bound to, nil before that.
func (s *Server) Addr() net.Addr {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.addr
}

// Bound is closed once Addr is known.
func (s *Server) Bound() <-chan struct{} { return s.bound }

// Run serves until ctx is done, then lets requests end for 3 s at most and gives
// nil. A port that is taken and a certificate that can't be read are alarms; it
// tries again.
func (s *Server) Run(ctx context.Context) error {
	var parts sync.WaitGroup
	defer parts.Wait()
	defer s.alarms.Clear(alarmPart)
	if s.cfg.DataDir != "" {
		parts.Go(func() { s.runSocket(ctx) })
	}
	s.runAddress(ctx)
	s.api.StopStreams() // waits for the jobs
	return nil
}

// serve runs one HTTP server on a listener until ctx is done; an earlier end is an error.
func (s *Server) serve(ctx context.Context, l net.Listener, h http.Handler, local bool) error {
	server := &http.Server{
		Handler: h, ReadHeaderTimeout: headerTimeout, ReadTimeout: readTimeout, WriteTimeout: answerTimeout, IdleTimeout: idleTimeout,
		MaxHeaderBytes: maxHeaderBytes, ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
		BaseContext: func(net.Listener) context.Context {
			if local {
				return api.WithLocal(context.Background())
			}
			return context.Background()
		},
	}
	server.RegisterOnShutdown(s.api.StopStreams)
	ended := make(chan error, 1) // one send, so that Serve's goroutine ends whoever reads
	var serving sync.WaitGroup
	defer serving.Wait()
	serving.Go(func() { ended <- server.Serve(l) })
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
	defer cancel()
	if err := server.Shutdown(stop); err != nil {
		s.log.Warn("requests cut off at stop", "err", err)
		return server.Close()
	}
	return nil
}

// answerError gives every error of echo and of the page as a problem.
func (s *Server) answerError(err error, c echo.Context) {
	if c.Response().Committed {
		return
	}
	p, ok := errors.AsType[*api.Problem](err)
	if !ok {
		p = s.problemOf(err)
	}
	if err := p.Write(c.Response()); err != nil {
		s.log.Debug("write error", "err", err)
	}
}

func (s *Server) problemOf(err error) *api.Problem {
	if e, ok := errors.AsType[*echo.HTTPError](err); ok {
		switch e.Code {
		case http.StatusNotFound:
			return api.NewProblem(e.Code, fault.NotFound, "there is nothing under this path")
		case http.StatusMethodNotAllowed:
			return api.NewProblem(e.Code, "method_not_allowed", "this path has no such method")
		}
		if e.Code < http.StatusInternalServerError {
			return api.NewProblem(e.Code, fault.Invalid, "%s", http.StatusText(e.Code))
		}
	}
	p := api.ProblemOf(err)
	if p.Status == http.StatusInternalServerError {
		s.log.Error("request failed", "err", err)
	}
	return p
}

// hostname is the machine's name, "localhost" when it has none.
func hostname() string {
	name, err := os.Hostname()
	if err != nil || name == "" {
		return "localhost"
	}
	return name
}
