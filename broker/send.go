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
	begun       bool     // it was sent before: its end must come, even when it has expired meanwhile
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
	if c.modern != nil && !c.takes(w, p, &d) {
		return
	}
	if c.needsOwn(&d) {
		own := p.own(&d)
		c.out.mu.Lock()
		defer c.out.mu.Unlock()
		if c.out.size() >= c.out.limit() {
			c.drop(w)
			return
		}
		c.appendOwn(w, &own)
		return
	}
	f := p.frame(c.version, mqtt.AtMostOnce)
	c.out.mu.Lock()
	defer c.out.mu.Unlock()
	if c.out.size() >= c.out.limit() {
		c.drop(w)
		return
	}
	c.copyFrame(w, f, &d)
}

// send puts a publication of QoS 1 or 2 into the out buffer.
func (c *conn) send(w *batch, p *publication, d delivery) {
	if c.needsOwn(&d) {
		own := p.own(&d)
		c.out.mu.Lock()
		defer c.out.mu.Unlock()
		c.appendOwn(w, &own)
		return
	}
	f := p.frame(c.version, d.qos)
	c.out.mu.Lock()
	defer c.out.mu.Unlock()
	c.copyFrame(w, f, &d)
}

// needsOwn tells whether the packet can't be one that many receivers share.
func (c *conn) needsOwn(d *delivery) bool {
	return c.modern != nil && (len(d.ids) > 0 || c.modern.mostAlias > 0)
}

// takes tells whether the publication is one that the client of 5.0 takes, and
// counts it as dropped when it is not [v5 MQTT-3.1.2-24].
func (c *conn) takes(w *batch, p *publication, d *delivery) bool {
	if c.modern.maxPacket == 0 {
		return true
	}
	own := p.own(d)
	if c.fits(&own) {
		return true
	}
	c.drop(w)
	return false
}

// drop counts a message that the client does not get.
func (c *conn) drop(w *batch) {
	w.count.dropped++
	c.client.dropped.Add(1)
}

// own gives the publication as a packet for one client of 5.0.
func (p *publication) own(d *delivery) packet.Publish {
	own := p.Publish
	own.Dup, own.QoS, own.Retain, own.PacketID = d.dup, d.qos, d.retain, d.pid
	own.TopicAlias, own.SubscriptionIDs = 0, d.ids
	return own
}

// copyFrame appends the encoded packet with this client's flags and packet
// identifier; out.mu is held.
func (c *conn) copyFrame(w *batch, f *frame, d *delivery) {
	if !c.out.accepts() {
		return
	}
	c.out.grow(len(f.bytes))
	at := len(c.out.buf)
	c.out.buf = append(c.out.buf, f.bytes...)
	sent := c.out.buf[at:]
	sent[0] = d.first()
	if f.pidAt > 0 {
		sent[f.pidAt], sent[f.pidAt+1] = byte(d.pid>>8), byte(d.pid)
	}
	c.out.packets++
	c.out.publishes++
	w.count.messagesSent++
	w.count.publishSent++
	w.count.publishBytes += int64(f.load)
	w.unsent += len(f.bytes)
	w.mark(c)
}

// packetOf gives a message as a packet for one client; it is valid until the next call.
func (w *batch) packetOf(m *mqtt.Message, d *delivery) packet.Publish {
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
	if m.Expiry > 0 {
		p.Expiry, p.HasExpiry = secondsLeft(m, w.now), true
	}
	return p
}

// mayGet tells whether the message may go to the client now, and counts it when it
// has expired [v5 MQTT-3.3.2-5] or is too large [v5 MQTT-3.1.2-24].
func (c *conn) mayGet(w *batch, m *mqtt.Message, d *delivery) bool {
	if hasExpired(m, w.now) && !d.begun {
		w.count.expired++
		return false
	}
	if c.modern == nil || c.modern.maxPacket == 0 {
		return true
	}
	if p := w.packetOf(m, d); !c.fits(&p) {
		c.drop(w)
		return false
	}
	return true
}

// sendMessage encodes a message for this client alone.
func (c *conn) sendMessage(w *batch, m *mqtt.Message, d delivery) {
	p := w.packetOf(m, &d)
	c.out.mu.Lock()
	defer c.out.mu.Unlock()
	c.appendOwn(w, &p)
}

// appendOwn appends a packet for this client alone; out.mu is held.
func (c *conn) appendOwn(w *batch, p *packet.Publish) {
	if !c.out.accepts() {
		return
	}
	if c.modern != nil && c.modern.mostAlias > 0 {
		c.modern.useAlias(p)
	}
	c.out.grow(p.Size(c.version))
	c.out.buf = p.Append(c.out.buf, c.version)
	c.out.packets++
	c.out.publishes++
	w.count.messagesSent++
	w.count.publishSent++
	w.count.publishBytes += int64(len(p.Payload))
	w.unsent += len(p.Payload)
	w.mark(c)
}
