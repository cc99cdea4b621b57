package broker

import (
	"sync"
	"sync/atomic"
	"time"

	"fieldgate/broker/mqtt"
	"fieldgate/broker/packet"
	"fieldgate/broker/session"
)

// Sizes of one look into the spool.
const (
	pageMessages = 256
	pageBytes    = 256 << 10
)

// client is one session: that of a network client, online or not, or one in
// process. A durable one has an ID in the spool and takes its deliveries from
// there; any other keeps a queue in RAM and ends with its connection.
type client struct {
	b     *Broker
	id    string
	sid   session.ID // 0 when it is not durable
	owner *conn      // the connection that holds it, or is about to; under b.mu

	online   atomic.Pointer[conn] // the same as conn, for those who need no lock
	attended atomic.Bool          // local is not nil

	mu       sync.Mutex
	conn     *conn  // nil while there is no connection
	local    *Local // nil while nobody is attached
	subs     map[string]mqtt.Subscription
	window   session.Window
	received session.Received
	queue    session.Queue // without a spool; of a Local also QoS 0

	// Where the deliveries of a durable session stand: after cursor comes the
	// next one to send, up to sentTo they were sent before, newest is the last
	// that is known to be owed.
	cursor, sentTo, newest mqtt.MsgID
	backlog                bool // the spool may owe more than newest tells
	marked                 bool // somebody has promised to refill
	pulling, again         bool // one goroutine refills; it looks again at the end

	meta    session.Meta
	offline time.Time // since when, while there is no connection
}

func (cl *client) isDurable() bool { return cl.sid != 0 }

// isLive tells whether somebody is there who may acknowledge.
func (cl *client) isLive() bool { return cl.online.Load() != nil || cl.attended.Load() }

// offer gives the client a message at QoS 0: now or never.
func (cl *client) offer(w *batch, p *publication, retain bool, ids []uint32) {
	if c := cl.online.Load(); c != nil {
		c.sendQoS0(w, p, retain, ids)
		return
	}
	cl.mu.Lock()
	defer cl.mu.Unlock()
	if cl.local != nil {
		cl.enqueue(w, mqtt.Delivery{Message: p.keep(w.now), Retain: retain, SubscriptionIDs: ids})
	}
}

// give gives a client without a spool a message at QoS 1 or 2.
func (cl *client) give(w *batch, p *publication, qos mqtt.QoS, retain bool, ids []uint32) {
	cl.mu.Lock()
	defer cl.mu.Unlock()
	if c := cl.conn; c != nil && cl.queue.Len() == 0 && cl.window.Free() > 0 && c.out.hasRoom() {
		id := cl.window.NextID()
		cl.window.Send(session.Flight{ID: id, QoS: qos})
		c.send(w, p, delivery{qos: qos, pid: id.PacketID(), retain: retain, ids: ids})
		return
	}
	if cl.conn != nil || cl.local != nil {
		cl.enqueue(w, mqtt.Delivery{Message: p.keep(w.now), QoS: qos, Retain: retain, SubscriptionIDs: ids})
	}
}

// enqueue puts a delivery into the queue in RAM; mu is held.
func (cl *client) enqueue(w *batch, d mqtt.Delivery) {
	w.count.dropped += int64(cl.queue.Push(d))
	if cl.local != nil {
		cl.local.notify()
	}
}

// owe notes that the spool owes the client the message, and promises a refill.
func (cl *client) owe(w *batch, id mqtt.MsgID) {
	cl.mu.Lock()
	defer cl.mu.Unlock()
	cl.newest = max(cl.newest, id)
	cl.markPull(w)
}

// markPull promises a refill by w; mu is held.
func (cl *client) markPull(w *batch) {
	switch {
	case cl.local != nil:
		cl.local.notify()
	case cl.conn != nil && !cl.marked:
		cl.marked = true
		w.pulls = append(w.pulls, cl)
	}
}

// refill sends what is owed to the client, as far as its window and its socket take it.
func (cl *client) refill(w *batch) {
	cl.mu.Lock()
	defer cl.mu.Unlock()
	cl.marked = false
	if cl.local != nil {
		cl.local.notify()
		return
	}
	if !cl.isDurable() {
		cl.drainQueue(w)
		return
	}
	if cl.pulling {
		cl.again = true
		return
	}
	cl.pulling = true
	for cl.pull(w) {
	}
	cl.pulling = false
}

// drainQueue sends from the queue in RAM; mu is held.
func (cl *client) drainQueue(w *batch) {
	c := cl.conn
	for c != nil && cl.queue.Len() > 0 && cl.window.Free() > 0 && c.out.hasRoom() {
		d, _ := cl.queue.Pop()
		id := cl.window.NextID()
		cl.window.Send(session.Flight{ID: id, QoS: d.QoS})
		c.sendMessage(w, d.Message, delivery{qos: d.QoS, pid: id.PacketID(), retain: d.Retain, ids: d.SubscriptionIDs})
	}
}

