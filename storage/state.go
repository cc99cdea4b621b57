package storage

import (
	"database/sql/driver"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"fieldgate/internal/fault"
)

// keepRevisions is how many revisions stay; the oldest go first.
const keepRevisions = 1000

// State keeps small documents by bucket and key, and the revisions of the managed
// settings, in state.db. Every change is on the disk when its method returns. All
// methods may be called at the same time.
type State struct {
	mu sync.Mutex
	c  *conn // protected by mu; nil after a failure

	stale bool // protected by mu; as of the spool's writer
	file  string
}

// Tx is one transaction of State.Update; it must not be used after that.
type Tx struct{ c *conn }

// Revision is one revision of the managed settings, without its document.
type Revision struct {
	Number  int64
	Time    time.Time
	Author  string
	Summary string
}

func openState(file string, alarms *fault.Alarms, log *slog.Logger) (*State, error) {
	s := &State{file: file}
	err := openOrReplace(file, "state", alarms, log, salvageState, func() error {
		c, err := dial(file, false)
		if err != nil {
			return err
		}
		if err := s.check(c); err != nil {
			c.close()
			return err
		}
		s.c, s.stale = c, c.restartLog() != nil
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", file, err)
	}
	return s, nil
}

// check brings the schema up to date and reads the file once: it is small.
func (s *State) check(c *conn) error {
	if err := migrate(c, "state"); err != nil {
		return err
	}
	return quickCheck(c)
}

// quickCheck has SQLite look at every page.
func quickCheck(c *conn) error {
	return c.query("PRAGMA quick_check(1)", 1, func(row []driver.Value) error {
		if verdict := asString(row[0]); verdict != "ok" {
			return fmt.Errorf("%w: %s", errDamaged, verdict)
		}
		return nil
	})
}

// Update runs change in one transaction, which is on the disk when Update returns
// nil, and undone when change or the disk fails. change must not call State.
func (s *State) Update(change func(tx *Tx) error) error {
	return s.with(func(c *conn) error {
		return c.tx(func() error { return change(&Tx{c}) })
	})
}

// with gives the connection to do, and opens a new one when the last one failed.
func (s *State) with(do func(c *conn) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.c == nil {
		c, err := redial(s.file, false, &s.stale)
		if err != nil {
			return fmt.Errorf("open %s: %w", s.file, err)
		}
		s.c = c
	}
	err := do(s.c)
	if isSQLite(err) {
		// after a failed flush what SQLite has in its cache can't be trusted
		s.c.close()
		s.c, s.stale = nil, s.stale || isIO(err)
		return fmt.Errorf("%s: %w", s.file, err)
	}
	return err
}

// Get gives a document; it fails with fault.NotFound.
func (s *State) Get(bucket, key string) (value []byte, err error) {
	err = s.with(func(c *conn) error {
		value, err = (&Tx{c}).Get(bucket, key)
		return err
	})
	return value, err
}

// Put makes or replaces a document.
func (s *State) Put(bucket, key string, value []byte) error {
	return s.Update(func(tx *Tx) error { return tx.Put(bucket, key, value) })
}

// Delete removes a document; one that does not exist is no error.
func (s *State) Delete(bucket, key string) error {
	return s.Update(func(tx *Tx) error { return tx.Delete(bucket, key) })
}

// List gives all documents of a bucket by their keys, an empty map when there are none.
func (s *State) List(bucket string) (values map[string][]byte, err error) {
	err = s.with(func(c *conn) error {
		values, err = (&Tx{c}).List(bucket)
		return err
	})
	return values, err
}

// AddRevision keeps a document as the newest revision and gives its number, which
// rises by one; beyond 1000 the oldest goes.
func (s *State) AddRevision(author, summary string, doc []byte) (n int64, err error) {
	err = s.Update(func(tx *Tx) error {
		n, err = tx.AddRevision(author, summary, doc)
		return err
	})
	return n, err
}

// Revision gives the document of a revision; it fails with fault.NotFound.
func (s *State) Revision(n int64) (doc []byte, err error) {
	err = s.with(func(c *conn) error {
		doc, err = (&Tx{c}).Revision(n)
		return err
	})
	return doc, err
}

// Revisions gives the newest revisions, newest first, at most limit of them.
func (s *State) Revisions(limit int) (list []Revision, err error) {
	err = s.with(func(c *conn) error {
		list, err = (&Tx{c}).Revisions(limit)
		return err
	})
	return list, err
}

func (s *State) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.c != nil {
		s.c.close()
		s.c = nil
	}
}

// Get is as State.Get, and sees what this transaction has changed.
func (tx *Tx) Get(bucket, key string) (value []byte, err error) {
	found := false
	err = tx.c.query("SELECT value FROM document WHERE bucket = ? AND key = ?", 1, func(row []driver.Value) error {
		value, found = asBytes(row[0]), true
		return nil
	}, bucket, key)
	if err == nil && !found {
		err = fault.New(fault.NotFound, "%s %q does not exist", bucket, key)
	}
	return value, err
}

// Put is as State.Put.
func (tx *Tx) Put(bucket, key string, value []byte) error {
	if value == nil {
		value = []byte{}
	}
	return tx.c.exec("INSERT INTO document(bucket, key, value) VALUES(?, ?, ?) ON CONFLICT(bucket, key) DO UPDATE SET value = excluded.value", bucket, key, value)
}

// Delete is as State.Delete.
func (tx *Tx) Delete(bucket, key string) error {
	return tx.c.exec("DELETE FROM document WHERE bucket = ? AND key = ?", bucket, key)
}

// List is as State.List.
func (tx *Tx) List(bucket string) (map[string][]byte, error) {
	values := map[string][]byte{}
	err := tx.c.query("SELECT key, value FROM document WHERE bucket = ?", 2, func(row []driver.Value) error {
		values[asString(row[0])] = asBytes(row[1])
		return nil
	}, bucket)
	return values, err
}

// AddRevision is as State.AddRevision.
func (tx *Tx) AddRevision(author, summary string, doc []byte) (int64, error) {
	if doc == nil {
		doc = []byte{}
	}
	err := tx.c.exec("INSERT INTO revision(at, author, summary, doc) VALUES(?, ?, ?, ?)", time.Now().UnixNano(), author, summary, doc)
	if err != nil {
		return 0, err
	}
	n, err := tx.c.number("SELECT max(n) FROM revision")
	if err != nil {
		return 0, err
	}
	return n, tx.c.exec("DELETE FROM revision WHERE n <= ?", n-keepRevisions)
}

// Revision is as State.Revision.
func (tx *Tx) Revision(n int64) (doc []byte, err error) {
	found := false
	err = tx.c.query("SELECT doc FROM revision WHERE n = ?", 1, func(row []driver.Value) error {
		doc, found = asBytes(row[0]), true
		return nil
	}, n)
	if err == nil && !found {
		err = fault.New(fault.NotFound, "revision %d does not exist", n)
	}
	return doc, err
}

// Revisions is as State.Revisions.
func (tx *Tx) Revisions(limit int) ([]Revision, error) {
	list := []Revision{}
	err := tx.c.query("SELECT n, at, author, summary FROM revision ORDER BY n DESC LIMIT ?", 4, func(row []driver.Value) error {
		list = append(list, Revision{Number: asInt(row[0]), Time: time.Unix(0, asInt(row[1])), Author: asString(row[2]), Summary: asString(row[3])})
		return nil
	}, int64(max(limit, 0)))
	return list, err
}
