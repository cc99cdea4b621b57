package api

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"time"

	"fieldgate/bridges"
	"fieldgate/internal/fault"
)

// deviceListInput narrows a list to one bridge.
type deviceListInput struct {
	Bridge string `query:"bridge" doc:"Only the devices of this bridge"`
}

type writeInput struct {
	ID    string `path:"id"`
	Point string `path:"pid"`
	Body  struct {
		Value json.RawMessage `json:"value" doc:"A number, true, false or a text"`
	}
}

type writeOutput struct{ Body json.RawMessage }

func (a *API) addDevices() {
	const tag, one = "devices", "/devices/{id}"
	schema := deviceSchema(a)
	changed := []int{http.StatusNotFound, http.StatusConflict, http.StatusPreconditionFailed, http.StatusPreconditionRequired, http.StatusUnprocessableEntity}
	add(a, operation{method: http.MethodGet, path: "/devices", id: "list-devices", summary: "All devices", tag: tag, role: Viewer, result: listSchema(schema)}, a.listDevices)
	add(a, operation{
		method: http.MethodPost, path: "/devices", id: "create-device", summary: "Add a device to a bridge", tag: tag, role: Operator, status: http.StatusCreated,
		errors: []int{http.StatusConflict, http.StatusUnprocessableEntity}, body: body(schema), result: schema,
	}, a.createDevice)
	add(a, operation{method: http.MethodGet, path: one, id: "get-device", summary: "A device", tag: tag, role: Viewer, errors: []int{http.StatusNotFound}, result: schema}, a.getDevice)
	add(a, operation{method: http.MethodPut, path: one, id: "put-device", summary: "Replace", tag: tag, role: Operator, errors: changed, body: body(schema), result: schema},
		func(ctx context.Context, in *freeChange) (*objectOutput, error) {
			return a.changeDevice(ctx, in, func(_, b object) json.RawMessage { return b.JSON() })
		})
	add(a, operation{
		method: http.MethodPatch, path: one, id: "patch-device", summary: "Change in part, by a JSON merge patch (RFC 7396)", tag: tag, role: Operator,
		errors: changed, body: body(schema), result: schema,
	}, func(ctx context.Context, in *freeChange) (*objectOutput, error) {
		return a.changeDevice(ctx, in, func(old, b object) json.RawMessage { return mergePatch(old.JSON(), b.JSON()) })
	})
	add(a, operation{
		method: http.MethodDelete, path: one, id: "delete-device", summary: "Remove", tag: tag, role: Operator, status: http.StatusNoContent,
		errors: changed[:len(changed)-1],
	}, a.deleteDevice)
	add(a, operation{
		method: http.MethodPost, path: "/devices/test", id: "test-device-body", summary: "Try a device once, saved or not; its bridge is saved", tag: tag,
		role: Operator, errors: []int{http.StatusUnprocessableEntity}, body: body(schema),
	}, func(ctx context.Context, in *free) (*testOutput, error) {
		o, err := readBody(in.RawBody)
		if err != nil {
			return nil, err
		}
		return a.testDevice(ctx, o)
	})
	add(a, operation{
		method: http.MethodPost, path: one + "/test", id: "test-device", summary: "Try a saved device once", tag: tag, role: Operator,
		errors: []int{http.StatusNotFound},
	}, func(ctx context.Context, in *idInput) (*testOutput, error) {
		d, err := a.device(in.ID)
		if err != nil {
			return nil, err
		}
		return a.testDevice(ctx, d.object())
	})
	add(a, operation{
		method: http.MethodPost, path: one + "/points/{pid}/write", id: "write-point", summary: "Write a point and tell what became of it", tag: tag,
		role: Operator, errors: []int{http.StatusNotFound, http.StatusServiceUnavailable},
	}, a.writePoint)
}

func (a *API) listDevices(_ context.Context, in *deviceListInput) (*listOutput[json.RawMessage], error) {
	all, err := a.devices()
	if err != nil {
		return nil, err
	}
	decorate := a.deviceDecorator()
	items := make([]json.RawMessage, 0, len(all))
	for _, d := range all {
		if in.Bridge == "" || d.bridge == in.Bridge {
			o := d.object()
			decorate(&o)
			items = append(items, o.JSON())
		}
	}
	return listOf(items), nil
}

// deviceState is a device's "status".
type deviceState struct {
	State  bridges.State `json:"state"`
	Since  time.Time     `json:"since"`
	Reason string        `json:"reason"`
}

// deviceDecorator adds a device's "status".
func (a *API) deviceDecorator() func(*object) {
	type key struct{ bridge, device string }
	now := map[key]bridges.DeviceStatus{}
	for _, s := range a.Bridges.Statuses() {
		for _, d := range s.Devices {
			now[key{s.ID, d.ID}] = d
		}
	}
	return func(o *object) {
		d, ok := now[key{o.Text("bridge"), o.Text("id")}]
		if !ok {
			d = bridges.DeviceStatus{State: bridges.Offline, Reason: "not started yet"}
		}
		b, err := json.Marshal(deviceState{State: d.State, Since: d.Since, Reason: d.Reason})
		if err == nil {
			o.Set("status", b)
		}
	}
}

