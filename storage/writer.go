package storage

import (
	"fmt"
	"time"

	"fieldgate/broker/mqtt"
	"fieldgate/broker/session"
)

// Limits of one commit.
const (
	maxBatchOps   = 1000
	maxBatchBytes = 256 << 10
)

// How long the writer waits before it tries a failed commit again.
const (
	firstRetry = 50 * time.Millisecond
	maxRetry   = 5 * time.Second
	// lastTries is how often a commit is tried again once the spool closes.
	lastTries = 3
)

// writer is the one goroutine that changes the file.
type writer struct {
	c         *conn // nil after a failure, until it is opened again
	free      []int // slots whose tables are empty
	slots     int   // slots that exist
	lastSync  time.Duration
	lastMerge time.Time
	lastLazy  time.Time
	gaveUp    error // what the last try said, once the spool closes
	buf       []byte
	batch     batch
}

// op is one operation in the order of the calls; one of entry, change and seal is set.
type op struct {
	entry  *entry
	change *change
	seal   *segment
	safe   func(error)
	size   int64
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
	owed    []owedRow
	free    []*segment
	settled []settledRelease
	ceiling mqtt.MsgID // to reserve, 0 for no change
}

// run commits what comes until the spool is closed.
func (s *Spool) run() {
	defer close(s.done)
	for s.await() {
		b := s.take()
		s.release(b, s.store(b))
		s.mergeThin()
	}
	if s.writer.c != nil {
		s.writer.c.close()
	}
}

// await sleeps until there is something to commit; false when there never will be.
func (s *Spool) await() bool {
	for {
		s.mu.Lock()
		lazy := len(s.dirty)+len(s.freed)+len(s.settled) > 0
		due := len(s.pending) > 0 || lazy && (s.lazyDue || s.closing) || s.next >= s.ceiling && !s.closing
		closing, few := s.closing, len(s.pending) < maxBatchOps
		s.idle = !due && !closing
		s.mu.Unlock()
		switch {
		case due:
			// with closed-loop publishers a short wait fills the commit
			if linger := s.writer.lastSync / 20; few && !closing && linger > 50*time.Microsecond {
				time.Sleep(linger)
			}
			return true
		case closing:
			return false
		}
		<-s.wake
	}
}

// take makes the next batch of what is due.
func (s *Spool) take() *batch {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := &s.writer.batch
	clear(b.steps)
	*b = batch{steps: b.steps[:0], owed: b.owed[:0]}
	n := 0
	for n < len(s.pending) && n < maxBatchOps && b.bytes < maxBatchBytes {
		b.steps = append(b.steps, step{op: s.pending[n]})
		s.pending[n] = op{}
		b.bytes += b.steps[n].size
		s.prepare(&b.steps[n], b)
		n++
	}
	s.pending = rest(s.pending, n)
	s.takeLazy(b)
	if s.ceiling-s.next < idBlock/2 || s.next >= s.ceiling {
		b.ceiling = s.next + idBlock
		b.writes = true
	}
	return b
}

// rest takes n off the front; an emptied list gives up what a burst has made it take.
func rest[T any](list []T, n int) []T {
	const small = 4 * maxBatchOps
	switch {
	case n < len(list):
		return list[n:]
	case cap(list) > small:
		return nil
	}
	return list[:0]
}

// prepare decides what of the operation is written.
func (s *Spool) prepare(o *step, b *batch) {
	switch {
	case o.entry != nil:
		e := o.entry
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
		b.writes = true
	}
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
		o.bits = append(o.bits, g.owedRow(p))
	}
	if g.slot != noSlot {
		o.index = g.appendRows(nil)
	}
	s.freeUnowed(g)
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
	due := s.lazyDue || s.closing
	if !due && !b.writes {
		return
	}
	s.takeFreed(b)
	if !due && time.Since(s.writer.lastLazy) < lazyPause {
		return
	}
	s.writer.lastLazy = time.Now()
	for _, p := range s.dirty {
		if p.dirty && !p.dead && !p.seg.gone && p.seg.slot != noSlot {
			b.owed = append(b.owed, p.seg.owedRow(p))
		}
		p.dirty = false
	}
	s.dirty = rest(s.dirty, len(s.dirty))
	// not before the bitmaps: a QoS 2 message that is owed and not released would be sent again
	s.takeSettled(b)
	b.writes = b.writes || len(b.owed)+len(b.free)+len(b.settled) > 0
	if len(s.dirty)+len(s.freed)+len(s.settled) == 0 {
		s.lazyDue, s.lazyArmed = false, false
		s.lazy.Stop()
	}
}

