package api

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"slices"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"fieldgate/bridges"
	"fieldgate/internal/fault"
	"fieldgate/internal/logring"
)

const (
	maxStreams    = 64
	eventInterval = 250 * time.Millisecond // between two looks: at most 4 events of a name a second
	heartbeat     = 15 * time.Second       // of silence
	writeTimeout  = 10 * time.Second       // a reader that takes longer is gone
)

func (a *API) addEvents() {
	op := operation{
		method: http.MethodGet, path: "/events", id: "stream-events", tag: "values", role: Viewer, errors: []int{http.StatusServiceUnavailable},
		summary: "Server-sent events: values, bridges, uplinks, alarms, jobs, log, each {\"items\":[...]}; the first of each holds all, and values with \"all\":true; beat after 15 s of silence",
	}
	add(a, op, a.openStream)
	a.describeStream(op.path)
}

// describeStream says in the description that a path answers with events.
func (a *API) describeStream(path string) {
	a.huma.OpenAPI().Paths[path].Get.Responses["200"] = &huma.Response{
		Description: "An endless stream",
		Content:     map[string]*huma.MediaType{"text/event-stream": {Schema: &huma.Schema{Type: huma.TypeString}}},
	}
}

// enterStream takes a place for a stream; leave gives it back.
func (a *API) enterStream() (leave func(), err error) {
	select {
	case <-a.stop:
		return nil, fault.New(fault.Unavailable, "the gateway is stopping")
	default:
	}
	select {
	case a.streams <- struct{}{}:
	default:
		return nil, fault.New(fault.TooMany, "%d event streams are open already", maxStreams)
	}
	return func() { <-a.streams }, nil
}

func (a *API) openStream(context.Context, *struct{}) (*huma.StreamResponse, error) {
	leave, err := a.enterStream()
	if err != nil {
		return nil, err
	}
	return &huma.StreamResponse{Body: func(ctx huma.Context) {
		defer leave()
		s := stream{api: a, request: requestOf(ctx.Context())}
		if err := s.run(ctx.Context()); err != nil {
			a.log.Debug("event stream ended", "err", err)
		}
	}}, nil
}

// stream is one reader of events.
type stream struct {
	api     *API
	request request
	out     bytes.Buffer
	version uint64 // of the values that the reader has
	points  []pointList
	logged  uint64 // seq of the last log record that it has
	last    map[string]string
	quiet   time.Time // when something was last sent
	checked time.Time // when the reader's right was last checked
}

// begin sends the headers.
func (s *stream) begin() {
	w := s.request.echo.Response()
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no") // nginx would hold events back
	w.WriteHeader(http.StatusOK)
	s.last, s.checked, s.quiet = map[string]string{}, time.Now(), time.Now()
}

// allowed tells whether the reader may still read; it looks again now and then.
func (s *stream) allowed(need Role) (bool, error) {
	if time.Since(s.checked) < heartbeat {
		return true, nil
	}
	s.checked = time.Now()
	who, err := s.api.identify(s.request.echo.Request())
	return err == nil && who.role.Allows(need), err
}

// run sends until the reader leaves, loses its right, or the server stops.
func (s *stream) run(ctx context.Context) error {
	s.begin()
	tick := time.NewTicker(eventInterval)
	defer tick.Stop()
	for first := true; ; first = false {
		s.collect(first)
		if err := s.send(); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-s.api.stop:
			return nil
		case <-tick.C:
		}
		if ok, err := s.allowed(Viewer); !ok {
			return err
		}
	}
}

// pointList tells one list of a device's points from another: it is never changed in place, see Bridges.Devices.
type pointList struct {
	device string
	first  *bridges.Point
	n      int
}

func (a *API) pointLists() []pointList {
	devices := a.Bridges.Devices()
	lists := make([]pointList, len(devices))
	for i, d := range devices {
		lists[i] = pointList{device: d.ID, n: len(d.Points)}
		if len(d.Points) > 0 {
			lists[i].first = &d.Points[0]
		}
	}
	return lists
}

// values gathers the values that changed; all of them when there are other points than before, for else the reader
// would keep those that are gone.
func (s *stream) values(all bool) {
	points := s.api.pointLists() // before the values: what changes meanwhile is seen the next time
	if all = all || !slices.Equal(points, s.points); all {
		s.points, s.version = points, 0
	}
	readings, version := s.api.Bridges.ValuesSince(s.version)
	s.version = version
	if all || len(readings) > 0 {
		s.tell("values", struct {
			Items []value `json:"items"`
			All   bool    `json:"all,omitempty"`
		}{values(readings, s.api.writable()), all})
	}
}

// collect gathers what changed since the last time.
func (s *stream) collect(all bool) {
	s.values(all)
	s.changed("bridges", statusList(s.api.Bridges.Statuses(), bridgeStatusOf))
	s.changed("uplinks", statusList(s.api.Uplinks.Statuses(), uplinkStatusOf))
	alarms, _ := s.api.Alarms.List()
	s.changed("alarms", listItems(alarms))
	s.changed("jobs", s.api.jobs.all())
	s.logs(all)
}

// logs gathers the log records that are new, from info on; the last ones when there are many.
func (s *stream) logs(all bool) {
	const most = 100
	found := s.api.Logs.Since(s.logged, most, func(r *logring.Record) bool { return r.Level >= slog.LevelInfo })
	if len(found) > 0 {
		s.logged = found[len(found)-1].Seq
	}
	if all || len(found) > 0 {
		s.event("log", mapped(found, logRecordOf))
	}
}

func listItems[T any](items []T) []T {
	if items == nil {
		return []T{}
	}
	return items
}

// changed sends the items when they differ from those sent last.
func (s *stream) changed(name string, items any) {
	b, err := json.Marshal(items)
	if err != nil || s.last[name] == string(b) {
		return
	}
	s.last[name] = string(b)
	s.event(name, json.RawMessage(b))
}

// event appends an event to what is to be sent. JSON has no line breaks, so one data line holds it.
func (s *stream) event(name string, items any) { s.tell(name, map[string]any{"items": items}) }

func (s *stream) tell(name string, what any) {
	b, err := json.Marshal(what)
	if err != nil {
		s.api.log.Error("encode event", "event", name, "err", err)
		return
	}
	s.out.WriteString("event: " + name + "\ndata: ")
	s.out.Write(b)
	s.out.WriteString("\n\n")
}

// send writes what was gathered, or a sign of life after a long silence.
func (s *stream) send() error {
	if s.out.Len() == 0 {
		if time.Since(s.quiet) < heartbeat {
			return nil
		}
		// An event and no comment: a page learns of events only, and must know that the stream lives.
		s.out.WriteString("event: beat\ndata: {}\n\n")
	}
	s.quiet = time.Now()
	w := s.request.echo.Response()
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(writeTimeout)) // an in-process reader has none
	_, err := w.Write(s.out.Bytes())
	s.out.Reset()
	if err == nil {
		w.Flush()
	}
	return err
}
