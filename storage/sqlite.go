package storage

import (
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net/url"
	"path/filepath"

	sqlite3 "github.com/mattn/go-sqlite3"
)

// pageSize of the files, in bytes.
const pageSize = 4096

// maxKept bounds the statements that a connection keeps.
const maxKept = 256

// conn is one connection with kept statements, used by one goroutine at a time.
// It goes to the driver directly: database/sql costs more than twice as much a row.
type conn struct {
	c    *sqlite3.SQLiteConn
	kept map[string]*sqlite3.SQLiteStmt // by their text
}

// dial opens or makes the file and asserts what durability rests on. With
// crashSafe a commit is not flushed to the disk.
func dial(path string, crashSafe bool) (*conn, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	dc, err := (&sqlite3.SQLiteDriver{}).Open((&url.URL{Scheme: "file", Path: path}).String())
	if err != nil {
		return nil, err
	}
	c := &conn{c: dc.(*sqlite3.SQLiteConn), kept: map[string]*sqlite3.SQLiteStmt{}}
	if err := c.prepare(crashSafe); err != nil {
		c.close()
		return nil, err
	}
	return c, nil
}

// redial opens the file again. After a flush that failed (stale) the log may hold what the system
// has in its cache and takes for written, and a new connection goes on behind that: its flushes
// would not cover it, and a power cut would end the log before what came then. So the log begins
// anew first; only on a full disk what makes room comes before that.
func redial(path string, crashSafe bool, stale *bool) (*conn, error) {
	c, err := dial(path, crashSafe)
	if err != nil || !*stale {
		return c, err
	}
	if err = c.restartLog(); err != nil && !isFull(err) {
		c.close()
		return nil, err
	}
	*stale = err != nil
	return c, nil
}

func (c *conn) prepare(crashSafe bool) error {
	sync, level := "FULL", int64(2)
	if crashSafe {
		sync, level = "NORMAL", 1
	}
	for _, pragma := range []string{
		fmt.Sprint("page_size=", pageSize), "auto_vacuum=NONE", "journal_mode=WAL", "synchronous=" + sync, "wal_autocheckpoint=1000",
		"cache_size=-2048", "busy_timeout=250", "temp_store=MEMORY", "mmap_size=0", "secure_delete=OFF", "foreign_keys=OFF",
	} {
		if err := c.script("PRAGMA " + pragma); err != nil {
			return fmt.Errorf("pragma %s: %w", pragma, err)
		}
	}
	// the driver sets NORMAL on its own, and NORMAL loses acknowledged messages in a power cut
	if got, err := c.number("PRAGMA synchronous"); err != nil {
		return err
	} else if got != level {
		return fmt.Errorf("pragma synchronous is %d, not %d", got, level)
	}
	return c.c.SetFileControlInt("main", sqlite3.SQLITE_FCNTL_PERSIST_WAL, 1)
}

// restartLog moves all that the log holds into the file and lets the next commit begin the log anew.
func (c *conn) restartLog() error {
	busy, err := c.number("PRAGMA wal_checkpoint(RESTART)")
	if err == nil && busy != 0 {
		err = errors.New("begin the log anew: another connection reads it")
	}
	return err
}

// script runs statements that are not kept.
func (c *conn) script(text string) error {
	_, err := c.c.Exec(text, nil)
	return err
}

func (c *conn) stmt(text string) (*sqlite3.SQLiteStmt, error) {
	if s := c.kept[text]; s != nil {
		return s, nil
	}
	if len(c.kept) >= maxKept {
		c.forget() // a long queue has a table, and so statements, for every segment
	}
	s, err := c.c.Prepare(text)
	if err != nil {
		return nil, err
	}
	c.kept[text] = s.(*sqlite3.SQLiteStmt)
	return c.kept[text], nil
}

// exec runs a kept statement that gives no rows. The driver's Query takes two calls
// of C for that, its Exec one more for each argument.
func (c *conn) exec(text string, args ...driver.Value) error {
	s, err := c.stmt(text)
	if err != nil {
		return err
	}
	rows, err := s.Query(args)
	if err != nil {
		return err
	}
	return rows.Close()
}

// query runs a kept statement and gives each row of so many columns; the slice
// is used again for the next row, the values in it are not.
func (c *conn) query(text string, columns int, each func(row []driver.Value) error, args ...driver.Value) error {
	s, err := c.stmt(text)
	if err != nil {
		return err
	}
	rows, err := s.Query(args)
	if err != nil {
		return err
	}
	row := make([]driver.Value, columns)
	for {
		err := rows.Next(row)
		if errors.Is(err, io.EOF) {
			return rows.Close()
		}
		if err == nil {
			err = each(row)
		}
		if err != nil {
			_ = rows.Close()
			return err
		}
	}
}

// number gives the first column of the last row; 0 when there is none.
func (c *conn) number(text string, args ...driver.Value) (n int64, err error) {
	err = c.query(text, 1, func(row []driver.Value) error {
		n = asInt(row[0])
		return nil
	}, args...)
	return n, err
}

// tx runs do between BEGIN and COMMIT.
func (c *conn) tx(do func() error) error {
	if err := c.exec("BEGIN IMMEDIATE"); err != nil {
		return err
	}
	committed := false
	defer func() {
		if !committed { // do may have panicked; SQLite has rolled some failures back itself, and then says so
			_ = c.exec("ROLLBACK")
		}
	}()
	if err := do(); err != nil {
		return err
	}
	err := c.exec("COMMIT")
	committed = err == nil
	return err
}

// forget closes all kept statements. No statement runs inside another one's rows.
func (c *conn) forget() {
	for _, s := range c.kept {
		_ = s.Close()
	}
	clear(c.kept)
}

func (c *conn) close() {
	c.forget()
	_ = c.c.Close()
}

// isSQLite tells whether SQLite itself failed, and not what was asked of it.
func isSQLite(err error) bool {
	_, is := errors.AsType[sqlite3.Error](err)
	return is
}

// The types of a column depend on what a damaged file holds, not only on the
// schema: what is not as it should be becomes the zero value.

func asInt(v driver.Value) int64 {
	n, _ := v.(int64)
	return n
}

func asBytes(v driver.Value) []byte {
	switch v := v.(type) {
	case []byte:
		return v
	case string:
		return []byte(v)
	}
	return nil
}

func asString(v driver.Value) string {
	switch v := v.(type) {
	case string:
		return v
	case []byte:
		return string(v)
	}
	return ""
}
