package broker

import (
	"fieldgate/broker/mqtt"
	"fieldgate/broker/packet"
)

// answer is an acknowledgement that a client waits for.
type answer struct {
	kind   packet.Type     // PUBACK, PUBREC, PUBREL, PUBCOMP, SUBACK or UNSUBACK; 0 for none
	reason mqtt.ReasonCode // for 5.0
	ready  bool            // nothing needs to be committed for it
	pid    uint16
	cost   int    // bytes that wait for their commit
	raw    []byte // the whole packet of SUBACK and UNSUBACK
}

// answerCost is what an answer itself counts, in bytes, against uncommittedLimit.
const answerCost = 64

// answers are the acknowledgements of one connection that wait for a commit, and
// those that must not overtake them: a client gets its acknowledgements in the
// order of what it sent [v3.1.1 MQTT-4.6.0-2] [v3.1.1 MQTT-4.6.0-3]. The first
// one always waits. The spool calls back in the order of the calls, so a
// callback needs no more than the connection to know what was committed.
type answers struct {
	list []answer
	head int
	cost int
}

func (a *answers) isEmpty() bool { return a.head == len(a.list) }

func (a *answers) push(x answer) {
	if a.head > 64 && a.head > len(a.list)/2 {
		a.list = append(a.list[:0], a.list[a.head:]...)
		a.head = 0
	}
	a.list = append(a.list, x)
	a.cost += x.cost
}

func (a *answers) pop() answer {
	x := a.list[a.head]
	a.list[a.head] = answer{}
	a.head++
	a.cost -= x.cost
	if a.isEmpty() {
		a.head = 0
		a.list = a.list[:0]
		if cap(a.list) > 256 {
			a.list = nil
		}
	}
	return x
}

// answerNow acknowledges at once, behind what still waits.
func (c *conn) answerNow(w *batch, x answer) {
	c.out.mu.Lock()
	defer c.out.mu.Unlock()
	if !c.answers.isEmpty() {
		x.ready = true
		c.answers.push(x)
		return
	}
	c.write(w, x)
	w.mark(c)
}

// answerLater promises an acknowledgement: the next call of the spool must be
// given c.committed, which sends it.
func (c *conn) answerLater(x answer) {
	x.cost += answerCost
	c.out.mu.Lock()
	defer c.out.mu.Unlock()
	c.answers.push(x)
}

// write puts an acknowledgement into the out buffer; out.mu is held.
func (c *conn) write(w *batch, x answer) {
	if !c.out.accepts() || c.refused {
		return
	}
	if m := c.modern; m != nil {
		m.answered(&x)
		if m.maxPacket > 0 && len(x.raw) > m.maxPacket {
			c.end(ending{text: "an answer is larger than the client's maximum packet size", reason: mqtt.PacketTooLarge})
			return
		}
	}
	c.out.grow()
	switch {
	case x.kind == 0:
		return
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

// onCommit is the spool's callback for the oldest answer that waits; it runs on
// the spool's goroutine. An acknowledgement leaves the broker here and in
// answerNow, and nowhere else.
func (c *conn) onCommit(err error) {
	to := c
	c.out.mu.Lock()
	first := c.answers.list[c.answers.head]
	if first.isHandshake() {
		c.out.mu.Unlock()
		to = c.settle(first, err)
		c.out.mu.Lock()
	}
	c.answers.pop()
	if first.kind == 0 {
		err = nil // nobody waits for an answer to QoS 0; the spool says itself that it is ill
	}
	if err != nil && c.modern != nil && (first.kind == packet.PUBACK || first.kind == packet.PUBREC) {
		first.reason, err = mqtt.QuotaExceeded, nil // 5.0 can say so; 3.x can only be disconnected
	}
	switch {
	case err != nil:
		c.refused = true
	case to == c:
		c.write(nil, first)
	}
	for !c.answers.isEmpty() && c.answers.list[c.answers.head].ready {
		c.write(nil, c.answers.pop())
	}
	c.b.late.mark(c)
	c.out.mu.Unlock()
	c.wake()
	switch {
	case err != nil:
		c.end(ending{text: "the spool can't keep what was sent", err: err})
	case to != nil && to != c:
		to.out.mu.Lock()
		to.write(nil, first)
		c.b.late.mark(to)
		to.out.mu.Unlock()
	}
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
