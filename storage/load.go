package storage

import (
	"cmp"
	"context"
	"database/sql/driver"
	"fmt"
	"log/slog"
	"math"
	"math/bits"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"sync"
	"time"

	"fieldgate/broker/mqtt"
	"fieldgate/broker/session"
	"fieldgate/internal/fault"
)

// openSpool opens the file and rebuilds the index in RAM; the writer runs once it returns.
func openSpool(file string, cfg SpoolConfig, alarms *fault.Alarms, log *slog.Logger) (*Spool, error) {
	s := &Spool{
		log:       log,
		alarms:    alarms,
		file:      file,
		cfg:       cfg,
		crashSafe: cfg.Durability == CrashSafe,
		opened:    time.Now(),
		window:    newWindow(cfg),
		chains:    map[uint64]chain{},
		limits:    map[session.ID]session.Limits{},
		wake:      make(chan struct{}, 1),
		quit:      make(chan struct{}),
		done:      make(chan struct{}),
		sessions:  map[session.ID]*queue{},
	}
	s.room, s.called = sync.NewCond(&s.mu), sync.NewCond(&s.mu)
	err := openOrReplace(file, "spool", alarms, log, salvageSpool, s.open)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", file, err)
	}
	s.lazy = time.AfterFunc(time.Hour, s.lazyFired)
	s.lazy.Stop()
	s.soon = time.AfterFunc(time.Hour, s.soonFired)
	s.soon.Stop()
	if len(s.freed) > 0 || s.dirty.len() > 0 {
		s.arm()
	}
	ctx, cancel := context.WithCancel(context.Background())
	s.endLook = cancel
	go s.run(ctx)
	return s, nil
}

// open makes both connections and loads the index.
func (s *Spool) open() error {
	c, err := dial(s.file, s.crashSafe)
	if err != nil {
		return err
	}
	if err := s.load(c); err != nil {
		c.close()
		s.unload()
		return err
	}
	s.writer.c = c
	s.writer.disk = disk{dir: filepath.Dir(s.file), minFree: int64(s.cfg.MinFreeDisk)}
	s.watchDisk(true)
	return nil
}

// unload forgets all that load has read, so that none of it reaches another file.
func (s *Spool) unload() {
	clear(s.sessions)
	s.segs, s.dirty, s.freed, s.pending = nil, fifo[*part]{}, nil, fifo[op]{}
	s.seq, s.dueSeq, s.lost = 0, 0, 0
	s.writer = writer{}
}

func (s *Spool) load(c *conn) error {
	if err := migrate(c, "spool"); err != nil {
		return err
	}
	if s.wasSuspect() {
		return fmt.Errorf("%w: damage was found while it was in use", errDamaged)
	}
	for _, load := range []func(*conn) error{s.loadMeta, s.loadQueues, s.loadSegments, s.findTables} {
		if err := load(c); err != nil {
			return err
		}
	}
	return nil
}

// loadMeta learns which IDs were given out, whether the last stop was clean, and the time.
func (s *Spool) loadMeta(c *conn) error {
	next, err := c.number("SELECT v FROM meta WHERE k = 'next_id'")
	if err != nil {
		return err
	}
	s.next = mqtt.MsgID(max(next, 1))
	s.ceiling = s.next
	clean, err := c.number("SELECT v FROM meta WHERE k = 'clean'")
	if err != nil {
		return err
	}
	s.unclean = next > 0 && clean == 0
	var clock []byte
	err = c.query("SELECT v FROM meta WHERE k = 'clock'", 1, func(row []driver.Value) error {
		clock = asBytes(row[0])
		return nil
	})
	if err != nil {
		return err
	}
	s.decodeClock(clock)
	s.writer.lived, s.writer.broken = s.lived, map[int]bool{}
	s.marks.list = append(s.marks.list, mark{s.next, s.age()}) // of what came after the last one that was stored
	return nil
}

