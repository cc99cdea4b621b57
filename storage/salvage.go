package storage

import (
	"cmp"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"slices"

	sqlite3 "github.com/mattn/go-sqlite3"

	"fieldgate/broker/mqtt"
	"fieldgate/broker/session"
)

// salvageStride is how many IDs are left out where rows can't be read: a page
// holds more small messages than that, a large one has pages of its own.
const salvageStride = 8

// salvage takes what can be read out of a damaged file into a new one.
type salvage struct {
	from, to *conn
	torn     bool // something could not be read
}

// openSalvage opens the damaged file and makes an empty one of that kind.
func openSalvage(from, to, kind string) (*salvage, error) {
	if err := removeDatabase(to); err != nil {
		return nil, err
	}
	into, err := dial(to, false)
	if err != nil {
		return nil, err
	}
	if err := migrate(into, kind); err != nil {
		into.close()
		return nil, err
	}
	old, err := dial(from, false)
	if err != nil && beyondRepair(err) {
		if err = mendHeader(from, to); err == nil {
			old, err = dial(from, false)
		}
	}
	if err != nil {
		into.close()
		return nil, err
	}
	return &salvage{from: old, to: into}, nil
}

func (s *salvage) close() {
	s.from.close()
	s.to.close()
}

// finish sees to it that the new file needs no log beside it.
func (s *salvage) finish() error { return s.to.script("PRAGMA wal_checkpoint(TRUNCATE)") }

