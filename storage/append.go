package storage

import (
	"cmp"
	"slices"
	"time"

	"fieldgate/broker/mqtt"
	"fieldgate/broker/session"
)

// Append implements session.Spool. It waits only when 64 MB are accepted and not
// committed, which means that the disk has failed or is far too slow; never for a
// callback of the spool.
func (s *Spool) Append(in session.Entry, safe func(error)) mqtt.MsgID {
	m := in.Message
	e := &entry{m: m, retain: in.Retain, safe: safe, publisher: in.Publisher, size: int64(len(m.Payload) + len(m.Topic) + len(m.Props) + rowOverhead)}
	s.mu.Lock()
	if !s.waitForRoom() {
		s.mu.Unlock()
		if safe != nil && !in.Tentative {
			safe(errClosed)
		}
		return 0
	}
	s.address(e, in.Owed)
	if s.refuses(e, in.Tentative) {
		if !in.Tentative {
			s.refuse(safe, in.Publisher)
		}
		words := s.newLosses()
		s.mu.Unlock()
		s.reportLosses(words)
		return 0
	}
	s.admit(e)
	e.id = s.next
	s.next++
	m.ID = e.id
	if s.sessions[in.From] != nil {
		e.from, e.packetID = in.From, in.PacketID
	}
	id := e.id
	e.at = s.now()
	wait := s.patience(e, &in)
	s.marks.note(id, s.lived+e.at)
	s.owe(e)
	s.link(e)
	s.push(op{entry: e, size: e.size}, wait)
	if e.left == 0 && !e.retain && e.from == 0 {
		s.elide(e)
	}
	words := s.newLosses()
	s.mu.Unlock()
	s.reportLosses(words)
	return id
}

// waitForRoom tells whether the spool is open, once there is room. A callback never
// waits, for the writer may be running it. A disk that fails does not hold back IDs: what has to be named alike after a crash (QoS 2)
// is not shown before its commit, which reserves them too.
func (s *Spool) waitForRoom() bool {
	for !s.closing && !s.delivering && (s.pendBytes >= maxPending || s.next >= s.ceiling && !s.failing) {
		s.signal()
		s.room.Wait()
	}
	return !s.closing
}

// address names the sessions that the message is owed to: those that exist.
func (s *Spool) address(e *entry, owed []session.Owed) {
	if e.owed = e.one[:0]; len(owed) > 1 {
		e.owed = make([]session.Owed, 0, len(owed))
	}
	for _, o := range owed {
		if s.sessions[o.Session] != nil {
			e.owed = append(e.owed, o)
		}
	}
	byID := func(a, b session.Owed) int { return cmp.Compare(a.Session, b.Session) }
	if !slices.IsSortedFunc(e.owed, byID) {
		slices.SortFunc(e.owed, byID)
	}
	// more than once the same session would be more than one acknowledgement
	e.owed = slices.CompactFunc(e.owed, func(a, b session.Owed) bool { return a.Session == b.Session })
}

// owe puts the message into the queues of its sessions.
func (s *Spool) owe(e *entry) {
	if len(e.owed) == 0 {
		return
	}
	e.left = len(e.owed)
	e.seg = s.growing(e.id)
	e.pos = e.seg.add(e.id, len(e.m.Payload))
	e.seg.bytes += e.size
	e.seg.cache(e.pos, e)
	for _, o := range e.owed {
		s.sessions[o.Session].owe(o.Session, e.seg, e.pos)
	}
}

// growing gives the segment that the next message goes to.
func (s *Spool) growing(id mqtt.MsgID) *segment {
	if n := len(s.segs); n > 0 {
		g := s.segs[n-1]
		if g.takes(id) {
			return g
		}
		if !g.sealed {
			s.push(op{seal: g}, s.cfg.AckWindowMax)
			g.sealSeq = s.seq
		}
	}
	g := newSegment(id)
	s.segs = append(s.segs, g)
	return g
}

// push hands an operation to the writer; it is due, with everything before it, once it has waited.
func (s *Spool) push(o op, wait time.Duration) {
	s.seq++
	s.pendBytes += o.size
	if o.change != nil && !o.change.Unhurried {
		s.changes++
	}
	if wait <= 0 || s.pendBytes > maxWaiting {
		s.pending.push(o)
		s.dueSeq = s.seq
		s.signal()
		if s.enough != 0 && s.dueSeq >= s.enough {
			s.enough = 0
			s.wakeWriter()
		}
		return
	}
	o.due = s.now() + wait
	if o.entry != nil {
		o.due = o.entry.at + wait
	}
	s.pending.push(o)
	if s.nextDue == 0 || o.due < s.nextDue {
		s.nextDue = o.due
		if s.idle {
			s.soon.Reset(wait) // to wake the writer now, for it to sleep again, costs more
		}
	}
}

// soonFired wakes the writer for what is due now.
func (s *Spool) soonFired() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.signal()
}

// signal wakes the writer when it sleeps.
func (s *Spool) signal() {
	if !s.idle {
		return
	}
	s.idle = false
	s.wakeWriter()
}

func (s *Spool) wakeWriter() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// taken is the seq of the last op that was given to the writer, or had no need to.
func (s *Spool) taken() uint64 { return s.seq - uint64(s.pending.len()) }
