package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"fieldgate/internal/fault"
)

// ContentType of an error's body (RFC 9457).
const problemType = "application/problem+json"

// codeIfMatch is the code of a change without If-Match.
const codeIfMatch fault.Code = "if_match_required"

// Problem is the body of every error (RFC 9457). It never holds what was sent.
type Problem struct {
	Type   string         `json:"type" doc:"Always about:blank"`
	Title  string         `json:"title" doc:"The status in words"`
	Status int            `json:"status"`
	Code   fault.Code     `json:"code" doc:"What a program may branch on"`
	Detail string         `json:"detail" doc:"What is wrong, for a person"`
	Errors []ProblemError `json:"errors,omitempty" doc:"Every fault of the body"`

	retryAfter time.Duration
}

// ProblemError is one fault of the body.
type ProblemError struct {
	Pointer string     `json:"pointer" doc:"JSON pointer into the body"`
	Code    fault.Code `json:"code"`
	Detail  string     `json:"detail"`
	Line    int        `json:"line,omitempty" doc:"Where it stands in a body of YAML, from 1"`
}

var (
	_ huma.StatusError       = (*Problem)(nil)
	_ huma.HeadersError      = (*Problem)(nil)
	_ huma.ContentTypeFilter = (*Problem)(nil)
)

// Error gives the detail.
func (p *Problem) Error() string { return p.Detail }

// GetStatus gives the HTTP status.
func (p *Problem) GetStatus() int { return p.Status }

// ContentType gives the media type of the body.
func (p *Problem) ContentType(string) string { return problemType }

// GetHeaders gives the headers that belong to the status.
func (p *Problem) GetHeaders() http.Header {
	h := http.Header{}
	if p.retryAfter > 0 {
		h.Set("Retry-After", strconv.Itoa(int((p.retryAfter+time.Second-1)/time.Second)))
	}
	if p.Status == http.StatusUnauthorized {
		h.Set("WWW-Authenticate", `Bearer realm="fieldgate"`)
	}
	return h
}

// Write sends the problem as the whole response.
func (p *Problem) Write(w http.ResponseWriter) error {
	for k, v := range p.GetHeaders() {
		w.Header()[k] = v
	}
	w.Header().Set("Content-Type", problemType)
	w.WriteHeader(p.Status)
	return json.NewEncoder(w).Encode(p)
}

// NewProblem makes a problem of one status.
func NewProblem(status int, code fault.Code, format string, args ...any) *Problem {
	return &Problem{Type: "about:blank", Title: http.StatusText(status), Status: status, Code: code, Detail: fmt.Sprintf(format, args...)}
}

// tooMany is a refusal that ends by itself.
func tooMany(after time.Duration, format string, args ...any) *Problem {
	p := NewProblem(http.StatusTooManyRequests, fault.TooMany, format, args...)
	p.retryAfter = after
	return p
}

// problem turns a handler's error into the response. What is no fault is our mistake: the log gets it, the caller does not.
func (a *API) problem(ctx context.Context, err error) *Problem {
	if p, ok := errors.AsType[*Problem](err); ok {
		return p
	}
	p := ProblemOf(err)
	if p.Status == http.StatusInternalServerError && ctx.Err() == nil {
		a.log.Error("request failed", "operation", operationOf(ctx), "err", causes(err))
	}
	return p
}

// operationOf names the route of a handler's context, "" before it is known.
func operationOf(ctx context.Context) string {
	if e := requestOf(ctx).echo; e != nil {
		return e.Request().Method + " " + e.Path()
	}
	return ""
}

// ProblemOf turns a fault, or a list of them, into a problem. Any other error becomes 500 without a word of its own.
func ProblemOf(err error) *Problem {
	faults := fault.All(err)
	if len(faults) == 0 {
		return NewProblem(http.StatusInternalServerError, fault.Internal, "internal error")
	}
	first := faults[0]
	p := NewProblem(statusOf(first), first.Code, "%s", first.Message)
	if p.Status == http.StatusInternalServerError {
		p.Detail = "internal error; the log knows more"
		return p
	}
	for _, f := range faults {
		if f.Field != "" || len(faults) > 1 {
			p.Errors = append(p.Errors, ProblemError{Pointer: f.Field, Code: f.Code, Detail: f.Message})
		}
	}
	if len(faults) > 1 {
		p.Detail = strconv.Itoa(len(faults)) + " fields are wrong"
	}
	return p
}

