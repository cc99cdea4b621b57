package broker

import (
	"fieldgate/broker/mqtt"
	"fieldgate/broker/packet"
)

// delivery says how a message goes to one client.
type delivery struct {
	qos         mqtt.QoS
	pid         uint16
	retain, dup bool
	ids         []uint32 // subscription identifiers of 5.0
}

// first gives the first byte of the PUBLISH.
func (d *delivery) first() byte {
	b := byte(packet.PUBLISH)<<4 | byte(d.qos)<<1
	if d.retain {
		b |= 0x01
	}
	if d.dup {
		b |= 0x08
	}
	return b
}

// sendQoS0 puts a publication into the out buffer, or drops it when the client
// does not keep up.
func (c *conn) sendQoS0(w *batch, p *publication, retain bool, ids []uint32) {
	d := delivery{retain: retain, ids: ids}
	if len(ids) > 0 && c.version >= mqtt.V5 {
		c.sendMessage(w, p.keep(w.now), d)
		return
	}
	f := p.frame(c.version, mqtt.AtMostOnce)
	c.out.mu.Lock()
	defer c.out.mu.Unlock()
	if c.out.size() >= outLimit {
		w.count.dropped++
		return
	}
	c.copyFrame(w, f, &d)
}

// send puts a publication of QoS 1 or 2 into the out buffer.
func (c *conn) send(w *batch, p *publication, d delivery) {
	if len(d.ids) > 0 && c.version >= mqtt.V5 {
		c.sendMessage(w, p.keep(w.now), d)
		return
	}
	f := p.frame(c.version, d.qos)
	c.out.mu.Lock()
	defer c.out.mu.Unlock()
	c.copyFrame(w, f, &d)
}

// copyFrame appends the encoded packet with this client's flags and packet
// identifier; out.mu is held.
func (c *conn) copyFrame(w *batch, f *frame, d *delivery) {
	if c.out.closed {
		return
	}
	c.out.grow()
	at := len(c.out.buf)
	c.out.buf = append(c.out.buf, f.bytes...)
	sent := c.out.buf[at:]
	sent[0] = d.first()
	if f.pidAt > 0 {
		sent[f.pidAt], sent[f.pidAt+1] = byte(d.pid>>8), byte(d.pid)
	}
	w.count.messagesSent++
	w.count.publishSent++
	w.count.publishBytes += int64(len(f.bytes))
	w.mark(c)
}

// sendMessage encodes a message for this client alone.
func (c *conn) sendMessage(w *batch, m *mqtt.Message, d delivery) {
	w.name = append(w.name[:0], m.Topic...)
	p := packet.Publish{
		Dup:             d.dup,
		QoS:             d.qos,
		Retain:          d.retain,
		Topic:           w.name,
		PacketID:        d.pid,
		Payload:         m.Payload,
		SubscriptionIDs: d.ids,
		Props:           m.Props,
	}
	c.out.mu.Lock()
	defer c.out.mu.Unlock()
	if c.out.closed {
		return
	}
	c.out.grow()
	c.out.buf = p.Append(c.out.buf, c.version)
	w.count.messagesSent++
	w.count.publishSent++
	w.count.publishBytes += int64(len(m.Payload))
	w.mark(c)
}
