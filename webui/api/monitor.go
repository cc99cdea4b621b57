package api

import (
	"context"
	"net/http"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"fieldgate/bridges"
)

const (
	maxFrames     = 500                    // that wait for a reader
	frameInterval = 100 * time.Millisecond // between two events
)

func (a *API) addMonitor() {
	op := operation{
		method: http.MethodGet, path: "/bridges/{id}/monitor", id: "monitor-bridge", tag: bridgesSection, role: Viewer,
		errors:  []int{http.StatusNotFound, http.StatusServiceUnavailable},
		summary: "Server-sent events: frames {\"items\":[...],\"dropped\":0} of what goes over the link; end {\"cause\"} when the bridge is gone",
	}
	add(a, op, a.openMonitor)
	a.describeStream(op.path)
	add(a, operation{
		method: http.MethodGet, path: "/values/{device}/{point}/history", id: "get-history", summary: "The last readings of a point, and its day in steps", tag: "values", role: Viewer,
		errors: []int{http.StatusNotFound},
	}, a.getHistory)
}

// frames are what a reader has not seen yet.
type frames struct {
	mu      sync.Mutex // protects what follows
	items   []bridges.Frame
	dropped int
}

func (f *frames) add(x bridges.Frame) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.items) >= maxFrames {
		f.dropped++
		return
	}
	f.items = append(f.items, x)
}

func (f *frames) take() (items []bridges.Frame, dropped int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	items, dropped = f.items, f.dropped
	f.items, f.dropped = nil, 0
	return items, dropped
}

func (a *API) openMonitor(_ context.Context, in *idInput) (*huma.StreamResponse, error) {
	leave, err := a.enterStream()
	if err != nil {
		return nil, err
	}
	seen := &frames{}
	stop, gone, err := a.Field.Watch(in.ID, seen.add)
	if err != nil {
		leave()
		return nil, err
	}
	return &huma.StreamResponse{Body: func(ctx huma.Context) {
		defer leave()
		defer stop()
		s := stream{api: a, request: requestOf(ctx.Context())}
		if err := s.monitor(ctx.Context(), seen, gone); err != nil {
			a.log.Debug("monitor ended", "err", err)
		}
	}}, nil
}

// monitor sends frames until the reader leaves or loses its right, the bridge is gone, or the server stops.
func (s *stream) monitor(ctx context.Context, seen *frames, gone <-chan struct{}) error {
	s.begin()
	s.out.WriteString(": what goes over the link\n\n")
	tick := time.NewTicker(frameInterval)
	defer tick.Stop()
	for ended := false; ; {
		if items, dropped := seen.take(); len(items) > 0 || dropped > 0 {
			s.tell("frames", map[string]any{"items": listItems(items), "dropped": dropped})
		}
		if ended {
			s.tell("end", map[string]string{"cause": "the bridge was removed or got other settings"})
		}
		if err := s.send(); err != nil || ended {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-s.api.stop:
			return nil
		case <-gone:
			ended = true
		case <-tick.C:
		}
		if ok, err := s.allowed(Viewer); !ok {
			return err
		}
	}
}

// history is what is kept of a point.
type history struct {
	Device     string   `json:"device"`
	Point      string   `json:"point"`
	Unit       string   `json:"unit"`
	Kept       bool     `json:"kept" doc:"false for a point without numbers, and when there are too many points"`
	Recent     []moment `json:"recent" nullable:"false" doc:"The last 60 readings, at most one a second"`
	Day        []step   `json:"day" nullable:"false" doc:"24 hours in steps; those without a good value are left out"`
	DaySeconds int      `json:"day_seconds"`
}

type moment struct {
	Time  time.Time   `json:"time"`
	Value bridgeValue `json:"value"`
}

type step struct {
	Time  time.Time   `json:"time" doc:"When the step began"`
	Value bridgeValue `json:"value" doc:"The last in the step"`
	Min   bridgeValue `json:"min"`
	Max   bridgeValue `json:"max"`
}

type historyOutput struct{ Body history }

func (a *API) getHistory(_ context.Context, in *struct {
	Device string `path:"device"`
	Point  string `path:"point"`
}) (*historyOutput, error) {
	h, err := a.Field.History(in.Device, in.Point)
	if err != nil {
		return nil, err
	}
	out := history{Device: in.Device, Point: in.Point, Unit: h.Unit, Kept: h.Kept, Recent: []moment{}, Day: []step{}, DaySeconds: int(bridges.DayStep / time.Second)}
	for _, m := range h.Recent {
		out.Recent = append(out.Recent, moment{Time: m.Time.UTC(), Value: bridgeValue{m.Value}})
	}
	for _, s := range h.Day {
		out.Day = append(out.Day, step{Time: s.Time.UTC(), Value: bridgeValue{s.Last}, Min: bridgeValue{s.Min}, Max: bridgeValue{s.Max}})
	}
	return &historyOutput{Body: out}, nil
}
