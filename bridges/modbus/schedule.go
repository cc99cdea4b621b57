package modbus

import (
	"fmt"
	"math"
	"slices"
	"time"
)

// schedule decides what is polled next: of the blocks that are due the one whose
// deadline, the end of its interval, comes first. It does no I/O and looks at no clock.
//
// When the intervals ask for more time than the bus has, all of one priority are stretched
// by the same factor, those of a low one more. Devices that do not answer are probed so rarely that all probes together take
// at most a twentieth of the bus while others need it.
type schedule struct {
	devices []*deviceRun
	stretch [ranks]float64 // of the intervals by priority, at least 1
	demand  float64        // part of its time that the bus needs for the intervals as they are set
	probes  time.Time      // before which no silent device is probed
	over    int            // how often in a row the demand was too high
}

const (
	probeShare   = 20                     // of the bus's time, the part that probes may take: 1/20
	freeProbes   = 1                      // of a device that has fallen silent, which cost what they cost
	fullDemand   = 0.97                   // of the bus's time; the rest is for commands and for what is not measured
	tooMuch      = 1.02                   // from this demand on the bus is called overloaded
	enough       = 0.98                   // below it, it is not any more
	overFor      = 3                      // measurements
	refusedTwice = 2                      // refusals of one point in a row after which it is asked less often
	refusedRest  = time.Minute            // how rarely a refused point is asked at most
	atOnce       = time.Second            // polls begin within this time after the link is open
	latest       = time.Minute            // after which a block is as urgent as any, however long its interval
	costWeight   = 0.2                    // of the newest measurement
	noNews       = 500 * time.Millisecond // how far ahead is looked when nothing is due
)

func newSchedule(devices []*deviceRun) *schedule {
	return &schedule{devices: devices, stretch: share([ranks]float64{}, 1)}
}

// begin makes all blocks due, spread so that devices and blocks take turns: soon for the first time, over
// their whole interval from then on.
func (s *schedule) begin(now time.Time) {
	count, index := map[time.Duration]int{}, map[time.Duration]int{}
	s.each(func(_ *deviceRun, b *block) { count[b.interval]++ })
	s.each(func(_ *deviceRun, b *block) {
		part := float64(index[b.interval]) / float64(count[b.interval])
		index[b.interval]++
		soon := min(b.interval, atOnce)
		b.due, b.phase = now.Add(time.Duration(part*float64(soon))), 0
		if b.interval > soon {
			b.phase = time.Duration(part*float64(b.interval+soon)) - soon
		}
		b.ahead = b.first()
		b.tries, b.flying, b.doubted, b.refusals = 0, false, false, 0
	})
	for _, d := range s.devices {
		d.fails, d.flying, d.holdOff = 0, 0, time.Time{}
	}
	s.probes = time.Time{}
}

// grounded forgets the polls that were under way on a connection that is gone.
func (s *schedule) grounded() {
	s.each(func(d *deviceRun, b *block) { d.flying, b.flying = 0, false })
}

func (s *schedule) each(f func(*deviceRun, *block)) {
	for _, d := range s.devices {
		for _, b := range d.blocks {
			f(d, b)
		}
	}
}

// next gives the block to poll now, or nil and when there is something to do.
func (s *schedule) next(now time.Time) (*block, time.Time) {
	var first *block
	var deadline time.Time
	wake := now.Add(noNews)
	needed := s.needed()
	for _, d := range s.devices {
		free := later(d.holdOff, d.restUntil)
		if d.silent() && needed {
			free = later(free, s.probes)
		}
		if d.failing != "" && d.flying > 0 {
			continue // one probe at a time tells enough
		}
		for _, b := range d.blocks {
			if b.flying {
				continue
			}
			if at := later(b.due, free); at.After(now) {
				wake = earlier(wake, at)
				continue
			}
			end := b.due.Add(min(s.interval(b), latest))
			if b.ahead {
				end = time.Time{}
			}
			if first == nil || end.Before(deadline) {
				first, deadline = b, end
			}
		}
	}
	return first, wake
}

