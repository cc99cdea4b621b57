package listen

import (
	"sync"
	"time"
)

// pace lets so many connections in at once, and after those only so many a second. Who has to wait
// does so in the system's queue, where it costs the broker nothing. wait and took belong to the
// goroutine that accepts.
type pace struct {
	interval time.Duration // from one connection to the next when none may come at once
	burst    time.Duration // interval for each that may come at once, beside the first
	due      time.Time     // when the next one would come if all kept the interval
	stop     func()
	stopped  chan struct{}
}

func newPace(rate, burst int) *pace {
	interval := time.Second / time.Duration(rate)
	stopped := make(chan struct{})
	return &pace{
		interval: interval, burst: time.Duration(burst-1) * interval,
		stop: sync.OnceFunc(func() { close(stopped) }), stopped: stopped,
	}
}

// wait waits until a connection may come, or for stop; it tells whether it had to.
func (p *pace) wait() bool {
	left := time.Until(p.due.Add(-p.burst))
	if left <= 0 {
		return false
	}
	timer := time.NewTimer(left)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-p.stopped:
	}
	return true
}

// took counts a connection that has come.
func (p *pace) took() {
	if now := time.Now(); p.due.Before(now) {
		p.due = now
	}
	p.due = p.due.Add(p.interval)
}