// loadQueues makes the queues of the sessions, still empty, with what was released of them.
func (s *Spool) loadQueues(c *conn) error {
	err := c.query("SELECT id FROM session", 1, func(row []driver.Value) error {
		s.sessions[sessionOf(row[0])] = &queue{released: map[mqtt.MsgID]struct{}{}}
		return nil
	})
	if err != nil {
		return err
	}
	return c.query("SELECT session, id FROM q2out", 2, func(row []driver.Value) error {
		if q := s.sessions[sessionOf(row[0])]; q != nil {
			q.released[mqtt.MsgID(asInt(row[1]))] = struct{}{}
		}
		return nil
	})
}

// findTables learns which slots exist and which of them are empty.
func (s *Spool) findTables(c *conn) error {
	used := map[int]bool{}
	for _, g := range s.segs {
		used[g.slot] = true
	}
	for _, f := range s.freed {
		used[f.seg.slot] = true
	}
	name := regexp.MustCompile(`^seg(\d{1,6})$`)
	var unused []int
	err := c.query("SELECT name FROM sqlite_schema WHERE type = 'table'", 1, func(row []driver.Value) error {
		match := name.FindStringSubmatch(asString(row[0]))
		if match == nil {
			return nil
		}
		slot, err := strconv.Atoi(match[1])
		if err != nil {
			return err
		}
		s.writer.slots = max(s.writer.slots, slot+1)
		if !used[slot] {
			unused = append(unused, slot)
		}
		return nil
	})
	for _, slot := range unused {
		if n, err := c.number(fmt.Sprintf("SELECT 1 FROM seg%d LIMIT 1", slot)); err == nil && n == 0 {
			s.writer.free = append(s.writer.free, slot) // another one could not be emptied
		}
	}
	return err
}

// loadSegments rebuilds the index: sealed segments from their own, others from their rows.
func (s *Spool) loadSegments(c *conn) error {
	var unsealed []*segment
	err := c.query("SELECT slot, base, sealed, rows FROM segs ORDER BY base", 4, func(row []driver.Value) error {
		g := newSegment(mqtt.MsgID(asInt(row[1])))
		g.slot, g.sealed = int(asInt(row[0])), asInt(row[2]) != 0
		g.recount, s.thinned = true, true
		s.segs = append(s.segs, g)
		if !g.sealed {
			unsealed = append(unsealed, g)
			return nil
		}
		return g.decodeRows(asBytes(row[3]))
	})
	if err != nil {
		return err
	}
	covered, err := s.loadOwed(c)
	if err != nil {
		return err
	}
	for _, g := range unsealed {
		if err := s.scan(c, g, covered); err != nil {
			return err
		}
		for of, cover := range covered {
			if of.slot == g.slot {
				g.leaveOut(cover.upTo) // the last ones were never written, but the bitmap says of them that they are not owed
			}
		}
	}
	s.sortOut()
	return nil
}

// coverage says for which positions of a segment that is not sealed the bitmap speaks.
type coverage struct {
	words []uint64
	upTo  int
}

type slotSession struct {
	slot    int
	session session.ID
}

// loadOwed gives every session its parts of the sealed segments, in order, and
// returns the bitmaps of the other ones.
func (s *Spool) loadOwed(c *conn) (map[slotSession]coverage, error) {
	covered := map[slotSession]coverage{}
	for _, g := range s.segs {
		rows := g.rows()
		err := c.query("SELECT session, bits FROM owed WHERE slot = ?", 2, func(row []driver.Value) error {
			id := sessionOf(row[0])
			q := s.sessions[id]
			if q == nil {
				return nil
			}
			if row[1] == nil {
				q.adopt(&part{seg: g, owner: id, all: true, n: rows})
				return nil
			}
			words, upTo, err := decodeBits(asBytes(row[1]))
			if err != nil {
				return err
			}
			if !g.sealed {
				covered[slotSession{g.slot, id}] = coverage{words, upTo}
				return nil
			}
			q.adopt(&part{seg: g, owner: id, words: g.mask(words)})
			return nil
		}, int64(g.slot))
		if err != nil {
			return nil, err
		}
	}
	return covered, nil
}

