package storage

import (
	"time"

	"fieldgate/broker/mqtt"
	"fieldgate/broker/session"
)

// op is one operation in the order of the calls; one of entry, change and seal is set.
type op struct {
	entry  *entry
	change *change
	seal   *segment
	safe   func(error) // of a change; an entry has its own
	size   int64
	due    time.Duration // by Spool.now; not of what is due at once
}

// step is an operation with what of it is to be written.
type step struct {
	op
	begin bool           // the entry is the first of its segment in the file
	row   bool           // the entry's message is written
	owed  []session.Owed // to whom, of the entry, without those who have acknowledged it already
	index []byte         // of the sealed segment
	bits  []owedRow      // of the sealed segment, or of the ended session
}

// awaited tells whether somebody waits for the operation.
func (o *step) awaited() bool {
	if o.entry != nil {
		return o.entry.safe != nil
	}
	return o.safe != nil
}

// change is a session.Change with what was known when it came.
type change struct {
	session.Change
	known bool       // the session exists after it
	slots []*segment // of an ended session: what it was owed something of
}

// owedRow is one row of the table owed: NULL bits for all, or none at all.
type owedRow struct {
	slot    int
	session session.ID
	bits    []byte
	remove  bool
}

// batch is all that one transaction writes. A failed one is tried again as it is.
type batch struct {
	steps   []step
	bytes   int64
	writes  bool // something is to be written
	acked   bool // somebody waits for acknowledgements to be written
	owed    []owedRow
	free    []*segment
	settled []settledRelease
	ceiling mqtt.MsgID // to reserve, 0 for no change
	clock   []byte     // to store, nil for no change
	last    uint64     // seq of the last operation
}

// take makes the next batch of what is due.
func (s *Spool) take() *batch {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := &s.writer.batch
	clear(b.steps)
	*b = batch{steps: b.steps[:0], owed: b.owed[:0]}
	n, due := 0, s.dueOps()
	for n < due && len(b.steps) < maxBatchOps && b.bytes < maxBatchBytes {
		o := s.pending.at(n)
		n++
		if o.entry != nil && o.entry.elided {
			o.size = 0 // it was taken off when it was elided
		}
		b.steps = append(b.steps, step{op: *o})
		b.bytes += o.size
		s.prepare(&b.steps[len(b.steps)-1], b)
	}
	s.pending.drop(n)
	b.last = s.taken()
	s.takeLazy(b)
	if s.ceiling-s.next < idBlock/2 || s.next >= s.ceiling {
		b.ceiling = s.next + idBlock
		b.writes = true
	}
	if age := s.age(); b.writes && (age-s.clockSaved >= markPause || s.closing) {
		b.clock, s.clockSaved = s.encodeClock(age), age
	}
	return b
}

// prepare decides what of the operation is written.
func (s *Spool) prepare(o *step, b *batch) {
	switch {
	case o.entry != nil:
		e := o.entry
		e.taken = true
		b.writes = b.writes || e.retain || e.from != 0
		if e.seg == nil {
			return
		}
		e.seg.written = e.pos + 1
		if e.left == 0 {
			e.seg.sizes[e.pos] = 0 // acknowledged by all: never written
			return
		}
		o.row, o.owed, b.writes = true, s.stillOwed(e), true
		if e.seg.slot == noSlot {
			o.begin = true
			e.seg.slot = s.writer.takeSlot()
		}
	case o.seal != nil:
		s.prepareSeal(o)
		b.writes = b.writes || o.index != nil
	default:
		o.bits = o.change.ended()
		b.writes = b.writes || o.change.writes()
		b.acked = b.acked || len(o.change.Completed) > 0
	}
}

// writes tells whether there is something to be written of the change itself.
func (c *change) writes() bool {
	return c.Put != nil || c.End || len(c.Subscribe)+len(c.Unsubscribe)+len(c.Released)+len(c.Forget) > 0
}

// ended gives the rows that say that an ended session is owed nothing. Of a
// segment that grows the messages themselves still name the session.
func (c *change) ended() (rows []owedRow) {
	for _, g := range c.slots {
		if g.slot != noSlot && !g.gone {
			rows = append(rows, g.owedRow(&part{seg: g, owner: c.Session}))
		}
	}
	return rows
}

