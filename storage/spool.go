package storage

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sort"
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

// Append implements session.Spool. It waits only when 64 MB are accepted and not
// committed, which means that the disk has failed or is far too slow; never for a
// callback of the spool.
func (s *Spool) Append(in session.Entry, safe func(error)) mqtt.MsgID {
	m := in.Message
	e := &entry{m: m, retain: in.Retain, safe: safe, publisher: in.Publisher, size: int64(len(m.Payload) + len(m.Topic) + len(m.Props) + rowOverhead)}
	s.mu.Lock()
	if !s.waitForRoom() {
		s.mu.Unlock()
		if safe != nil && !in.Tentative {
			safe(errClosed)
		}
		return 0
	}
	s.address(e, in.Owed)
	if s.refuses(e, in.Tentative) {
		if !in.Tentative {
			s.refuse(safe, in.Publisher)
		}
		words := s.newLosses()
		s.mu.Unlock()
		s.reportLosses(words)
		return 0
	}
	s.admit(e)
	e.id = s.next
	s.next++
	m.ID = e.id
	if s.sessions[in.From] != nil {
		e.from, e.packetID = in.From, in.PacketID
	}
	id := e.id
	e.at = s.now()
	wait := s.patience(e, &in)
	s.marks.note(id, s.lived+e.at)
	s.owe(e)
	s.link(e)
	s.push(op{entry: e, size: e.size}, wait)
	if e.left == 0 && !e.retain && e.from == 0 {
		s.elide(e)
	}
	words := s.newLosses()
	s.mu.Unlock()
	s.reportLosses(words)
	return id
}

// waitForRoom tells whether the spool is open, once there is room. A callback never
// waits, for the writer may be running it. A disk that fails does not hold back IDs: what has to be named alike after a crash (QoS 2)
// is not shown before its commit, which reserves them too.
func (s *Spool) waitForRoom() bool {
	for !s.closing && !s.delivering && (s.pendBytes >= maxPending || s.next >= s.ceiling && !s.failing) {
		s.signal()
		s.room.Wait()
	}
	return !s.closing
}

// address names the sessions that the message is owed to: those that exist.
func (s *Spool) address(e *entry, owed []session.Owed) {
	if e.owed = e.one[:0]; len(owed) > 1 {
		e.owed = make([]session.Owed, 0, len(owed))
	}
	for _, o := range owed {
		if s.sessions[o.Session] != nil {
			e.owed = append(e.owed, o)
		}
	}
	byID := func(a, b session.Owed) int { return cmp.Compare(a.Session, b.Session) }
	if !slices.IsSortedFunc(e.owed, byID) {
		slices.SortFunc(e.owed, byID)
	}
	// more than once the same session would be more than one acknowledgement
	e.owed = slices.CompactFunc(e.owed, func(a, b session.Owed) bool { return a.Session == b.Session })
}

// owe puts the message into the queues of its sessions.
func (s *Spool) owe(e *entry) {
	if len(e.owed) == 0 {
		return
	}
	e.left = len(e.owed)
	e.seg = s.growing(e.id)
	e.pos = e.seg.add(e.id, len(e.m.Payload))
	e.seg.bytes += e.size
	e.seg.cache(e.pos, e)
	for _, o := range e.owed {
		s.sessions[o.Session].owe(o.Session, e.seg, e.pos)
	}
}

// growing gives the segment that the next message goes to.
func (s *Spool) growing(id mqtt.MsgID) *segment {
	if n := len(s.segs); n > 0 {
		g := s.segs[n-1]
		if g.takes(id) {
			return g
		}
		if !g.sealed {
			s.push(op{seal: g}, s.cfg.AckWindowMax)
			g.sealSeq = s.seq
		}
	}
	g := newSegment(id)
	s.segs = append(s.segs, g)
	return g
}

// push hands an operation to the writer; it is due, with everything before it, once it has waited.
func (s *Spool) push(o op, wait time.Duration) {
	s.seq++
	s.pendBytes += o.size
	if o.change != nil && !o.change.Unhurried {
		s.changes++
	}
	if wait <= 0 || s.pendBytes > maxWaiting {
		s.pending.push(o)
		s.dueSeq = s.seq
		s.signal()
		return
	}
	o.due = s.now() + wait
	if o.entry != nil {
		o.due = o.entry.at + wait
	}
	s.pending.push(o)
	if s.nextDue == 0 || o.due < s.nextDue {
		s.nextDue = o.due
		if s.idle {
			s.soon.Reset(wait) // to wake the writer now, for it to sleep again, costs more
		}
	}
}

