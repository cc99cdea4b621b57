package broker

import (
	"errors"

	"fieldgate/broker/mqtt"
	"fieldgate/broker/packet"
	"fieldgate/broker/session"
)

// answer is an acknowledgement that a client waits for.
type answer struct {
	kind   packet.Type     // PUBACK, PUBREC, PUBREL, PUBCOMP, SUBACK or UNSUBACK; 0 for none
	reason mqtt.ReasonCode // for 5.0
	ready  bool            // what it needs is committed, or failed
	pid    uint16
	cost   int    // bytes that wait for their commit
	raw    []byte // the whole packet of SUBACK and UNSUBACK

	// Known once it is ready.
	to  *conn // the connection that it belongs to, nil when there is none any more
	err error // why it must not be sent
}

// answerCost is what an answer itself counts, in bytes, against uncommittedLimit.
const answerCost = 64

// ackRoom is room in bytes for a PUBACK, PUBREC, PUBREL or PUBCOMP with a reason.
const ackRoom = 64

// answers are the acknowledgements of one connection that wait for a commit, and
// those that must not overtake them: a client gets its acknowledgements in the
// order of what it sent [v3.1.1 MQTT-4.6.0-2] [v3.1.1 MQTT-4.6.0-3]. The first
// one always waits. Each has a slot, which its callback names, so it does not
// matter in which order the spool calls back.
type answers struct {
	list []answer
	head int
	slot uint64 // of list[head]
	cost int
}

func (a *answers) isEmpty() bool { return a.head == len(a.list) }

// push adds an answer and gives its slot.
func (a *answers) push(x answer) uint64 {
	if a.head > 64 && a.head > len(a.list)/2 {
		kept := copy(a.list, a.list[a.head:])
		clear(a.list[kept:])
		a.list, a.head = a.list[:kept], 0
	}
	a.list = append(a.list, x)
	a.cost += x.cost
	return a.slot + uint64(len(a.list)-a.head-1)
}

// at gives the answer that waits in the slot.
func (a *answers) at(slot uint64) *answer { return &a.list[a.head+int(slot-a.slot)] }

// popReady gives the oldest answer when it is ready.
func (a *answers) popReady() (answer, bool) {
	if a.isEmpty() || !a.list[a.head].ready {
		return answer{}, false
	}
	x := a.list[a.head]
	a.list[a.head] = answer{}
	a.head++
	a.slot++
	a.cost -= x.cost
	if a.isEmpty() {
		a.head = 0
		a.list = a.list[:0]
		if cap(a.list) > 256 {
			a.list = nil
		}
	}
	return x, true
}

// answerNow acknowledges at once, behind what still waits.
func (c *conn) answerNow(w *batch, x answer) {
	c.out.mu.Lock()
	defer c.out.mu.Unlock()
	if !c.answers.isEmpty() {
		x.ready, x.to = true, c
		c.answers.push(x)
		return
	}
	c.write(w, x)
	w.mark(c)
}

// answerLater promises an acknowledgement and gives the callback that sends it,
// which must be called once.
func (c *conn) answerLater(x answer) (safe func(error)) {
	x.cost += answerCost
	c.out.mu.Lock()
	defer c.out.mu.Unlock()
	slot := c.answers.push(x)
	return func(err error) { c.onCommit(slot, err) }
}

// write puts an acknowledgement into the out buffer; out.mu is held.
func (c *conn) write(w *batch, x answer) {
	if x.kind == 0 || !c.out.accepts() || c.refused {
		return
	}
	if m := c.modern; m != nil {
		m.answered(&x)
		if m.maxPacket > 0 && len(x.raw) > m.maxPacket {
			c.end(ending{text: "an answer is larger than the client's maximum packet size", reason: mqtt.PacketTooLarge})
			return
		}
	}
	c.out.grow(max(len(x.raw), ackRoom))
	switch {
	case x.raw != nil:
		c.out.buf = append(c.out.buf, x.raw...)
	case c.modern != nil && x.reason != mqtt.Success:
		c.out.buf = c.modern.appendAck(c.out.buf, &x)
	default:
		c.out.buf = packet.AppendAck(c.out.buf, x.kind, x.pid)
	}
	c.out.packets++
	if w != nil {
		w.count.messagesSent++
	} else {
		c.b.stats.messagesSent.Add(1)
	}
}

// onCommit is the spool's callback for the answer in the slot; it runs on the
// spool's goroutine. An acknowledgement leaves the broker here and in answerNow,
// and nowhere else.
func (c *conn) onCommit(slot uint64, err error) {
	c.out.mu.Lock()
	x := *c.answers.at(slot)
	c.out.mu.Unlock()
	x.ready, x.to = true, c
	if x.isHandshake() {
		x.to = c.settle(x, err)
	}
	switch {
	case err == nil || x.kind == 0: // nobody waits for an answer to QoS 0; the spool says itself that it is ill
	case c.modern != nil && (x.kind == packet.PUBACK || x.kind == packet.PUBREC):
		x.reason = mqtt.QuotaExceeded // 5.0 can say so; 3.x can only be disconnected
	default:
		x.err = err
	}
	c.out.mu.Lock()
	*c.answers.at(slot) = x
	elsewhere, failed := c.sendReady()
	c.b.late.mark(c)
	c.wake()
	c.out.mu.Unlock()
	if failed != nil {
		why := ending{text: "the spool can't keep what was sent", err: failed}
		if errors.Is(failed, session.ErrQueueFull) {
			why.text = "what was sent does not fit into a queue"
		}
		c.end(why)
	}
	for i := range elsewhere {
		elsewhere[i].send(c.b)
	}
}

// sendReady writes the answers that no other one has to go before. It gives those
// that belong to another connection by now, and why a client that can't be told
// must be disconnected; out.mu is held.
func (c *conn) sendReady() (elsewhere []answer, failed error) {
	for x, ready := c.answers.popReady(); ready; x, ready = c.answers.popReady() {
		switch {
		case x.err != nil:
			c.refused = true
			failed = x.err
		case x.to == c:
			c.write(nil, x)
		case x.to != nil:
			elsewhere = append(elsewhere, x)
		}
	}
	return elsewhere, failed
}

// send writes the answer to the connection that it belongs to.
func (x *answer) send(b *Broker) {
	x.to.out.mu.Lock()
	defer x.to.out.mu.Unlock()
	x.to.write(nil, *x)
	b.late.mark(x.to)
}

// isHandshake tells whether the answer is a step of QoS 2, which belongs to the session.
func (x *answer) isHandshake() bool {
	return x.kind == packet.PUBREC || x.kind == packet.PUBREL || x.kind == packet.PUBCOMP
}

// settle changes the session as the commit, or its failure, demands, and gives
// the connection that the answer belongs to: QoS 2 handshakes go on over the
// session's present connection.
func (c *conn) settle(x answer, err error) *conn {
	cl := c.client
	if cl == nil {
		return c
	}
	switch x.kind {
	case packet.PUBREC:
		return cl.receivedSafe(x.pid, err)
	case packet.PUBREL:
		return cl.releasedSafe(x.pid, err)
	case packet.PUBCOMP:
		cl.mu.Lock()
		defer cl.mu.Unlock()
		return cl.conn
	}
	return c
}
