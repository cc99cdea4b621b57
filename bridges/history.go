package bridges

import (
	"math"
	"sync/atomic"
	"time"

	"fieldgate/internal/fault"
)

// What is kept of a point: 60 readings of 8 bytes and 72 steps of 16 bytes, 1.7 KB once a day has gone by.
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

// history keeps numbers with the precision of a float32. Its zero value is ready.
type history struct {
	base   time.Time // of the times in it
	recent []moment  // a ring once it is full
	day    []step    // a ring once it is full
	nextR  int       // where the next goes in a ring that is full
	nextD  int
}

type moment struct {
	at    uint32  // tenths of seconds since base
	value float32 // NaN for none
}

type step struct {
	at             uint32 // steps since base
	last, low, top float32
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
		h = &history{base: r.Time.Truncate(DayStep)}
	}
	since := r.Time.Sub(h.base)
	if since < 0 || since > 10*365*24*time.Hour { // the clock was set
		*h = history{base: r.Time.Truncate(DayStep)}
		since = r.Time.Sub(h.base)
	}
	h.addRecent(moment{at: uint32(since / (100 * time.Millisecond)), value: float32(f)})
	if isNumber && !math.IsNaN(f) {
		h.addStep(uint32(since/DayStep), float32(f))
	}
	return h
}

func (h *history) addRecent(m moment) {
	if n := len(h.recent); n > 0 {
		last := &h.recent[(h.nextR+n-1)%n]
		bad, wasBad := math.IsNaN(float64(m.value)), math.IsNaN(float64(last.value))
		if m.at < last.at+uint32(recentEvery/(100*time.Millisecond)) && bad == wasBad || bad && wasBad {
			return
		}
	}
	if len(h.recent) < recentReadings {
		h.recent = append(room(h.recent, recentReadings), m)
		return
	}
	h.recent[h.nextR] = m
	h.nextR = (h.nextR + 1) % recentReadings
}

func (h *history) addStep(at uint32, f float32) {
	if n := len(h.day); n > 0 {
		last := &h.day[(h.nextD+n-1)%n]
		if last.at == at {
			last.last, last.low, last.top = f, min(last.low, f), max(last.top, f)
			return
		}
	}
	s := step{at: at, last: f, low: f, top: f}
	if len(h.day) < daySteps {
		h.day = append(room(h.day, daySteps), s)
		return
	}
	h.day[h.nextD] = s
	h.nextD = (h.nextD + 1) % daySteps
}

// room makes room for another one, and never for more than most.
func room[T any](list []T, most int) []T {
	if len(list) < cap(list) {
		return list
	}
	return append(make([]T, 0, min(2*len(list)+4, most)), list...)
}

// tell gives what is kept, the oldest first.
func (h *history) tell(now time.Time) History {
	if h == nil {
		return History{}
	}
	out := History{Kept: true}
	for i := range h.recent {
		m := h.recent[(h.nextR+i)%len(h.recent)]
		out.Recent = append(out.Recent, Moment{Time: h.base.Add(time.Duration(m.at) * 100 * time.Millisecond), Value: Float32(m.value)})
	}
	for i := range h.day {
		s := h.day[(h.nextD+i)%len(h.day)]
		at := h.base.Add(time.Duration(s.at) * DayStep)
		if now.Sub(at) <= 24*time.Hour {
			out.Day = append(out.Day, Step{Time: at, Last: Float32(s.last), Min: Float32(s.low), Max: Float32(s.top)})
		}
	}
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
	i, known := b.place(device, point)
	if !known {
		return History{}, fault.New(fault.NotFound, "device %s has no point %s", device, point)
	}
	p := &b.points[i]
	h := p.history.tell(time.Now())
	h.Unit = p.Unit
	return h, nil
}

// inherit takes over the histories of points that the board before had too.
func (b *board) inherit(before *board) {
	before.mu.Lock()
	defer before.mu.Unlock()
	b.mu.Lock()
	defer b.mu.Unlock()
	for i := range before.points {
		if j, same := b.place(before.points[i].Device, before.points[i].Point); same {
			b.points[j].history, before.points[i].history = before.points[i].history, nil
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