// soonFired wakes the writer for what is due now.
func (s *Spool) soonFired() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.signal()
}

// signal wakes the writer when it sleeps.
func (s *Spool) signal() {
	if !s.idle {
		return
	}
	s.idle = false
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// Acked implements session.Spool.
func (s *Spool) Acked(id session.ID, msg mqtt.MsgID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if q := s.sessions[id]; q != nil && !s.closing {
		s.acked(q, id, msg)
	}
}

// acked takes the message out of the session's queue; the file follows with the acknowledgements.
func (s *Spool) acked(q *queue, id session.ID, msg mqtt.MsgID) {
	if _, was := q.released[msg]; was {
		delete(q.released, msg)
		s.settled = append(s.settled, settledRelease{id, msg, s.seq})
		s.arm()
	}
	if p, pos := q.find(msg); p != nil {
		s.settle(q, p, pos)
	}
}

// settle clears one bit and frees what nobody is owed any more.
func (s *Spool) settle(q *queue, p *part, pos int) {
	g := p.seg
	p.settle(pos)
	q.n--
	q.bytes -= int64(g.size(pos))
	if pos < g.written {
		s.touch(p)
	}
	s.forget(g, pos)
	if !g.sealed {
		return
	}
	g.recount, s.thinned = true, true
	if p.n == 0 {
		q.drop(p)
		s.freeUnowed(g)
	}
}

// forget counts down who still needs the message that may be in RAM.
func (s *Spool) forget(g *segment, pos int) {
	e := g.cachedAt(pos)
	if e == nil {
		return
	}
	if e.left--; e.left > 0 {
		return
	}
	g.uncache(pos)
	if e.id%windowSample == 0 {
		s.window.note(s.now() - e.at)
	}
	if !e.taken && !e.retain && e.from == 0 {
		s.elide(e)
		return
	}
	if e.committed {
		// it stands in recent until its turn comes, without what makes it big
		s.cacheBytes -= e.size - rowOverhead
		e.size = rowOverhead
		e.m, e.owed = nil, nil
	}
}

// touch marks what a session is owed of a segment as different from the file.
func (s *Spool) touch(p *part) {
	if !p.dirty {
		p.dirty = true
		s.dirty.push(p)
	}
	s.arm()
}

// arm sees to it that what is lazy reaches the file without another commit.
func (s *Spool) arm() {
	if !s.lazyArmed {
		s.lazyArmed = true
		s.lazy.Reset(lazyDelay)
	}
}

func (s *Spool) lazyFired() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lazyArmed && !s.closing {
		s.lazyDue = true
		s.signal()
	}
}

// freeUnowed lets the writer empty a sealed segment of which nobody is owed anything.
func (s *Spool) freeUnowed(g *segment) {
	if !g.sealed || len(g.parts) > 0 || g.gone {
		return
	}
	g.gone = true
	if i := s.segmentAt(g.base); i >= 0 {
		s.segs = slices.Delete(s.segs, i, i+1)
	}
	s.freed = append(s.freed, freedSegment{g, s.seq})
	s.arm()
}

// segmentAt gives the place of the segment with that base, -1 when there is none.
func (s *Spool) segmentAt(base mqtt.MsgID) int {
	i := sort.Search(len(s.segs), func(i int) bool { return s.segs[i].base >= base })
	if i == len(s.segs) || s.segs[i].base != base {
		return -1
	}
	return i
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

// lose takes a message that can't be read out of every queue.
func (s *Spool) lose(g *segment, pos int, cause error) {
	s.mu.Lock()
	if g.gone || g.sizes[pos] == 0 {
		s.mu.Unlock()
		return
	}
	id := g.id(pos)
	for owner, p := range g.parts {
		if q := s.sessions[owner]; q != nil && p.has(pos) {
			s.settle(q, p, pos)
		}
	}
	s.mu.Unlock()
	s.reportLost(id, cause)
}

func (s *Spool) reportLost(id mqtt.MsgID, cause error) {
	s.mu.Lock()
	s.lost++
	lost := s.lost
	s.mu.Unlock()
	s.log.Error("stored message lost", "message_id", uint64(id), "err", cause)
	s.alarms.Raise("spool", LostMessages, fmt.Sprintf("%d stored messages could not be read and were left out; the disk may be failing", lost))
}
