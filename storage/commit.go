package storage

import (
	"database/sql/driver"
	"errors"
	"fmt"
	"time"

	"fieldgate/broker/session"
)

// Every statement gives the same result when it runs again: a commit that was
// reported as failed may have reached the disk all the same.
const (
	beginSegment = "INSERT OR REPLACE INTO segs(slot, base, sealed, rows) VALUES(?, ?, 0, NULL)"
	sealSegment  = "UPDATE segs SET sealed = 1, rows = ? WHERE slot = ?"
	freeSegment  = "DELETE FROM segs WHERE slot = ?"
	putOwed      = "INSERT OR REPLACE INTO owed(slot, session, bits) VALUES(?, ?, ?)"
	removeOwed   = "DELETE FROM owed WHERE slot = ? AND session = ?"
	freeOwed     = "DELETE FROM owed WHERE slot = ?"

	putSession    = "INSERT OR REPLACE INTO session(id, client, meta) VALUES(?, ?, ?)"
	endSession    = "DELETE FROM session WHERE id = ?"
	endSub        = "DELETE FROM sub WHERE session = ?"
	endReceived   = "DELETE FROM q2in WHERE session = ?"
	endReleased   = "DELETE FROM q2out WHERE session = ?"
	putSub        = "INSERT OR REPLACE INTO sub(session, filter, opts) VALUES(?, ?, ?)"
	removeSub     = "DELETE FROM sub WHERE session = ? AND filter = ?"
	putReceived   = "INSERT OR IGNORE INTO q2in(session, pid) VALUES(?, ?)"
	forgetPID     = "DELETE FROM q2in WHERE session = ? AND pid = ?"
	putReleased   = "INSERT OR IGNORE INTO q2out(session, id) VALUES(?, ?)"
	settleRelease = "DELETE FROM q2out WHERE session = ? AND id = ?"

	putRetained    = "INSERT INTO retained(topic, body) VALUES(?, ?) ON CONFLICT(topic) DO UPDATE SET body = excluded.body"
	removeRetained = "DELETE FROM retained WHERE topic = ?"
	putCeiling     = "INSERT OR REPLACE INTO meta(k, v) VALUES('next_id', ?)"
	putClean       = "INSERT OR REPLACE INTO meta(k, v) VALUES('clean', 1)"
	removeClean    = "DELETE FROM meta WHERE k = 'clean'"
	putClock       = "INSERT OR REPLACE INTO meta(k, v) VALUES('clock', ?)"
)

// table is the statements of one slot; read gives the rows that may hold the
// messages from an ID to another one.
type table struct{ make, put, read, scan, empty string }

func tableSQL(slot int) table {
	return table{
		make:  fmt.Sprintf("CREATE TABLE IF NOT EXISTS seg%d(id INTEGER PRIMARY KEY, body BLOB)", slot),
		put:   fmt.Sprintf("INSERT OR REPLACE INTO seg%d(id, body) VALUES(?, ?)", slot),
		read:  fmt.Sprintf("SELECT id, body FROM seg%d WHERE id >= ?1 AND id <= coalesce((SELECT min(id) FROM seg%d WHERE id >= ?2), ?2) ORDER BY id", slot, slot),
		scan:  fmt.Sprintf("SELECT id, body FROM seg%d ORDER BY id", slot),
		empty: fmt.Sprintf("DELETE FROM seg%d", slot),
	}
}

// commit writes the batch in one transaction. After a failure the connection is
// opened anew: what SQLite has in its cache can't be trusted then. A table that is
// beyond repair and was only to be emptied is left as it is.
func (s *Spool) commit(b *batch) error {
	w := &s.writer
	for {
		if err := s.connect(); err != nil {
			return err
		}
		err := w.write(b)
		if err == nil {
			return nil
		}
		w.giveUp(err)
		if beyondRepair(err) {
			s.suspect(err)
		}
		broken, is := errors.AsType[*brokenTable](err)
		if !is {
			return err
		}
		w.broken[broken.slot] = true
	}
}

// brokenTable says that a table can't be emptied.
type brokenTable struct {
	slot int
	err  error
}

func (e *brokenTable) Error() string { return fmt.Sprintf("empty table %d: %v", e.slot, e.err) }
func (e *brokenTable) Unwrap() error { return e.err }

// giveUp closes a connection that failed.
func (w *writer) giveUp(cause error) {
	w.c.close()
	w.c = nil
	w.stale = w.stale || isIO(cause)
}

// connect sees to it that the writer has a connection.
func (s *Spool) connect() error {
	if err := s.writer.dial(s.file, s.crashSafe); err != nil {
		return err
	}
	return s.writer.limitPages()
}

// dial opens a connection where there is none.
func (w *writer) dial(file string, crashSafe bool) (err error) {
	if w.c == nil {
		w.disk.applied = 0
		w.c, err = redial(file, crashSafe, &w.stale)
	}
	return err
}

func (w *writer) write(b *batch) error {
	if err := w.c.exec("BEGIN IMMEDIATE"); err != nil {
		return err
	}
	if err := w.writeBatch(b); err != nil {
		_ = w.c.exec("ROLLBACK")
		return err
	}
	began := time.Now()
	if err := w.c.exec("COMMIT"); err != nil {
		_ = w.c.exec("ROLLBACK")
		return err
	}
	w.lastSync = time.Since(began)
	return nil
}

