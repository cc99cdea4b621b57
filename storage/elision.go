package storage

import (
	"time"

	"fieldgate/broker/mqtt"
	"fieldgate/broker/session"
)

// maxWaiting is how many accepted bytes may wait for acknowledgements; beyond
// that everything is due at once.
const maxWaiting = 1 << 20

// chain is what one publisher waits for, oldest first.
type chain struct{ head, tail *entry }

// callback is one that may run now.
type callback struct {
	safe func(error)
	err  error
}

// now is the monotonic time since the spool was opened.
func (s *Spool) now() time.Duration { return time.Since(s.opened) }

// patience tells how long the entry may wait for acknowledgements that make
// writing it needless, before it is put into the queues; 0 when it is due at once.
func (s *Spool) patience(e *entry, in *session.Entry) time.Duration {
	if e.from != 0 || e.retain && !in.Unhurried {
		return 0
	}
	live := true
	for _, o := range e.owed {
		if o.QoS == mqtt.ExactlyOnce {
			return 0 // it does not even show before its commit
		}
		live = live && o.Live && !s.isBehind(s.sessions[o.Session], e.at)
	}
	switch {
	case in.Unhurried:
		return s.cfg.BridgeWindow
	case live:
		return s.window.now
	}
	return 0
}

// isBehind tells whether the session has kept its oldest message unacknowledged for
// longer than the window.
func (s *Spool) isBehind(q *queue, now time.Duration) bool {
	p, pos := q.first()
	if p == nil {
		return false
	}
	oldest := p.seg.cachedAt(pos)
	return oldest == nil || now-oldest.at > s.window.now
}

// link puts the entry behind what its publisher waits for.
func (s *Spool) link(e *entry) {
	e.barrier = s.changes
	if e.publisher == 0 {
		return
	}
	c := s.chains[e.publisher]
	if c.tail == nil {
		c.head = e
	} else {
		c.tail.next = e
	}
	c.tail = e
	s.chains[e.publisher] = c
}

// elide makes an entry safe that nobody is owed any more, before the writer has
// taken it: nothing of it is ever written.
func (s *Spool) elide(e *entry) {
	if s.pendBytes >= maxPending {
		s.room.Broadcast()
	}
	s.pendBytes -= e.size
	e.elided = true
	if e.seg != nil {
		e.seg.sizes[e.pos] = 0
	}
	e.m, e.owed = nil, nil
	for next := e; next != nil && next.elided && s.isNext(next); {
		following := next.next
		s.finish(next, next.err)
		next = following
	}
	if !e.finished {
		e.blocked = true
		s.blocked++
	}
	s.called.Signal()
	s.trim()
}

// isNext tells whether all that the entry's callback must not overtake is finished.
func (s *Spool) isNext(e *entry) bool {
	return e.barrier <= s.changesDone && (e.publisher == 0 || s.chains[e.publisher].head == e)
}

// finish hands over the entry's callback.
func (s *Spool) finish(e *entry, err error) {
	e.finished = true
	if e.blocked {
		s.blocked--
	}
	if e.publisher != 0 {
		c := s.chains[e.publisher]
		if c.head = e.next; c.head == nil {
			delete(s.chains, e.publisher)
		} else {
			s.chains[e.publisher] = c
		}
	}
	e.next = nil // finished entries must not keep later ones in RAM
	s.call(e.safe, err)
	e.safe = nil
}

// unblock finishes elided entries that waited for a commit of what came before.
func (s *Spool) unblock() {
	for i := 0; i < s.pending.len() && s.blocked > 0; i++ {
		if e := s.pending.at(i).entry; e != nil && e.blocked && !e.finished && s.isNext(e) {
			s.finish(e, e.err)
		}
	}
	s.trim()
}

// trim drops what is finished from the front of pending.
func (s *Spool) trim() {
	for s.pending.len() > 0 {
		e := s.pending.at(0).entry
		if e == nil || !e.finished {
			return
		}
		if e.seg != nil {
			e.seg.written = e.pos + 1
		}
		s.pending.drop(1)
	}
}

// call makes the callback ready to run, behind those before it.
func (s *Spool) call(safe func(error), err error) {
	if safe != nil {
		s.ready.push(callback{safe, err})
	}
}

// fewCallbacks are so few that the writer may run them.
const fewCallbacks = 4

// deliver runs callbacks until the writer has ended.
func (s *Spool) deliver() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		for s.ready.len() == 0 || s.delivering {
			if s.ended && s.ready.len() == 0 {
				return
			}
			s.called.Wait()
		}
		s.runCallbacks()
	}
}

// runCallbacks runs those that are ready now, without the mutex, unless somebody else is at it.
func (s *Spool) runCallbacks() {
	if s.ready.len() == 0 || s.delivering {
		return
	}
	list := s.running
	for i := range s.ready.len() {
		list = append(list, *s.ready.at(i))
	}
	s.ready.drop(s.ready.len())
	s.delivering = true
	s.room.Broadcast()
	s.mu.Unlock()
	for _, c := range list {
		c.safe(c.err)
	}
	clear(list)
	if s.running = list[:0]; cap(list) > fifoSmall {
		s.running = nil
	}
	s.mu.Lock()
	s.delivering = false
	if s.ready.len() > 0 || s.ended {
		s.called.Signal()
	}
}

// dueOps tells how many operations are to be committed now: all up to the last one that is due.
func (s *Spool) dueOps() int {
	if s.closing {
		return s.pending.len()
	}
	before := s.taken()
	if now := s.now(); s.nextDue != 0 && s.nextDue <= now {
		s.nextDue = 0
		for i := s.pending.len() - 1; i >= 0 && before+uint64(i) >= s.dueSeq; i-- {
			o := s.pending.at(i)
			if o.entry != nil && o.entry.elided {
				continue
			}
			if o.due <= now {
				s.dueSeq = before + uint64(i) + 1
				break
			}
			if s.nextDue == 0 || o.due < s.nextDue {
				s.nextDue = o.due
			}
		}
	}
	if s.dueSeq <= before {
		return 0
	}
	return int(s.dueSeq - before)
}

// The time to all acknowledgements is counted in so many steps up to the longest
// window, and what takes longer in one more.
const (
	windowSteps  = 16
	windowSample = 8  // one in so many messages is looked at
	windowRound  = 64 // the window is chosen anew after so many of those
)

// window is how long messages wait for acknowledgements. Protected by Spool.mu.
type window struct {
	now, least, most time.Duration
	counts           [windowSteps + 1]int
	round            int
}

func newWindow(cfg SpoolConfig) window {
	return window{now: cfg.AckWindow, least: cfg.AckWindow, most: cfg.AckWindowMax}
}

// note counts the time that a message took until all had acknowledged it.
func (w *window) note(took time.Duration) {
	if w.least <= 0 {
		return
	}
	w.counts[min(int(took*windowSteps/w.most), windowSteps)]++
	if w.round++; w.round < windowRound {
		return
	}
	w.round = 0
	w.choose()
	for i := range w.counts {
		w.counts[i] /= 2
	}
}

// choose takes the 90th percentile and a step, when that fits the longest window;
// else waiting would be in vain, and the shortest one is enough for those who are quick.
func (w *window) choose() {
	total := 0
	for _, n := range w.counts {
		total += n
	}
	left := total
	for step, n := range w.counts {
		if left -= n; left*10 > total {
			continue
		}
		w.now = w.least
		if step < windowSteps {
			w.now = min(max(w.least, w.most*time.Duration(step+2)/windowSteps), w.most)
		}
		return
	}
}
