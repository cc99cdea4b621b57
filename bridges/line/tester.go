package line

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"fieldgate/bridges"
)

// testWithin is how long Test waits for a line, longer when the settings expect it to be.
const testWithin = 10 * time.Second

// Test opens the link and waits until every device that is asked for has sent a
// line, at most 10 s or the timeout, whichever is longer.
func (b *bridge) Test(ctx context.Context, device string) ([]bridges.Reading, error) {
	limit := testWithin
	want := map[string]*Device{}
	for i := range b.settings.Devices {
		if d := &b.settings.Devices[i]; device == d.ID || device == "" && d.enabled() {
			want[d.ID] = d
			limit = max(limit, min(d.patience, 25*time.Second))
		}
	}
	ctx, stop := context.WithTimeout(ctx, limit)
	defer stop()
	w, err := b.open(ctx)
	if err != nil {
		return nil, err
	}
	defer w.Close()

	seen := trial{found: map[string][]bridges.Reading{}}
	l := listener{
		wire: w, framer: b.settings.Framing.framer(), counters: &seen.counters,
		line: func(text string, at time.Time) {
			if seen.line(want, text, at); len(seen.found) == len(want) {
				stop()
			}
		},
		idle: func(time.Time) {},
	}
	if err := l.listen(ctx); err != nil {
		return nil, err
	}
	if len(seen.found) == 0 {
		return nil, seen.nothing(b.settings, limit, l.framer.Partial())
	}
	return seen.readings(b.settings, want), nil
}

// trial is what a Test saw.
type trial struct {
	counters counters
	found    map[string][]bridges.Reading
	last     string // line that matched nothing
}

func (t *trial) line(want map[string]*Device, text string, at time.Time) {
	matched := false
	for id, d := range want {
		if readings, ok := d.read(text, at, &t.counters); ok {
			t.found[id] = readings
			matched = true
		}
	}
	if !matched && strings.TrimSpace(text) != "" {
		t.last = text
		t.counters.unmatched++
	}
}

// readings gives what was found, and a timeout for every point that was not.
func (t *trial) readings(s *Settings, want map[string]*Device) []bridges.Reading {
	var list []bridges.Reading
	for i := range s.Devices {
		d := &s.Devices[i]
		if want[d.ID] == nil {
			continue
		}
		for _, p := range d.Points {
			reading := bridges.Reading{Device: d.ID, Point: p.ID, Unit: p.Unit, Quality: bridges.Bad, Error: bridges.ErrTimeout, Time: time.Now()}
			for _, r := range t.found[d.ID] {
				if r.Point == p.ID {
					reading = r
				}
			}
			list = append(list, reading)
		}
	}
	return list
}

// nothing says why there is no reading, and what to do.
func (t *trial) nothing(s *Settings, waited time.Duration, partial []byte) error {
	switch {
	case t.counters.unmatched > 0:
		return bridges.Fault(bridges.Invalid, "%d lines came, but none matches parse.regex; the last was %s", t.counters.unmatched, printable(t.last))
	case t.counters.overlong > 0:
		return bridges.Fault(bridges.Invalid, "lines came, but longer than framing.max_length %d; check framing.delimiter %s, baud rate and format",
			s.Framing.MaxLength, strconv.QuoteToASCII(s.Framing.Delimiter))
	case t.counters.bytes > 0:
		return bridges.Fault(bridges.Invalid, "%d bytes came, but no whole line that ends with framing.delimiter %s; the last were %s; check the delimiter, baud rate and format",
			t.counters.bytes, strconv.QuoteToASCII(s.Framing.Delimiter), printable(decodeText(partial)))
	}
	return bridges.Fault(bridges.Unreachable, "nothing came from %s within %v; check that the device is on and sends by itself, the cable, baud rate and format", s.Link, waited)
}

// printable quotes a text for a person: control characters visible, and cut.
func printable(text string) string {
	const most = 120 // characters
	runes := []rune(text)
	if len(runes) > most {
		return strconv.QuoteToGraphic(string(runes[:most])) + fmt.Sprintf(" and %d characters more", len(runes)-most)
	}
	return strconv.QuoteToGraphic(text)
}
