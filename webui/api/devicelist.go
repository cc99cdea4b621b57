package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"fieldgate/internal/fault"
	"fieldgate/internal/ordered"
)

// device is a device as it stands in the settings: in the array of its bridge.
type device struct {
	bridge   string
	settings object // without "bridge"
}

// object is the device as a resource: its settings and its bridge.
func (d device) object() object {
	o := slices.Clone(d.settings)
	o.Set("bridge", ordered.Quote(d.bridge))
	return o
}

// devices gives the devices of all bridges in their order.
func (a *API) devices() ([]device, error) {
	var all []device
	for _, text := range a.Settings.List(bridgesSection) {
		b, err := parseObject(text)
		if err != nil {
			return nil, err
		}
		of, err := devicesOf(b)
		if err != nil {
			return nil, err
		}
		for _, d := range of {
			all = append(all, device{bridge: b.Text("id"), settings: d})
		}
	}
	return all, nil
}

// devicesOf gives the devices in a bridge's settings.
func devicesOf(b object) ([]object, error) {
	var texts []json.RawMessage
	if raw := b.Get("devices"); raw != nil {
		if err := json.Unmarshal(raw, &texts); err != nil {
			return nil, err
		}
	}
	of := make([]object, 0, len(texts))
	for _, text := range texts {
		d, err := parseObject(text)
		if err != nil {
			return nil, err
		}
		of = append(of, d)
	}
	return of, nil
}

func (a *API) device(id string) (device, error) {
	all, err := a.devices()
	if err != nil {
		return device{}, err
	}
	for _, d := range all {
		if d.settings.Text("id") == id {
			return d, nil
		}
	}
	return device{}, missingDevice()
}

func missingDevice() error { return fault.New(fault.NotFound, "there is no such device") }

// freeDeviceID refuses an id that a device of any bridge has: topics are made of it.
func (a *API) freeDeviceID(id string) error {
	if id == "" {
		return nil // the settings say that it is missing, with all other faults
	}
	d, err := a.device(id)
	switch {
	case err == nil:
		return fault.At("/id", fault.Conflict, "is in use by a device of the bridge %s", d.bridge)
	case isNotFound(err):
		return nil
	}
	return err
}

// changeDevices edits a bridge's array of devices; a.changes is held. edit gives
// the new array and the index of the device that it is about (-1 for none), whose
// faults get pointers into the device.
func (a *API) changeDevices(ctx context.Context, bridge string, edit func([]object) ([]object, int, error)) (json.RawMessage, error) {
	index := -1
	stored, err := a.Settings.Change(ctx, requestOf(ctx).caller.name, bridgesSection, bridge, func(old json.RawMessage) (json.RawMessage, error) {
		if old == nil {
			return nil, fault.New(fault.NotFound, "there is no such bridge")
		}
		b, err := parseObject(old)
		if err != nil {
			return nil, err
		}
		all, err := devicesOf(b)
		if err != nil {
			return nil, err
		}
		if all, index, err = edit(all); err != nil {
			return nil, err
		}
		b.Set("devices", array(all))
		return b.JSON(), nil
	})
	return stored, deviceFaults(err, bridge, index)
}

func array(all []object) json.RawMessage {
	items := make([]json.RawMessage, len(all))
	for i, o := range all {
		items[i] = o.JSON()
	}
	return ordered.List(items)
}

// deviceFaults makes pointers into a bridge pointers into its device; a fault elsewhere names the bridge instead.
func deviceFaults(err error, bridge string, index int) error {
	all, ok := errors.AsType[fault.List](err)
	if !ok {
		return err
	}
	own := make(fault.List, 0, len(all))
	prefix := "/devices/" + strconv.Itoa(index)
	for _, f := range all {
		moved := *f
		if rest, ok := strings.CutPrefix(f.Field, prefix); ok && (rest == "" || rest[0] == '/') {
			moved.Field = rest
		} else if f.Field != "" {
			moved.Field, moved.Message = "", fmt.Sprintf("bridge %s, %s: %s", bridge, f.Field, f.Message)
		}
		own = append(own, &moved)
	}
	return own
}

// deviceIn finds a device in a bridge's settings.
func deviceIn(text json.RawMessage, bridge, id string) (device, error) {
	b, err := parseObject(text)
	if err != nil {
		return device{}, err
	}
	all, err := devicesOf(b)
	if err != nil {
		return device{}, err
	}
	i := indexOf(all, id)
	if i < 0 {
		return device{}, missingDevice()
	}
	return device{bridge: bridge, settings: all[i]}, nil
}

func indexOf(all []object, id string) int {
	return slices.IndexFunc(all, func(o object) bool { return o.Text("id") == id })
}

// withoutBridge takes a device's bridge away, which must be the one that it is on.
func withoutBridge(text json.RawMessage, bridge string) (object, error) {
	o, err := parseObject(text)
	if err != nil {
		return nil, err
	}
	if raw := o.Get("bridge"); raw != nil && o.Text("bridge") != bridge {
		return nil, fault.At("/bridge", fault.Invalid, "can't change; remove the device and add it to the other bridge")
	}
	o.Remove("bridge")
	return o, nil
}
