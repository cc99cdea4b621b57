package api

import (
	"context"
	"errors"
	"mime"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humaecho"
	"github.com/labstack/echo/v4"

	"fieldgate/internal/fault"
)

// Role says what a person or a token may do; each role may do what the one before it may.
type Role string

// The roles, and Open for routes that ask for none.
const (
	Open     Role = ""
	Viewer   Role = "viewer"
	Operator Role = "operator"
	Admin    Role = "admin"
)

func (r Role) rank() int {
	switch r {
	case Viewer:
		return 1
	case Operator:
		return 2
	case Admin:
		return 3
	}
	return 0
}

// Allows tells whether r may do what need is asked for.
func (r Role) Allows(need Role) bool { return r.rank() >= need.rank() }

// caller is who makes a request; without a name it is nobody.
type caller struct {
	name    string
	role    Role
	local   bool   // on the Unix socket or in process
	session string // the key of its session, "" for a token
}

// localName is the author of what the machine's administrator changes.
const localName = "local"

const roleKey = "role" // in a huma operation's metadata

type (
	localKey   struct{}
	requestKey struct{}
)

// request is what handlers may know of the HTTP request.
type request struct {
	caller caller
	echo   echo.Context
}

// WithLocal marks requests that come over a way that only an administrator of the machine can use.
func WithLocal(ctx context.Context) context.Context { return context.WithValue(ctx, localKey{}, true) }

// IsLocal tells whether WithLocal marked the context.
func IsLocal(ctx context.Context) bool { return ctx.Value(localKey{}) != nil }

// requestOf gives the request of a handler's context.
func requestOf(ctx context.Context) request {
	r, _ := ctx.Value(requestKey{}).(request)
	return r
}

// authorize is in front of every route: it finds out who calls, and whether the route's role allows it.
func (a *API) authorize(ctx huma.Context, next func(huma.Context)) {
	e := humaecho.Unwrap(ctx)
	unescapeParams(e)
	need, _ := ctx.Operation().Metadata[roleKey].(Role)
	who, err := a.identify(e.Request())
	var refused *Problem
	switch {
	case need == Open:
	case err != nil:
		refused = a.problem(ctx.Context(), err)
	case who.name == "":
		refused = NewProblem(http.StatusUnauthorized, fault.Unauthorized, "log in, or send an API token")
	case !who.role.Allows(need):
		refused = NewProblem(http.StatusForbidden, fault.Forbidden, "the role %s is needed for this", need)
	}
	if refused != nil {
		if err := refused.Write(e.Response()); err != nil {
			a.log.Debug("write refusal", "err", err)
		}
		return
	}
	next(huma.WithValue(ctx, requestKey{}, request{caller: who, echo: e}))
}

// unescapeParams makes names of path parameters: echo matches on the escaped path when
// that differs from the usual form, as with the slash in an account's name (a%2Fb).
func unescapeParams(e echo.Context) {
	if e.Request().URL.RawPath == "" {
		return
	}
	values := slices.Clone(e.ParamValues())
	for i, v := range values {
		if plain, err := url.PathUnescape(v); err == nil {
			values[i] = plain
		}
	}
	e.SetParamValues(values...)
}

// identify finds who calls: the machine's administrator, the owner of a token, or of a session.
func (a *API) identify(r *http.Request) (caller, error) {
	if IsLocal(r.Context()) {
		return caller{name: localName, role: Admin, local: true}, nil
	}
	if token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); ok {
		return a.people.byToken(token)
	}
	if c, err := r.Cookie(sessionCookie); err == nil {
		return a.people.bySession(c.Value)
	}
	return caller{}, nil
}

// refuseUnkept refuses to change what would be lost, while nothing can be kept.
func (a *API) refuseUnkept(ctx huma.Context, next func(huma.Context)) {
	op := ctx.Operation()
	if a.Unkept == "" || op.Method == http.MethodGet || !keeps(op.OperationID) {
		next(ctx)
		return
	}
	p := NewProblem(http.StatusServiceUnavailable, fault.Unavailable, "not changed, for %s", a.Unkept)
	_ = p.Write(humaecho.Unwrap(ctx).Response()) // the connection is gone; nobody is left to tell
}

// keeps tells whether an operation changes what is kept; others act, or ask.
func keeps(operation string) bool {
	switch operation {
	case "login", "logout", "restart", "check-access", "disconnect-client", "publish", "cancel-job", "delete-job":
		return false
	}
	return !slices.ContainsFunc([]string{"test-", "scan-", "read-", "write-"}, func(verb string) bool { return strings.HasPrefix(operation, verb) })
}

// requireContentType refuses bodies that do not say that they are what the route reads.
func requireContentType(ctx huma.Context, next func(huma.Context)) {
	op := ctx.Operation()
	if op.RequestBody == nil {
		next(ctx)
		return
	}
	media, _, err := mime.ParseMediaType(ctx.Header("Content-Type"))
	_, reads := op.RequestBody.Content[media]
	if err == nil && (reads || op.Method == http.MethodPatch && media == "application/merge-patch+json") {
		next(ctx)
		return
	}
	p := NewProblem(http.StatusUnsupportedMediaType, "unsupported_media_type", "send the body with Content-Type: application/json")
	_ = p.Write(humaecho.Unwrap(ctx).Response()) // the connection is gone; nobody is left to tell
}

// fromThisMachine tells whether the request came over loopback or the Unix socket, and not through a proxy.
func fromThisMachine(r request) bool {
	if r.caller.local {
		return true
	}
	h := r.echo.Request().Header
	if h.Get("Forwarded") != "" || h.Get("X-Forwarded-For") != "" || h.Get("Via") != "" {
		return false
	}
	ip, err := netip.ParseAddr(r.echo.RealIP())
	return err == nil && ip.Unmap().IsLoopback()
}

func isNotFound(err error) bool {
	e, ok := errors.AsType[*fault.Error](err)
	return ok && e.Code == fault.NotFound
}