// mendHeader gives a file the first bytes of an empty one of its kind, unless it
// is no database of ours: then its other pages make no sense either.
func mendHeader(file, like string) error {
	const header = 100
	f, err := os.OpenFile(file, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	empty, err := os.Open(like)
	if err != nil {
		return err
	}
	defer func() { _ = empty.Close() }()
	page := make([]byte, pageSize)
	if _, err := io.ReadFull(empty, page[:header]); err != nil {
		return err
	}
	if _, err := io.ReadFull(io.NewSectionReader(f, header, pageSize), page[header:]); err != nil {
		return fmt.Errorf("%w: read its first page: %w", errDamaged, err)
	}
	if kind := page[header]; kind != 0x05 && kind != 0x0d { // of a page of the schema's table
		return fmt.Errorf("%w: its first page is no page of a database", errDamaged)
	}
	clear(page[28:40]) // size and free pages: SQLite takes the size of the file, and knows of no free ones
	_, err = f.WriteAt(page[:header], 0)
	return err
}

// rows reads a table from both ends, up to what can't be read; a row may come twice.
func (s *salvage) rows(text, order string, columns int, each func(row []driver.Value) error) error {
	for _, direction := range []string{" ASC", " DESC"} {
		var failed error
		err := s.from.query(text+" ORDER BY "+order+direction, columns, func(row []driver.Value) error {
			failed = each(row)
			return failed
		})
		if failed != nil {
			return failed
		}
		if err == nil {
			return nil
		}
		if !beyondRepair(err) {
			return err
		}
		s.torn = true
	}
	return nil
}

// table copies a table as it stands; keep may leave rows out.
func (s *salvage) table(name, order string, columns []string, keep func(row []driver.Value) bool) error {
	list, marks := "", ""
	for i, column := range columns {
		if i > 0 {
			list, marks = list+", ", marks+", "
		}
		list, marks = list+column, marks+"?"
	}
	insert := fmt.Sprintf("INSERT OR IGNORE INTO %s(%s) VALUES(%s)", name, list, marks)
	return s.to.tx(func() error {
		return s.rows(fmt.Sprintf("SELECT %s FROM %s", list, name), order, len(columns), func(row []driver.Value) error {
			if !keep(row) {
				s.torn = true
				return nil
			}
			err := s.to.exec(insert, row...)
			if e, is := errors.AsType[sqlite3.Error](err); is && e.Code == sqlite3.ErrConstraint {
				s.torn = true // what stands there is no row of ours
				return nil
			}
			return err
		})
	})
}

func all([]driver.Value) bool { return true }

// salvageState saves documents and revisions.
func salvageState(from, to string) (words string, err error) {
	s, err := openSalvage(from, to, "state")
	if err != nil {
		return "", err
	}
	defer s.close()
	// by rowid: a table can be whole when its index is not
	if err := s.table("document", "rowid", []string{"bucket", "key", "value"}, all); err != nil {
		return "", err
	}
	if err := s.table("revision", "n", []string{"n", "at", "author", "summary", "doc"}, all); err != nil {
		return "", err
	}
	documents, err := s.to.number("SELECT count(*) FROM document")
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%d documents were saved", documents), s.finish()
}

// salvageSpool saves sessions, retained messages, and what sessions are owed,
// segment by segment: a row names whom it is owed to and has a checksum of its own.
func salvageSpool(from, to string) (words string, err error) {
	s, err := openSalvage(from, to, "spool")
	if err != nil {
		return "", err
	}
	defer s.close()
	for _, t := range []struct {
		name, order string
		columns     []string
		keep        func(row []driver.Value) bool
	}{
		{"meta", "k", []string{"k", "v"}, all},
		{"session", "id", []string{"id", "client", "meta"}, all},
		{"sub", "session, filter", []string{"session", "filter", "opts"}, all},
		{"q2in", "session, pid", []string{"session", "pid"}, all},
		{"q2out", "session, id", []string{"session", "id"}, all},
		{"retained", "rowid", []string{"topic", "body"}, func(row []driver.Value) bool {
			_, err := decodeRetained(asBytes(row[1]))
			return err == nil
		}},
	} {
		if err := s.table(t.name, t.order, t.columns, t.keep); err != nil {
			return "", err
		}
	}
	r := &ring{salvage: s, sessions: map[session.ID]bool{}, slot: noSlot}
	if err := r.save(); err != nil {
		return "", err
	}
	return fmt.Sprintf("%d messages for %d sessions were saved", r.saved, len(r.sessions)), s.finish()
}

// ring moves messages into segments of the new file. None of those is sealed, so
// that the rows alone say what is owed: those that stay are owed in full.
type ring struct {
	*salvage
	sessions map[session.ID]bool
	slot     int // of the new segment
	pos      int
	base     mqtt.MsgID
	bytes    int
	highest  mqtt.MsgID
	saved    int
}

// oldSegment is a segment of the damaged file with what is known of it.
type oldSegment struct {
	*segment
	indexed  bool                    // its index can be read: bits can be told
	owed     map[session.ID]coverage // nil words with upTo 0: every row
	complete bool                    // owed has everybody
}

func (r *ring) save() error {
	err := r.to.query("SELECT id FROM session", 1, func(row []driver.Value) error {
		r.sessions[sessionOf(row[0])] = true
		return nil
	})
	if err != nil {
		return err
	}
	list, err := r.segments()
	if err != nil {
		return err
	}
	for _, g := range list {
		if err := r.to.tx(func() error { return r.segment(g) }); err != nil {
			return err
		}
	}
	next, err := r.to.number("SELECT v FROM meta WHERE k = 'next_id'")
	if err != nil {
		return err
	}
	if err := r.to.exec(putCeiling, max(next, int64(r.highest)+1)+idBlock); err != nil {
		return err
	}
	return r.to.exec(removeClean)
}

// segments gives what the file says of its segments, by rising base.
func (r *ring) segments() ([]*oldSegment, error) {
	found := map[int]*oldSegment{}
	err := r.rows("SELECT slot, base, sealed, rows FROM segs", "slot", 4, func(row []driver.Value) error {
		g := newSegment(mqtt.MsgID(asInt(row[1])))
		g.slot, g.sealed = int(asInt(row[0])), asInt(row[2]) != 0
		found[g.slot] = &oldSegment{segment: g, indexed: !g.sealed || g.decodeRows(asBytes(row[3])) == nil}
		return nil
	})
	if err != nil {
		return nil, err
	}
	list := make([]*oldSegment, 0, len(found))
	for _, g := range found {
		if err := r.owners(g); err != nil {
			return nil, err
		}
		list = append(list, g)
	}
	slices.SortFunc(list, func(a, b *oldSegment) int { return cmp.Compare(a.base, b.base) })
	return list, nil
}

func (r *ring) owners(g *oldSegment) error {
	g.owed, g.complete = map[session.ID]coverage{}, true
	err := r.from.query("SELECT session, bits FROM owed WHERE slot = ?", 2, func(row []driver.Value) error {
		cover := coverage{}
		if row[1] != nil {
			var err error
			if cover.words, cover.upTo, err = decodeBits(asBytes(row[1])); err != nil {
				g.complete = false
				return nil
			}
		}
		g.owed[sessionOf(row[0])] = cover
		return nil
	}, int64(g.slot))
	if err != nil && beyondRepair(err) {
		g.complete, r.torn = false, true
		return nil
	}
	return err
}

// stillOwed tells whether the session has not acknowledged the message; in doubt it gets it again.
func (g *oldSegment) stillOwed(id session.ID, pos int) bool {
	cover, known := g.owed[id]
	switch {
	case !known:
		return !g.sealed || !g.complete
	case cover.upTo == 0 || !g.indexed || pos < 0:
		return true
	case g.sealed:
		return cover.has(pos)
	}
	return pos >= cover.upTo || cover.has(pos)
}

// segment moves the messages of one segment.
func (r *ring) segment(g *oldSegment) error {
	text := fmt.Sprintf("SELECT id, body FROM seg%d WHERE id >= ? ORDER BY id", g.slot)
	next := r.stepper(g)
	for from, more := g.base, true; more; from, more = next(from) {
		var failed error
		err := r.from.query(text, 2, func(row []driver.Value) error {
			for id, raw := range unpack(mqtt.MsgID(asInt(row[0])), asBytes(row[1])) {
				from = max(from, id)
				if body, err := decodeBody(id, raw); err != nil {
					r.torn = true
				} else if failed = r.message(g, body); failed != nil {
					break
				}
			}
			return failed
		}, int64(from))
		if failed != nil || err == nil {
			return failed
		}
		if !beyondRepair(err) {
			return err
		}
		r.torn = true
	}
	return nil
}

// stepper gives where to go on behind an ID at which reading has failed: at the next
// one that the index names, or a little further on.
func (r *ring) stepper(g *oldSegment) func(from mqtt.MsgID) (mqtt.MsgID, bool) {
	if g.sealed && g.indexed {
		return func(from mqtt.MsgID) (mqtt.MsgID, bool) {
			pos := g.after(from)
			if pos >= len(g.sizes) {
				return 0, false
			}
			return g.id(pos), true
		}
	}
	last := g.base + segmentRows
	highest, err := r.from.number(fmt.Sprintf("SELECT max(id) FROM seg%d", g.slot))
	if err == nil {
		last = max(mqtt.MsgID(highest), g.base)
	}
	stride := max(salvageStride, (last-g.base)/segmentRows)
	return func(from mqtt.MsgID) (mqtt.MsgID, bool) { return from + stride, from+stride <= last }
}

// message writes the row of a message for those who are still owed it.
func (r *ring) message(g *oldSegment, body stored) error {
	pos := body.pos
	if g.sealed { // a merge has moved it, the row does not know
		if pos = -1; g.indexed {
			pos = g.find(body.message.ID)
		}
	}
	owed := slices.DeleteFunc(body.owed, func(o session.Owed) bool { return !r.sessions[o.Session] || !g.stillOwed(o.Session, pos) })
	if len(owed) == 0 || body.message.ID <= r.highest {
		return nil
	}
	id := body.message.ID
	if r.slot == noSlot || r.pos == segmentRows || r.bytes >= segmentBytes || id-r.base >= math.MaxUint32 {
		r.slot++
		r.pos, r.bytes, r.base = 0, 0, id
		w := writer{c: r.to}
		if err := w.begin(&segment{slot: r.slot, base: id}, tableSQL(r.slot)); err != nil {
			return err
		}
	}
	body.owed, body.pos = owed, r.pos
	raw := appendBody(nil, body)
	if err := r.to.exec(tableSQL(r.slot).put, int64(id), raw); err != nil {
		return err
	}
	r.pos++
	r.bytes += len(raw)
	r.highest = id
	r.saved++
	return nil
}
