// Package sessiontest holds what the tests of every part need of session.Spool:
// an implementation in memory, whose commits a test can hold back, fail or lose,
// and the conformance suite that every implementation has to pass. Only tests
// import it.
package sessiontest

import (
	"sync"
	"time"

	"fieldgate/broker/mqtt"
	"fieldgate/broker/session"
)

var _ session.Spool = (*Memory)(nil)

// Memory is a session.Spool without a disk. What was committed survives Reopen,
// as it would survive a power cut; all else is lost there. It commits by itself
// as soon as it can, unless Hold was called.
type Memory struct {
	mu      sync.Mutex
	changed *sync.Cond // pending, held or closed changed
	live    *state     // all that was accepted: what Page and Usage see
	disk    *state     // all that was committed: what Load and Reopen see
	pending []operation
	ready   []func(error) // of entries that all have acknowledged before they were committed
	held    bool
	closed  bool
	err     error
	done    chan struct{}
}

type operation struct {
	apply  func(*state)
	safe   func(error)
	last   mqtt.MsgID     // given out by this operation, 0 for none
	entry  *session.Entry // nil for all else
	change bool
}

// NewMemory opens an empty spool; Close ends its goroutine.
func NewMemory() *Memory { return newMemory(newState(), 0) }

func newMemory(disk *state, last mqtt.MsgID) *Memory {
	m := &Memory{live: disk.clone(), disk: disk, done: make(chan struct{})}
	m.live.last = max(last, disk.last)
	m.changed = sync.NewCond(&m.mu)
	go m.run()
	return m
}

// run commits what is pending and calls back, in order.
func (m *Memory) run() {
	defer close(m.done)
	m.mu.Lock()
	defer m.mu.Unlock()
	for {
		for !m.closed && len(m.ready) == 0 && (m.held || len(m.pending) == 0) {
			m.changed.Wait()
		}
		if m.closed {
			return
		}
		ready, group, err := m.ready, []operation(nil), m.err
		m.ready = nil
		if !m.held {
			group, m.pending = m.pending, nil
		}
		if err == nil {
			for _, op := range group {
				op.apply(m.disk)
				m.disk.last = max(m.disk.last, op.last)
			}
		}
		m.changed.Broadcast()
		m.mu.Unlock()
		for _, safe := range ready {
			safe(nil)
		}
		for _, op := range group {
			if op.safe != nil {
				op.safe(err)
			}
		}
		m.mu.Lock()
	}
}

// Hold keeps back every commit until Release.
func (m *Memory) Hold() { m.set(func() { m.held = true }) }

// Release lets commits happen again, first those that were held back.
func (m *Memory) Release() { m.set(func() { m.held = false }) }

// Fail makes every later commit fail with err; nil ends that.
func (m *Memory) Fail(err error) { m.set(func() { m.err = err }) }

func (m *Memory) set(change func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	change()
	m.changed.Broadcast()
}

// Close stops the spool; what is not committed by then is lost and its callbacks never run.
func (m *Memory) Close() {
	m.set(func() { m.closed = true })
	<-m.done
}

// Reopen closes the spool, as a stop of the gateway would, and gives a new one that
// holds what was committed: all that was accepted, unless Hold was called.
func (m *Memory) Reopen() *Memory {
	m.mu.Lock()
	for !m.held && len(m.pending) > 0 {
		m.changed.Wait()
	}
	m.mu.Unlock()
	m.Close()
	return newMemory(m.disk, m.live.last)
}

// Copy gives a new spool that holds what is committed now, as a power cut at this
// moment would leave it; Close ends its goroutine.
func (m *Memory) Copy() *Memory {
	m.mu.Lock()
	disk, last := m.disk.clone(), m.live.last
	m.mu.Unlock()
	return newMemory(disk, last)
}

func (m *Memory) accept(op operation) {
	op.apply(m.live)
	m.pending = append(m.pending, op)
	if m.held {
		m.elide()
	}
	m.changed.Broadcast()
}

// elide makes entries ready that nobody is owed any more, in the order that
// session.Spool promises.
func (m *Memory) elide() {
	waits := map[uint64]bool{} // publishers with an earlier entry that is not ready
	for i := range m.pending {
		op := &m.pending[i]
		switch {
		case op.change:
			return
		case op.safe == nil:
		case !waits[op.entry.Publisher] && m.live.isDone(op.entry):
			m.ready = append(m.ready, op.safe)
			op.safe = nil
		case op.entry.Publisher != 0:
			waits[op.entry.Publisher] = true
		}
	}
}

// Append implements session.Spool.
func (m *Memory) Append(e session.Entry, safe func(error)) mqtt.MsgID {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.live.dropOutdated(time.Now())
	if m.live.refuses(e) {
		if e.Tentative {
			return 0
		}
		op := operation{apply: func(*state) {}, safe: safe, entry: &session.Entry{Message: &mqtt.Message{}, Publisher: e.Publisher}}
		if safe != nil {
			op.safe = func(error) { safe(session.ErrQueueFull) }
		}
		m.accept(op)
		return 0
	}
	m.live.last++
	id := m.live.last
	e.Message.ID = id
	m.accept(operation{apply: func(s *state) { s.append(e) }, safe: safe, last: id, entry: &e})
	return id
}

// Acked implements session.Spool.
func (m *Memory) Acked(s session.ID, id mqtt.MsgID) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.accept(operation{apply: func(st *state) { st.acked(s, id) }})
}

// Apply implements session.Spool.
func (m *Memory) Apply(c session.Change, safe func(error)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.accept(operation{apply: func(s *state) { s.change(c) }, safe: safe, change: !c.Unhurried})
}

// Page implements session.Spool.
func (m *Memory) Page(s session.ID, after mqtt.MsgID, maxMessages, maxBytes int) ([]session.Queued, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.live.dropOutdated(time.Now())
	return m.live.page(s, after, maxMessages, maxBytes, m.disk.last), nil
}

// Load implements session.Spool.
func (m *Memory) Load(v session.Visitor) error {
	m.mu.Lock()
	disk, next := m.disk.clone(), m.live.last+1
	m.mu.Unlock()
	if v.Next != nil {
		v.Next(next)
	}
	disk.visit(v)
	return nil
}

// SetLimits implements session.Spool.
func (m *Memory) SetLimits(s session.ID, l session.Limits) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.accept(operation{apply: func(st *state) {
		st.limits[s] = l
		if o := st.sessions[s]; o != nil && !l.Reject {
			o.makeRoom(l, nil)
		}
	}})
}

// Losses implements session.Spool.
func (m *Memory) Losses() (l session.Losses) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, o := range m.live.sessions {
		l.Dropped += o.losses.Dropped
		l.Refused += o.losses.Refused
		l.Outdated += o.losses.Outdated
	}
	return l
}

// Usage implements session.Spool.
func (m *Memory) Usage(s session.ID) mqtt.Usage {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.live.dropOutdated(time.Now())
	return m.live.usage(s)
}
