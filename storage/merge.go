package storage

import (
	"cmp"
	"database/sql/driver"
	"math"
	"slices"
	"time"

	"fieldgate/broker/mqtt"
	"fieldgate/broker/session"
)

// A segment is thin when less than one in thinShare of a full one is alive. So
// many neighbours that are thin become one, so that the file stays within a
// factor of what is owed although whole segments are all that is ever freed.
const (
	thinShare  = 8
	minRun     = 4
	mergePause = time.Second
)

// merger is a merge on its way: what the segments of the run keep goes into one.
type merger struct {
	run   []*segment
	into  *segment
	place map[*segment][]int // the new position by the old one, -1 for what nobody is owed
	bits  []owedRow          // what was owed when it began
}

// mergeThin merges every run of thin segments when some may have become thin.
func (s *Spool) mergeThin() {
	if s.writer.c == nil || s.writer.disk.low || time.Since(s.writer.lastMerge) < mergePause {
		return
	}
	for {
		m := s.planMerge()
		if m == nil {
			return
		}
		written := false
		err := s.writer.c.tx(func() error {
			err := s.writer.merge(m)
			written = err == nil
			return err
		})
		if err != nil {
			s.log.Warn("thin segments not merged", "err", err)
			s.writer.giveUp(err)
			if beyondRepair(err) {
				s.suspect(err)
				s.keepApart(m)
			}
			if written {
				s.resolveMerge(m)
			} else {
				s.dropMerge(m) // there was no COMMIT
			}
			return
		}
		s.finishMerge(m)
	}
}

// keepApart leaves the segments of a merge that can't be read alone from now on.
func (s *Spool) keepApart(m *merger) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, g := range m.run {
		g.torn = true
	}
}

// planMerge looks for a run of thin segments, nil when there is none.
func (s *Spool) planMerge() *merger {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.thinned || s.closing {
		return nil
	}
	s.writer.lastMerge = time.Now()
	run := s.thinRun()
	if run == nil {
		s.thinned = false
		return nil
	}
	m := &merger{run: run, place: map[*segment][]int{}}
	m.into = newSegment(run[0].firstAlive())
	m.into.sealed, m.into.slot = true, s.writer.takeSlot()
	for _, g := range run {
		g.merging = true
		m.plan(g)
	}
	m.into.written = len(m.into.sizes)
	for _, p := range m.parts() {
		m.bits = append(m.bits, m.into.owedRow(p))
	}
	return m
}

// thinRun gives the first run of neighbours that are thin and fit into one segment.
func (s *Spool) thinRun() []*segment {
	var run []*segment
	rows, bytes := 0, int64(0)
	for _, g := range s.segs {
		if g.recount {
			_, g.alive, g.aliveBytes = g.living()
			g.recount = false
		}
		thin := g.sealed && !g.torn && g.alive < segmentRows/thinShare && g.aliveBytes < segmentBytes/thinShare
		fits := rows+g.alive <= segmentRows && bytes+g.aliveBytes <= segmentBytes && (run == nil || g.last()-run[0].base < math.MaxUint32)
		if !thin || !fits {
			if len(run) >= minRun {
				return run
			}
			run, rows, bytes = nil, 0, 0
		}
		if thin {
			run = append(run, g)
			rows += g.alive
			bytes += g.aliveBytes
		}
	}
	if len(run) >= minRun {
		return run
	}
	return nil
}

func (g *segment) firstAlive() mqtt.MsgID {
	words, _, _ := g.living()
	all := part{seg: g, words: words}
	return g.id(max(all.next(0), 0))
}

// plan gives every message of g that is alive its new position.
func (m *merger) plan(g *segment) {
	words, _, _ := g.living()
	alive := part{seg: g, words: words}
	place := make([]int, len(g.sizes))
	for pos := range place {
		place[pos] = -1
		if alive.has(pos) {
			place[pos] = m.into.add(g.id(pos), g.size(pos))
		}
	}
	m.place[g] = place
}

// parts gives what the sessions are owed of the run now, as parts of the new segment.
func (m *merger) parts() map[session.ID]*part {
	parts := map[session.ID]*part{}
	for _, g := range m.run {
		for owner, p := range g.parts {
			into := parts[owner]
			if into == nil {
				into = &part{seg: m.into, owner: owner}
				parts[owner] = into
			}
			for pos := p.next(0); pos >= 0; pos = p.next(pos + 1) {
				into.owe(m.place[g][pos])
			}
		}
	}
	return parts
}

