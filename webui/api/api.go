// Package api serves the REST interface of the gateway under /api/v1: a file of
// handlers per resource. It owns who may do what, the form of errors, entity
// tags and the stream of events. It must not know a kind of bridge, a store's
// tables, or the wiring: what it needs it asks for in the small interfaces of
// deps.go.
package api

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"reflect"
	"strconv"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humaecho"
	"github.com/labstack/echo/v4"
)

// Prefix is where the interface stands.
const Prefix = "/api/v1"

const (
	maxBody         = 4 << 20 // bytes of a request's body
	maxOpenBody     = 16 << 10
	bodyReadTimeout = 20 * time.Second
)

// API is the REST interface. All methods may be called at the same time.
type API struct {
	Deps
	log      *slog.Logger
	huma     huma.API
	people   people
	audit    audit
	metrics  http.Handler
	throttle throttle
	bridges  section
	jobs     jobs

	changes sync.Mutex // held over a change of settings: ids of devices stay unique across bridges

	openOnce sync.Once
	stopOnce sync.Once
	stop     chan struct{} // closed when streams shall end
	streams  chan struct{} // a place per open stream
}

// New prepares the interface on e; Open must follow. It fails when the store can't be read.
func New(e *echo.Echo, deps Deps, log *slog.Logger) (*API, error) {
	a := &API{
		Deps:    deps,
		log:     log,
		people:  people{store: deps.Store, passwords: deps.Passwords, hashing: make(chan struct{}, maxHashing)},
		audit:   audit{store: deps.Store, recent: map[string]time.Time{}},
		stop:    make(chan struct{}),
		streams: make(chan struct{}, maxStreams),
	}
	a.huma = humaecho.NewWithGroup(e, e.Group(Prefix), config())
	a.huma.UseMiddleware(a.authorize, a.refuseUnkept, requireContentType)
	return a, a.people.prepareSetup()
}

// Open registers the routes. The server calls it before each request and only the first call
// does something: routes and their schemas take 3 MB, which a gateway that nobody looks at saves.
func (a *API) Open() { a.openOnce.Do(a.routes) }

// StopStreams ends the open event streams and the jobs, waits for these, and refuses new ones; the server calls it when it begins to stop.
func (a *API) StopStreams() {
	a.stopOnce.Do(func() {
		close(a.stop)
		a.jobs.stop()
	})
}

// config is huma with everything off that speaks for itself: no schema links, no pages from a CDN.
func config() huma.Config {
	c := huma.DefaultConfig("fieldgate", "1")
	c.CreateHooks = nil
	c.SchemasPath = ""
	c.DocsPath = ""
	c.OpenAPIPath = ""
	c.Formats = map[string]huma.Format{"application/json": jsonFormat(), "json": jsonFormat()}
	c.Transformers = []huma.Transformer{problemTransformer}
	c.Info.Description = "The admin interface of a fieldgate gateway. docs/api.md says how a call goes."
	c.Servers = []*huma.Server{{URL: Prefix}}
	c.Components.SecuritySchemes = map[string]*huma.SecurityScheme{
		"session": {Type: "apiKey", In: "cookie", Name: sessionCookie},
		"token":   {Type: "http", Scheme: "bearer"},
	}
	c.Components.Schemas.RegisterTypeAlias(reflect.TypeFor[huma.ErrorModel](), reflect.TypeFor[Problem]())
	return c
}

func jsonFormat() huma.Format {
	return huma.Format{
		Marshal: func(w io.Writer, v any) error {
			enc := json.NewEncoder(w)
			enc.SetEscapeHTML(false)
			return enc.Encode(v)
		},
		Unmarshal: json.Unmarshal,
	}
}

func (a *API) routes() {
	a.addSetup()
	a.addSession()
	a.addUsers()
	a.addTokens()
	a.addBridges()
	a.addStats()
	a.addScan()
	a.addMonitor()
	a.addJobs()
	a.addDevices()
	a.addPoints()
	a.addClone()
	a.addTemplates()
	a.addValues()
	a.addUplinks()
	a.addPresets()
	a.addAccounts()
	a.addAccessRules()
	a.addHomeAssistant()
	a.addConfig()
	a.addSystem()
	a.addCertificate()
	a.addRestart()
	a.addHealth()
	a.addEvents()
	a.addClients()
	a.addMessages()
	a.addTrace()
	a.addMetrics()
	a.addLogs()
	a.addAudit()
	a.addDiagnostics()
	a.addBackups()
	a.addOpenAPI()
}

