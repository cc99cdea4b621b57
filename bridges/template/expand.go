package template

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"

	"fieldgate/bridges"
	"fieldgate/internal/fault"
)

// Kind gives the kind with the key template for its devices. It is to be called before Load: the kind judges the own templates.
func (s *Set) Kind(k bridges.Kind) bridges.Kind {
	s.mu.Lock()
	s.kinds = append(s.kinds, k)
	s.mu.Unlock()
	build, devices := k.New, k.Devices
	k.New = func(c bridges.Config, log *slog.Logger) (bridges.Bridge, error) {
		settings, faults := s.Expand(c.Settings, k.Name)
		c.Settings = settings
		b, err := build(c, log)
		if more := faults.Err(); more != nil {
			return nil, append(fault.All(more), fault.All(err)...)
		}
		return b, err
	}
	if devices != nil {
		k.Devices = func(c bridges.Config) []bridges.Device {
			named := templatesOf(c.Settings)
			c.Settings, _ = s.Expand(c.Settings, k.Name)
			list := devices(c)
			for i := range list {
				if t, known := s.Get(named[list[i].ID]); known {
					list[i].Manufacturer, list[i].Model = t.Manufacturer, t.Model
				}
			}
			return list
		}
	}
	if k.Tools != nil {
		k.Tools = s.tools(k.Name, k.Tools)
	}
	return k
}

// templatesOf gives the template of each device, by the device's id.
func templatesOf(settings json.RawMessage) map[string]string {
	var bridge struct {
		Devices []struct{ ID, Template json.RawMessage }
	}
	named := map[string]string{}
	if json.Unmarshal(settings, &bridge) != nil {
		return named
	}
	for _, d := range bridge.Devices {
		var id, template string
		if json.Unmarshal(d.ID, &id) == nil && json.Unmarshal(d.Template, &template) == nil {
			named[id] = template
		}
	}
	return named
}

// Expand gives the settings of a bridge with the templates of its devices put in.
// Pointers to what stands in the settings stay right. What has no template comes back as it is.
func (s *Set) Expand(settings json.RawMessage, kind string) (json.RawMessage, *bridges.Faults) {
	var faults bridges.Faults
	if !bytes.Contains(settings, []byte(`"`+templateKey+`"`)) {
		return settings, &faults
	}
	var bridge map[string]json.RawMessage
	var devices []map[string]json.RawMessage
	if json.Unmarshal(settings, &bridge) != nil || json.Unmarshal(bridge["devices"], &devices) != nil {
		return settings, &faults // for the kind to judge
	}
	var used []*Template
	for i, device := range devices {
		raw, named := device[templateKey]
		if !named {
			continue
		}
		delete(device, templateKey)
		if t := s.named(&faults, fmt.Sprintf("/devices/%d/%s", i, templateKey), raw, kind); t != nil {
			var points []Point
			if own, has := device["points"]; has && json.Unmarshal(own, &points) != nil {
				continue // no list of objects: for the kind to judge
			}
			t.apply(device, points)
			used = append(used, t)
		}
	}
	bridge["devices"] = mustJSON(devices)
	for _, t := range used {
		t.applyToBridge(bridge)
	}
	return mustJSON(bridge), &faults
}

// named finds the template that a device names.
func (s *Set) named(f *bridges.Faults, at string, raw json.RawMessage, kind string) *Template {
	var id string
	if json.Unmarshal(raw, &id) != nil {
		f.Add(at, bridges.Invalid, "must be the id of a template, such as eastron-sdm630")
		return nil
	}
	t, known := s.Get(id)
	switch {
	case !known:
		words := fmt.Sprintf("there is no template %s", id)
		if near, ok := bridges.Nearest(id, s.ids()); ok {
			words += fmt.Sprintf("; did you mean %q?", near)
		}
		f.Add(at, bridges.Invalid, "%s", words)
		return nil
	case t.Kind != kind:
		f.Add(at, bridges.Invalid, "the template %s is for bridges of the kind %s", id, t.Kind)
		return nil
	}
	return t
}

// applyToBridge fills in what the bridge and its serial port do not say.
func (t *Template) applyToBridge(bridge map[string]json.RawMessage) {
	for key, value := range t.Bridge {
		if _, own := bridge[key]; !own {
			bridge[key] = value
		}
	}
	var link, serial map[string]json.RawMessage
	if t.Serial == nil || json.Unmarshal(bridge["link"], &link) != nil || json.Unmarshal(link["serial"], &serial) != nil || serial == nil {
		return
	}
	fill := func(key string, value any) {
		if _, own := serial[key]; !own {
			serial[key] = mustJSON(value)
		}
	}
	fill("baud", t.Serial.Baud)
	fill("format", t.Serial.Format)
	link["serial"] = mustJSON(serial)
	bridge["link"] = mustJSON(link)
}

// ids lists the ids of all templates.
func (s *Set) ids() []string {
	var ids []string
	for _, t := range s.List() {
		ids = append(ids, t.ID)
	}
	slices.Sort(ids)
	return ids
}
