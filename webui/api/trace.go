package api

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"fieldgate/broker"
	"fieldgate/internal/fault"
)

type traceInput struct {
	ID      string `path:"id"`
	Seconds int    `query:"seconds" minimum:"1" maximum:"3600" default:"300" doc:"It ends by itself after this time"`
	Packets int    `query:"packets" minimum:"1" maximum:"100000" default:"10000" doc:"and after so many packets"`
	Payload int    `query:"payload_bytes" minimum:"0" maximum:"4096" default:"0" doc:"How much of each payload to show; asks for the role operator"`
}

// traceRecord is one event of a trace.
type traceRecord struct {
	broker.TraceEvent
	payload *ShownPayload
}

// MarshalJSON puts the payload beside the rest, when there is one.
func (r traceRecord) MarshalJSON() ([]byte, error) {
	r.Time = r.Time.UTC().Truncate(time.Microsecond)
	if r.payload == nil {
		return json.Marshal(r.TraceEvent)
	}
	return json.Marshal(struct {
		broker.TraceEvent
		Text   *string `json:"payload"`
		Base64 []byte  `json:"payload_base64,omitempty"`
	}{r.TraceEvent, r.payload.Text, r.payload.Base64})
}

func (a *API) addTrace() {
	op := operation{
		method: http.MethodGet, path: "/clients/{id}/trace", id: "trace-client", tag: "clients", role: Viewer,
		errors:  []int{http.StatusUnprocessableEntity, http.StatusServiceUnavailable},
		summary: "Server-sent events: packets {\"items\":[...],\"dropped\":0} of one client, connected or not; end {\"cause\"} at last",
	}
	add(a, op, a.traceClient)
	a.describeStream(op.path)
}

func (a *API) traceClient(ctx context.Context, in *traceInput) (*huma.StreamResponse, error) {
	if in.Payload > 0 && !requestOf(ctx).caller.role.Allows(Operator) {
		return nil, fault.New(fault.Forbidden, "payloads are shown to operators only")
	}
	leave, err := a.enterStream()
	if err != nil {
		return nil, err
	}
	b, err := a.Broker()
	if err == nil {
		var t *broker.Trace
		if t, err = b.OpenTrace(in.ID, in.Packets, in.Payload); err == nil {
			a.log.Info("trace begins", "client_id", in.ID, "by", requestOf(ctx).caller.name, "payload_bytes", in.Payload)
			return &huma.StreamResponse{Body: func(ctx huma.Context) {
				defer leave()
				defer func() { _ = t.Close() }() // it never fails
				a.runTrace(ctx.Context(), t, in)
			}}, nil
		}
	}
	leave()
	return nil, err
}

// runTrace sends what the trace sees until the reader leaves or loses its right, the
// server stops, or the trace is over.
func (a *API) runTrace(ctx context.Context, t *broker.Trace, in *traceInput) {
	s := stream{api: a, request: requestOf(ctx)}
	ctx, cancel := context.WithTimeout(ctx, time.Duration(in.Seconds)*time.Second)
	var stopping sync.WaitGroup
	defer stopping.Wait()
	defer cancel()
	stopping.Go(func() {
		select {
		case <-a.stop:
			cancel()
		case <-ctx.Done():
		}
	})
	need := Viewer
	if in.Payload > 0 {
		need = Operator
	}
	s.begin()
	s.out.WriteString(": what goes to and fro\n\n")
	for ended := false; ; {
		if s.send() != nil || ended {
			return
		}
		if ok, _ := s.allowed(need); !ok {
			return
		}
		wait, stop := context.WithTimeout(ctx, heartbeat)
		events, dropped, err := t.Next(wait)
		stop()
		switch {
		case err == nil:
			s.tell("packets", map[string]any{"items": mapped(events, recordOf), "dropped": dropped})
		case errors.Is(err, broker.ErrTraceEnded):
			s.tell("end", map[string]string{"cause": "it has seen as many packets as it was asked for"})
			ended = true
		case errors.Is(ctx.Err(), context.DeadlineExceeded):
			s.tell("end", map[string]string{"cause": "its time is over"})
			ended = true
		case ctx.Err() != nil:
			return
		}
	}
}

func recordOf(e broker.TraceEvent) traceRecord {
	r := traceRecord{TraceEvent: e}
	if e.Payload != nil {
		r.payload = new(payloadOf(e.Payload))
	}
	return r
}
