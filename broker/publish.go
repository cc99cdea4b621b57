package broker

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"fieldgate/broker/mqtt"
	"fieldgate/broker/packet"
	"fieldgate/broker/route"
	"fieldgate/broker/session"
	"fieldgate/internal/fault"
)

func (c *conn) handlePublish(w *batch, raw []byte) error {
	p := &w.pub
	p.reset()
	if err := p.Decode(raw, c.version); err != nil {
		return err
	}
	w.count.publishReceived++
	w.count.publishBytesIn += int64(len(p.Payload))
	if p.QoS > c.b.cfg.maxQoS() {
		return &packet.Error{Reason: mqtt.QoSNotSupported, Clause: "v5 MQTT-3.2.2-11", Detail: "PUBLISH: QoS is above max_qos"}
	}
	if c.modern != nil {
		if err := c.checkPublish(&p.Publish); err != nil {
			return err
		}
	}
	if p.QoS == mqtt.ExactlyOnce && !c.isFresh(w, p.PacketID) {
		return nil
	}
	p.raw, p.version, p.origin = raw, c.version, c.client.id
	kind := answerTo(p.QoS)
	if reason := c.b.refuses(&p.Publish); reason.Failed() {
		return c.refusePublish(w, kind, p, reason)
	}
	if !c.mayWrite(p.Topic) {
		return c.denyPublish(w, kind, p)
	}
	p.unanswered = !c.mayBeAnswered(&p.Publish)
	return c.acceptPublish(w, kind, p)
}

// answerTo is the packet that acknowledges a PUBLISH; 0 for none.
func answerTo(q mqtt.QoS) packet.Type {
	switch q {
	case mqtt.AtLeastOnce:
		return packet.PUBACK
	case mqtt.ExactlyOnce:
		return packet.PUBREC
	}
	return 0
}

// acceptPublish distributes a message that the client may publish, and sees to its answer.
func (c *conn) acceptPublish(w *batch, kind packet.Type, p *publication) error {
	e := session.Entry{Retain: p.Retain && c.b.cfg.RetainAvailable, Publisher: c.number}
	if p.QoS == mqtt.ExactlyOnce {
		e.From, e.PacketID = c.client.sid, p.PacketID
	}
	w.enter(&e)
	w.fanOut()
	reason := mqtt.Success
	if w.taken == 0 {
		reason = mqtt.NoMatchingSubscribers
	}
	if !w.needsSpool(&e) {
		w.giveRest()
		c.accepted(w, kind, p.PacketID, reason)
		return nil
	}
	e.Message = p.keep(w.now)
	safe := c.answerLater(answer{kind: kind, pid: p.PacketID, reason: reason, cost: session.Cost(e.Message)})
	e.Tentative = kind != 0 && c.modern == nil // 5.0 has a word for a full queue
	taken := w.store(e, safe)
	w.leave(&e)
	if !taken && e.Tentative {
		return c.holdBack(w, e, safe)
	}
	return nil
}

// enter and leave enclose the distribution of what is retained, for new subscriptions to wait for.
func (w *batch) enter(e *session.Entry) {
	if e.Retain {
		w.b.retaining.enter(&w.passage)
	}
}

func (w *batch) leave(e *session.Entry) {
	if e.Retain {
		w.b.retaining.leave(&w.passage)
	}
}

// needsSpool tells whether anything of the entry, of which fanOut has found the receivers, has to be stored.
func (w *batch) needsSpool(e *session.Entry) bool { return len(w.owed) > 0 || e.Retain || e.From != 0 }

// refuses tells why a client's PUBLISH is refused: its topic is not open to clients, or it can't be retained.
func (b *Broker) refuses(p *packet.Publish) mqtt.ReasonCode {
	switch {
	case p.Topic[0] == '$' || p.Retain && !isShallow(p.Topic):
		return mqtt.TopicNameInvalid
	case p.Retain && len(p.Payload) > 0 && !b.mayRetain(p.Topic, len(p.Payload)+len(p.Props)):
		return mqtt.QuotaExceeded
	}
	return mqtt.Success
}

// mayRetain tells whether a retained message of a client with so many bytes beside its topic name finds room.
func (b *Broker) mayRetain(topic []byte, bytes int) bool {
	return !b.cfg.RetainAvailable || b.retained.HasRoom(topic, int64(len(topic)+bytes), b.cfg.MaxRetained, b.cfg.MaxRetainedBytes)
}

