package broker

import (
	"log/slog"
	"time"

	"fieldgate/broker/session"
)

// How long a 3.x publisher waits for room in a queue that refuses what it sent,
// before its connection ends, and how often it looks.
const (
	holdPatience = 10 * time.Second
	firstLook    = 5 * time.Millisecond
	slowestLook  = 250 * time.Millisecond
)

// holdBack does not read on until the queues take the entry: 3.x has no word to
// refuse a message with. When that takes too long, the entry is refused after all
// and the connection ends; its client will send the message again.
func (c *conn) holdBack(w *batch, e session.Entry, safe func(error)) error {
	c.held.Store(true)
	defer c.held.Store(false)
	c.log(slog.LevelInfo, "publisher waits: a queue is full", "topic", e.Message.Topic)
	patience := time.NewTimer(holdPatience)
	defer patience.Stop()
	for look := firstLook; ; look = min(2*look, slowestLook) {
		w.flush() // others must not wait with it
		again := time.NewTimer(look)
		select {
		case <-c.dead:
			again.Stop()
			safe(session.ErrQueueFull)
			return errEnded
		case <-patience.C:
			e.Tentative = false
		case <-again.C:
		}
		again.Stop()
		if w.distribute(e, safe) || !e.Tentative {
			return nil
		}
	}
}

// distribute gives w.pub to those who are there now; false when the spool refuses it, and nobody gets it.
func (w *batch) distribute(e session.Entry, safe func(error)) bool {
	w.enter(&e)
	defer w.leave(&e)
	w.fanOut()
	if w.needsSpool(&e) {
		return w.store(e, safe)
	}
	w.giveRest() // the sessions with the full queues have ended
	safe(nil)
	return true
}
