package storage

import (
	"slices"
	"time"

	"fieldgate/broker/mqtt"
	"fieldgate/broker/session"
)

// Apply implements session.Spool. It never waits for the disk.
func (s *Spool) Apply(in session.Change, safe func(error)) {
	c := &change{Change: in}
	c.Subscribe, c.Unsubscribe = slices.Clone(in.Subscribe), slices.Clone(in.Unsubscribe)
	c.Released, c.Forget = slices.Clone(in.Released), slices.Clone(in.Forget)
	c.Completed = slices.Clone(in.Completed)
	if in.Put != nil {
		put := *in.Put
		put.Meta = slices.Clone(put.Meta)
		c.Put = &put
	}
	s.mu.Lock()
	if s.closing {
		s.mu.Unlock()
		if safe != nil {
			safe(errClosed)
		}
		return
	}
	if c.End {
		c.slots = s.end(c.Session)
	}
	if c.Put != nil && s.sessions[c.Put.ID] == nil {
		s.sessions[c.Put.ID] = &queue{released: map[mqtt.MsgID]struct{}{}, limits: s.limits[c.Put.ID]}
	}
	q := s.sessions[c.Session]
	c.known = q != nil
	if c.known {
		for _, id := range c.Released {
			q.released[id] = struct{}{}
		}
		for _, id := range c.Completed {
			s.acked(q, c.Session, id)
		}
	}
	wait := time.Duration(0)
	if c.Unhurried {
		wait = lazyDelay
	}
	s.push(op{change: c, safe: safe, size: rowOverhead}, wait)
	s.mu.Unlock()
}

// end forgets a session with all that it is owed, and gives the segments of which
// the file may know that it is owed something.
func (s *Spool) end(id session.ID) []*segment {
	q := s.sessions[id]
	if q == nil {
		return nil
	}
	delete(s.sessions, id)
	delete(s.limits, id)
	slots := make([]*segment, 0, len(q.parts))
	for _, p := range q.parts {
		slots = append(slots, p.seg)
		for pos := range p.seg.tail {
			if p.seg.cachedAt(pos) != nil && p.has(pos) {
				s.forget(p.seg, pos)
			}
		}
		p.dead = true
		delete(p.seg.parts, id)
		p.seg.recount, s.thinned = true, true
		s.freeUnowed(p.seg)
	}
	return slots
}
