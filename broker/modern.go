package broker

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"fieldgate/broker/mqtt"
	"fieldgate/broker/packet"
	"fieldgate/broker/session"
)

// mostInflight is the largest window towards a 5.0 client, whose receive maximum
// may be 65,535: more than this need not fly at once.
const mostInflight = 4096

// modern is what a connection of 5.0 has beside one of 3.x. It is set on CONNECT.
type modern struct {
	maxPacket int           // the longest packet in bytes that the client takes; 0 for any
	window    int           // deliveries of QoS 1 and 2 that may fly
	problems  bool          // the client wants to read reason strings of acknowledgements
	expiry    time.Duration // of the session, as granted
	delay     time.Duration // of the will
	names     [][]byte      // topic names by alias - 1, as the client gave them

	// Under out.mu.
	unanswered int // PUBLISH of QoS 1 and 2 that wait for PUBACK, PUBCOMP or a PUBREC that refuses
	mostAlias  int // how many aliases we may give
	aliases    map[string]uint16
}

func (b *Broker) newModern(p *packet.Connect) *modern {
	return &modern{
		maxPacket: int(p.MaxPacketSize),
		window:    min(int(p.ReceiveMaximum), mostInflight),
		problems:  p.RequestProblem,
		expiry:    b.grantedExpiry(p.SessionExpiry),
		delay:     time.Duration(p.Will.Delay) * time.Second,
		mostAlias: min(int(p.TopicAliasMax), b.cfg.MaxTopicAlias),
	}
}

// neverExpires is the session expiry interval that means never [v5 3.1.2.11.2].
const neverExpires = 0xFFFFFFFF

// grantedExpiry is how long a session lives on that asks for so many seconds.
func (b *Broker) grantedExpiry(seconds uint32) time.Duration {
	asked := time.Duration(seconds) * time.Second
	if seconds == neverExpires {
		asked = session.Never
	}
	return min(asked, b.cfg.sessionExpiry())
}

// expirySeconds is the session expiry interval that says it to the client.
func expirySeconds(d time.Duration) uint32 {
	if d == session.Never {
		return neverExpires
	}
	return uint32(min(d/time.Second, neverExpires-1))
}

// admitModern looks at what only CONNECT of 5.0 has.
func (c *conn) admitModern(p *packet.Connect) mqtt.ReasonCode {
	cfg := &c.b.cfg
	switch {
	case p.AuthMethod != "": // no method of enhanced authentication is offered [v5 MQTT-4.12.0-1]
		return mqtt.BadAuthenticationMethod
	case !p.HasWill:
	case p.Will.QoS > cfg.maxQoS(): // [v5 MQTT-3.2.2-12]
		return mqtt.QoSNotSupported
	case p.Will.Retain && !cfg.RetainAvailable: // [v5 MQTT-3.2.2-13]
		return mqtt.RetainNotSupported
	case strings.HasPrefix(p.Will.Topic, "$"), !isShallow(p.Will.Topic):
		return mqtt.TopicNameInvalid
	}
	return mqtt.Success
}

// connackModern adds the limits that the client has to know, where they differ
// from what the text takes for granted.
func (c *conn) connackModern(ack *packet.Connack, p *packet.Connect, assigned bool) {
	cfg := &c.b.cfg
	if cfg.MaxInflight < 65535 {
		ack.ReceiveMaximum = uint16(cfg.MaxInflight)
	}
	if cfg.MaxQoS < 2 {
		ack.MaxQoS = new(byte(cfg.MaxQoS))
	}
	if !cfg.RetainAvailable {
		ack.RetainAvailable = new(false)
	}
	ack.MaxPacketSize = uint32(cfg.MaxPacketSize)
	ack.TopicAliasMax = uint16(cfg.MaxTopicAlias)
	if assigned {
		ack.AssignedClientID = p.ClientID
	}
	if granted := expirySeconds(c.modern.expiry); granted != p.SessionExpiry {
		ack.SessionExpiry = new(granted)
	}
	if most := uint16(cfg.MaxKeepAlive); most < 65535 && (p.KeepAlive == 0 || p.KeepAlive > most) {
		p.KeepAlive = most // [v5 MQTT-3.1.2-21]
		ack.ServerKeepAlive = new(most)
	}
}

// checkPublish looks at what only PUBLISH of 5.0 has, and completes its topic name.
func (c *conn) checkPublish(p *packet.Publish) error {
	m, cfg := c.modern, &c.b.cfg
	if len(p.SubscriptionIDs) > 0 {
		return &packet.Error{Reason: mqtt.ProtocolError, Clause: "v5 MQTT-3.3.4-6", Detail: "PUBLISH: a client sent a subscription identifier"}
	}
	if p.Retain && !cfg.RetainAvailable {
		return &packet.Error{Reason: mqtt.RetainNotSupported, Clause: "v5 MQTT-3.2.2-14", Detail: "PUBLISH: RETAIN is set but not available"}
	}
	if err := m.resolve(p, cfg.MaxTopicAlias); err != nil {
		return err
	}
	if p.QoS == mqtt.AtMostOnce {
		return nil
	}
	c.out.mu.Lock()
	defer c.out.mu.Unlock()
	if m.unanswered >= cfg.MaxInflight {
		return &packet.Error{Reason: mqtt.ReceiveMaximumExceeded, Clause: "v5 MQTT-3.3.4-7", Detail: fmt.Sprintf("PUBLISH: more than %d are not acknowledged", cfg.MaxInflight)}
	}
	m.unanswered++
	return nil
}

