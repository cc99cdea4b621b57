package bridges

import (
	"cmp"
	"fmt"
	"iter"
	"math"
	"time"
)

// lastReading is what a point said last, without what its settings say. It is small, for there may be thousands.
type lastReading struct {
	topic    string
	value    Value
	err      string
	at       int64         // nanoseconds since 1970, never for none
	uptime   time.Duration // of the machine, while unsynced
	seen     time.Duration // when it was reported, since the board began
	version  uint64
	ruled    *ruled   // nil when every reading is published
	history  *history // nil before the first number
	quality  grade
	plain    bool
	unsynced bool // the clock was not right
	owed     bool // it is to be published still: the broker did not take it
}

const never = math.MinInt64

// grade is a Quality.
type grade byte

const (
	good grade = iota
	stale
	bad
)

func (g grade) quality() Quality { return [...]Quality{Good, Stale, Bad}[g] }

func gradeOf(q Quality) grade {
	switch q {
	case Good:
		return good
	case Stale:
		return stale
	}
	return bad
}

// set takes over what a reading says.
func (l *lastReading) set(r Reading) {
	l.value, l.quality, l.err, l.uptime, l.unsynced = r.Value, gradeOf(r.Quality), r.Error, r.Uptime, r.Boot != ""
	if l.at = never; !r.Time.IsZero() {
		l.at = r.Time.UnixNano()
	}
}

// slot is the place of a point on a board.
type slot struct {
	device *Device
	point  *Point
	last   *lastReading
}

// slots gives those of all points, in the order of the settings; mu is held.
func (b *board) slots() iter.Seq[slot] {
	return func(yield func(slot) bool) {
		i := 0
		for d := range b.devices {
			device := &b.devices[d]
			for p := range device.Points {
				if !yield(slot{device, &device.Points[p], &b.points[i]}) {
					return
				}
				i++
			}
		}
	}
}

// reading gives the point's last reading as a whole.
func (b *board) reading(s slot) Reading {
	r := Reading{
		Device: s.device.ID, Point: s.point.ID, Topic: s.last.topic, Plain: s.last.plain, Unit: b.unit(s.point),
		Value: s.last.value, Quality: s.last.quality.quality(), Error: s.last.err,
	}
	if s.last.at != never {
		r.Time = time.Unix(0, s.last.at).UTC()
	}
	if s.last.unsynced {
		r.Boot, r.Uptime = b.clock.Boot, s.last.uptime
	}
	return r
}

// unit is that of the point's last reading.
func (b *board) unit(p *Point) string {
	if unit, other := b.units[p]; other {
		return unit
	}
	return p.Unit
}

// setUnit notes that a point has another unit than when the board was made: its template was changed. Numbers of the
// old one are not kept beside those of the new one.
func (b *board) setUnit(s slot, unit string) {
	if b.units == nil {
		b.units = map[*Point]string{}
	}
	b.units[s.point] = unit
	if s.last.history != nil {
		s.last.history = &history{}
	}
}

// keep puts a reading in its place and gives it back with what the settings add;
// publish is false for one that the point's rule holds back.
func (b *board) keep(in Reading, at stamp) (out Reading, publish bool, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	s, known := b.slot(in.Device, in.Point)
	if !known {
		return in, false, fmt.Errorf("point %s of device %s is not configured", in.Point, in.Device)
	}
	last := s.last
	if in.Unit != "" && in.Unit != b.unit(s.point) {
		b.setUnit(s, in.Unit)
	}
	last.topic, last.plain = cmp.Or(in.Topic, last.topic), last.plain || in.Plain
	in.Topic, in.Unit, in.Plain = last.topic, b.unit(s.point), last.plain
	if in.Quality == Bad {
		in.Value = Value{}
	}
	publish = last.ruled.pass(in) // by the monotonic clock
	at.put(&in)
	last.set(in)
	last.version, last.seen, last.owed = b.version.Add(1), time.Since(b.began), false
	last.history = last.history.add(in, b.histories)
	return in, publish, nil
}

// owe says that readings did not get through: they are to be published later, and the next ones are news again.
func (b *board) owe(list ...Reading) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, r := range list {
		if s, known := b.slot(r.Device, r.Point); known {
			s.last.ruled.reset()
			s.last.owed = true
		}
	}
}

// takeOwed gives the readings that did not get through.
func (b *board) takeOwed() []Reading {
	b.mu.Lock()
	defer b.mu.Unlock()
	var list []Reading
	for s := range b.slots() {
		if s.last.owed {
			s.last.owed = false
			list = append(list, b.reading(s))
		}
	}
	return list
}

// makeBad turns every point that is not bad yet into a bad one and gives these.
func (b *board) makeBad(code string) []Reading {
	b.mu.Lock()
	defer b.mu.Unlock()
	var changed []Reading
	at := b.clock.stamp()
	for s := range b.slots() {
		p := s.last
		if p.quality == bad && p.err != ErrNoValueYet {
			continue
		}
		taken := Reading{Quality: Bad, Error: code, Time: at.now}
		at.put(&taken)
		p.set(taken)
		p.version = b.version.Add(1)
		p.history = p.history.add(taken, b.histories)
		p.ruled.reset()
		if !p.ruled.silent() {
			changed = append(changed, b.reading(s))
		}
	}
	return changed
}

// makeStale turns good readings that nothing has renewed for too long into stale ones and gives those to publish.
func (b *board) makeStale() []Reading {
	b.mu.Lock()
	defer b.mu.Unlock()
	var changed []Reading
	now := time.Since(b.began)
	for s := range b.slots() {
		p, fresh := s.last, s.point.Fresh
		if fresh == 0 || p.quality != good || now-p.seen <= fresh {
			continue
		}
		p.quality, p.version = stale, b.version.Add(1)
		p.ruled.reset()
		if !p.ruled.silent() && !p.plain { // a bare value can't say that it is stale
			changed = append(changed, b.reading(s))
		}
	}
	return changed
}

// since appends the readings that are newer than the version.
func (b *board) since(version uint64, list []Reading) []Reading {
	b.mu.Lock()
	defer b.mu.Unlock()
	for s := range b.slots() {
		if s.last.version > version {
			list = append(list, b.reading(s))
		}
	}
	return list
}
