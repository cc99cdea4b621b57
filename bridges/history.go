package bridges

import (
	"math"
	"slices"
	"sync/atomic"
	"time"

	"fieldgate/internal/fault"
)

// What is kept of a point: 60 readings of 6 bytes and 72 steps of 14 bytes, 1.5 KB once a day has gone by.
const (
	recentReadings = 60
	recentEvery    = time.Second
	daySteps       = 72
	maxHistories   = 4096 // points with a history, in all bridges
)

// DayStep is how long a step of a History lasts.
const DayStep = 24 * time.Hour / daySteps

// History is what is kept of a point's numbers, in RAM, for a person to look at.
type History struct {
	Kept   bool   // false for a point without numbers, or one too many
	Unit   string // of the last reading
	Recent []Moment
	Day    []Step
}

// Moment is one reading; bad ones have no value.
type Moment struct {
	Time  time.Time
	Value Value
}

// Step is what a point was in 20 minutes from Time on.
type Step struct {
	Time           time.Time
	Last, Min, Max Value
}

// history keeps numbers with the precision of a float32. It is small, for there may be thousands; its zero value is ready.
type history struct {
	recent []moment // the oldest first
	day    []step   // the oldest first
	at     int64    // of the newest moment, in ticks since 1970
	step   int64    // the newest step, in steps since 1970
}

const tick = recentEvery / 10

// moment is one reading.
type moment struct {
	gap   gap // since the moment before
	value single
}

// step is what the numbers of a DayStep were.
type step struct {
	gap            uint16 // steps since the step before
	last, low, top single
}

// single is a float32, NaN for none, that may stand at any even address.
type single [2]uint16

func singleOf(f float64) single {
	bits := math.Float32bits(float32(f))
	return single{uint16(bits >> 16), uint16(bits)}
}

func (s single) number() float32 { return math.Float32frombits(uint32(s[0])<<16 | uint32(s[1])) }

// gap is a time in ticks, from coarse on in coarseTicks.
type gap uint16

const (
	coarse      = 1 << 15
	coarseTicks = 100
	longestGap  = coarseTicks*coarse - 1 // ticks: 91 h, for points are read once a day at least
)

func gapOf(ticks int64) gap {
	if ticks < coarse {
		return gap(ticks)
	}
	return gap(coarse | ticks/coarseTicks)
}

func (g gap) ticks() int64 {
	if g < coarse {
		return int64(g)
	}
	return int64(g&^coarse) * coarseTicks
}

// histories counts those of all bridges.
type histories struct{ n atomic.Int64 }

// add keeps a reading; h is nil before the first number, and stays so when there are too many.
func (h *history) add(r Reading, all *histories) *history {
	f, isNumber := r.Value.Number()
	if r.Quality == Bad {
		f, isNumber = math.NaN(), h != nil
	}
	if !isNumber || r.Time.IsZero() {
		return h
	}
	if h == nil {
		if all.n.Add(1) > maxHistories {
			all.n.Add(-1)
			return nil
		}
		h = &history{}
	}
	h.addRecent(r.Time.UnixMilli()/tick.Milliseconds(), f)
	if !math.IsNaN(f) {
		h.addStep(r.Time.Unix()/int64(DayStep/time.Second), float32(f))
	}
	return h
}

func (h *history) addRecent(at int64, f float64) {
	since := at - h.at
	if n := len(h.recent); n > 0 {
		bad, wasBad := math.IsNaN(f), h.recent[n-1].value.isNone()
		const every = int64(recentEvery / tick)
		switch {
		case since < -every || since > longestGap: // the clock was set
			h.recent = h.recent[:0]
		case since < every && bad == wasBad || bad && wasBad:
			return
		}
	}
	h.recent = append(room(h.recent, recentReadings), moment{gap: gapOf(max(0, min(since, longestGap))), value: singleOf(f)})
	h.at = at
}

func (s single) isNone() bool { return math.IsNaN(float64(s.number())) }

func (h *history) addStep(at int64, f float32) {
	since := at - h.step
	if n := len(h.day); n > 0 {
		last := &h.day[n-1]
		switch {
		case since == 0:
			last.add(f)
			return
		case since < 0 || since > daySteps: // the clock was set, or all that was is over
			h.day = h.day[:0]
		}
	}
	s := singleOf(float64(f))
	h.day = append(room(h.day, daySteps), step{gap: uint16(max(0, min(since, daySteps))), last: s, low: s, top: s})
	h.step = at
}

func (s *step) add(f float32) {
	now := singleOf(float64(f))
	s.last = now
	if f < s.low.number() {
		s.low = now
	}
	if f > s.top.number() {
		s.top = now
	}
}

// room makes room for another one, by and by; when there are most the oldest goes.
func room[T any](list []T, most int) []T {
	switch n := len(list); {
	case n == most:
		return append(list[:0], list[1:]...)
	case n == cap(list):
		return append(make([]T, 0, min(n+n/4+2, most)), list...)
	}
	return list
}

// tell gives what is kept, the oldest first.
func (h *history) tell(now time.Time) History {
	if h == nil {
		return History{}
	}
	out := History{Kept: true, Recent: make([]Moment, len(h.recent))}
	at := h.at
	for i := len(h.recent) - 1; i >= 0; i-- {
		m := h.recent[i]
		out.Recent[i] = Moment{Time: time.UnixMilli(at * tick.Milliseconds()).UTC(), Value: Float32(m.value.number())}
		at -= m.gap.ticks()
	}
	number := h.step
	for i := len(h.day) - 1; i >= 0; i-- {
		s := h.day[i]
		at := time.Unix(number*int64(DayStep/time.Second), 0).UTC()
		if now.Sub(at) > 24*time.Hour {
			break
		}
		out.Day = append(out.Day, Step{Time: at, Last: Float32(s.last.number()), Min: Float32(s.low.number()), Max: Float32(s.top.number())})
		number -= int64(s.gap)
	}
	slices.Reverse(out.Day)
	return out
}

// History gives what is kept of a point's numbers since its bridge got its settings; fault.NotFound when there is no such point.
func (s *Supervisor) History(device, point string) (History, error) {
	r, _ := s.owner(device, point)
	if r == nil {
		return History{}, fault.New(fault.NotFound, "there is no device %s", device)
	}
	b := r.board
	b.mu.Lock()
	defer b.mu.Unlock()
	at, known := b.slot(device, point)
	if !known {
		return History{}, fault.New(fault.NotFound, "device %s has no point %s", device, point)
	}
	h := at.last.history.tell(time.Now())
	h.Unit = b.unit(at.point)
	return h, nil
}

// inherit takes over the histories of points that the board before had too, in the same unit.
func (b *board) inherit(before *board) {
	before.mu.Lock()
	defer before.mu.Unlock()
	b.mu.Lock()
	defer b.mu.Unlock()
	for old := range before.slots() {
		if s, same := b.slot(old.device.ID, old.point.ID); same && s.point.Unit == old.point.Unit {
			s.last.history, old.last.history = old.last.history, nil
		}
	}
}

// forgetHistories gives the room of a board's histories back.
func (b *board) forgetHistories() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i := range b.points {
		if b.points[i].history != nil {
			b.points[i].history = nil
			b.histories.n.Add(-1)
		}
	}
}
