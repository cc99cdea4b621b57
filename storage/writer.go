package storage

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// Limits of one commit.
const (
	maxBatchOps   = 1000
	maxBatchBytes = 256 << 10
)

// How long the writer waits before it tries a failed commit again.
const (
	firstRetry = 50 * time.Millisecond
	maxRetry   = 5 * time.Second
	fullRetry  = time.Second // on a full disk, where draining queues makes room
	// lowPause is how often an idle writer looks whether a low disk has room again.
	lowPause = 2 * time.Second
	// lastTries is how often a commit is tried again once the spool closes.
	lastTries = 3
)

// On a slow disk the writer waits in steps of lingerStep-ths of the last flush: as
// long as messages come, and at most so many steps in vain or in all.
const (
	lingerStep  = 20
	lingerQuiet = 3
	lingerMost  = 10
	minLinger   = 50 * time.Microsecond // a shorter sleep would not be one
)

// writer is the one goroutine that changes the file.
type writer struct {
	c         *conn // nil after a failure, until it is opened again
	stale     bool  // a failed flush may have left in the system's cache alone what the log holds
	free      []int // slots whose tables are empty
	slots     int   // slots that exist
	lastSync  time.Duration
	underWay  int // operations that were answered by the last commit or waited when it was done
	lastMerge time.Time
	lastLazy  time.Time
	gaveUp    error // what the last try said, once the spool closes
	buf       []byte
	pack      packer
	batch     batch
	disk      disk
	lived     time.Duration // as Spool.lived
	broken    map[int]bool  // slots whose tables can't be emptied: they are not used again
	tidier    tidier
	timer     *time.Timer // of its sleep; it may fire before it is set again
}

// run commits what comes until the spool is closed; ctx ends the look at a file that was not closed.
func (s *Spool) run(ctx context.Context) {
	defer close(s.done)
	var deliverer sync.WaitGroup
	deliverer.Go(s.deliver)
	defer deliverer.Wait()
	defer s.stop()
	s.writer.timer = time.NewTimer(time.Hour)
	defer s.writer.timer.Stop()
	if s.unclean {
		s.writer.stale = s.writer.c.restartLog() != nil // a flush may have failed before: see redial
		s.looking.Go(func() { s.lookOver(ctx) })
	}
	for s.await() {
		b := s.take()
		s.release(b, s.store(b))
		s.mergeThin()
	}
	s.leave()
}

// leave writes into the file that nothing is missing, and the time, and closes it.
func (s *Spool) leave() {
	w := &s.writer
	if w.c == nil {
		return
	}
	defer w.c.close()
	if w.gaveUp != nil {
		return
	}
	s.mu.Lock()
	clock := s.encodeClock(s.age())
	s.mu.Unlock()
	err := w.c.tx(func() error {
		if err := w.c.exec(putClock, clock); err != nil {
			return err
		}
		return w.c.exec(putClean)
	})
	if err != nil {
		s.log.Debug("clean end not noted", "err", err) // the next start looks at the file, that is all
	}
}

// stop tells the deliverer that nothing more comes.
func (s *Spool) stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended = true
	s.called.Signal()
}

// await sleeps until there is something to commit; false when there never will be.
func (s *Spool) await() bool {
	timer := s.writer.timer
	for {
		s.mu.Lock()
		s.dropOutdated()
		words := s.newLosses()
		ops := s.dueOps()
		lazy := s.dirty.len()+len(s.freed)+len(s.settled) > 0
		due := ops > 0 || lazy && (s.lazyDue || s.closing) || s.next >= s.ceiling && !s.closing
		closing := s.closing
		s.idle = !due && !closing
		sleep := time.Hour
		if s.nextDue != 0 {
			sleep = s.nextDue - s.now()
		}
		if s.nextSweep != 0 {
			sleep = min(sleep, s.nextSweep-s.now())
		}
		s.mu.Unlock()
		s.reportLosses(words)
		switch {
		case due:
			if ops < maxBatchOps && !closing {
				s.linger(ops)
			}
			return true
		case closing:
			return false
		}
		if s.writer.disk.alarmed {
			s.watchDisk(false)
			sleep = min(sleep, lowPause)
		}
		timer.Reset(min(sleep, s.clearLosses(), s.tidy()))
		select {
		case <-s.wake:
		case <-timer.C:
		}
	}
}

// linger waits on a slow disk until those who were answered by the last commit
// have come back, when others waited already: without it publishers who wait for
// each answer fall into two groups, and every commit carries one of them. With
// nobody else under way there is nothing to wait for.
func (s *Spool) linger(ops int) {
	step := s.writer.lastSync / lingerStep
	if step < minLinger || ops >= s.writer.underWay {
		return
	}
	timer := s.writer.timer
	ops = s.awaitEnough()
	for left, quiet := lingerMost, 0; ops < s.writer.underWay && left > 0 && quiet < lingerQuiet; left-- {
		timer.Reset(step)
		select {
		case <-s.wake:
		case <-timer.C:
		case <-s.quit:
			return
		}
		before := ops
		ops = s.awaitEnough()
		if quiet++; ops > before {
			quiet = 0
		}
	}
}

