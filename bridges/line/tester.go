package line

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"fieldgate/bridges"
)

// testWithin is how long Test waits for a line, longer when the settings expect it to be.
const testWithin = 10 * time.Second

// Test opens the link and waits until every device that is asked for has sent a
// frame, at most 10 s or the timeout, whichever is longer. With a sample in the
// settings it takes that in place of what the link brings, and opens nothing.
func (b *bridge) Test(ctx context.Context, device string) ([]bridges.Reading, error) {
	limit := testWithin
	t := trial{settings: b.settings, want: map[string]*Device{}, found: map[string][]bridges.Reading{}}
	for i := range b.settings.Devices {
		d := &b.settings.Devices[i]
		if d.bound > 0 && (device == d.ID || device == "" && d.enabled()) {
			t.want[d.ID] = d
			limit = max(limit, min(d.patience, 25*time.Second))
		}
	}
	if b.settings.Sample != "" {
		return t.sample(b.settings.Sample)
	}
	ctx, stop := context.WithTimeout(ctx, limit)
	defer stop()
	w, err := b.open(ctx)
	if err != nil {
		return nil, err
	}
	defer w.Close()
	interrupt := context.AfterFunc(ctx, w.Interrupt)
	defer interrupt()
	l := t.listener(w)
	if err := t.listen(ctx, l, b); err != nil {
		return nil, err
	}
	if len(t.found) == 0 {
		return nil, t.nothing(limit, l.framer.Partial())
	}
	return t.readings(), nil
}

// trial is what a Test saw.
type trial struct {
	settings *Settings
	want     map[string]*Device
	counters counters
	found    map[string][]bridges.Reading
	last     []byte // frame that matched nothing
	damaged  []byte // frame with a wrong checksum
}

func (t *trial) listener(w wire) *listener {
	l := newListener(w, t.settings, &t.counters)
	l.frame = func(_ Frame, body []byte, at time.Time) { t.line(body, at) }
	l.wrong = func(f Frame, _ time.Time) { t.damaged = slices.Clone(f.Bytes) }
	return l
}

// listen takes what comes, and asks the devices that want to be asked, until all are found.
func (t *trial) listen(ctx context.Context, l *listener, b *bridge) error {
	r := newRun(b, nil)
	next, free := 0, time.Time{}
	for ctx.Err() == nil && len(t.found) < len(t.want) {
		now := time.Now()
		if len(r.polls) > 0 && now.After(free) {
			x := r.polls[next%len(r.polls)]
			next++
			free = now.Add(x.device.Wait)
			if err := t.ask(ctx, r, l, x); err != nil {
				return err
			}
		}
		until := now.Add(pollEvery)
		if len(r.polls) > 0 {
			until = earlier(until, free)
		}
		if err := l.once(ctx, until); err != nil {
			return err
		}
	}
	return nil
}

// ask sends a device's request, unless it has no other and is found.
func (t *trial) ask(ctx context.Context, r *run, l *listener, x *poll) error {
	if id := x.device.ID; t.want[id] == nil || t.found[id] != nil && len(r.polls) <= len(t.want) {
		return nil
	}
	request, err := x.request.expand(x.device.Address, bridges.Value{}, &t.settings.Checksum, len(t.settings.Framing.Start))
	if err != nil {
		return err
	}
	if err := r.send(ctx, l, request); err != nil {
		return err
	}
	t.counters.requests++
	return nil
}

// sample takes bytes as if they had come over the link.
func (t *trial) sample(sample Bytes) ([]bridges.Reading, error) {
	l := t.listener(nil)
	l.begun = true
	now := time.Now()
	l.take([]byte(sample), now)
	l.flush()
	if _, lines := l.framer.(*lineFramer); lines && len(l.framer.Partial()) > 0 { // a person leaves the line end away
		l.take([]byte(t.settings.Framing.Delimiters[0]), now)
	}
	l.count()
	if len(t.found) == 0 {
		return nil, t.nothing(0, l.framer.Partial())
	}
	return t.readings(), nil
}

