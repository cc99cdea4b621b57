package broker

import (
	"fmt"

	"fieldgate/broker/mqtt"
	"fieldgate/broker/packet"
	"fieldgate/broker/session"
)

// handle does what one control packet asks for. raw is valid until it returns.
func (c *conn) handle(w *batch, raw []byte) error {
	kind := packet.TypeOf(raw[0])
	if c.client == nil {
		return c.handleFirst(w, kind, raw)
	}
	switch kind {
	case packet.PUBLISH:
		return c.handlePublish(w, raw)
	case packet.PUBACK, packet.PUBREC, packet.PUBREL, packet.PUBCOMP:
		return c.handleAck(w, raw)
	case packet.SUBSCRIBE:
		return c.handleSubscribe(w, raw)
	case packet.UNSUBSCRIBE:
		return c.handleUnsubscribe(w, raw)
	case packet.PINGREQ:
		return c.handlePing(w, raw)
	case packet.DISCONNECT:
		return c.handleDisconnect(raw)
	case packet.CONNECT:
		return &packet.Error{Reason: mqtt.ProtocolError, Clause: c.clause("MQTT-3.1.0-2", "MQTT-3.1.0-2"), Detail: "CONNECT came a second time"}
	case packet.AUTH:
		if c.modern != nil {
			return c.handleAuth(raw)
		}
	}
	return &packet.Error{Reason: mqtt.ProtocolError, Clause: c.clause("MQTT-4.8.0-1", "MQTT-4.13.1-1"), Detail: fmt.Sprintf("%s is no packet that a client sends", kind)}
}

// handleAuth refuses AUTH: no connection with a method of authentication was ever accepted.
func (c *conn) handleAuth(raw []byte) error {
	var p packet.Auth
	if err := p.Decode(raw); err != nil {
		return err
	}
	return &packet.Error{Reason: mqtt.ProtocolError, Clause: "v5 MQTT-4.12.0-7", Detail: "AUTH: CONNECT had no authentication method"}
}

// clause names a rule by its number in 3.1.1 or in 5.0, as the client speaks.
func (c *conn) clause(v3, v5 string) string {
	if c.modern != nil {
		return "v5 " + v5
	}
	return "v3.1.1 " + v3
}

func (c *conn) handlePing(w *batch, raw []byte) error {
	if err := packet.DecodeEmpty(raw, c.version); err != nil {
		return err
	}
	c.out.mu.Lock()
	defer c.out.mu.Unlock()
	if c.out.accepts() {
		c.out.grow(2)
		c.out.buf = packet.AppendPingresp(c.out.buf)
		c.out.packets++
		w.count.messagesSent++
		w.mark(c)
	}
	return nil
}

func (c *conn) handleDisconnect(raw []byte) error {
	var p packet.Disconnect
	if err := p.Decode(raw, c.version); err != nil {
		return err
	}
	if p.HasSessionExpiry {
		if err := c.changeExpiry(p.SessionExpiry); err != nil {
			return err
		}
	}
	if p.Reason != mqtt.NormalDisconnection { // [v5 MQTT-3.14.4-3]
		return errWithWill
	}
	return errGoodbye
}

// changeExpiry changes how long the session lives on: not from nothing to something [v5 3.14.2.2.2].
func (c *conn) changeExpiry(seconds uint32) error {
	cl := c.client
	expiry := c.b.grantedExpiry(seconds)
	if c.modern.expiry == 0 && seconds > 0 {
		return &packet.Error{Reason: mqtt.ProtocolError, Clause: "v5 3.14.2.2.2", Detail: "DISCONNECT: session expiry interval was 0 in CONNECT"}
	}
	if expiry == c.modern.expiry {
		return nil
	}
	c.modern.expiry = expiry
	cl.mu.Lock()
	defer cl.mu.Unlock()
	cl.meta.Expiry = expiry
	if expiry > 0 { // else it ends in a moment
		cl.keepRecord(false, nil)
	}
	return nil
}

func (c *conn) handleAck(w *batch, raw []byte) error {
	var p packet.Ack
	if err := p.Decode(raw, c.version); err != nil {
		return err
	}
	cl := c.client
	switch p.Type {
	case packet.PUBACK:
		cl.puback(w, p.PacketID)
	case packet.PUBREC:
		if p.Reason.Failed() {
			cl.refused(w, p.PacketID)
			return nil
		}
		known, release := cl.pubrec(c, p.PacketID)
		switch {
		case release:
			c.answerNow(w, answer{kind: packet.PUBREL, pid: p.PacketID})
		case !known: // 3.x has no word for an identifier that is not in use
			c.answerNow(w, answer{kind: packet.PUBREL, pid: p.PacketID, reason: mqtt.PacketIdentifierNotFound})
		}
	case packet.PUBCOMP:
		cl.pubcomp(w, p.PacketID)
	case packet.PUBREL:
		c.handlePubrel(w, p.PacketID)
	}
	return nil
}

// handlePubrel forgets an incoming packet identifier. What a durable session
// forgets is committed before PUBCOMP goes out: else, after a power cut, the
// client's next message with this identifier would be taken for the old one.
func (c *conn) handlePubrel(w *batch, pid uint16) {
	cl := c.client
	cl.mu.Lock()
	known := cl.received.Forget(pid)
	cl.mu.Unlock()
	if !known && c.modern != nil {
		c.answerNow(w, answer{kind: packet.PUBCOMP, pid: pid, reason: mqtt.PacketIdentifierNotFound})
		return
	}
	if !cl.isDurable() {
		c.answerNow(w, answer{kind: packet.PUBCOMP, pid: pid})
		return
	}
	safe := c.answerLater(answer{kind: packet.PUBCOMP, pid: pid})
	c.b.spool.Apply(session.Change{Session: cl.sid, Forget: []uint16{pid}}, safe)
}
