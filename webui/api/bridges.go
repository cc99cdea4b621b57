package api

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"fieldgate/bridges"
	"fieldgate/internal/fault"
)

const testTimeout = 60 * time.Second // a scan of a slow bus; the page has a cancel button

type bridgeKind struct {
	Name  string `json:"name"`
	Title string `json:"title"`
}

// testResult tells how a try of settings went.
type testResult struct {
	OK       bool       `json:"ok" doc:"Whether the link stood and a point could be read"`
	MS       int64      `json:"ms" doc:"How long it took, in milliseconds"`
	Error    string     `json:"error" doc:"What to do, empty when all is well"`
	Code     fault.Code `json:"code"`
	Readings []value    `json:"readings" nullable:"false"`
}

type testOutput struct{ Body testResult }

type testInput struct {
	Device  string `query:"device" doc:"The device to try; all when missing"`
	RawBody []byte `contentType:"application/json"`
}

type savedTestInput struct {
	ID     string `path:"id"`
	Device string `query:"device" doc:"The device to try; all when missing"`
}

func (a *API) bridgeSection() section {
	return section{
		name: bridgesSection, singular: "bridge", key: "id", read: Viewer, write: Operator, schema: bridgeSchema(),
		decorate: a.statusDecorator(isBridge),
	}
}

func (a *API) addBridges() {
	s := a.bridgeSection()
	a.addSection(s)
	a.addSwitch(s)
	a.addTests(s)
	add(a, operation{method: http.MethodGet, path: "/bridge-kinds", id: "list-bridge-kinds", summary: "The kinds of bridges in this build", tag: s.name, role: Viewer},
		func(context.Context, *struct{}) (*listOutput[bridgeKind], error) {
			kinds := make([]bridgeKind, 0, len(a.Kinds))
			for _, k := range a.Kinds {
				kinds = append(kinds, bridgeKind{Name: k.Name, Title: k.Title})
			}
			return listOf(kinds), nil
		})
}

// addTests adds the try of settings, from a body or saved.
func (a *API) addTests(s section) {
	add(a, operation{
		method: http.MethodPost, path: "/" + s.name + "/test", id: "test-" + s.singular + "-body", summary: "Try settings once, saved or not", tag: s.name,
		role: s.write, errors: []int{http.StatusUnprocessableEntity}, body: body(s.schema),
	}, func(ctx context.Context, in *testInput) (*testOutput, error) {
		o, err := readBody(in.RawBody)
		if err != nil {
			return nil, err
		}
		return a.test(ctx, s, o, in.Device)
	})
	add(a, operation{
		method: http.MethodPost, path: "/" + s.name + "/{id}/test", id: "test-" + s.singular, summary: "Try the saved settings once", tag: s.name,
		role: s.write, errors: []int{http.StatusNotFound},
	}, func(ctx context.Context, in *savedTestInput) (*testOutput, error) {
		text := a.find(s, in.ID)
		if text == nil {
			return nil, s.missing()
		}
		o, err := parseObject(text)
		if err != nil {
			return nil, err
		}
		return a.test(ctx, s, o, in.Device)
	})
}

// test tries settings. Faults of the settings are the caller's; a link that fails is a result.
func (a *API) test(ctx context.Context, s section, o object, device string) (*testOutput, error) {
	kind := ""
	if s.name == uplinksSection {
		kind = uplinkKind
	}
	c, err := bridges.NewConfig(o.json(), kind)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, testTimeout)
	defer cancel()
	start := time.Now()
	readings, err := a.Bridges.Test(ctx, c, device)
	result := testResult{MS: time.Since(start).Milliseconds(), Readings: values(readings, nil)}
	switch f := firstFault(err); {
	case err == nil:
		result.judge(readings)
	case ctx.Err() != nil:
		result.Error, result.Code = fmt.Sprintf("no end after %s", testTimeout), fault.Unreachable
	case f == nil:
		result.Error, result.Code = err.Error(), fault.Unreachable
	case f.Field == "" && f.Code != fault.NotFound && f.Code != fault.Invalid && f.Code != fault.Internal:
		result.Error, result.Code = f.Message, f.Code
	default:
		return nil, err
	}
	return &testOutput{Body: result}, nil
}

// judge says that a test without any good reading has failed.
func (r *testResult) judge(readings []bridges.Reading) {
	r.OK = len(readings) == 0
	for _, reading := range readings {
		if reading.Quality != bridges.Bad {
			r.OK = true
		}
	}
	if !r.OK {
		r.Code = fault.Code(readings[0].Error)
		r.Error = "the link stands, but no point could be read: " + readings[0].Error
	}
}

func firstFault(err error) *fault.Error {
	if all := fault.All(err); len(all) > 0 && all[0].Code != fault.Internal {
		return all[0]
	}
	return nil
}

func isBridge(s bridges.Status) bool { return s.Kind != uplinkKind }

// statusDecorator adds "status" to objects that are read.
func (a *API) statusDecorator(which func(bridges.Status) bool) func() func(*object) {
	return func() func(*object) {
		now := map[string]bridges.Status{}
		for _, s := range a.Bridges.Statuses() {
			if which(s) {
				now[s.ID] = s
			}
		}
		return func(o *object) {
			s, ok := now[o.text("id")]
			if !ok {
				s = bridges.Status{ID: o.text("id"), Kind: o.text("kind"), State: bridges.Offline, Reason: "not started yet", Counters: map[string]int64{}}
			}
			if b, err := json.Marshal(a.status(s)); err == nil {
				o.set("status", b)
			}
		}
	}
}
