package bridges

import (
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
		Device: s.device.ID, Point: s.point.ID, Topic: s.last.topic, Plain: s.last.plain, Unit: s.point.Unit,
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