// merge copies the rows and empties the tables of the run.
func (w *writer) merge(m *merger) error {
	into := tableSQL(m.into.slot)
	if err := w.begin(m.into, into); err != nil {
		return err
	}
	for _, g := range m.run {
		from := tableSQL(g.slot)
		for pos, to := range m.place[g] {
			if to < 0 {
				continue
			}
			body, err := w.body(from, g.id(pos))
			if err != nil {
				return err
			}
			if body == nil {
				continue // Page finds that it is missing, and says so
			}
			if err := w.c.exec(into.put, int64(g.id(pos)), body); err != nil {
				return err
			}
		}
		if err := w.freeSlot(g.slot); err != nil {
			return err
		}
	}
	if err := w.c.exec(sealSegment, m.into.appendRows(nil), int64(m.into.slot)); err != nil {
		return err
	}
	return w.writeOwed(m.bits)
}

// body gives what is stored of a message as it stands, nil when there is nothing.
func (w *writer) body(t table, id mqtt.MsgID) (body []byte, err error) {
	err = w.c.query(t.read, 2, func(row []driver.Value) error {
		for at, raw := range unpack(mqtt.MsgID(asInt(row[0])), asBytes(row[1])) {
			if at == id {
				body = raw
			}
		}
		return nil
	}, int64(id), int64(id))
	return body, err
}

// resolveMerge finds out whether a merge whose COMMIT was reported as failed has
// reached the file all the same, and follows it. Nothing else is written until that
// is known, and Page waits for it.
func (s *Spool) resolveMerge(m *merger) {
	w := &s.writer
	for delay := firstRetry; ; delay = min(2*delay, maxRetry) {
		happened, err := w.merged(s.file, s.crashSafe, m)
		s.report(err)
		switch {
		case err == nil && happened:
			s.finishMerge(m)
			return
		case err == nil:
			s.dropMerge(m)
			return
		case isFull(err):
			w.disk.giveReserve() // a connection takes a few pages
			delay = min(delay, fullRetry)
		}
		select {
		case <-s.quit:
			return
		default:
			s.pause(delay)
		}
	}
}

// merged asks the file for the segment that the merge makes.
func (w *writer) merged(file string, crashSafe bool, m *merger) (bool, error) {
	if err := w.dial(file, crashSafe); err != nil {
		return false, err
	}
	n, err := w.c.number("SELECT count(*) FROM segs WHERE slot = ? AND base = ? AND sealed = 1", int64(m.into.slot), int64(m.into.base))
	if err != nil {
		w.giveUp(err)
	}
	return n == 1, err
}

// dropMerge leaves the run as it is.
func (s *Spool) dropMerge(m *merger) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.writer.free = append(s.writer.free, m.into.slot)
	for _, g := range m.run {
		g.merging = false
	}
	s.room.Broadcast()
}

// finishMerge puts the new segment into the place of the run. What was
// acknowledged since planMerge is taken over.
func (s *Spool) finishMerge(m *merger) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, g := range m.run {
		g.gone, g.merging = true, false
		s.writer.free = append(s.writer.free, g.slot)
		for pos, e := range g.tail {
			if e != nil {
				e.seg, e.pos = m.into, m.place[g][pos]
				m.into.cache(e.pos, e)
			}
		}
	}
	merged := func(g *segment) bool { return slices.Contains(m.run, g) }
	// those that were freed meanwhile must not be emptied again: their tables have new owners
	s.freed = slices.DeleteFunc(s.freed, func(f freedSegment) bool { return merged(f.seg) })
	s.segs = slices.DeleteFunc(s.segs, merged)
	at, _ := slices.BinarySearchFunc(s.segs, m.into.base, func(g *segment, base mqtt.MsgID) int { return cmp.Compare(g.base, base) })
	s.segs = slices.Insert(s.segs, at, m.into)
	parts := m.parts()
	for _, before := range m.bits {
		q, p := s.sessions[before.session], parts[before.session]
		if q == nil {
			continue
		}
		if p == nil {
			p = &part{seg: m.into, owner: before.session}
		}
		q.replace(merged, p)
		s.touch(p)
	}
	m.into.recount = true
	s.freeUnowed(m.into)
	s.room.Broadcast()
}

// replace puts the part, unless it is empty, into the place of those of the merged segments.
func (q *queue) replace(merged func(*segment) bool, p *part) {
	q.parts = slices.DeleteFunc(q.parts, func(old *part) bool { return merged(old.seg) })
	if p.n == 0 {
		return
	}
	p.seg.parts[p.owner] = p
	at, _ := slices.BinarySearchFunc(q.parts, p.seg.base, func(old *part, base mqtt.MsgID) int { return cmp.Compare(old.seg.base, base) })
	q.parts = slices.Insert(q.parts, at, p)
}