// takeFreed adds the segments that may go because all before it is in this batch or committed.
func (s *Spool) takeFreed(b *batch) {
	committed := s.seq - uint64(len(s.pending))
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
	committed := s.seq - uint64(len(s.pending))
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

// store commits the batch, again and again until the disk takes it. Once the
// spool closes it gives up.
func (s *Spool) store(b *batch) error {
	if !b.writes {
		return nil
	}
	if s.writer.gaveUp != nil {
		return s.writer.gaveUp
	}
	left := lastTries
	for delay := firstRetry; ; delay = min(2*delay, maxRetry) {
		err := s.commit(b)
		s.report(err)
		if err == nil {
			return nil
		}
		select {
		case <-s.quit:
			if left--; left == 0 {
				s.writer.gaveUp = fmt.Errorf("commit messages: %w", err)
				return s.writer.gaveUp
			}
			time.Sleep(firstRetry)
		default:
			s.pause(delay)
		}
	}
}

// pause waits before the next try; close ends it early.
func (s *Spool) pause(delay time.Duration) {
	timer := time.NewTimer(delay)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-s.quit:
	}
}

// report tells people when commits begin to fail and when they work again.
func (s *Spool) report(err error) {
	s.mu.Lock()
	was := s.failing
	s.failing = err != nil
	s.room.Broadcast()
	s.mu.Unlock()
	switch {
	case err != nil && !was:
		s.log.Error("commit failed, nothing is acknowledged until it works", "err", err)
		s.alarms.Raise("spool", NotCommitted, fmt.Sprintf("messages can't be written to %s: %v; publishers wait until it works again", s.file, err))
	case err != nil:
		s.log.Debug("commit failed again", "err", err)
	case was:
		s.log.Info("commits work again")
		s.alarms.Clear("spool", NotCommitted)
	}
}

// release makes the committed known and calls back, in order.
func (s *Spool) release(b *batch, err error) {
	s.mu.Lock()
	s.pendBytes -= b.bytes
	if err == nil {
		s.settleBatch(b)
	}
	s.delivering = true
	s.room.Broadcast()
	s.mu.Unlock()
	for i := range b.steps {
		if safe := b.steps[i].safe; safe != nil {
			safe(err)
		}
	}
	s.mu.Lock()
	s.delivering = false
	s.mu.Unlock()
}

// settleBatch brings the index in RAM to where the file is.
func (s *Spool) settleBatch(b *batch) {
	for i := range b.steps {
		e := b.steps[i].entry
		if e == nil {
			continue
		}
		e.committed = true
		if e.left > 0 {
			s.recent = append(s.recent, e)
			s.cacheBytes += e.size
		}
	}
	s.evict()
	for _, g := range b.free {
		s.writer.free = append(s.writer.free, g.slot)
	}
	if b.ceiling > s.ceiling {
		s.ceiling = b.ceiling
	}
}

// evict drops the oldest committed messages from RAM beyond maxCached, and those
// that nobody needs.
func (s *Spool) evict() {
	n := 0
	for n < len(s.recent) && (s.recent[n].left == 0 || s.cacheBytes > maxCached) {
		e := s.recent[n]
		s.cacheBytes -= e.size
		if e.left > 0 {
			e.seg.uncache(e.pos)
		}
		s.recent[n] = nil
		n++
	}
	s.recent = rest(s.recent, n)
}