func (w *writer) writeBatch(b *batch) error {
	w.pack.begin(b.bytes)
	for i := range b.steps {
		o := &b.steps[i]
		var err error
		switch {
		case o.entry != nil:
			err = w.writeEntry(o)
		case o.seal != nil:
			err = w.writeSeal(o)
		default:
			if err = w.writeChange(o.change); err == nil {
				err = w.writeOwed(o.bits)
			}
		}
		if err != nil {
			return err
		}
	}
	if err := w.putPack(); err != nil {
		return err
	}
	return w.writeLazy(b)
}

func (w *writer) writeEntry(o *step) error {
	e := o.entry
	if o.begin {
		if err := w.begin(e.seg, tableSQL(e.seg.slot)); err != nil {
			return err
		}
	}
	if o.row {
		if err := w.putMessage(e.seg.slot, stored{message: e.m, pos: e.pos, owed: o.owed, age: w.lived + e.at}); err != nil {
			return err
		}
	}
	if e.from != 0 {
		if err := w.c.exec(putReceived, int64(e.from), int64(e.packetID)); err != nil {
			return err
		}
	}
	switch {
	case e.retain && len(e.m.Payload) == 0:
		return w.c.exec(removeRetained, e.m.Topic)
	case e.retain:
		w.buf = appendRetained(w.buf[:0], e.m, w.lived+e.at)
		return w.c.exec(putRetained, e.m.Topic, w.buf)
	}
	return nil
}

// begin makes the table of a segment, or takes an empty one. What bits may be left of an earlier
// segment in that table must not speak for the messages of this one.
func (w *writer) begin(g *segment, t table) error {
	if err := w.c.script(t.make); err != nil {
		return err
	}
	if err := w.c.exec(freeOwed, int64(g.slot)); err != nil {
		return err
	}
	return w.c.exec(beginSegment, int64(g.slot), int64(g.base))
}

func (w *writer) writeSeal(o *step) error {
	if o.index == nil {
		return nil
	}
	slot := int64(o.seal.slot)
	if err := w.c.exec(sealSegment, o.index, slot); err != nil {
		return err
	}
	if err := w.c.exec(freeOwed, slot); err != nil {
		return err
	}
	return w.writeOwed(o.bits)
}

func (w *writer) writeOwed(rows []owedRow) error {
	for _, row := range rows {
		var err error
		switch {
		case row.remove:
			err = w.c.exec(removeOwed, int64(row.slot), int64(row.session))
		case row.bits == nil:
			err = w.c.exec(putOwed, int64(row.slot), int64(row.session), nil)
		default:
			err = w.c.exec(putOwed, int64(row.slot), int64(row.session), row.bits)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// writeLazy writes acknowledgements and empties what nobody is owed.
func (w *writer) writeLazy(b *batch) error {
	if err := w.writeOwed(b.owed); err != nil {
		return err
	}
	for _, r := range b.settled {
		if err := w.c.exec(settleRelease, int64(r.session), int64(r.id)); err != nil {
			return err
		}
	}
	for _, g := range b.free {
		if err := w.freeSlot(g.slot); err != nil {
			return err
		}
	}
	if b.clock != nil {
		if err := w.c.exec(putClock, b.clock); err != nil {
			return err
		}
	}
	if b.ceiling == 0 {
		return nil
	}
	if err := w.c.exec(removeClean); err != nil { // the first commit reserves IDs, so the file is in use from here on
		return err
	}
	return w.c.exec(putCeiling, int64(b.ceiling))
}

func (w *writer) freeSlot(slot int) error {
	if !w.broken[slot] { // a failed try may have left half of it in this transaction, so there is no second one
		err := w.c.exec(tableSQL(slot).empty)
		if err != nil && beyondRepair(err) {
			err = &brokenTable{slot, err}
		}
		if err != nil {
			return err
		}
	}
	if err := w.c.exec(freeSegment, int64(slot)); err != nil {
		return err
	}
	return w.c.exec(freeOwed, int64(slot))
}

func (w *writer) writeChange(c *change) error {
	if c.End {
		if err := w.endSession(c); err != nil {
			return err
		}
	}
	if c.Put != nil {
		if err := w.c.exec(putSession, int64(c.Put.ID), c.Put.ClientID, c.Put.Meta); err != nil {
			return err
		}
	}
	if !c.known {
		return nil
	}
	return w.writeParts(c)
}

func (w *writer) endSession(c *change) error {
	id := int64(c.Session)
	for _, text := range []string{endSession, endSub, endReceived, endReleased} {
		if err := w.c.exec(text, id); err != nil {
			return err
		}
	}
	return nil
}

// writeParts writes what belongs to a session that exists.
func (w *writer) writeParts(c *change) error {
	id := int64(c.Session)
	each := func(text string, n int, value func(i int) driver.Value) error {
		for i := range n {
			if err := w.c.exec(text, id, value(i)); err != nil {
				return err
			}
		}
		return nil
	}
	if err := each(removeSub, len(c.Unsubscribe), func(i int) driver.Value { return c.Unsubscribe[i] }); err != nil {
		return err
	}
	for _, sub := range c.Subscribe {
		if err := w.c.exec(putSub, id, sub.Filter, appendOptions(nil, sub)); err != nil {
			return err
		}
	}
	if err := each(putReleased, len(c.Released), func(i int) driver.Value { return int64(c.Released[i]) }); err != nil {
		return err
	}
	return each(forgetPID, len(c.Forget), func(i int) driver.Value { return int64(c.Forget[i]) })
}

// sessionOf reads an ID from a column.
func sessionOf(v driver.Value) session.ID { return session.ID(asInt(v)) }
