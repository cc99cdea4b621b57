package api_test

import (
	"context"
	"encoding/json"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"fieldgate/bridges"
	"fieldgate/internal/fault"
	"fieldgate/webui/api"
)

// fakeField does by hand what the test says.
type fakeField struct {
	scan    func(ctx context.Context, c bridges.Config, question json.RawMessage, tell func(bridges.ScanStep)) error
	hand    func(c bridges.Config, question json.RawMessage) (bridges.HandAnswer, error)
	history bridges.History

	mu    sync.Mutex
	emit  func(bridges.Frame)
	gone  chan struct{}
	looks chan bool // whenever somebody begins or ends to look
}

var (
	_ api.Field = (*fakeField)(nil)
	_ api.Field = (*bridges.Supervisor)(nil)
)

func (f *fakeField) Scan(ctx context.Context, c bridges.Config, q json.RawMessage, tell func(bridges.ScanStep)) error {
	return f.scan(ctx, c, q, tell)
}

func (f *fakeField) ReadByHand(_ context.Context, c bridges.Config, q json.RawMessage) (bridges.HandAnswer, error) {
	return f.hand(c, q)
}

func (f *fakeField) WriteByHand(_ context.Context, c bridges.Config, q json.RawMessage) (bridges.HandAnswer, error) {
	return f.hand(c, q)
}

func (f *fakeField) Watch(id string, emit func(bridges.Frame)) (func(), <-chan struct{}, error) {
	if id != "cabinet" {
		return nil, nil, fault.New(fault.NotFound, "there is no bridge %s", id)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.emit = emit
	f.looks <- true
	return func() { f.looks <- false }, f.gone, nil
}

func (f *fakeField) History(device, point string) (bridges.History, error) {
	if device != "meter" || point != "power" {
		return bridges.History{}, fault.New(fault.NotFound, "there is no device %s", device)
	}
	return f.history, nil
}

type handed struct {
	OK       bool   `json:"ok"`
	Bridge   string `json:"bridge"`
	Question string `json:"question"`
}

func (h handed) Answered() bool { return h.OK }

func TestScan_IsAJobWhoseResultsCome(t *testing.T) {
	h := newHouse(t)
	more, seen := make(chan bool), make(chan bool)
	h.field.scan = func(ctx context.Context, c bridges.Config, q json.RawMessage, tell func(bridges.ScanStep)) error {
		require.Equal(t, "cabinet", c.ID)
		require.JSONEq(t, `{"units":{"from":1,"to":9}}`, string(q))
		tell(bridges.ScanStep{Done: 1, Total: 9, Words: "unit 1", Found: &bridges.Found{Unit: 1, Certain: true, Product: "SDM630", Templates: []string{}}})
		seen <- true
		select {
		case <-more:
		case <-ctx.Done():
		}
		tell(bridges.ScanStep{Done: 2, Total: 9, Words: "unit 2", Found: &bridges.Found{Unit: 2, Templates: []string{}}})
		return nil
	}
	otto := h.login("otto")
	var begun *answer
	var calls sync.WaitGroup
	calls.Go(func() {
		begun = otto.send("POST", "/bridges/cabinet/scan", `{"units":{"from":1,"to":9}}`)
	})
	<-seen
	calls.Wait()
	begun.want(202)
	where := begun.header.Get("Location")
	require.Regexp(t, `^/api/v1/jobs/[a-z0-9]+$`, where)
	path := where[len("/api/v1"):]
	now := h.login("vera").send("GET", path, "").want(200).json()
	require.Equal(t, "running", now["state"])
	require.Equal(t, "bridge/cabinet", now["subject"])
	require.Equal(t, "otto", now["author"])
	require.EqualValues(t, 9, now["total"])
	first := now["results"].([]any)[0].(map[string]any)
	require.Equal(t, []any{"eastron-sdm630"}, first["templates"])
	close(more)
	var last map[string]any
	require.Eventually(t, func() bool {
		last = otto.send("GET", path+"?after=1", "").want(200).json()
		return last["state"] == "done"
	}, 10*time.Second, 5*time.Millisecond)
	require.Len(t, last["results"], 1)
	require.EqualValues(t, 2, last["result_count"])
	require.NotNil(t, last["ended"])
	list := otto.send("GET", "/jobs", "").want(200).json()["items"].([]any)
	require.Len(t, list, 1)
	require.NotContains(t, list[0], "results")
}

func TestScan_IsCancelled(t *testing.T) {
	h := newHouse(t)
	h.field.scan = func(ctx context.Context, c bridges.Config, q json.RawMessage, tell func(bridges.ScanStep)) error {
		tell(bridges.ScanStep{Done: 1, Total: 9})
		<-ctx.Done()
		return ctx.Err()
	}
	otto := h.login("otto")
	for range 4 {
		otto.send("POST", "/bridges/scan", `{"bridge":{"kind":"modbus","link":{}}}`).want(202)
	}
	otto.send("POST", "/bridges/scan", `{"bridge":{"kind":"modbus"}}`).want(429)
	for _, j := range otto.send("GET", "/jobs", "").json()["items"].([]any) {
		path := "/jobs/" + j.(map[string]any)["id"].(string)
		h.login("vera").send("POST", path+"/cancel", "").want(403)
		otto.send("DELETE", path, "", "If-Match", "*").want(204)
		require.Eventually(t, func() bool { return otto.send("GET", path, "").json()["state"] == "cancelled" }, 10*time.Second, 5*time.Millisecond)
		otto.send("POST", path+"/cancel", "").want(204)
	}
	otto.send("GET", "/jobs/nothing", "").want(404)
}

func TestScan_RefusesAtOnceAndFailsLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // else a slow machine takes the second for up that a call waits for its job
		h := newHouse(t)
		otto := h.login("otto")
		for _, c := range []struct {
			name   string
			err    error
			status int
		}{
			{"question", fault.List{fault.At("/units/to", fault.OutOfRange, "must be 1 to 247")}, 422},
			{"busy", fault.New(fault.Conflict, "a test runs already"), 409},
			{"gone", fault.New(fault.NotFound, "there is no bridge"), 404},
			{"mistake", errors.New("secret"), 500},
		} {
			h.field.scan = func(context.Context, bridges.Config, json.RawMessage, func(bridges.ScanStep)) error { return c.err }
			otto.send("POST", "/bridges/cabinet/scan", `{}`).want(c.status)
		}
		require.Empty(t, otto.send("GET", "/jobs", "").json()["items"])
		h.field.scan = func(context.Context, bridges.Config, json.RawMessage, func(bridges.ScanStep)) error {
			return fault.New(fault.Unreachable, "open serial port: plug the adapter in")
		}
		job := otto.send("POST", "/bridges/cabinet/scan", `{}`).want(202).json()
		require.Equal(t, "failed", job["state"])
		require.Equal(t, "open serial port: plug the adapter in", job["error"])
		otto.send("POST", "/bridges/scan", `{"units":{}}`).want(422)
	})
}

