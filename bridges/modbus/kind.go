// Package modbus is the kind of bridge for Modbus devices on a serial line (RTU)
// or behind TCP. It polls points, decodes them, writes them on command, and never
// takes for an answer what is not certainly one. goburrow/modbus builds and checks
// the frames; the transport is our own. It must not know what is done with the values.
package modbus

import (
	"context"
	"encoding/json"
	"log/slog"
	"sync"
	"time"

	"fieldgate/bridges"
	"fieldgate/bridges/internal/port"
)

// Kind is the Modbus bridge; its serial ports come from ports. Its settings are documented in README.md.
func Kind(ports *port.Ports) bridges.Kind {
	return bridges.Kind{
		Name:  "modbus",
		Title: "Modbus RTU and TCP",
		New: func(c bridges.Config, log *slog.Logger) (bridges.Bridge, error) {
			s, err := decode(c)
			if err != nil {
				return nil, err
			}
			return &bridge{settings: s, ports: ports, log: log}, nil
		},
		Devices: devices,
		Tools:   newTools(ports),
	}
}

type bridge struct {
	settings *Settings
	ports    *port.Ports
	log      *slog.Logger
	tap      *bridges.Tap // nil when nobody may look

	mu  sync.Mutex
	run *run // nil while it does not run
}

var (
	_ bridges.Bridge = (*bridge)(nil)
	_ bridges.Tester = (*bridge)(nil)
	_ bridges.Writer = (*bridge)(nil)
)

// Run polls until ctx is done and opens the link again whenever it is lost.
func (b *bridge) Run(ctx context.Context, host bridges.Host) error {
	r := newRun(b, host)
	b.setRun(r)
	defer b.setRun(nil)
	return r.work(ctx)
}

func (b *bridge) setRun(r *run) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.run = r
}

// Write writes a point. The codes of the result are those of a /set command.
func (b *bridge) Write(ctx context.Context, device, point string, value json.RawMessage) (bridges.WriteResult, error) {
	b.mu.Lock()
	r := b.run
	b.mu.Unlock()
	if r == nil {
		return bridges.WriteResult{}, bridges.Fault("unavailable", "the bridge does not run")
	}
	d := r.device(device)
	if d == nil {
		return bridges.WriteResult{}, bridges.Fault("not_found", "there is no device %s", device)
	}
	if d.point(point) == nil {
		return bridges.WriteResult{}, bridges.Fault("not_found", "the device %s has no point %s", device, point)
	}
	return r.queue.Ask(ctx, d, point, value)
}

// devices lists what the settings define, as far as they can be read.
func devices(c bridges.Config) []bridges.Device {
	s, _ := decode(c)
	list := make([]bridges.Device, 0, len(s.Devices))
	var values bridges.ValueSets
	for i := range s.Devices {
		d := &s.Devices[i]
		out := bridges.Device{ID: d.ID, Topic: d.Topic, Plain: d.Payload == "value", Document: d.Document, HomeAssistant: d.HomeAssistant}
		out.Points = make([]bridges.Point, 0, len(d.Points))
		for j := range d.Points {
			p := &d.Points[j]
			out.Points = append(out.Points, bridges.Point{
				ID: p.ID, Unit: p.Unit, Name: p.Name, Publish: p.PublishRule.Worth(), Fresh: d.fresh(p),
				Values: values.Keep(p.values()), Writable: p.Write != nil, Disabled: !p.enabled(),
			})
		}
		list = append(list, out)
	}
	return list
}

// fresh is how long a reading stays good: several intervals, for a busy bus stretches them.
func (d *Device) fresh(p *Point) time.Duration {
	const intervals, least = 5, 10 * time.Second
	interval := d.Interval
	if p.Interval != nil {
		interval = time.Duration(*p.Interval)
	}
	if interval == time.Duration(once) || !p.enabled() || !d.enabled() {
		return 0
	}
	return max(intervals*interval, least)
}

// values tells what values the point has.
func (p *Point) values() bridges.ValueSet {
	v := bridges.ValueSet{Form: bridges.NumberForm}
	switch {
	case len(p.Enum) > 0 || p.Type == TypeString || p.Type == TypeRaw || p.Type == TypeBits:
		v.Form = bridges.TextForm
		if p.Type != TypeBits {
			v.Labels = p.Enum.Texts()
		}
	case p.isBit() || p.Type == TypeBool:
		v.Form = bridges.BoolForm
	default:
		v.Whole = p.Type.integer() && p.exact() && p.ScaleFrom == ""
	}
	if w := p.Write; w != nil && v.Form == bridges.NumberForm {
		v.Min, v.Max = w.Min, w.Max
		if w.Step != nil {
			v.Step = *w.Step
		}
	}
	return v
}
