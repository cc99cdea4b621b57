package api

import (
	"context"
	"errors"
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
	Devices  []identity `json:"devices" nullable:"false" doc:"What the devices say about themselves, as far as they do"`
}

// identity is what a device says about itself.
type identity struct {
	Device   string `json:"device"`
	Vendor   string `json:"vendor"`
	Product  string `json:"product"`
	Revision string `json:"revision"`
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

func (a *API) addBridges() {
	s := section{
		name: bridgesSection, singular: "bridge", key: "id", read: Viewer, write: Operator, schema: bridgeSchema(a),
		links: a.Bridges, status: bridgeStatusOf,
	}
	a.bridges = s
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
	if err := mayRefer(requestOf(ctx).caller, a.find(s, o.Text(s.key)), o.JSON()); err != nil {
		return nil, err
	}
	c, err := bridges.NewConfig(o.JSON(), s.kind)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, testTimeout)
	defer cancel()
	start := time.Now()
	devices := []identity{}
	readings, err := s.links.Test(bridges.WithIdentities(ctx, func(device string, id bridges.Identity) {
		devices = append(devices, identity{Device: device, Vendor: id.Vendor, Product: id.Product, Revision: id.Revision})
	}), c, device)
	result := testResult{MS: time.Since(start).Milliseconds(), Readings: values(readings, nil), Devices: devices}
	f, isFault := errors.AsType[*fault.Error](err)
	switch {
	case err == nil:
		result.judge(readings)
	case ctx.Err() != nil:
		result.Error, result.Code = fmt.Sprintf("no end after %s", testTimeout), fault.Unreachable
	case !isFault:
		result.Error, result.Code = err.Error(), fault.Unreachable
	case f.Field == "" && (f.Code == fault.Unreachable || f.Code == fault.Unavailable):
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
