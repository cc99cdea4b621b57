package listen

import (
	"crypto/tls"
	"net"
	"net/netip"
	"sync"
	"time"
)

// rhythm is so many connections at once, and after those only so many a second. What came already is
// one point in time: when the next one would be due if all had kept the interval.
type rhythm struct {
	interval time.Duration // from one connection to the next when none may come at once
	burst    time.Duration // interval for each that may come at once, beside the first
}

func newRhythm(rate, burst int) rhythm {
	interval := time.Second / time.Duration(rate)
	return rhythm{interval: interval, burst: time.Duration(burst-1) * interval}
}

// left tells how long it is until a connection may come; nothing or less when it may now.
func (r rhythm) left(due, now time.Time) time.Duration { return due.Add(-r.burst).Sub(now) }

// next gives when the connection after one that comes now is due.
func (r rhythm) next(due, now time.Time) time.Time {
	if due.Before(now) {
		due = now
	}
	return due.Add(r.interval)
}

// pace is the rhythm of a listener. Who has to wait does so in the system's queue, where it costs the
// broker nothing. wait and took belong to the goroutine that accepts.
type pace struct {
	rhythm
	due     time.Time
	stop    func()
	stopped chan struct{}
}

func newPace(rate, burst int) *pace {
	stopped := make(chan struct{})
	return &pace{rhythm: newRhythm(rate, burst), stop: sync.OnceFunc(func() { close(stopped) }), stopped: stopped}
}

// wait waits until a connection may come, or for stop; it tells whether it had to.
func (p *pace) wait() bool { return waitUntil(p.left(p.due, time.Now()), p.stopped) }

// took counts a connection that has come.
func (p *pace) took() { p.due = p.next(p.due, time.Now()) }

// waitUntil waits for a time, or for stop; it tells whether it had to.
func waitUntil(left time.Duration, stop <-chan struct{}) bool {
	if left <= 0 {
		return false
	}
	timer := time.NewTimer(left)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-stop:
	}
	return true
}

// sharesMost is how many addresses are remembered that have come lately; further ones have one rhythm together.
const sharesMost = 4096

// shares is the rhythm of each address. The methods belong to the goroutine that accepts.
type shares struct {
	rhythm
	due map[netip.Addr]time.Time // without those that may have their whole burst
}

func newShares(rate, burst int) *shares {
	return &shares{rhythm: newRhythm(rate, burst), due: map[netip.Addr]time.Time{}}
}

// took counts a connection from the address and tells how long it must wait to be served.
func (s *shares) took(from netip.Addr, now time.Time) time.Duration {
	if _, known := s.due[from]; !known && len(s.due) >= sharesMost {
		s.forget(now)
		if len(s.due) >= sharesMost {
			from = netip.Addr{}
		}
	}
	due := s.due[from]
	s.due[from] = s.next(due, now)
	return max(0, s.left(due, now))
}

// forget makes room: who has not come for a while may have its whole burst again.
func (s *shares) forget(now time.Time) {
	for from, due := range s.due {
		if !due.After(now) {
			delete(s.due, from)
		}
	}
}

// turn is when a connection may be served that came faster than its address may.
type turn struct {
	at   time.Time
	gone chan struct{} // closed with the connection
}

// wait waits for the turn, or for the end of the connection.
func (t *turn) wait() {
	if t != nil {
		waitUntil(time.Until(t.at), t.gone)
	}
}

// Await waits until it is the turn of a connection that a Listener accepted, or until it is closed. Its method
// Read waits too, but not whoever reads past it, and nobody can tell then why nothing comes. A WebSocket's turn
// is over when it is accepted.
func Await(nc net.Conn) {
	switch c := nc.(type) {
	case *counted:
		c.turn.wait()
	case *tls.Conn:
		Await(c.NetConn())
	}
}