// resolve notes the topic alias of the packet, or puts in the name that it stands for.
func (m *modern) resolve(p *packet.Publish, most int) error {
	alias := int(p.TopicAlias)
	switch {
	case alias == 0:
		return nil
	case alias > most:
		return &packet.Error{Reason: mqtt.TopicAliasInvalid, Clause: "v5 MQTT-3.3.2-9", Detail: fmt.Sprintf("PUBLISH: topic alias is %d, %d are allowed", alias, most)}
	}
	for len(m.names) < alias {
		m.names = append(m.names, nil)
	}
	name := &m.names[alias-1]
	if len(p.Topic) > 0 {
		*name = append((*name)[:0], p.Topic...)
		return nil
	}
	if len(*name) == 0 {
		return &packet.Error{Reason: mqtt.ProtocolError, Clause: "v5 3.3.2.3.4", Detail: fmt.Sprintf("PUBLISH: topic alias %d was never given", alias)}
	}
	p.Topic = *name
	return nil
}

// answered counts an acknowledgement that frees the client's send quota
// [v5 MQTT-3.3.4-7]; out.mu is held.
func (m *modern) answered(x *answer) {
	frees := x.kind == packet.PUBACK || x.kind == packet.PUBCOMP || x.kind == packet.PUBREC && x.reason.Failed()
	if frees && m.unanswered > 0 { // a PUBCOMP may end what an earlier connection began
		m.unanswered--
	}
}

// appendAck writes an acknowledgement that has something to say: in words too, when
// the client wants to read them [v5 MQTT-3.1.2-29] and takes a packet that long.
func (m *modern) appendAck(dst []byte, x *answer) []byte {
	p := packet.Ack{Type: x.kind, PacketID: x.pid, Reason: x.reason}
	if !m.problems || !x.reason.Failed() {
		return p.Append(dst, mqtt.V5)
	}
	p.ReasonString = x.reason.String()
	longer := p.Append(dst, mqtt.V5)
	if m.maxPacket == 0 || len(longer)-len(dst) <= m.maxPacket {
		return longer
	}
	p.ReasonString = ""
	return p.Append(dst, mqtt.V5)
}

// useAlias replaces the topic name by its alias, or gives it one while there are
// some and the packet still fits; out.mu is held. The packet must be appended to
// the out buffer next: an alias that was not sent would mislead the client.
func (m *modern) useAlias(p *packet.Publish) {
	if alias, known := m.aliases[string(p.Topic)]; known {
		p.Topic, p.TopicAlias = nil, alias
		return
	}
	if len(m.aliases) >= m.mostAlias {
		return
	}
	p.TopicAlias = uint16(len(m.aliases) + 1)
	if m.maxPacket > 0 && p.Size(mqtt.V5) > m.maxPacket {
		p.TopicAlias = 0
		return
	}
	if m.aliases == nil {
		m.aliases = map[string]uint16{}
	}
	m.aliases[string(p.Topic)] = p.TopicAlias
}

// fits tells whether the packet, as it will be sent, is one that the client takes.
func (c *conn) fits(p *packet.Publish) bool {
	m := c.modern
	if m == nil || m.maxPacket == 0 || p.Size(mqtt.V5) <= m.maxPacket {
		return true
	}
	short := *p
	c.out.mu.Lock()
	defer c.out.mu.Unlock()
	alias, known := m.aliases[string(p.Topic)]
	short.Topic, short.TopicAlias = nil, alias
	return known && short.Size(mqtt.V5) <= m.maxPacket
}

// farewell gives the DISCONNECT that tells a client of 5.0 why its connection
// ends, nil when it gets none [v5 MQTT-4.13.1-1].
func (c *conn) farewell(why *ending) []byte {
	if c.modern == nil || c.attached.Load() == nil || !why.reason.Failed() {
		return nil
	}
	p := packet.Disconnect{Reason: why.reason}
	if e, isPacket := errors.AsType[*packet.Error](why.err); isPacket {
		p.ReasonString = e.Detail
	}
	raw := p.Append(nil, c.version)
	if m := c.modern; m.maxPacket > 0 && len(raw) > m.maxPacket {
		p.ReasonString = ""
		raw = p.Append(nil, c.version)
		if len(raw) > m.maxPacket {
			return nil
		}
	}
	return raw
}

// farewellPatience is how long the client may take to read what is left for it
// and the DISCONNECT behind it.
const farewellPatience = time.Second

// waited tells for how long the message has been in the broker.
func waited(m *mqtt.Message, now time.Time) time.Duration { return max(0, now.Sub(m.Accepted)) }

// hasExpired tells whether the message may no longer be delivered [v5 MQTT-3.3.2-5].
func hasExpired(m *mqtt.Message, now time.Time) bool {
	if m.Expiry == 0 {
		return false
	}
	passed := waited(m, now)
	return passed > 0 && passed >= m.Expiry
}

// secondsLeft is the message expiry interval to send [v5 MQTT-3.3.2-6].
func secondsLeft(m *mqtt.Message, now time.Time) uint32 {
	return uint32(max(0, m.Expiry/time.Second-waited(m, now)/time.Second))
}

// expiryOf is the interval of a packet as a Message has it: 0 is for none, and one
// that is over at once is the shortest that there is.
func expiryOf(seconds uint32, has bool) time.Duration {
	if !has {
		return 0
	}
	return max(1, time.Duration(seconds)*time.Second)
}