// refusePublish answers a PUBLISH that is refused. 3.x has no word for it: what must not be written to is
// acknowledged and dropped [v3.1.1 MQTT-3.3.5-2], what should be kept and can't be
// closes the connection.
func (c *conn) refusePublish(w *batch, kind packet.Type, p *publication, reason mqtt.ReasonCode) error {
	w.count.dropped++
	detail := fmt.Sprintf("PUBLISH: a retained topic name has more than %d levels", maxLevels)
	if reason == mqtt.QuotaExceeded {
		detail = "PUBLISH: there are max_retained_messages or max_retained_bytes already"
		c.tell(&c.deniedOne, "retained message refused: max_retained_messages or max_retained_bytes is reached", "topic", string(p.Topic))
	}
	if c.modern == nil && p.Topic[0] != '$' {
		c.forgetReceived(kind, p.PacketID) // the session may live on
		return &packet.Error{Reason: reason, Clause: "v3.1.1 MQTT-3.3.5-2", Detail: detail}
	}
	c.dropPublish(w, kind, p.PacketID, reason)
	return nil
}

// isFresh tells whether a QoS 2 message comes for the first time, and answers it when it does not.
func (c *conn) isFresh(w *batch, pid uint16) bool {
	c.client.mu.Lock()
	fresh, safe := c.client.received.Add(pid)
	c.client.mu.Unlock()
	if !fresh && safe {
		c.answerNow(w, answer{kind: packet.PUBREC, pid: pid})
	}
	return fresh
}

// accepted acknowledges a message that nothing has to be stored for.
func (c *conn) accepted(w *batch, kind packet.Type, pid uint16, reason mqtt.ReasonCode) {
	if kind == 0 {
		return
	}
	if kind == packet.PUBREC {
		c.client.mu.Lock()
		c.client.received.Safe(pid)
		c.client.mu.Unlock()
	}
	c.answerNow(w, answer{kind: kind, pid: pid, reason: reason})
}

// fanOut gives w.pub to everybody who needs no spool and gathers in w.owed to
// which durable sessions it is owed. Where the spool may refuse it, those who need
// none are gathered too, in w.rest: a publisher that is refused sends it again.
func (w *batch) fanOut() {
	w.owed, w.owedTo, w.rest, w.taken = w.owed[:0], w.owedTo[:0], w.rest[:0], 0
	p := &w.pub
	found := w.cache.Match(p.Topic)
	p.name = found.Topic
	for i := range found.Subscribers {
		w.deliver(&found.Subscribers[i])
		w.flushEarly()
	}
	for i := range found.Shared {
		if m := pick(&found.Shared[i]); m != nil {
			w.deliverShared(m)
		}
	}
}

// deliverShared gives w.pub to a member of a shared subscription. A session that
// is owed it already gets it once, with all subscription identifiers.
func (w *batch) deliverShared(m *route.Match[*client]) {
	i := slices.Index(w.owedTo, m.Subscriber)
	if i < 0 || m.Delivered(w.pub.QoS) == mqtt.AtMostOnce {
		w.deliver(m)
		return
	}
	o := &w.owed[i]
	o.QoS = max(o.QoS, m.Delivered(w.pub.QoS))
	o.Retain = o.Retain || w.pub.Retain && m.RetainAsPublished
	o.SubscriptionIDs = slices.Concat(o.SubscriptionIDs, m.IDs)
}

func (w *batch) deliver(m *route.Match[*client]) {
	p, cl := &w.pub, m.Subscriber
	if m.NoLocal && cl.id == p.origin {
		return
	}
	w.taken++
	qos := m.Delivered(p.QoS)
	switch {
	case cl.isDurable() && (qos > mqtt.AtMostOnce || cl.keepsQoS0()):
		w.owed = append(w.owed, session.Owed{Session: cl.sid, QoS: qos, Retain: p.Retain && m.RetainAsPublished, SubscriptionIDs: m.IDs, Live: cl.isLive()})
		w.owedTo = append(w.owedTo, cl)
	case p.QoS > mqtt.AtMostOnce && w.b.mayRefuse.Load():
		w.rest = append(w.rest, *m)
	default:
		w.give(m, qos)
	}
}

// give gives w.pub to a subscriber who needs no spool for it.
func (w *batch) give(m *route.Match[*client], qos mqtt.QoS) {
	retain := w.pub.Retain && m.RetainAsPublished
	if qos == mqtt.AtMostOnce {
		m.Subscriber.offer(w, &w.pub, retain, m.IDs)
	} else {
		m.Subscriber.give(w, &w.pub, qos, retain, m.IDs)
	}
}

// giveRest gives w.pub to those who waited for the spool to take it.
func (w *batch) giveRest() {
	for i := range w.rest {
		m := &w.rest[i]
		w.give(m, m.Delivered(w.pub.QoS))
		w.flushEarly()
	}
	w.rest = w.rest[:0]
}

// pick chooses the member of a shared subscription that gets a message: the next
// one that is there, or the next one that will be.
func pick(g *route.Group[*client]) *route.Match[*client] {
	first := g.Pick()
	var later *route.Match[*client]
	for i := range g.Members {
		m := &g.Members[(first+i)%len(g.Members)]
		if m.Subscriber.isLive() {
			return m
		}
		if later == nil && m.Subscriber.isDurable() {
			later = m
		}
	}
	return later
}