func statusOf(f *fault.Error) int {
	switch f.Code {
	case fault.NotFound:
		if f.Field != "" { // the body names something that does not exist; the path did not
			return http.StatusUnprocessableEntity
		}
		return http.StatusNotFound
	case fault.Conflict:
		return http.StatusConflict
	case fault.Stale:
		return http.StatusPreconditionFailed
	case codeIfMatch:
		return http.StatusPreconditionRequired
	case fault.Unauthorized:
		return http.StatusUnauthorized
	case fault.Forbidden:
		return http.StatusForbidden
	case fault.TooMany:
		return http.StatusTooManyRequests
	case fault.Unavailable:
		return http.StatusServiceUnavailable
	case fault.Unreachable:
		return http.StatusBadGateway
	case fault.Internal:
		return http.StatusInternalServerError
	default:
		return http.StatusUnprocessableEntity
	}
}

// causes gives the words of an error with what its faults hide.
func causes(err error) string {
	words := err.Error()
	for _, f := range fault.All(err) {
		if f.Err != nil && f.Err != err {
			words += ": " + f.Err.Error()
		}
	}
	return words
}

// problemTransformer replaces huma's own errors, which echo the value that was sent, by problems.
func problemTransformer(_ huma.Context, _ string, v any) (any, error) {
	m, ok := v.(*huma.ErrorModel)
	if !ok {
		return v, nil
	}
	p := NewProblem(m.Status, codeOfStatus(m.Status), "%s", m.Detail)
	if m.Status == http.StatusInternalServerError {
		p.Detail = "internal error; the log knows more"
		return p, nil
	}
	for _, e := range m.Errors {
		p.Errors = append(p.Errors, bodyError(e))
	}
	switch len(p.Errors) {
	case 0:
	case 1:
		p.Code, p.Detail = p.Errors[0].Code, p.Errors[0].Detail
	default:
		p.Code, p.Detail = p.Errors[0].Code, strconv.Itoa(len(p.Errors))+" fields are wrong"
	}
	return p, nil
}

func codeOfStatus(status int) fault.Code {
	switch status {
	case http.StatusInternalServerError:
		return fault.Internal
	case http.StatusRequestEntityTooLarge:
		return "too_large"
	case http.StatusRequestTimeout:
		return "timeout"
	default:
		return fault.Invalid
	}
}

// bodyError translates huma's location ("body.points[0].id") and words into pointer and code.
func bodyError(e *huma.ErrorDetail) ProblemError {
	in, rest, _ := strings.Cut(e.Location, ".")
	if in != "body" {
		return ProblemError{Code: fault.Invalid, Detail: strings.TrimPrefix(in+" parameter "+rest+": ", " parameter : ") + e.Message}
	}
	p := ProblemError{Code: fault.Invalid, Detail: e.Message}
	if rest != "" {
		p.Pointer = "/" + strings.NewReplacer(".", "/", "[", "/", "]", "").Replace(rest)
	}
	var name string
	switch {
	case strings.HasPrefix(e.Message, "expected required property"):
		_, _ = fmt.Sscanf(e.Message, "expected required property %s", &name) // a miss leaves the pointer at the object
		if name != "" {
			p.Pointer += "/" + name
		}
		p.Code, p.Detail = fault.Required, "is required"
	case e.Message == "unexpected property":
		p.Code, p.Detail = fault.UnknownKey, "nothing reads this key"
	case strings.HasPrefix(e.Message, "expected length"), strings.HasPrefix(e.Message, "expected number >"), strings.HasPrefix(e.Message, "expected number <"):
		p.Code = fault.OutOfRange
	}
	return p
}
