package storage

import "time"

// A spool that was drained gives its room back: the file of a queue that was long
// stays long otherwise, because freed pages are only used again.
const (
	tidyPause   = 30 * time.Second // between two looks; both must find the file mostly free
	tidyLeast   = 1024             // free pages that are worth it
	tidyMost    = 16 << 20         // bytes that are copied; with more it can wait
	tidyBusy    = 4 << 20          // the same while messages come, which wait meanwhile
	tidyBetween = 10 * time.Minute // between two of them: they wear the flash
)

// tidier is what the writer knows of the room that the file could give back.
type tidier struct {
	wrote  time.Time // when something was last committed
	looked time.Time
	roomy  bool      // it was mostly free then
	tidied time.Time // when it was last shrunk
}

// tidy shrinks the file when it is mostly free for a while, and tells when to look
// again. Only the writer calls it, when there is nothing else to do; what comes
// meanwhile waits for as long as it takes to copy a few megabytes.
func (s *Spool) tidy() time.Duration {
	w := &s.writer
	t := &w.tidier
	if !t.roomy && !t.wrote.After(t.looked) {
		return time.Hour
	}
	wait := tidyPause - time.Since(t.looked)
	if !t.tidied.IsZero() {
		wait = max(wait, tidyBetween-time.Since(t.tidied))
	}
	if wait > 0 {
		return wait
	}
	t.looked = time.Now()
	was := t.roomy
	if t.roomy = w.c != nil && !w.disk.low && !s.damaged.Load() && s.isRoomy(); !t.roomy || !was {
		return tidyPause
	}
	t.roomy, t.tidied = false, time.Now()
	if err := w.shrink(); err != nil {
		s.log.Debug("file not shrunk", "err", err)
		w.giveUp(err)
		return tidyBetween
	}
	s.log.Info("file shrunk")
	return tidyBetween
}

// isRoomy tells whether most of the file is free and the rest is copied soon enough.
func (s *Spool) isRoomy() bool {
	w := &s.writer
	free, err := w.c.number("PRAGMA freelist_count")
	pages := int64(0)
	if err == nil {
		pages, err = w.c.number("PRAGMA page_count")
	}
	if err != nil {
		s.log.Debug("file not looked at", "err", err)
		return false
	}
	most := int64(tidyMost)
	if time.Since(w.tidier.wrote) < tidyPause {
		most = tidyBusy
	}
	return free >= tidyLeast && 2*free >= pages && (pages-free)*pageSize <= most
}

func (w *writer) shrink() error {
	if err := w.c.script("VACUUM"); err != nil {
		return err
	}
	return w.c.script("PRAGMA wal_checkpoint(PASSIVE)") // the next commit may be far away
}
