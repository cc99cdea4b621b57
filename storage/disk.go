package storage

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	sqlite3 "github.com/mattn/go-sqlite3"
)

const (
	// reserveBytes is the size of the file that is given up when the disk is
	// full, so that what was delivered can be deleted.
	reserveBytes = 4 << 20
	// walBytes is what the log grows to.
	walBytes = 5 << 20
	// nothingFree is so little that not even a deletion can be written.
	nothingFree = 256 << 10
	// checkPause is how long a look at the file system holds.
	checkPause = time.Second
	// plenty is how far above min_free_disk the file may grow as it likes.
	plenty = 256 << 20
	// lightPages is what the file may grow beyond its limit for other than messages.
	lightPages = 128
	// noPageLimit is the highest page number that SQLite knows.
	noPageLimit = 1<<32 - 2
)

// disk is what the writer knows of the file system. Used by its goroutine alone.
type disk struct {
	dir     string
	minFree int64 // bytes that stay free
	checked time.Time
	free    int64
	low     bool // less than minFree is free: the file must not grow
	stuck   bool // the last commit found no room
	alarmed bool
	limit   int64 // pages that the file may have
	slack   int64 // pages beyond limit, for what makes room or needs next to none
	applied int64 // the limit that the connection knows
	reserve bool  // the reserve file exists
}

func reserveFile(dir string) string { return filepath.Join(dir, "reserve") }

// check looks at the file system, at most once a second unless it must.
func (d *disk) check(file string, must bool) error {
	if !must && time.Since(d.checked) < checkPause {
		return nil
	}
	free, keep, err := d.space()
	if err != nil {
		return err
	}
	info, err := os.Stat(file)
	if err != nil {
		return err
	}
	d.checked, d.free = time.Now(), free
	if !d.reserve && d.free > keep+2*reserveBytes {
		if d.reserve = d.makeReserve() == nil; d.reserve {
			d.free -= reserveBytes
		}
	}
	left := d.free - keep
	if wal, err := os.Stat(file + "-wal"); err == nil {
		left -= max(walBytes-wal.Size(), 0) // the log has yet to grow
	}
	if !d.reserve {
		left -= reserveBytes // it was given up for deletions, not for what is new
	}
	d.low, d.limit = left < 0, noPageLimit
	if left < plenty {
		d.limit = max((info.Size()+max(left, 0))/pageSize, 1) // SQLite never goes below what there is
	}
	return nil
}

// space gives how many bytes are free, and how many of them are to stay so.
func (d *disk) space() (free, keep int64, err error) {
	var fs syscall.Statfs_t
	if err := syscall.Statfs(d.dir, &fs); err != nil {
		return 0, 0, fmt.Errorf("free space of %s: %w", d.dir, err)
	}
	// a small file system can't keep more than a tenth
	return int64(fs.Bavail) * fs.Bsize, min(d.minFree, int64(fs.Blocks)*fs.Bsize/10), nil
}

// makeReserve makes the reserve file; without one a full disk only is harder to leave.
func (d *disk) makeReserve() error {
	file, err := os.OpenFile(reserveFile(d.dir), os.O_WRONLY|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	return errors.Join(syscall.Fallocate(int(file.Fd()), 0, 0, reserveBytes), file.Close())
}

// giveReserve removes the reserve file.
func (d *disk) giveReserve() {
	d.reserve = false
	_ = os.Remove(reserveFile(d.dir)) // the next failure tries again
}

// isFull tells whether there was no room for what was to be written.
func isFull(err error) bool {
	e, is := errors.AsType[sqlite3.Error](err)
	return is && (e.Code == sqlite3.ErrFull || e.SystemErrno == syscall.ENOSPC || e.SystemErrno == syscall.EDQUOT)
}

// isIO tells whether a read, a write or a flush failed, and not for want of room.
func isIO(err error) bool {
	e, is := errors.AsType[sqlite3.Error](err)
	return is && e.Code == sqlite3.ErrIoErr && !isFull(err)
}

// limitPages lets the connection know how large the file may become.
func (w *writer) limitPages() error {
	limit := min(w.disk.limit+w.disk.slack, noPageLimit)
	if w.disk.applied == limit {
		return nil
	}
	if err := w.c.script(fmt.Sprintf("PRAGMA max_page_count=%d", limit)); err != nil {
		return err
	}
	w.disk.applied = limit
	return nil
}

// watchDisk looks at the file system and says when it begins or ends to be too full.
func (s *Spool) watchDisk(must bool) {
	d := &s.writer.disk
	if err := d.check(s.file, must); err != nil {
		s.log.Debug("disk not checked", "err", err)
		return
	}
	was, is := d.alarmed, d.low || d.stuck
	d.alarmed = is
	switch {
	case is && !was:
		s.log.Error("disk is nearly full", "free", d.free, "min_free_disk", d.minFree)
		s.alarms.Raise("spool", LowDisk, fmt.Sprintf("only %d MiB are free on the disk of %s and %s are to stay free (min_free_disk): stored messages take no more room", d.free>>20, d.dir, Bytes(d.minFree)))
	case was && !is:
		s.log.Info("disk has room again", "free", d.free)
		s.alarms.Clear("spool", LowDisk)
	}
}

// relieve empties segments that nobody is owed any more although the batch that
// was taken before can't be committed: their pages are the room that it needs.
func (s *Spool) relieve(b *batch) {
	w := &s.writer
	s.watchDisk(true)
	if w.disk.reserve && w.disk.free < nothingFree {
		w.disk.giveReserve()
	}
	w.disk.slack = lightPages
	free := s.relievable(b)
	if len(free) == 0 || s.connect() != nil {
		return
	}
	err := w.c.tx(func() error {
		for _, g := range free {
			if err := w.freeSlot(g.slot); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		s.log.Debug("no room made", "err", err)
		w.giveUp(err)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.freed = slices.DeleteFunc(s.freed, func(f freedSegment) bool { return slices.Contains(free, f.seg) })
	for _, g := range free {
		w.free = append(w.free, g.slot)
	}
}

// relievable gives the segments that are committed, unowed, and not named by the batch.
func (s *Spool) relievable(b *batch) (free []*segment) {
	named := map[int]bool{}
	for _, row := range b.owed {
		named[row.slot] = true
	}
	for i := range b.steps {
		for _, row := range b.steps[i].bits {
			named[row.slot] = true
		}
	}
	for _, g := range b.free {
		named[g.slot] = true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range s.freed {
		if g := f.seg; g.slot != noSlot && g.sealSeq <= s.committedSeq && !named[g.slot] {
			free = append(free, g)
		}
	}
	return free
}

// lighten leaves out of a batch what all have acknowledged since it was taken, and
// tells whether there is anything left to write. Messages have no right to the slack.
func (s *Spool) lighten(b *batch) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	b.writes = b.ceiling != 0 || len(b.owed)+len(b.free)+len(b.settled) > 0
	for i := range b.steps {
		o := &b.steps[i]
		if o.row {
			o.owed = s.stillOwed(o.entry)
			if o.row = o.entry.left > 0; !o.row {
				o.entry.seg.sizes[o.entry.pos] = 0
			} else {
				s.writer.disk.slack = 0
			}
		}
		switch {
		case o.entry != nil:
			if o.entry.retain {
				s.writer.disk.slack = 0
			}
			b.writes = b.writes || o.row || o.begin || o.entry.retain || o.entry.from != 0
		case o.seal != nil:
			o.seal.describe(o)
			b.writes = b.writes || o.index != nil
		default:
			b.writes = b.writes || o.change.writes()
		}
	}
	return b.writes
}