// pull fetches one page from the spool and sends it; true asks for the next one.
// mu is held, but not while the spool is asked.
func (cl *client) pull(w *batch) bool {
	cl.again = false
	c, free, after := cl.conn, min(cl.window.Free(), pageMessages), cl.cursor
	if c == nil || free == 0 || !c.out.hasRoom() || cl.cursor >= cl.newest && !cl.backlog {
		return false
	}
	cl.mu.Unlock()
	page, err := cl.b.spool.Page(cl.sid, after, free, pageBytes)
	cl.mu.Lock()
	if cl.conn != c || cl.cursor != after {
		return true // another connection resumed the session meanwhile
	}
	if err != nil {
		cl.b.log.Error("the queue of a session can't be read", "client_id", cl.id, "err", err)
		c.end(ending{text: "the session's queue can't be read", err: err})
		return false
	}
	if len(page) == 0 {
		if !cl.again {
			cl.backlog = false
		}
		return cl.again
	}
	for i := range page {
		if !cl.sendOwed(w, c, &page[i]) {
			return cl.again
		}
	}
	return true
}

// sendOwed sends one delivery of a page; false when it has to wait. mu is held.
func (cl *client) sendOwed(w *batch, c *conn, q *session.Queued) bool {
	id := q.Message.ID
	if f, flies := cl.window.Find(id.PacketID()); flies {
		if f.ID != id {
			return false // until the identifier is free again
		}
		cl.cursor = id // released before this connection began
		return true
	}
	if cl.window.Free() == 0 || !c.out.hasRoom() {
		return false
	}
	cl.cursor = id
	cl.window.Send(session.Flight{ID: id, QoS: q.QoS})
	c.sendMessage(w, q.Message, delivery{
		qos:    q.QoS,
		pid:    id.PacketID(),
		retain: q.Retain,
		dup:    id <= cl.sentTo || cl.b.isFromBefore(id),
		ids:    q.SubscriptionIDs,
	})
	return true
}

// puback ends a QoS 1 delivery; false when there is none with this packet identifier.
func (cl *client) puback(w *batch, pid uint16) bool {
	return cl.finish(w, pid, func(f session.Flight) bool { return f.QoS == mqtt.AtLeastOnce })
}

// pubcomp ends a QoS 2 delivery.
func (cl *client) pubcomp(w *batch, pid uint16) bool {
	return cl.finish(w, pid, func(f session.Flight) bool { return f.Stage != session.Sent })
}

// finish takes a delivery out of flight and makes room for the next.
func (cl *client) finish(w *batch, pid uint16, ends func(session.Flight) bool) bool {
	cl.mu.Lock()
	f, flies := cl.window.Find(pid)
	if !flies || !ends(f) {
		cl.mu.Unlock()
		return false
	}
	cl.window.Finish(pid)
	if !cl.isDurable() {
		cl.drainQueue(w)
	} else if cl.cursor < cl.newest || cl.backlog {
		cl.markPull(w)
	}
	cl.mu.Unlock()
	if cl.isDurable() {
		cl.b.spool.Acked(cl.sid, f.ID)
	}
	return true
}

// pubrec goes on with a QoS 2 delivery. release tells that PUBREL may be sent at
// once; else, when the delivery is one of ours, it follows the commit.
func (cl *client) pubrec(c *conn, pid uint16) (known, release bool) {
	cl.mu.Lock()
	f, flies := cl.window.Find(pid)
	switch {
	case !flies || f.QoS != mqtt.ExactlyOnce:
		cl.mu.Unlock()
		return false, false
	case f.Stage == session.Releasing:
		cl.mu.Unlock()
		return true, false
	case f.Stage == session.Released || !cl.isDurable():
		cl.window.Move(pid, session.Released)
		cl.mu.Unlock()
		return true, true
	}
	cl.window.Move(pid, session.Releasing)
	cl.mu.Unlock()
	c.answerLater(answer{kind: packet.PUBREL, pid: pid})
	cl.b.spool.Apply(session.Change{Session: cl.sid, Released: []mqtt.MsgID{f.ID}}, c.committed)
	return true, false
}

// releasedSafe notes that a PUBREC is committed, or can't be, and gives the
// connection that PUBREL is to be sent on.
func (cl *client) releasedSafe(pid uint16, err error) *conn {
	cl.mu.Lock()
	defer cl.mu.Unlock()
	to := session.Released
	if err != nil {
		to = session.Sent
	}
	if !cl.window.Move(pid, to) {
		return nil
	}
	return cl.conn
}

// receivedSafe notes that an incoming QoS 2 message is safe, or can't be, and
// gives the connection that PUBREC is to be sent on.
func (cl *client) receivedSafe(pid uint16, err error) *conn {
	cl.mu.Lock()
	defer cl.mu.Unlock()
	if err != nil {
		cl.received.Forget(pid)
		return cl.conn
	}
	cl.received.Safe(pid)
	return cl.conn
}

// attach makes c the connection of the session. What was released is released
// again at once; the rest follows from the queue [v3.1.1 MQTT-4.4.0-1].
func (cl *client) attach(w *batch, c *conn, window int) {
	cl.mu.Lock()
	defer cl.mu.Unlock()
	cl.conn = c
	cl.online.Store(c)
	cl.window.Resize(window)
	cl.cursor, cl.backlog = 0, cl.isDurable()
	for f := range cl.window.All {
		if f.Stage == session.Released {
			c.answerNow(w, answer{kind: packet.PUBREL, pid: f.ID.PacketID()})
		}
	}
	cl.markPull(w)
}

// detach takes the connection away; deliveries of which only the PUBLISH went out
// will come from the spool again.
func (cl *client) detach(c *conn) {
	cl.mu.Lock()
	defer cl.mu.Unlock()
	if cl.conn != c {
		return
	}
	cl.conn = nil
	cl.online.Store(nil)
	cl.sentTo = max(cl.sentTo, cl.cursor)
	cl.cursor = 0
	cl.window.Detach()
	cl.offline = time.Now()
}