// mask takes the bits away that stand for no row.
func (g *segment) mask(words []uint64) []uint64 {
	words = words[:min(len(words), (len(g.sizes)+63)/64)]
	for i := range words {
		for w := words[i]; w != 0; w &= w - 1 {
			pos := i*64 + bits.TrailingZeros64(w)
			if pos >= len(g.sizes) || g.sizes[pos] == 0 {
				words[i] &^= 1 << (pos % 64)
			}
		}
	}
	return words
}

// adopt takes a part that came from the file, the newest of its queue, and counts it.
func (q *queue) adopt(p *part) {
	p.n, p.bytes = 0, 0
	for pos := p.next(0); pos >= 0; pos = p.next(pos + 1) {
		p.n++
		p.bytes += int64(p.seg.size(pos))
	}
	if p.n == 0 {
		return
	}
	p.seg.parts[p.owner] = p
	q.parts = append(q.parts, p)
	q.n += int64(p.n)
	q.bytes += p.bytes
}

// scan rebuilds the index of a segment that was growing when the file was last
// used: every row says whom it was owed to, the bitmaps who has acknowledged.
func (s *Spool) scan(c *conn, g *segment, covered map[slotSession]coverage) error {
	return c.query(tableSQL(g.slot).scan, 2, func(row []driver.Value) error {
		for id, raw := range unpack(mqtt.MsgID(asInt(row[0])), asBytes(row[1])) {
			if err := s.found(g, id, raw, covered); err != nil {
				s.reportLost(id, err)
			}
		}
		return nil
	})
}

// found puts a message that stands in the file into the index.
func (s *Spool) found(g *segment, id mqtt.MsgID, raw []byte, covered map[slotSession]coverage) error {
	body, err := decodeBody(id, raw)
	if err != nil {
		return err
	}
	if g.find(id) == body.pos {
		return nil // a commit that was tried again has packed it anew
	}
	if !g.fits(body.pos, id) {
		return fmt.Errorf("message %d: %w: position %d", id, errDamaged, body.pos)
	}
	g.place(body.pos, id, len(body.message.Payload))
	g.bytes += int64(len(raw))
	for _, o := range body.owed {
		q := s.sessions[o.Session]
		if q == nil {
			continue
		}
		if cover := covered[slotSession{g.slot, o.Session}]; body.pos < cover.upTo && !cover.has(body.pos) {
			continue
		}
		q.owe(o.Session, g, body.pos)
	}
	return nil
}

// fits tells whether a row that was found can have that position after those found before.
func (g *segment) fits(pos int, id mqtt.MsgID) bool {
	if pos < len(g.sizes) || pos >= segmentRows || id < g.base || id-g.base >= math.MaxUint32 {
		return false
	}
	return len(g.sizes) == 0 && id-g.base >= mqtt.MsgID(pos) || len(g.sizes) > 0 && id > g.last() && id-g.last() > mqtt.MsgID(pos-len(g.sizes))
}

func (c coverage) has(pos int) bool {
	return pos/64 < len(c.words) && c.words[pos/64]&(1<<(pos%64)) != 0
}

// sortOut frees what nobody is owed, and leaves at most the last segment growing.
func (s *Spool) sortOut() {
	for _, g := range s.segs {
		g.written = len(g.sizes)
	}
	for _, q := range s.sessions {
		slices.SortFunc(q.parts, func(a, b *part) int { return cmp.Compare(a.seg.base, b.seg.base) })
	}
	kept := s.segs[:0]
	for i, g := range s.segs {
		if !g.sealed && i < len(s.segs)-1 {
			s.push(op{seal: g}, 0)
			g.sealSeq = s.seq
		}
		if g.sealed && len(g.parts) == 0 {
			g.gone = true
			s.freed = append(s.freed, freedSegment{seg: g})
			continue
		}
		kept = append(kept, g)
	}
	clear(s.segs[len(kept):])
	s.segs = kept
}