// store hands an entry to the spool and promises its receivers a look into it.
// safe may be nil. False says that the spool refuses it, and nobody gets it.
func (w *batch) store(e session.Entry, safe func(error)) (taken bool) {
	b := w.b
	e.Owed = slices.Clone(w.owed)
	if slices.ContainsFunc(e.Owed, func(o session.Owed) bool { return o.QoS == mqtt.ExactlyOnce }) {
		safe = b.thenPull(slices.Clone(w.owedTo), safe)
	}
	var id mqtt.MsgID
	if e.Retain {
		id = b.storeRetained(e, safe)
	} else {
		id = b.spool.Append(e, safe)
	}
	if id == 0 {
		w.rest = w.rest[:0]
		return false // a queue is full, or the spool is closed
	}
	for _, cl := range w.owedTo {
		cl.owe(w, id)
	}
	w.giveRest()
	return true
}

// storeRetained is store for what is retained. The index must end with the same message
// as the spool, and hold it before anybody is told that it is safe: who subscribes
// then would else miss it for good.
func (b *Broker) storeRetained(e session.Entry, safe func(error)) mqtt.MsgID {
	indexed := func(error) {}
	if safe != nil {
		safe = afterBoth(safe)
		indexed = safe
	}
	if e.Message.Expiry > 0 {
		b.retainedExpire.Store(true)
	}
	b.retainOrder.Lock()
	id := b.spool.Append(e, safe)
	if id != 0 {
		b.retained.Set(e.Message)
	}
	b.retainOrder.Unlock()
	indexed(nil)
	return id
}

// thenPull gives a callback that lets sessions look again, for a QoS 2 delivery
// shows only when it is committed.
func (b *Broker) thenPull(owedTo []*client, safe func(error)) func(error) {
	return func(err error) {
		if err == nil {
			for _, cl := range owedTo {
				cl.pullLate()
			}
		}
		if safe != nil {
			safe(err)
		}
	}
}

// Publish accepts a message from inside the process, in the order of the calls of
// one goroutine; it waits only while too much of what came from inside is not
// committed. m must not be changed afterwards; its Accepted is set when it is
// zero. safe, when not nil, runs once the message is safe, or with the error that
// prevents it; it must not block. It fails with a fault when the message can't be
// published, and with ctx.
func (b *Broker) Publish(ctx context.Context, m *mqtt.Message, safe func(error)) error {
	_, err := b.PublishCounted(ctx, m, safe)
	return err
}

// PublishCounted is Publish that tells how many sessions get the message.
func (b *Broker) PublishCounted(ctx context.Context, m *mqtt.Message, safe func(error)) (receivers int, err error) {
	if err := mqtt.CheckName(m.Topic); err != nil {
		return 0, fault.New(fault.Invalid, "topic name %.60q %v", m.Topic, err)
	}
	cost := int64(session.Cost(m))
	if m.QoS > mqtt.ExactlyOnce || cost > packet.MaxSize {
		return 0, fault.New(fault.Invalid, "a message must have QoS 0, 1 or 2 and fit into a packet")
	}
	weight := min(cost, insideLimit)
	if err := b.inside.Acquire(ctx, weight); err != nil {
		return 0, err
	}
	release := func(err error) {
		b.inside.Release(weight)
		if safe != nil {
			safe(err)
		}
	}
	w := b.batch()
	defer w.done()
	b.publish(w, m, safe == nil, release)
	return w.taken, nil
}

// publish distributes a message from inside; safe must not be nil. Its commit may
// be put off when it is unhurried: nobody waits for it.
func (b *Broker) publish(w *batch, m *mqtt.Message, unhurried bool, safe func(error)) {
	if m.Accepted.IsZero() {
		m.Accepted = w.now
	}
	w.setMessage(m)
	if m.Retain {
		b.retaining.enter(&w.passage)
		defer b.retaining.leave(&w.passage)
	}
	w.fanOut()
	e := session.Entry{Message: m, Retain: m.Retain && !strings.HasPrefix(m.Topic, "$SYS/"), Publisher: insidePublisher, Unhurried: unhurried}
	if unhurried {
		e.Publisher = 0
	}
	if m.Retain && !e.Retain {
		b.retained.Set(m) // what the broker says of itself is not worth a write
	}
	if !w.needsSpool(&e) {
		w.giveRest()
		safe(nil)
		return
	}
	w.store(e, safe)
}

// setMessage makes m the batch's publication.
func (w *batch) setMessage(m *mqtt.Message) {
	p := &w.pub
	p.reset()
	w.topic = append(w.topic[:0], m.Topic...)
	p.Publish = packet.Publish{QoS: m.QoS, Retain: m.Retain, Topic: w.topic, Payload: m.Payload, Props: m.Props}
	if m.Expiry > 0 {
		p.Expiry, p.HasExpiry = secondsLeft(m, w.now), true
	}
	p.origin, p.message = m.Origin, m
}
