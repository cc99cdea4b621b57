package bridges

import (
	"bytes"
	"strconv"
	"time"
)

// Clock tells the time, and how far it may be trusted: a machine without a battery clock starts with a
// wrong one. Its functions may be called at the same time, and at every reading.
type Clock struct {
	Now    func() time.Time     // the wall clock; it may jump
	Uptime func() time.Duration // since the machine started; it never jumps
	// Synced tells whether the wall clock was set right since the machine started; true is for ever.
	Synced func() bool
	// Boot names this run of the machine: letters, digits and -. Times of two runs have nothing in common.
	Boot string
}

// rightClock is a clock that is always right.
func rightClock() Clock {
	start := time.Now()
	return Clock{Now: time.Now, Uptime: func() time.Duration { return time.Since(start) }, Synced: func() bool { return true }, Boot: "0"}
}

// stamp is a moment by all clocks, for the times of readings that come together: what was taken at one moment stays so.
type stamp struct {
	now    time.Time     // by the monotonic clock
	wall   time.Time     // what the wall clock shows then
	boot   string        // the run of the machine, empty while the clock is right
	uptime time.Duration // since that began
}

func (c Clock) stamp() stamp {
	s := stamp{now: time.Now(), wall: c.Now().Round(0)}
	if !c.Synced() {
		s.boot, s.uptime = c.Boot, c.Uptime()
	}
	return s
}

// put gives a reading the time that the wall clock shows now for the moment at which it was taken: the clock may have
// been set since. While the clock is not right it keeps the time since the machine started besides.
func (s stamp) put(r *Reading) {
	r.Boot, r.Uptime = "", 0
	if r.Time.IsZero() {
		return
	}
	age := s.now.Sub(r.Time) // by the monotonic clock
	r.Time = s.wall.Add(-age)
	if s.boot != "" {
		r.Boot, r.Uptime = s.boot, s.uptime-age
	}
}

// again gives the time that the wall clock shows now for a moment of this process.
func (c Clock) again(t time.Time) time.Time {
	return c.Now().Round(0).Add(-time.Since(t)).UTC()
}

// at gives the time of a moment of this run of the machine.
func (c Clock) at(uptime time.Duration) time.Time {
	return c.Now().Round(0).Add(uptime - c.Uptime())
}

// The mark of a time that a clock told which was not right. It stands right behind the time, and no text
// value holds it, for there the quotes are escaped.
const (
	unsyncedMark = `","clock":"unsynced","boot":"`
	uptimeKey    = `","uptime_ms":`
	timeKey      = `"time":"`
	timeForm     = "2006-01-02T15:04:05.000Z"
)

// appendClock appends the mark behind a time whose last byte is a quote.
func (r Reading) appendClock(b []byte) []byte {
	if r.Boot == "" {
		return b
	}
	b = append(b[:len(b)-1], unsyncedMark...)
	b = append(b, r.Boot...)
	b = append(b, uptimeKey...)
	return strconv.AppendInt(b, r.Uptime.Milliseconds(), 10)
}

// Correct puts the right time into a payload of a reading that was taken in this run of the machine before the clock was
// set, and takes the mark away. Every other payload comes back as it is, and so does all while the clock is not right.
// The payload that is given is not changed.
func (c Clock) Correct(payload []byte) []byte {
	i := bytes.Index(payload, []byte(unsyncedMark))
	if i < 0 || !c.Synced() {
		return payload
	}
	rest, ours := bytes.CutPrefix(payload[i+len(unsyncedMark):], []byte(c.Boot+uptimeKey))
	begin := i - len(timeForm)
	if !ours || begin < len(timeKey) || string(payload[begin-len(timeKey):begin]) != timeKey {
		return payload
	}
	digits := bytes.IndexAny(rest, ",}")
	if digits < 0 {
		return payload
	}
	ms, err := strconv.ParseInt(string(rest[:digits]), 10, 64)
	if err != nil || ms < 0 || ms > c.Uptime().Milliseconds() {
		return payload
	}
	out := append(make([]byte, 0, len(payload)), payload[:begin-1]...)
	out = appendTime(out, c.at(time.Duration(ms)*time.Millisecond))
	return append(out, rest[digits:]...)
}
