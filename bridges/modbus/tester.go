package modbus

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"fieldgate/bridges"
)

// Test opens the link and reads every point of the device, or of all enabled ones,
// once. A device that gives no answer to its first reads is not asked for the rest.
func (b *bridge) Test(ctx context.Context, device string) ([]bridges.Reading, error) {
	w, err := b.open(ctx)
	if err != nil {
		return nil, bridges.Fault(bridges.Unreachable, "%s%s", err, b.otherPorts(err))
	}
	defer w.Close()
	stop := context.AfterFunc(ctx, func() { _ = w.Close() })
	defer stop()
	t := trial{bridge: b, run: newRun(b, nil)}
	t.bus = newBus(w, b.settings, &t.run.ledger, t.run.debts)
	for i := range b.settings.Devices {
		d := &b.settings.Devices[i]
		if device != d.ID && (device != "" || !d.enabled()) {
			continue
		}
		before := t.answers
		if err := t.try(d); err != nil {
			return nil, bridges.Fault(bridges.Unreachable, "%s", err)
		}
		if tell, wanted := bridges.TellIdentity(ctx); wanted && t.answers > before {
			if id := t.bus.identity(d.Unit); id != (bridges.Identity{}) {
				tell(d.ID, id)
			}
		}
	}
	if t.answers == 0 && t.silence != "" {
		return nil, bridges.Fault(bridges.Unreachable, "%s", t.silence)
	}
	return t.readings, nil
}

// otherPorts names the ports to choose from when the one in the settings is missing.
func (b *bridge) otherPorts(err error) string {
	if !errors.Is(err, fs.ErrNotExist) {
		return ""
	}
	list, err := b.ports.List()
	if err != nil || len(list) == 0 {
		return " (no serial port is found on this machine)"
	}
	names := make([]string, len(list))
	for i, p := range list {
		names[i] = fmt.Sprintf("%s, %s", p.Port, p.Name)
	}
	return " (there are: " + strings.Join(names, "; ") + ")"
}

// trial is what a Test saw.
type trial struct {
	bridge   *bridge
	run      *run
	bus      *bus
	readings []bridges.Reading
	answers  int
	silence  string // why the first silent device gave no values
}

// try reads the points of one device. The error is that of a lost link.
func (t *trial) try(d *Device) error {
	on := *d
	on.Enabled = nil // it is to be tried, switched on or not
	dev := newDeviceRun(&on, t.bridge.settings.Link)
	for i := 0; i < len(dev.blocks); i++ {
		x := dev.blocks[i]
		var answer []byte
		var at time.Time
		f := t.run.again(time.Time{}, func() (f *failure) {
			if x.discovery {
				missing, f := dev.discover(t.bus, x)
				t.missing(dev, missing)
				return f
			}
			answer, at, f = t.bus.read(d.Unit, &x.span)
			return f
		})
		switch {
		case f == nil && x.discovery:
			t.answers++
			i-- // its place is another's now
		case f == nil:
			t.answers++
			for _, p := range x.points {
				reading, _ := t.run.reading(x, p, x.read(p, answer), at)
				t.readings = append(t.readings, reading)
			}
		case f.code == bridges.ErrLink:
			return f
		case f.answered() && len(x.points) > 1 && !x.discovery && (f.exception == 2 || f.exception == 3):
			t.answers++
			dev.split(x)
			i--
		case f.answered():
			t.answers++
			t.bad(dev, x, f.code)
		default:
			if t.silence == "" {
				t.silence = dev.silence(f, t.bridge.settings.Link)
			}
			for _, rest := range dev.blocks[i:] {
				t.bad(dev, rest, f.code)
			}
			return nil
		}
	}
	return nil
}

// missing tells of points that the device does not have.
func (t *trial) missing(d *deviceRun, points []*Point) {
	for _, p := range points {
		t.readings = append(t.readings, t.run.badReading(d, p, codeNoModel, time.Now()))
	}
}

func (t *trial) bad(d *deviceRun, x *block, code string) {
	for _, p := range x.points {
		t.readings = append(t.readings, t.run.badReading(d, p, code, time.Now()))
	}
}
