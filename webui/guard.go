package webui

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/labstack/echo/v4"

	"fieldgate/internal/fault"
	"fieldgate/webui/api"
)

// privateSuffixes are the top-level domains that nobody on the Internet can own.
func privateSuffixes() []string {
	return []string{"local", "lan", "home", "internal", "intranet", "localdomain", "home.arpa"}
}

// guard is in front of everything: the headers that every answer has, and what no request may be.
// Paths below /api go on to the interface, all others are the page's.
func (s *Server) guard(page *page) echo.MiddlewareFunc {
	hosts := s.hosts()
	crossOrigin := http.NewCrossOriginProtection()
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) (err error) {
			defer s.recoverPanic(c, &err)
			if err := s.check(c, hosts, crossOrigin); err != nil {
				return err
			}
			if c.Request().URL.Path == "/metrics" { // where Prometheus looks when nobody tells it otherwise
				c.Request().URL.Path = api.Prefix + "/metrics"
			}
			if path := c.Request().URL.Path; path != "/api" && !strings.HasPrefix(path, "/api/") {
				return page.serve(c)
			}
			c.Response().Header().Set("Cache-Control", "no-store")
			return next(c)
		}
	}
}

// check refuses a request, nil lets it on. How much of a body is read is for the interface to say: the page reads
// none, and a backup may be larger than RAM.
func (s *Server) check(c echo.Context, hosts []string, crossOrigin *http.CrossOriginProtection) error {
	r := c.Request()
	protect(c.Response().Header())
	if !api.IsLocal(r.Context()) && !allowedHost(hosts, r.Host) {
		return api.NewProblem(http.StatusMisdirectedRequest, "unknown_host",
			"the gateway does not know itself under this name; use its address, or add the name to admin.hosts")
	}
	if crossOrigin.Check(r) != nil {
		return api.NewProblem(http.StatusForbidden, fault.Forbidden, "requests from other sites are refused")
	}
	if r.Body == nil { // an in-process caller's
		r.Body = http.NoBody
	}
	return nil
}

// recoverPanic keeps a mistake in one request from ending the gateway.
func (s *Server) recoverPanic(c echo.Context, err *error) {
	cause := recover()
	if cause == nil {
		return
	}
	if cause == http.ErrAbortHandler {
		panic(cause)
	}
	if failed, ok := cause.(error); ok && c.Response().Committed { // huma panics when the client left before it had all
		s.log.Debug("answer not delivered", "err", failed)
		return
	}
	s.log.Error("request panicked", "path", c.Request().URL.Path, "err", fmt.Sprint(cause), "stack", string(debug.Stack()))
	*err = api.NewProblem(http.StatusInternalServerError, fault.Internal, "internal error; the log knows more")
}

func protect(h http.Header) {
	h.Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "+
		"font-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Permissions-Policy", "camera=(), microphone=(), geolocation=()")
}

// hosts are the names that the page may be asked for under. A list keeps other
// sites from reaching it through a name of theirs that points here (DNS rebinding).
func (s *Server) hosts() []string {
	own := strings.ToLower(hostname())
	short, _, _ := strings.Cut(own, ".")
	names := []string{"localhost", own, short}
	for _, suffix := range privateSuffixes() {
		names = append(names, short+"."+suffix)
	}
	if host, _, err := net.SplitHostPort(s.cfg.Address); err == nil && host != "" {
		names = append(names, strings.ToLower(host))
	}
	for _, name := range s.cfg.Hosts {
		names = append(names, strings.ToLower(name))
	}
	return names
}

// allowedHost tells whether a Host header is one of the names, or an address: rebinding needs a name.
func allowedHost(names []string, header string) bool {
	host := header
	if h, _, err := net.SplitHostPort(header); err == nil {
		host = h
	}
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	if _, err := netip.ParseAddr(strings.Trim(host, "[]")); err == nil {
		return true
	}
	return slices.Contains(names, host) || strings.HasSuffix(host, ".localhost")
}