// awaitEnough tells how many operations are due, and has the writer woken once as many are as are under way.
func (s *Spool) awaitEnough() (ops int) {
	select {
	case <-s.wake: // of before
	default:
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	ops = s.dueOps()
	s.enough = s.taken() + uint64(s.writer.underWay)
	return ops
}

// store commits the batch, again and again until the disk takes it. Once the
// spool closes it gives up.
func (s *Spool) store(b *batch) error {
	if !b.writes {
		return nil
	}
	if s.writer.gaveUp != nil {
		return s.writer.gaveUp
	}
	s.watchDisk(false)
	s.writer.disk.slack = 0
	left := lastTries
	for delay := firstRetry; ; delay = min(2*delay, maxRetry) {
		err := s.commit(b)
		s.report(err)
		if s.writer.disk.stuck = isFull(err); err == nil {
			s.writer.tidier.wrote = time.Now()
			return nil
		}
		if isFull(err) {
			if s.relieve(b); !s.lighten(b) {
				return nil
			}
			delay = min(delay, fullRetry)
		}
		select {
		case <-s.quit:
			if left--; left == 0 {
				s.writer.gaveUp = fmt.Errorf("commit messages: %w", err)
				return s.writer.gaveUp
			}
			time.Sleep(firstRetry)
		default:
			s.pause(delay)
		}
	}
}

// pause waits before the next try; close ends it early.
func (s *Spool) pause(delay time.Duration) {
	timer := time.NewTimer(delay)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-s.quit:
	}
}

// report tells people when commits begin to fail and when they work again.
func (s *Spool) report(err error) {
	s.mu.Lock()
	was := s.failing
	s.failing = err != nil
	s.room.Broadcast()
	s.mu.Unlock()
	switch {
	case err != nil && !was:
		s.log.Error("commit failed, nothing is acknowledged until it works", "err", err)
		s.alarms.Raise("spool", NotCommitted, fmt.Sprintf("messages can't be written to %s: %v; publishers wait until it works again", s.file, err))
	case err != nil:
		s.log.Debug("commit failed again", "err", err)
	case was:
		s.log.Info("commits work again")
		s.alarms.Clear("spool", NotCommitted)
	}
}

// release makes the committed known and hands over the callbacks, in order. When
// there are few and no commit waits, it runs them itself: the deliverer would take
// longer to wake up than the callbacks run.
func (s *Spool) release(b *batch, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pendBytes -= b.bytes
	if err == nil {
		s.committedSeq = b.last
		s.settleBatch(b)
	}
	answered := 0
	for i := range b.steps {
		if b.steps[i].awaited() {
			answered++
		}
		switch o := &b.steps[i]; {
		case o.entry != nil && o.entry.elided && !o.entry.finished:
			s.finish(o.entry, o.entry.err)
		case o.entry != nil && !o.entry.finished:
			s.finish(o.entry, err)
		case o.change != nil && o.change.Unhurried:
		case o.change != nil:
			s.changesDone++
			s.call(o.safe, err)
		}
	}
	s.unblock()
	waiting := s.dueOps()
	s.writer.underWay = min(answered+waiting, maxBatchOps)
	s.room.Broadcast()
	if waiting == 0 && s.ready.len() <= fewCallbacks {
		s.runCallbacks()
	} else {
		s.called.Signal()
	}
}

// settleBatch brings the index in RAM to where the file is.
func (s *Spool) settleBatch(b *batch) {
	for i := range b.steps {
		e := b.steps[i].entry
		if e == nil {
			continue
		}
		e.committed = true
		if e.left > 0 {
			s.recent.push(e)
			s.cacheBytes += e.size
		}
	}
	s.evict()
	for _, g := range b.free {
		if !s.writer.broken[g.slot] {
			s.writer.free = append(s.writer.free, g.slot)
		}
	}
	if b.ceiling > s.ceiling {
		s.ceiling = b.ceiling
	}
}

// evict drops the oldest committed messages from RAM beyond maxCached, and those
// that nobody needs.
func (s *Spool) evict() {
	n := 0
	for ; n < s.recent.len(); n++ {
		e := *s.recent.at(n)
		if e.left > 0 && s.cacheBytes <= maxCached {
			break
		}
		s.cacheBytes -= e.size
		if e.left > 0 {
			e.seg.uncache(e.pos)
		}
	}
	s.recent.drop(n)
}