// operation names one route. Tag groups it in the description.
type operation struct {
	method  string
	path    string
	id      string // operationId
	summary string
	tag     string
	role    Role                    // Open for everybody
	status  int                     // of success, when it is not 200 (204 without a body)
	errors  []int                   // besides those that every route has
	body    map[string]*huma.Schema // by media type, when the handler reads the body itself (RawBody)
	result  *huma.Schema            // of the answer, when its Go type does not tell
}

// add registers a handler. Faults become problem+json, whatever else fails is
// logged and answered with 500.
func add[I, O any](a *API, o operation, handle func(context.Context, *I) (*O, error)) {
	op := huma.Operation{
		Method: o.method, Path: o.path, OperationID: o.id, Summary: o.summary, Tags: []string{o.tag},
		DefaultStatus: o.status, MaxBodyBytes: maxBody, BodyReadTimeout: bodyReadTimeout,
		Responses: map[string]*huma.Response{},
		Metadata:  map[string]any{roleKey: o.role}, Extensions: map[string]any{"x-role": string(o.role)},
		Errors: append([]int{http.StatusBadRequest, http.StatusMisdirectedRequest, http.StatusTooManyRequests}, o.errors...),
	}
	if o.role == Open {
		op.MaxBodyBytes = maxOpenBody
	} else {
		op.Security = []map[string][]string{{"session": {}}, {"token": {}}}
		op.Errors = append(op.Errors, http.StatusUnauthorized, http.StatusForbidden)
	}
	if o.body != nil {
		op.SkipValidateBody = true // the settings' own decoder names all faults at once
		op.RequestBody = &huma.RequestBody{Required: true}
	}
	if _, typed := reflect.TypeFor[I]().FieldByName("Body"); typed || o.body != nil {
		op.Errors = append(op.Errors, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType)
	}
	huma.Register(a.huma, op, func(ctx context.Context, in *I) (*O, error) {
		releaseBody(ctx)
		out, err := handle(ctx, in)
		if err != nil {
			return nil, a.problem(ctx, err)
		}
		if o.method != http.MethodGet {
			a.note(ctx, o.id)
		}
		return out, nil
	})
	for media, schema := range o.body {
		op.RequestBody.Content[media] = &huma.MediaType{Schema: schema}
	}
	if o.result != nil {
		for _, media := range op.Responses[strconv.Itoa(cmp.Or(o.status, http.StatusOK))].Content {
			media.Schema = o.result
		}
	}
}

// releaseBody lifts the deadline of reading the body: net/http would take its end for a client that left.
func releaseBody(ctx context.Context) {
	if r, ok := ctx.Value(requestKey{}).(request); ok {
		_ = http.NewResponseController(r.echo.Response()).SetReadDeadline(time.Time{}) // no deadline to lift on an in-process call
	}
}

// list is the body of every list.
type list[T any] struct {
	Items []T     `json:"items" nullable:"false"`
	Next  *string `json:"next" doc:"Where the next page is; null on the last"`
}

type listOutput[T any] struct{ Body list[T] }

func listOf[T any](items []T) *listOutput[T] {
	if items == nil {
		items = []T{}
	}
	return &listOutput[T]{Body: list[T]{Items: items}}
}

// addOpenAPI serves the description, rendered when first asked for.
func (a *API) addOpenAPI() {
	type output struct {
		ContentType string `header:"Content-Type"`
		Body        []byte
	}
	text := sync.OnceValues(func() ([]byte, error) { return describe(a.huma.OpenAPI()) })
	add(a, operation{method: http.MethodGet, path: "/openapi.json", id: "get-openapi", summary: "This description", tag: "system", role: Open},
		func(context.Context, *struct{}) (*output, error) {
			body, err := text()
			return &output{ContentType: "application/openapi+json", Body: body}, err
		})
}

func describe(api *huma.OpenAPI) ([]byte, error) {
	compact, err := json.Marshal(api)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	if err := json.Indent(&b, compact, "", "  "); err != nil {
		return nil, err
	}
	b.WriteByte('\n')
	return b.Bytes(), nil
}
