package broker

import (
	"sync"
	"sync/atomic"
	"time"

	"fieldgate/broker/access"
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
	stored0  atomic.Bool          // the spool may owe it messages of QoS 0; set and cleared under mu

	ending sync.Mutex // held while subscriptions of an in-process session change, and while a session ends; before mu

	rights   atomic.Pointer[access.Rights] // what it may do; nil for everything
	entitled entitlement                   // what rights was made of; under b.entitling

	mu       sync.Mutex
	conn     *conn  // nil while there is no connection
	local    *Local // nil while nobody is attached
	subs     map[string]mqtt.Subscription
	window   session.Window
	received session.Received
	queue    session.Queue                // without a spool; of a Local also QoS 0
	costs    int                          // of the filters of subs, in bytes
	shares   int                          // shared subscriptions
	parting  []parting                    // subscriptions that ended while it was owed messages and had or has a shared one
	flown    map[mqtt.MsgID]*mqtt.Message // without a spool: what flies at QoS 1 to a member of shared subscriptions

	// Where the deliveries of a durable session stand: after cursor comes the
	// next one to send, up to sentTo they were sent before, newest is the last
	// that is known to be owed.
	cursor, sentTo, newest mqtt.MsgID
	mark                   mark // how far it was sent, as the spool knows it
	backlog                bool // the spool may owe more than newest tells
	// Deliveries that were released before this connection and ended before cursor
	// came to them: a page that is being fetched may still show them.
	ended          map[mqtt.MsgID]struct{}
	marked         bool // somebody has promised to refill
	pulling, again bool // one goroutine refills; it looks again at the end

	reads   access.Cache // of rights
	meta    session.Meta
	over    bool      // it has ended: the spool hears no more of it
	offline time.Time // since when, while there is no connection

	dropped atomic.Int64              // deliveries that were given up
	parted  atomic.Pointer[Departure] // how the last connection ended
}

func (cl *client) isDurable() bool { return cl.sid != 0 }

// isLive tells whether somebody is there who may acknowledge.
func (cl *client) isLive() bool { return cl.online.Load() != nil || cl.attended.Load() }

// keepsQoS0 tells whether a message of QoS 0 goes through the spool: while nobody
// is there to get it, and then until what has gathered is delivered, for the order.
func (cl *client) keepsQoS0() bool {
	return cl.b.cfg.QueueQoS0 && cl.isDurable() && cl.isNetwork() && (!cl.isLive() || cl.stored0.Load())
}

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
		d := delivery{qos: qos, retain: retain, ids: ids}
		if c.modern != nil && !c.takes(w, p, &d) {
			return
		}
		id := cl.window.NextID()
		cl.window.Send(session.Flight{ID: id, QoS: qos})
		d.pid = id.PacketID()
		if cl.isSharing() {
			cl.flying(id, qos, p.keep(w.now))
		}
		c.send(w, p, d)
		return
	}
	if cl.conn != nil || cl.local != nil {
		cl.enqueue(w, mqtt.Delivery{Message: p.keep(w.now), QoS: qos, Retain: retain, SubscriptionIDs: ids})
	}
}

// enqueue puts a delivery into the queue in RAM; mu is held.
func (cl *client) enqueue(w *batch, d mqtt.Delivery) {
	if lost := int64(cl.queue.Push(d)); lost > 0 {
		w.count.dropped += lost
		cl.dropped.Add(lost)
	}
	if cl.local != nil {
		cl.local.notify()
	}
}

// owe notes that the spool owes the client the message, and promises a refill.
func (cl *client) owe(w *batch, id mqtt.MsgID) {
	cl.mu.Lock()
	defer cl.mu.Unlock()
	cl.newest = max(cl.newest, id)
	cl.stored0.Store(cl.b.cfg.QueueQoS0)
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

// pullLate promises a refill because of a commit.
func (cl *client) pullLate() {
	cl.mu.Lock()
	defer cl.mu.Unlock()
	switch {
	case cl.local != nil:
		cl.local.notify()
	case cl.conn != nil && !cl.marked:
		cl.marked = true
		cl.b.late.pull(cl)
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
		q, _ := cl.queue.Pop()
		d := delivery{qos: q.QoS, retain: q.Retain, ids: q.SubscriptionIDs}
		if !cl.mayRead(q.Message.Topic) {
			w.count.dropped++
			continue
		}
		if !c.mayGet(w, q.Message, &d) {
			continue
		}
		id := cl.window.NextID()
		cl.window.Send(session.Flight{ID: id, QoS: q.QoS})
		d.pid = id.PacketID()
		if cl.isSharing() {
			cl.flying(id, q.QoS, q.Message)
		}
		c.sendMessage(w, q.Message, d)
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
		clear(cl.ended)
		if !cl.again {
			cl.backlog = false
		}
		if cl.newest <= cl.cursor {
			cl.stored0.Store(false)
		}
		return cl.again
	}
	more := true
	w.gone = w.gone[:0]
	for i := range page {
		if !cl.sendOwed(w, c, &page[i]) {
			more = false
			break
		}
	}
	if len(w.gone) > 0 {
		cl.mu.Unlock()
		for _, id := range w.gone {
			cl.b.spool.Acked(cl.sid, id)
		}
		cl.mu.Lock()
	}
	return more || cl.again
}

// sendOwed sends one delivery of a page; false when it has to wait. mu is held.
func (cl *client) sendOwed(w *batch, c *conn, q *session.Queued) bool {
	id := q.Message.ID
	if _, ended := cl.ended[id]; ended {
		cl.cursor = id
		return true
	}
	if f, flies := cl.window.Find(id.PacketID()); flies && q.QoS > mqtt.AtMostOnce {
		if f.ID != id {
			return false // until the identifier is free again
		}
		cl.cursor = id // released before this connection began
		return true
	}
	if cl.window.Free() == 0 || !c.out.hasRoom() || !cl.mayBegin(id) {
		return false
	}
	cl.cursor = id
	d := delivery{
		qos:    q.QoS,
		pid:    id.PacketID(),
		retain: q.Retain,
		dup:    cl.wasSent(id),
		begun:  cl.wasSent(id),
		ids:    q.SubscriptionIDs,
	}
	if !(d.begun && d.qos == mqtt.ExactlyOnce) && !cl.mayRead(q.Message.Topic) { // what was begun at QoS 2 comes to its end
		w.count.dropped++
		w.gone = append(w.gone, id)
		return true
	}
	if !c.mayGet(w, q.Message, &d) { // as if it were delivered [v5 MQTT-3.1.2-25]
		w.gone = append(w.gone, id)
		return true
	}
	if q.QoS == mqtt.AtMostOnce {
		d.pid, d.dup = 0, false
		w.gone = append(w.gone, id)
	} else {
		cl.window.Send(session.Flight{ID: id, QoS: q.QoS})
	}
	c.sendMessage(w, q.Message, d)
	return true
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
	clear(cl.ended)
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
	cl.closeMark()
	cl.window.Detach()
	cl.offline = time.Now()
}
