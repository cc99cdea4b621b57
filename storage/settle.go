package storage

import (
	"fmt"
	"slices"
	"sort"

	"fieldgate/broker/mqtt"
	"fieldgate/broker/session"
)

// Acked implements session.Spool.
func (s *Spool) Acked(id session.ID, msg mqtt.MsgID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if q := s.sessions[id]; q != nil && !s.closing {
		s.acked(q, id, msg)
	}
}

// acked takes the message out of the session's queue; the file follows with the acknowledgements.
func (s *Spool) acked(q *queue, id session.ID, msg mqtt.MsgID) {
	if _, was := q.released[msg]; was {
		delete(q.released, msg)
		s.settled = append(s.settled, settledRelease{id, msg, s.seq})
		s.arm()
	}
	if p, pos := q.find(msg); p != nil {
		s.settle(q, p, pos)
	}
}

// settle clears one bit and frees what nobody is owed any more.
func (s *Spool) settle(q *queue, p *part, pos int) {
	g := p.seg
	p.settle(pos)
	q.n--
	q.bytes -= int64(g.size(pos))
	if pos < g.written {
		s.touch(p)
	}
	s.forget(g, pos)
	if !g.sealed {
		return
	}
	g.recount, s.thinned = true, true
	if p.n == 0 {
		q.drop(p)
		s.freeUnowed(g)
	}
}

// forget counts down who still needs the message that may be in RAM.
func (s *Spool) forget(g *segment, pos int) {
	e := g.cachedAt(pos)
	if e == nil {
		return
	}
	if e.left--; e.left > 0 {
		return
	}
	g.uncache(pos)
	if e.id%windowSample == 0 {
		s.window.note(s.now() - e.at)
	}
	if !e.taken && !e.retain && e.from == 0 {
		s.elide(e)
		return
	}
	if e.committed {
		// it stands in recent until its turn comes, without what makes it big
		s.cacheBytes -= e.size - rowOverhead
		e.size = rowOverhead
		e.m, e.owed = nil, nil
	}
}

// touch marks what a session is owed of a segment as different from the file.
func (s *Spool) touch(p *part) {
	if !p.dirty {
		p.dirty = true
		s.dirty.push(p)
	}
	s.arm()
}

// arm sees to it that what is lazy reaches the file without another commit.
func (s *Spool) arm() {
	if !s.lazyArmed {
		s.lazyArmed = true
		s.lazy.Reset(lazyDelay)
	}
}

func (s *Spool) lazyFired() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lazyArmed && !s.closing {
		s.lazyDue = true
		s.signal()
	}
}

// freeUnowed lets the writer empty a sealed segment of which nobody is owed anything.
func (s *Spool) freeUnowed(g *segment) {
	if !g.sealed || len(g.parts) > 0 || g.gone {
		return
	}
	g.gone = true
	if i := s.segmentAt(g.base); i >= 0 {
		s.segs = slices.Delete(s.segs, i, i+1)
	}
	s.freed = append(s.freed, freedSegment{g, s.seq})
	s.arm()
}

// segmentAt gives the place of the segment with that base, -1 when there is none.
func (s *Spool) segmentAt(base mqtt.MsgID) int {
	i := sort.Search(len(s.segs), func(i int) bool { return s.segs[i].base >= base })
	if i == len(s.segs) || s.segs[i].base != base {
		return -1
	}
	return i
}

// lose takes a message that can't be read out of every queue.
func (s *Spool) lose(g *segment, pos int, cause error) {
	s.mu.Lock()
	if g.gone || g.sizes[pos] == 0 {
		s.mu.Unlock()
		return
	}
	id := g.id(pos)
	for owner, p := range g.parts {
		if q := s.sessions[owner]; q != nil && p.has(pos) {
			s.settle(q, p, pos)
		}
	}
	s.mu.Unlock()
	s.reportLost(id, cause)
}

func (s *Spool) reportLost(id mqtt.MsgID, cause error) {
	s.mu.Lock()
	s.lost++
	lost := s.lost
	s.mu.Unlock()
	s.log.Error("stored message lost", "message_id", uint64(id), "err", cause)
	s.alarms.Raise("spool", LostMessages, fmt.Sprintf("%d stored messages could not be read and were left out; the disk may be failing", lost))
}
