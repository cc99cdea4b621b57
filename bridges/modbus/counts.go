package modbus

import (
	"time"

	"fieldgate/bridges"
)

// counts are the counters of a bridge, or of a unit on it, since the bridge started.
type counts struct {
	requests, answers, timeouts, crcErrors, frameErrors, exceptions, retries, writes, opened int64

	foreign       int64 // bytes that belonged to no answer
	foreignFrames int64 // whole frames that were no answer
	early         int64 // answers that came faster than the line can carry them
}

// snapshot gives the counters that a unit has too.
func (c *counts) snapshot() map[string]int64 {
	return map[string]int64{
		"requests": c.requests, "answers": c.answers, "timeouts": c.timeouts, "crc_errors": c.crcErrors, "frame_errors": c.frameErrors,
		"exceptions": c.exceptions, "retries": c.retries, "writes": c.writes,
	}
}

func (c *counts) failed(f *failure) {
	switch {
	case f.exception != 0:
		c.exceptions++
	case f.code == bridges.ErrTimeout:
		c.timeouts++
	case f.code == codeCRC:
		c.crcErrors++
	case f.code == codeFrame:
		c.frameErrors++
	}
}

// ledger is all that is counted on a bridge. Only the run's goroutine uses it.
type ledger struct {
	counts
	units [256]*counts // by unit identifier, nil before the first request
	use   usage
	tap   *bridges.Tap // where frames are shown
}

// unit gives the counters of a unit.
func (l *ledger) unit(id byte) *counts {
	if l.units[id] == nil {
		l.units[id] = &counts{}
	}
	return l.units[id]
}

func (l *ledger) request(unit byte) {
	l.requests++
	l.unit(unit).requests++
}

func (l *ledger) retry(unit byte) {
	l.retries++
	l.unit(unit).retries++
}

func (l *ledger) wrote(unit byte) {
	l.writes++
	l.unit(unit).writes++
}

// result counts how a request of the unit ended.
func (l *ledger) result(unit byte, f *failure) {
	if f == nil {
		l.answers++
		l.unit(unit).answers++
		return
	}
	l.failed(f)
	l.unit(unit).failed(f)
}

// snapshot gives the bridge's counters at the time now.
func (l *ledger) snapshot(now time.Time) map[string]int64 {
	m := l.counts.snapshot()
	m["opened"], m["foreign_bytes"], m["foreign_frames"], m["early_answers"] = l.opened, l.foreign, l.foreignFrames, l.early
	m["utilisation_percent"] = l.use.percent(now)
	return m
}

// usage tells which part of the last seconds the bus was busy. Its zero value is ready.
type usage struct {
	busy  [usageSeconds]time.Duration // by second, as a ring
	since time.Time                   // when the counting began
	last  int64                       // the second that was written last
}

const usageSeconds = 10

// add counts time that ended now.
func (u *usage) add(now time.Time, busy time.Duration) {
	u.advance(now)
	u.busy[u.last%usageSeconds] += busy
}

// advance forgets the seconds that are over.
func (u *usage) advance(now time.Time) {
	if u.since.IsZero() {
		u.since = now
		return
	}
	second := int64(now.Sub(u.since) / time.Second)
	for u.last < second {
		if second-u.last > usageSeconds {
			u.last = second - usageSeconds
		}
		u.last++
		u.busy[u.last%usageSeconds] = 0
	}
}

// percent is the busy part of the last seconds, 0 to 100.
func (u *usage) percent(now time.Time) int64 {
	u.advance(now)
	var sum time.Duration
	for _, d := range u.busy {
		sum += d
	}
	span := min(max(now.Sub(u.since), time.Second), (usageSeconds-1)*time.Second+now.Sub(u.since)%time.Second)
	return min(int64(sum*100/span), 100)
}