// needed tells whether a device that answers wants the bus.
func (s *schedule) needed() bool {
	for _, d := range s.devices {
		if d.failing == "" && len(d.blocks) > 0 {
			return true
		}
	}
	return false
}

// interval is that of the block, stretched when the bus is overloaded, and longer while the device refuses it.
func (s *schedule) interval(b *block) time.Duration {
	i := time.Duration(float64(b.interval) * s.stretch[b.priority.rank()])
	if more := b.refusals - refusedTwice; more > 0 {
		i = max(i, min(i<<min(more, 10), refusedRest))
	}
	return i
}

// done gives the block its next time: an interval after the last, or now when that is over.
func (s *schedule) done(b *block, now time.Time) {
	b.tries, b.ahead = 0, false
	b.due = later(b.due.Add(s.interval(b)-b.phase), now)
	b.phase = 0
}

// measured takes in what a poll of the block cost.
func (s *schedule) measured(b *block, cost time.Duration) {
	if b.cost == 0 {
		b.cost = cost
		return
	}
	b.cost += time.Duration(costWeight * float64(cost-b.cost))
}

// weigh compares what the intervals ask for with the time that the bus has. others is
// the part of its time that goes into commands. To be called every second.
func (s *schedule) weigh(others float64) {
	demand := others
	var polls [ranks]float64
	s.each(func(d *deviceRun, b *block) {
		if d.failing == "" {
			part := float64(b.cost) / float64(b.interval)
			polls[b.priority.rank()] += part
			demand += part
		}
	})
	s.demand = demand
	s.stretch = share(polls, (demand-others)*min(1, fullDemand/demand))
	switch {
	case demand > tooMuch:
		s.over = min(s.over+1, overFor)
	case demand < enough:
		s.over = 0
	}
}

// overload says in words that the bus has too little time, empty when it has enough. The
// words change only with the demand's steps of a twentieth.
func (s *schedule) overload() string {
	if s.over < overFor {
		return ""
	}
	percent := int(math.Round(s.demand*20)) * 5
	if s.ranked() {
		return fmt.Sprintf("bus needs %d %% of its time: intervals are stretched, those of low priority first; poll fewer points or less often, or raise the bit rate", percent)
	}
	example := s.devices[0].Interval
	for _, d := range s.devices {
		if len(d.blocks) > 0 {
			example = d.shortest()
			break
		}
	}
	stretched := time.Duration(float64(example) * float64(percent) / 100).Round(10 * time.Millisecond)
	return fmt.Sprintf("bus needs %d %% of its time: intervals are stretched to %d %%, %v to %v; poll fewer points or less often, or raise the bit rate",
		percent, percent, example, stretched)
}

// ranked tells whether the blocks differ in priority.
func (s *schedule) ranked() bool {
	var seen [ranks]bool
	s.each(func(_ *deviceRun, b *block) { seen[b.priority.rank()] = true })
	count := 0
	for _, is := range seen {
		if is {
			count++
		}
	}
	return count > 1
}

// silent says that the device has not answered its first probe either.
func (d *deviceRun) silent() bool { return d.failing != "" && d.fails > freeProbes }

// failed notes that a device, asked with all retries, gave no usable answer at this cost, and may be
// asked again after rest.
func (s *schedule) failed(d *deviceRun, cost, rest time.Duration, now time.Time) {
	d.fails++
	d.holdOff = now.Add(max(time.Duration(float64(d.shortest())*slices.Max(s.stretch[:])), rest))
	if d.fails > freeProbes {
		s.probes = now.Add((probeShare - 1) * cost)
	}
}

// answered says that the device is there. If it was not, all its blocks are due, and
// the others that are silent get a probe: they may have come back with it.
func (s *schedule) answered(d *deviceRun, now time.Time) (back bool) {
	d.holdOff, d.fails = time.Time{}, 0
	if d.failing == "" {
		return false
	}
	d.failing = ""
	for _, b := range d.blocks {
		b.due, b.refusals, b.ahead = earlier(b.due, now), 0, b.first()
	}
	s.probes = now
	for _, other := range s.devices {
		other.fails = min(other.fails, freeProbes)
	}
	return true
}
