package storage

import (
	"fmt"
	"strings"
	"time"

	"fieldgate/broker/mqtt"
	"fieldgate/broker/session"
)

// losses counts what the limits of queues have cost since the spool was opened.
// Protected by Spool.mu.
type losses struct {
	session.Losses
	reportAt int64 // so many make the next report
	seen     int64 // by newLosses
	alarmed  bool
	last     time.Duration // when the last one was, by Spool.now
}

// isOver tells whether the queue is beyond its limits once it holds that much more.
func (q *queue) isOver(messages, bytes int64) bool {
	l := q.limits
	return l.Messages > 0 && q.n+messages > l.Messages || l.Bytes > 0 && q.bytes+bytes > l.Bytes
}

// refuses tells whether a session that the entry is owed to is full and refuses
// more: then nobody gets it. It counts that, unless the entry is tentative.
func (s *Spool) refuses(e *entry, tentative bool) bool {
	size := int64(len(e.m.Payload))
	refused := false
	for _, o := range e.owed {
		if q := s.sessions[o.Session]; q.limits.Reject && q.isOver(1, size) {
			refused = true
			if !tentative {
				q.losses.Refused++
			}
		}
	}
	if refused && !tentative {
		s.losses.Refused++
	}
	return refused
}

// admit makes room for the entry in the queues of its sessions.
func (s *Spool) admit(e *entry) {
	size := int64(len(e.m.Payload))
	kept := e.owed[:0]
	for _, o := range e.owed {
		if s.makeRoom(s.sessions[o.Session], size) {
			kept = append(kept, o)
		}
	}
	e.owed = kept
}

// makeRoom drops the oldest messages until one of that size fits; false when it never does.
func (s *Spool) makeRoom(q *queue, size int64) bool {
	if l := q.limits; l.Bytes > 0 && size > l.Bytes {
		s.drop(q, 1)
		return false
	}
	for q.isOver(1, size) {
		p, pos := q.first()
		s.settle(q, p, pos)
		s.drop(q, 1)
	}
	return true
}

// drop counts.
func (s *Spool) drop(q *queue, n int64) {
	q.losses.Dropped += n
	s.losses.Dropped += n
}

// SetLimits implements session.Spool.
func (s *Spool) SetLimits(id session.ID, l session.Limits) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing {
		return
	}
	s.limits[id] = l
	q := s.sessions[id]
	if q == nil {
		return
	}
	q.limits = l
	if !l.Reject {
		s.shrink(q)
	}
	if l.Age > 0 {
		s.nextSweep = s.now()
		s.signal()
	}
}

// shrink drops the oldest messages beyond the limits, whole segments where it can.
func (s *Spool) shrink(q *queue) {
	for q.isOver(0, 0) {
		p, pos := q.first()
		if p.seg.sealed && q.isOver(-int64(p.n), -p.bytes) {
			s.drop(q, int64(p.n))
			s.dropPart(q, p)
			continue
		}
		s.settle(q, p, pos)
		s.drop(q, 1)
	}
}

// dropPart takes everything from the session that it is owed of a sealed segment.
func (s *Spool) dropPart(q *queue, p *part) {
	g := p.seg
	for pos := range g.tail {
		if g.cachedAt(pos) != nil && p.has(pos) {
			s.forget(g, pos)
		}
	}
	q.n -= int64(p.n)
	q.bytes -= p.bytes
	p.n, p.bytes, p.all, p.words = 0, 0, false, nil
	g.recount, s.thinned = true, true
	s.touch(p)
	q.drop(p)
	s.freeUnowed(g)
}

// newLosses gives the words of an alarm when there are many more losses than at the last one.
func (s *Spool) newLosses() string {
	l := &s.losses
	n := l.total()
	if n != l.seen {
		l.seen, l.last = n, s.now()
	}
	if n <= l.reportAt {
		return ""
	}
	l.reportAt, l.alarmed = 2*n, true
	return l.words()
}

func (l *losses) total() int64 { return l.Dropped + l.Refused + l.Outdated }

// words say what happened, by cause.
func (l *losses) words() string {
	var causes []string
	for _, c := range []struct {
		n    int64
		what string
	}{
		{l.Dropped, "dropped to make room for newer ones"},
		{l.Refused, "refused because a queue was full"},
		{l.Outdated, "dropped because they had waited longer than they may"},
	} {
		if c.n > 0 {
			causes = append(causes, fmt.Sprintf("%d %s", c.n, c.what))
		}
	}
	return "limits of queues cost messages since the start: " + strings.Join(causes, ", ")
}

// Losses implements session.Spool.
func (s *Spool) Losses() session.Losses {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.losses.Losses
}

func (s *Spool) reportLosses(words string) {
	if words == "" {
		return
	}
	s.log.Warn("limits of queues cost messages", "detail", words)
	s.alarms.Raise("spool", QueueFull, words)
}

// lossPause is how long after the last loss the alarm stands.
const lossPause = time.Minute

// clearLosses takes the alarm back when nothing was lost for a while, and tells
// when to look again.
func (s *Spool) clearLosses() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := &s.losses
	if !l.alarmed {
		return time.Hour
	}
	if left := lossPause - (s.now() - l.last); left > 0 {
		return left
	}
	l.alarmed, l.reportAt = false, l.total()
	s.alarms.Clear("spool", QueueFull)
	return time.Hour
}

// refuse accepts an entry that no queue gets, so that its callback keeps its place.
func (s *Spool) refuse(safe func(error), publisher uint64) {
	e := &entry{safe: safe, publisher: publisher, err: session.ErrQueueFull, at: s.now()}
	s.link(e)
	s.push(op{entry: e}, s.cfg.AckWindowMax)
	s.elide(e)
}

// usage gives what is known without a look into the file.
func (q *queue) usage() mqtt.Usage {
	return mqtt.Usage{Messages: q.n, Bytes: q.bytes, Dropped: q.losses.Dropped, Refused: q.losses.Refused, Outdated: q.losses.Outdated}
}
