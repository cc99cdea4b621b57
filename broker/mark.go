package broker

import (
	"sync/atomic"
	"time"

	"fieldgate/broker/mqtt"
)

// markState is what the spool's record of a durable session says of how far the
// session was sent; see session/DESIGN.md.
type markState byte

const (
	markOpen    markState = iota // nothing: after a crash all that there was may have been sent
	markOpening                  // nothing any more, once that is committed
	markClosed                   // no delivery above mark.to was sent
)

// openPatience is how long a delivery waits until the spool has forgotten the
// mark. A disk that takes nothing must not keep queues from draining: should a
// crash come then, deliveries come again without DUP.
const openPatience = time.Second

// mark says up to which delivery a durable session may have been sent before this
// connection; under client.mu.
type mark struct {
	to    mqtt.MsgID
	state markState
	turn  uint64 // counts the changes of state

	opened atomic.Uint64 // the last turn whose markOpening is committed; needs no lock
}

// open notes that the markOpening of a turn is committed, or has taken too long: an earlier turn may come later.
func (m *mark) open(turn uint64) {
	for last := m.opened.Load(); last < turn; last = m.opened.Load() {
		if m.opened.CompareAndSwap(last, turn) {
			return
		}
	}
}

func (m *mark) set(state markState) {
	m.state = state
	m.turn++
}

// restoreMark takes over what the record says. next is the first ID that was not
// given out before. When the last life ended in a crash, all below may have been sent.
func (cl *client) restoreMark(next mqtt.MsgID) {
	cl.mu.Lock()
	defer cl.mu.Unlock()
	if cl.meta.Sent == 0 {
		cl.mark.to = next - 1
		cl.closeMark()
		return
	}
	cl.mark.to = mqtt.MsgID(cl.meta.Sent - 1)
	cl.mark.set(markClosed)
}

// wasSent tells whether the delivery may have been sent before; mu is held.
func (cl *client) wasSent(id mqtt.MsgID) bool { return id <= max(cl.sentTo, cl.mark.to) }

// mayBegin tells whether the delivery may go out now. One that is sent for the first
// time waits until no mark says that it never was; then the session looks again. mu is held.
func (cl *client) mayBegin(id mqtt.MsgID) bool {
	if cl.mark.state == markOpening && cl.mark.opened.Load() == cl.mark.turn {
		cl.mark.set(markOpen)
	}
	if cl.mark.state == markClosed && !cl.wasSent(id) {
		cl.openMark()
	}
	return cl.mark.state == markOpen || cl.wasSent(id)
}

// openMark makes the spool forget the mark. mu is held, so that no later change of
// the record comes before this one; the callback may run at once and does without it.
func (cl *client) openMark() {
	cl.mark.set(markOpening)
	cl.meta.Sent = 0
	turn, local := cl.mark.turn, cl.local
	opened := func() {
		cl.mark.open(turn)
		if local != nil {
			local.notify()
		} else {
			cl.b.late.pull(cl)
		}
	}
	late := time.AfterFunc(openPatience, opened)
	cl.keepRecord(false, func(error) {
		late.Stop()
		opened()
	})
}

// closeMark notes with the next commits how far the session was sent, once nobody
// is there to send it more. mu is held.
func (cl *client) closeMark() {
	if !cl.isDurable() || cl.mark.state == markClosed {
		return
	}
	cl.mark.to = max(cl.mark.to, cl.sentTo)
	cl.mark.set(markClosed)
	cl.meta.Sent = uint64(cl.mark.to) + 1
	cl.keepRecord(true, nil)
}