// takeSlot gives a table that is empty or still to be made.
func (w *writer) takeSlot() int {
	if n := len(w.free); n > 0 {
		slot := w.free[n-1]
		w.free = w.free[:n-1]
		return slot
	}
	w.slots++
	return w.slots - 1
}

// stillOwed gives the sessions that have not acknowledged the message.
func (s *Spool) stillOwed(e *entry) []session.Owed {
	if e.left == len(e.owed) {
		return e.owed
	}
	left := make([]session.Owed, 0, e.left)
	for _, o := range e.owed {
		if p := e.seg.parts[o.Session]; p != nil && p.has(e.pos) {
			left = append(left, o)
		}
	}
	return left
}

// prepareSeal closes the segment: from here on its index and bitmaps in the file tell all.
func (s *Spool) prepareSeal(o *step) {
	g := o.seal
	g.sealed = true
	g.recount, s.thinned = true, true
	if g.cached == 0 {
		g.tail = nil
	}
	rows := g.rows()
	for owner, p := range g.parts {
		p.dirty = false // a place in s.dirty is passed over then
		if p.n == 0 {
			s.sessions[owner].drop(p)
			continue
		}
		p.seal(rows)
	}
	g.describe(o)
	s.freeUnowed(g)
}

// describe gives the step what the file is to say of the sealed segment: of one that is in it.
func (g *segment) describe(o *step) {
	if g.slot == noSlot {
		return
	}
	o.index, o.bits = g.appendRows(nil), nil
	for _, p := range g.parts {
		o.bits = append(o.bits, g.owedRow(p))
	}
}

// owedRow gives the row of the file that says what the part says.
func (g *segment) owedRow(p *part) owedRow {
	row := owedRow{slot: g.slot, session: p.owner, remove: p.n == 0 && g.sealed}
	if !p.all && !row.remove {
		row.bits = p.appendBits(nil, g.written)
	}
	return row
}

// takeLazy adds acknowledgements when they are due, or when a commit happens
// anyway and the last ones that were added are lazyPause ago: they cost a page
// or two, as much as the message that they would go with.
func (s *Spool) takeLazy(b *batch) {
	due := s.lazyDue || s.closing || b.acked
	if !due && !b.writes {
		return
	}
	s.takeFreed(b)
	if !due && time.Since(s.writer.lastLazy) < lazyPause {
		return
	}
	s.writer.lastLazy = time.Now()
	for i := range s.dirty.len() {
		p := *s.dirty.at(i)
		if p.dirty && !p.dead && !p.seg.gone && p.seg.slot != noSlot {
			b.owed = append(b.owed, p.seg.owedRow(p))
		}
		p.dirty = false
	}
	s.dirty.drop(s.dirty.len())
	// not before the bitmaps: a QoS 2 message that is owed and not released would be sent again
	s.takeSettled(b)
	b.writes = b.writes || len(b.owed)+len(b.free)+len(b.settled) > 0
	s.lazyDue = false
	if s.lazyArmed = s.dirty.len()+len(s.freed)+len(s.settled) > 0; s.lazyArmed {
		s.lazy.Reset(lazyDelay) // what waits for operations that wait themselves
	} else {
		s.lazy.Stop()
	}
}

// takeFreed adds the segments that may go because all before it is in this batch or committed.
func (s *Spool) takeFreed(b *batch) {
	committed := s.taken()
	keptFreed := s.freed[:0]
	for _, f := range s.freed {
		switch {
		case f.seq > committed:
			keptFreed = append(keptFreed, f)
		case f.seg.slot != noSlot:
			b.free = append(b.free, f.seg)
		}
	}
	s.freed = keptFreed
}

// takeSettled does the same for rows of q2out.
func (s *Spool) takeSettled(b *batch) {
	committed := s.taken()
	keptSettled := s.settled[:0]
	for _, r := range s.settled {
		if r.seq > committed {
			keptSettled = append(keptSettled, r)
			continue
		}
		b.settled = append(b.settled, r)
	}
	s.settled = keptSettled
}
