package storage

import (
	"context"
	"database/sql/driver"
	"fmt"
	"os"
)

// suspectFile, beside the spool, says that damage was found while it was in use:
// the next start saves what can be read into a new file.
func suspectFile(file string) string { return file + ".suspect" }

// suspect notes that the file is damaged: what can be read goes on.
func (s *Spool) suspect(cause error) {
	if s.damaged.Swap(true) {
		return
	}
	s.log.Error("spool is damaged", "err", cause)
	s.alarms.Raise("spool", Damaged, fmt.Sprintf("%s is damaged (%v); what can be read goes on, and the next start moves it into a new file", s.file, cause))
	mark, err := os.OpenFile(suspectFile(s.file), os.O_CREATE|os.O_WRONLY, 0o600)
	if err == nil {
		err = mark.Close()
	}
	if err != nil {
		s.log.Debug("damage not noted", "err", err) // the next start may find it by itself
	}
}

// wasSuspect tells whether damage was found when the file was last used.
func (s *Spool) wasSuspect() bool {
	_, err := os.Stat(suspectFile(s.file))
	return err == nil
}

// lookOver has SQLite look at every page, beside the work, after a stop that was not
// clean: a power cut on a bad disk may have left damage where nobody reads for long.
func (s *Spool) lookOver(ctx context.Context) {
	c, err := dial(s.file, s.crashSafe)
	if err == nil {
		defer c.close()
		err = checkPages(ctx, c)
	}
	switch {
	case ctx.Err() != nil:
	case err == nil:
		s.log.Info("spool looked over after a stop that was not clean")
	case beyondRepair(err):
		s.suspect(err)
	default:
		s.log.Warn("spool not looked over", "err", err)
	}
}

// checkPages is a quick_check that ends with ctx.
func checkPages(ctx context.Context, c *conn) error {
	rows, err := c.c.QueryContext(ctx, "PRAGMA quick_check(1)", nil)
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	row := make([]driver.Value, 1)
	if err := rows.Next(row); err != nil {
		return err
	}
	if verdict := asString(row[0]); verdict != "ok" {
		return fmt.Errorf("%w: %s", errDamaged, verdict)
	}
	return nil
}
