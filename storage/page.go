package storage

import (
	"bytes"
	"database/sql/driver"
	"errors"
	"fmt"
	"maps"
	"sort"

	"fieldgate/broker/mqtt"
	"fieldgate/broker/session"
)

// maxPage bounds the messages of one page whatever the caller asks for.
const maxPage = 10000

// pick is one message of a page; queued is filled when it was in RAM.
type pick struct {
	seg    *segment
	slot   int
	pos    int
	id     mqtt.MsgID
	queued session.Queued
}

// Page implements session.Spool. Messages that are in RAM cost no I/O.
func (s *Spool) Page(id session.ID, after mqtt.MsgID, maxMessages, maxBytes int) ([]session.Queued, error) {
	for {
		picks, uncached := s.pick(id, after, min(maxMessages, maxPage), maxBytes)
		again := false
		if uncached {
			var err error
			if again, err = s.readPicks(id, picks); err != nil {
				return nil, fmt.Errorf("read queue of session %d: %w", id, err)
			}
		}
		if again {
			continue
		}
		if len(picks) == 0 {
			return nil, nil
		}
		page := make([]session.Queued, 0, len(picks))
		for i := range picks {
			if picks[i].queued.Message != nil {
				page = append(page, picks[i].queued)
			}
		}
		return page, nil
	}
}

// pick walks the bitmaps of the session and tells whether some messages are not in RAM.
func (s *Spool) pick(id session.ID, after mqtt.MsgID, maxMessages, maxBytes int) (picks []pick, uncached bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	q := s.sessions[id]
	if q == nil || q.n == 0 {
		return nil, false
	}
	bytes := 0
	for _, p := range q.parts[q.from(after):] {
		g := p.seg
		for pos := p.next(g.after(after)); pos >= 0; pos = p.next(pos + 1) {
			bytes += g.size(pos)
			if len(picks) >= maxMessages || bytes > maxBytes && len(picks) > 0 {
				return picks, uncached
			}
			next := pick{seg: g, slot: g.slot, pos: pos, id: g.id(pos)}
			if e := g.cachedAt(pos); e != nil {
				o := e.owedTo(id)
				if o.QoS == mqtt.ExactlyOnce && !e.committed {
					return picks, uncached
				}
				next.queued = queued(e.m, o)
			} else {
				uncached = true
			}
			picks = append(picks, next)
		}
	}
	return picks, uncached
}

func queued(m *mqtt.Message, o session.Owed) session.Queued {
	return session.Queued{Message: m, QoS: o.QoS, Retain: o.Retain, SubscriptionIDs: o.SubscriptionIDs}
}

func (e *entry) owedTo(id session.ID) session.Owed {
	o, _ := findOwed(e.owed, id)
	return o
}

// findOwed looks the session up in a list by rising session.
func findOwed(owed []session.Owed, id session.ID) (session.Owed, bool) {
	i := sort.Search(len(owed), func(i int) bool { return owed[i].Session >= id })
	if i == len(owed) || owed[i].Session != id {
		return session.Owed{}, false
	}
	return owed[i], true
}

// readPicks fills the picks that were not in RAM from the file. It tells to begin
// again when the file has changed below it, or has lost one of them.
func (s *Spool) readPicks(id session.ID, picks []pick) (again bool, err error) {
	for len(picks) > 0 {
		if picks[0].queued.Message != nil {
			picks = picks[1:]
			continue
		}
		run := runOf(picks)
		bad, err := s.readRun(id, picks[:run])
		if err != nil && beyondRepair(err) {
			s.suspect(err)
			bad, err = s.readEach(id, picks[:run])
		}
		if err != nil {
			return false, err
		}
		for i := range picks[:run] {
			if picks[i].queued.Message == nil {
				again = s.missing(id, &picks[i], bad[picks[i].id]) || again
			}
		}
		picks = picks[run:]
	}
	return again, nil
}

// runOf gives how many picks one query reads: of the same table, and near each other.
func runOf(picks []pick) int {
	const near = 8
	n := 1
	for n < len(picks) && picks[n].slot == picks[0].slot && picks[n].pos-picks[n-1].pos <= near && picks[n].queued.Message == nil {
		n++
	}
	return n
}

// readRun reads the rows of the picks, and gives the faults of the rows that are damaged.
func (s *Spool) readRun(id session.ID, picks []pick) (bad map[mqtt.MsgID]error, err error) {
	s.readMu.Lock()
	defer s.readMu.Unlock()
	if s.reader == nil {
		if s.isClosing() {
			return nil, errClosed
		}
		if s.reader, err = dial(s.file, s.crashSafe); err != nil {
			return nil, err
		}
	}
	next := 0
	each := func(row []driver.Value) error {
		for at, raw := range unpack(mqtt.MsgID(asInt(row[0])), asBytes(row[1])) {
			for next < len(picks) && picks[next].id < at {
				next++
			}
			if next == len(picks) {
				break
			}
			if picks[next].id != at {
				continue
			}
			// a clone, because one message that stays in RAM must not keep its neighbours there
			if err := s.readPick(id, &picks[next], bytes.Clone(raw)); err != nil {
				if bad == nil {
					bad = map[mqtt.MsgID]error{}
				}
				bad[at] = err
			}
		}
		return nil
	}
	text := tableSQL(picks[0].slot).read
	err = s.reader.query(text, 2, each, int64(picks[0].id), int64(picks[len(picks)-1].id))
	if err != nil {
		s.reader.close()
		s.reader = nil
	}
	return bad, err
}

// readPick fills the pick with the message that was read for it.
func (s *Spool) readPick(id session.ID, p *pick, raw []byte) error {
	body, err := decodeBody(p.id, raw)
	if err != nil {
		return err
	}
	owed, found := findOwed(body.owed, id)
	if !found {
		return fmt.Errorf("message %d: %w: not owed to session %d", p.id, errDamaged, id)
	}
	s.tellTime(body)
	p.queued = queued(body.message, owed)
	return nil
}

// readEach reads the rows of the picks one by one, because one of them is beyond
// repair and takes the others with it.
func (s *Spool) readEach(id session.ID, picks []pick) (map[mqtt.MsgID]error, error) {
	all := map[mqtt.MsgID]error{}
	for i := range picks {
		bad, err := s.readRun(id, picks[i:i+1])
		switch {
		case err == nil:
			maps.Copy(all, bad)
		case beyondRepair(err):
			all[picks[i].id] = err
		default:
			return nil, err
		}
	}
	return all, nil
}

// missing decides about a message that was not found: acknowledged meanwhile, moved
// (then the page begins again), or lost.
func (s *Spool) missing(id session.ID, p *pick, cause error) (again bool) {
	s.mu.Lock()
	for p.seg.merging && !s.closing {
		s.room.Wait()
	}
	q := s.sessions[id]
	owed := false
	if q != nil {
		at, _ := q.find(p.id)
		owed = at != nil
	}
	moved, closing := p.seg.gone, s.closing
	s.mu.Unlock()
	if !owed || closing {
		return false
	}
	if !moved {
		if cause == nil {
			cause = errors.New("row is missing")
		}
		s.lose(p.seg, p.pos, cause)
	}
	return true
}
