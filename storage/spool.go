package storage

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"fieldgate/broker/mqtt"
	"fieldgate/broker/session"
	"fieldgate/internal/fault"
)

var _ session.Spool = (*Spool)(nil)

// Limits of what the spool holds in RAM beside its index.
const (
	maxPending = 64 << 20 // bytes accepted and not committed; beyond it Append waits
	maxCached  = 8 << 20  // bytes of committed messages for Page
	idBlock    = 1 << 20  // IDs reserved in the file ahead of use

	// lazyDelay is how long acknowledgements wait for a commit to go with, and
	// lazyPause how long before the next commit takes some along again.
	lazyDelay = 900 * time.Millisecond
	lazyPause = 200 * time.Millisecond
	// rowOverhead is what a message costs beside its topic, properties and payload.
	rowOverhead = 192
)

// errClosed is what a callback gets for what came too late.
var errClosed = errors.New("the spool is closed")

// Spool keeps what persistent sessions are owed in spool.db; see DESIGN.md. After
// Close everything fails at once, with the callback on the caller's goroutine.
type Spool struct {
	log       *slog.Logger
	alarms    *fault.Alarms
	file      string
	cfg       SpoolConfig
	crashSafe bool
	opened    time.Time

	wake chan struct{} // holds one when the idle writer has work
	quit chan struct{} // closed together with closing set
	done chan struct{} // closed when the writer has ended and all callbacks have run
	lazy *time.Timer   // wakes the writer for acknowledgements alone
	soon *time.Timer   // wakes it for what came while it slept and may wait

	damaged atomic.Bool // damage was found while the file was in use
	unclean bool        // the last stop was not clean
	endLook context.CancelFunc
	looking sync.WaitGroup

	writer writer // used by its goroutine alone

	readMu sync.Mutex
	reader *conn // protected by readMu; nil after a failure

	mu           sync.Mutex // protects following
	room         *sync.Cond // there may be room again, a merge has ended, or closing was set
	next         mqtt.MsgID // the ID of the next message
	ceiling      mqtt.MsgID // IDs below are reserved in the file
	sessions     map[session.ID]*queue
	limits       map[session.ID]session.Limits // of sessions that exist or are about to
	losses       losses
	lived        time.Duration // how long the spool was open before it was opened
	marks        marks
	nextSweep    time.Duration // when messages may be too old, by now; 0 for never
	clockSaved   time.Duration // what age was when the file last got it
	segs         []*segment    // by rising base; the last one grows
	pending      fifo[op]      // not given to the writer, oldest first
	seq          uint64        // of the last op that was added to pending
	dueSeq       uint64        // ops up to this one are due
	enough       uint64        // the lingering writer goes on once ops up to this one are due
	committedSeq uint64        // ops up to this one are committed
	nextDue      time.Duration // when another one may be due; 0 for never
	window       window
	chains       map[uint64]chain // by publisher: entries that are not finished
	changes      uint64           // that were added to pending
	changesDone  uint64           // of them, those that are committed
	blocked      int              // elided entries that wait for what came before
	ready        fifo[callback]
	running      []callback // used again by whoever has set delivering
	called       *sync.Cond // ready, delivering or ended changed
	ended        bool       // the writer has ended
	pendBytes    int64      // of pending and of what the writer has
	dirty        fifo[*part]
	freed        []freedSegment
	settled      []settledRelease
	lazyDue      bool // the lazy timer has fired
	lazyArmed    bool
	idle         bool // the writer sleeps
	delivering   bool // callbacks run
	closing      bool
	failing      bool // the last commit failed
	recent       fifo[*entry]
	cacheBytes   int64
	thinned      bool  // some sealed segment has less to keep than before
	lost         int64 // messages that could not be read
}

// entry is one message that is in RAM. Protected by Spool.mu, except for what
// never changes once Append has returned: id, size, retain, from, packetID and, once
// the writer has taken the entry and until it is committed, m and owed.
type entry struct {
	id        mqtt.MsgID
	m         *mqtt.Message
	owed      []session.Owed // to sessions that exist, by rising ID
	one       [1]session.Owed
	seg       *segment // nil when owed is empty
	pos       int
	left      int // sessions that have not acknowledged
	size      int64
	committed bool
	retain    bool
	from      session.ID
	packetID  uint16

	at        time.Duration // when it was accepted, by Spool.now
	safe      func(error)
	publisher uint64
	next      *entry // of the same publisher
	barrier   uint64 // so many changes came before it
	taken     bool   // the writer has it, or had it
	elided    bool   // nobody was owed it before the writer took it
	blocked   bool   // elided and counted in Spool.blocked
	finished  bool   // its callback was handed over
	err       error  // why nobody got it
}

// freedSegment may be emptied once everything up to seq is committed.
type freedSegment struct {
	seg *segment
	seq uint64
}

// settledRelease is a row of q2out that may go once everything up to seq is committed.
type settledRelease struct {
	session session.ID
	id      mqtt.MsgID
	seq     uint64
}

// Usage implements session.Spool. It never asks the disk: lists of all sessions call it. What is not in RAM any more
// has an Oldest that is up to a minute too early, more where the marks are thin.
func (s *Spool) Usage(id session.ID) mqtt.Usage {
	s.mu.Lock()
	defer s.mu.Unlock()
	q := s.sessions[id]
	if q == nil {
		return mqtt.Usage{}
	}
	u := q.usage()
	if q.n == 0 {
		return u
	}
	p, pos := q.first()
	if e := p.seg.cachedAt(pos); e != nil {
		u.Oldest = e.m.Accepted
	} else if at, known := s.marks.of(p.seg.id(pos)); known {
		u.Oldest = time.Now().Add(at - s.age())
	}
	return u
}

// Pending gives the bytes that are accepted and not committed yet, for the
// broker's back-pressure. At 64 MB Append begins to wait.
func (s *Spool) Pending() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.pendBytes
}

func (s *Spool) isClosing() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closing
}

// close commits what is pending, or gives up after a few tries, and ends the writer.
func (s *Spool) close() {
	s.mu.Lock()
	s.closing = true
	close(s.quit)
	s.room.Broadcast()
	s.signal()
	s.mu.Unlock()
	<-s.done
	s.lazy.Stop()
	s.soon.Stop()
	s.endLook()
	s.looking.Wait()
	s.readMu.Lock()
	defer s.readMu.Unlock()
	if s.reader != nil {
		s.reader.close()
		s.reader = nil
	}
}