func (a *API) getDevice(_ context.Context, in *idInput) (*objectOutput, error) {
	d, err := a.device(in.ID)
	if err != nil {
		return nil, err
	}
	return a.deviceOutput(d), nil
}

func (a *API) deviceOutput(d device) *objectOutput {
	o := d.object()
	tag := etag(o.JSON())
	a.deviceDecorator()(&o)
	return &objectOutput{ETag: tag, Body: o.JSON()}
}

func (a *API) createDevice(ctx context.Context, in *free) (*objectOutput, error) {
	o, err := readBody(in.RawBody)
	if err != nil {
		return nil, err
	}
	bridge, id := o.Text("bridge"), o.Text("id")
	o.Remove("bridge")
	a.changes.Lock()
	defer a.changes.Unlock()
	if bridge == "" {
		return nil, fault.At("/bridge", fault.Required, "is required: the id of a bridge")
	}
	if err := a.freeDeviceID(id); err != nil {
		return nil, err
	}
	stored, err := a.changeDevices(ctx, bridge, func(all []object) ([]object, int, error) {
		return append(all, o), len(all), nil
	})
	if isNotFound(err) {
		return nil, fault.At("/bridge", fault.NotFound, "there is no bridge of that id")
	}
	if err != nil {
		return nil, err
	}
	d, err := deviceIn(stored, bridge, id)
	if err != nil {
		return nil, err
	}
	out := a.deviceOutput(d)
	out.Location = Prefix + "/devices/" + id
	return out, nil
}

func (a *API) changeDevice(ctx context.Context, in *freeChange, merge func(old, b object) json.RawMessage) (*objectOutput, error) {
	b, err := readBody(in.RawBody)
	if err != nil {
		return nil, err
	}
	a.changes.Lock()
	defer a.changes.Unlock()
	d, err := a.device(in.Key)
	if err != nil {
		return nil, err
	}
	stored, err := a.changeDevices(ctx, d.bridge, func(all []object) ([]object, int, error) {
		i := indexOf(all, in.Key)
		if i < 0 {
			return nil, i, missingDevice()
		}
		old := device{bridge: d.bridge, settings: all[i]}.object()
		if err := checkMatch(in.IfMatch, etag(old.JSON())); err != nil {
			return nil, i, err
		}
		changed, err := keepKey(merge(old, b), "id", in.Key)
		if err != nil {
			return nil, i, err
		}
		all[i], err = withoutBridge(changed, d.bridge)
		return all, i, err
	})
	if err != nil {
		return nil, err
	}
	d, err = deviceIn(stored, d.bridge, in.Key)
	if err != nil {
		return nil, err
	}
	return a.deviceOutput(d), nil
}

func (a *API) deleteDevice(ctx context.Context, in *idChange) (*struct{}, error) {
	a.changes.Lock()
	defer a.changes.Unlock()
	d, err := a.device(in.ID)
	if err != nil {
		return nil, err
	}
	_, err = a.changeDevices(ctx, d.bridge, func(all []object) ([]object, int, error) {
		i := indexOf(all, in.ID)
		if i < 0 {
			return nil, i, missingDevice()
		}
		if err := checkMatch(in.IfMatch, etag(device{bridge: d.bridge, settings: all[i]}.object().JSON())); err != nil {
			return nil, i, err
		}
		return slices.Delete(all, i, i+1), -1, nil
	})
	return nil, err
}

// testDevice tries one device on its bridge's link, alone.
func (a *API) testDevice(ctx context.Context, d object) (*testOutput, error) {
	bridge := d.Text("bridge")
	text := a.find(a.bridges, bridge)
	if text == nil {
		return nil, fault.At("/bridge", fault.NotFound, "there is no bridge of that id")
	}
	b, err := parseObject(text)
	if err != nil {
		return nil, err
	}
	d.Remove("bridge")
	b.Set("devices", array([]object{d}))
	out, err := a.test(ctx, a.bridges, b, d.Text("id"))
	return out, deviceFaults(err, bridge, 0)
}

func (a *API) writePoint(ctx context.Context, in *writeInput) (*writeOutput, error) {
	if v := in.Body.Value; len(v) == 0 || v[0] == '{' || v[0] == '[' || isNull(v) {
		return nil, fault.At("/value", fault.Invalid, "must be a number, true, false or a text")
	}
	result, err := a.Bridges.Write(ctx, in.ID, in.Point, in.Body.Value)
	if err != nil {
		return nil, err
	}
	a.log.Info("point written", "device", in.ID, "point", in.Point, "author", requestOf(ctx).caller.name, "ok", result.OK)
	b, err := json.Marshal(result)
	return &writeOutput{Body: b}, err
}