func TestByHand_PassesQuestionAndSettings(t *testing.T) {
	h := newHouse(t)
	h.field.hand = func(c bridges.Config, q json.RawMessage) (bridges.HandAnswer, error) {
		return handed{OK: true, Bridge: c.ID + c.Kind + string(c.Settings), Question: string(q)}, nil
	}
	otto := h.login("otto")
	for _, verb := range []string{"read", "write"} {
		a := otto.send("POST", "/bridges/cabinet/"+verb, `{"unit":1}`).want(200).json()
		require.Equal(t, map[string]any{"ok": true, "bridge": "cabinet", "question": `{"unit":1}`}, a)
		a = otto.send("POST", "/bridges/"+verb, `{"unit":1,"bridge":{"id":"x","kind":"modbus","link":{"tcp":{}}}}`).want(200).json()
		require.Equal(t, map[string]any{"ok": true, "bridge": `modbus{"kind":"modbus","link":{"tcp":{}}}`, "question": `{"unit":1}`}, a)
		otto.send("POST", "/bridges/"+verb, `{"unit":1}`).want(422)
		h.login("vera").send("POST", "/bridges/cabinet/"+verb, `{"unit":1}`).want(403)
	}
	require.Contains(t, h.local().send("GET", "/audit", "").want(200).body, "write-bridge")
	h.field.hand = func(bridges.Config, json.RawMessage) (bridges.HandAnswer, error) {
		return nil, fault.New(fault.Unreachable, "plug it in")
	}
	a := otto.send("POST", "/bridges/cabinet/read", `{}`).want(200).json()
	require.Equal(t, false, a["ok"])
	require.Equal(t, "plug it in", a["error"])
}

func TestHistory_TellsReadingsAndSteps(t *testing.T) {
	h := newHouse(t)
	at := time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)
	h.field.history = bridges.History{
		Kept: true, Unit: "W", Recent: []bridges.Moment{{Time: at, Value: bridges.Float(1)}, {Time: at.Add(time.Second)}},
		Day: []bridges.Step{{Time: at, Last: bridges.Float(2), Min: bridges.Float(1), Max: bridges.Float(3)}},
	}
	vera := h.login("vera")
	a := vera.send("GET", "/values/meter/power/history", "").want(200)
	require.JSONEq(t, `{"device":"meter","point":"power","unit":"W","kept":true,"day_seconds":1200,
		"recent":[{"time":"2026-11-22T10:00:00Z","value":1},{"time":"2026-11-22T10:00:01Z","value":null}],
		"day":[{"time":"2026-11-22T10:00:00Z","value":2,"min":1,"max":3}]}`, a.body)
	vera.send("GET", "/values/meter/none/history", "").want(404)
}
