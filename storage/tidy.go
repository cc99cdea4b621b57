package storage

import "time"

// A drained spool gives its room back: the file of a queue that was long stays long
// otherwise, because freed pages are only used again.
const (
	tidyPause   = 30 * time.Second // without a commit
	tidyLeast   = 1024             // free pages that are worth it
	tidyMost    = 16 << 20         // bytes that are copied; with more it can wait
	tidyBetween = 10 * time.Minute // between two of them: they wear the flash
)

// untidy tells whether the file may have room to give back.
func (s *Spool) untidy() bool {
	w := &s.writer
	if !w.wrote || w.disk.low || !w.tidied.IsZero() && time.Since(w.tidied) < tidyBetween {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing || s.damaged.Load() || len(s.freed) > 0 {
		return false
	}
	for _, g := range s.segs {
		for _, p := range g.parts {
			if p.n > 0 {
				return false
			}
		}
	}
	return true
}

// tidy shrinks the file when most of it is free. Only the writer calls it, when
// there is nothing else to do; what comes meanwhile waits for as long as it takes
// to copy a few megabytes.
func (s *Spool) tidy() {
	w := &s.writer
	if !s.untidy() || w.c == nil {
		return
	}
	w.wrote = false
	free, err := w.c.number("PRAGMA freelist_count")
	pages := int64(0)
	if err == nil {
		pages, err = w.c.number("PRAGMA page_count")
	}
	if err == nil && (free < tidyLeast || 2*free < pages || (pages-free)*pageSize > tidyMost) {
		return
	}
	if err == nil {
		err = w.shrink()
	}
	w.tidied = time.Now()
	if err != nil {
		s.log.Debug("file not shrunk", "err", err)
		w.c.close()
		w.c = nil
		return
	}
	s.log.Info("file shrunk", "pages_before", pages, "pages_free", free)
}

func (w *writer) shrink() error {
	if err := w.c.script("VACUUM"); err != nil {
		return err
	}
	return w.c.script("PRAGMA wal_checkpoint(PASSIVE)") // the next commit may be far away
}