func (t *trial) line(body []byte, at time.Time) {
	matched, other := false, false
	for id, d := range t.want {
		cells, v := d.Parse.read(body, d.bound, d.Address)
		if v == own {
			t.found[id] = replaced(t.found[id], d.readings(cells, nil, at, &t.counters))
			matched = true
		}
		other = other || v == foreign
	}
	switch {
	case matched:
		t.counters.matched++
	case other:
		t.counters.foreign++
		t.last = slices.Clone(body)
	default:
		t.counters.unmatched++
		t.last = slices.Clone(body)
	}
}

// replaced puts newer readings in place of those of the same points; never nil.
func replaced(list, newer []bridges.Reading) []bridges.Reading {
	return append([]bridges.Reading{}, merge(list, newer)...)
}

// readings gives what was found, and a timeout for every point that was not.
func (t *trial) readings() []bridges.Reading {
	var list []bridges.Reading
	for i := range t.settings.Devices {
		d := &t.settings.Devices[i]
		if t.want[d.ID] == nil {
			continue
		}
		for j := range d.Points {
			p := &d.Points[j]
			if p.index < 0 {
				continue
			}
			list = append(list, t.reading(d, p))
		}
	}
	return list
}

func (t *trial) reading(d *Device, p *Point) bridges.Reading {
	for _, r := range t.found[d.ID] {
		if r.Point == p.ID {
			return r
		}
	}
	return bridges.Reading{Device: d.ID, Point: p.ID, Unit: p.Unit, Quality: bridges.Bad, Error: bridges.ErrTimeout, Time: time.Now()}
}

// nothing says why there is no reading, what came, and what to do.
func (t *trial) nothing(waited time.Duration, partial []byte) error {
	const most = 120 // bytes that are shown
	c, s := t.counters, t.settings
	switch {
	case c.foreign > 0 && c.unmatched == 0:
		return bridges.Fault(bridges.Invalid, "%d frames came, but from other addresses; the last was %s", c.foreign, Visible(t.last, most))
	case c.unmatched > 0:
		return bridges.Fault(bridges.Invalid, "%d frames came, but none matches parse; the last was %s%s", c.unmatched+c.foreign, Visible(t.last, most), t.hint())
	case c.badChecksums > 0:
		return bridges.Fault(bridges.Invalid, "%d frames came, but with a wrong checksum (%s); the last was %s; check the checksum's type and place, baud rate and format",
			c.badChecksums, s.Checksum.Type, Visible(t.damaged, most))
	case c.overlong > 0:
		return bridges.Fault(bridges.Invalid, "frames came, but longer than framing.max_length %d; check %s, baud rate and format", s.Framing.MaxLength, s.Framing.words())
	case c.bytes > 0:
		return bridges.Fault(bridges.Invalid, "%d bytes came, but no whole frame by %s; the last were %s; check the framing, baud rate and format",
			c.bytes, s.Framing.words(), Visible(partial, most))
	case c.requests > 0:
		return bridges.Fault(bridges.Unreachable, "%d requests were sent to %s, but nothing came within %v; check that the device is on, the request and its line end, the cable, baud rate and format",
			c.requests, s.Link, waited)
	}
	return bridges.Fault(bridges.Unreachable, "nothing came from %s within %v; check that the device is on and sends by itself, the cable, baud rate and format", s.Link, waited)
}

// hint says how far the last frame went along with a regular expression.
func (t *trial) hint() string {
	if len(t.want) != 1 {
		return ""
	}
	for _, d := range t.want {
		switch {
		case !strings.HasPrefix(string(t.last), string(d.Parse.Begins)):
			return "; it does not begin with " + Visible([]byte(d.Parse.Begins), maxMark)
		case d.Parse.Regex != "":
			if n, of := matchedSome(d.Parse.Regex, plainText(t.last)); n > 0 {
				return fmt.Sprintf("; the regex matches up to its character %d: %s", n, of)
			}
			return "; not even the first piece of the regex matches"
		}
	}
	return ""
}
