package packet

import (
	"encoding/binary"

	"fieldgate/broker/mqtt"
)

// Publish carries an application message. Topic, Payload and Props point into
// the packet that was decoded.
type Publish struct {
	Dup      bool
	QoS      mqtt.QoS
	Retain   bool
	Topic    []byte // may be empty with a topic alias
	PacketID uint16 // 0 for QoS 0
	Payload  []byte

	// 5.0 only
	TopicAlias      uint16 // 0 for none
	Expiry          uint32 // seconds, with HasExpiry
	HasExpiry       bool
	SubscriptionIDs []uint32 // only from a server: a client that sends them breaks [v5 MQTT-3.3.4-6]
	Props           mqtt.Properties
}

// Decode reads the packet. The topic name is checked: UTF-8, no U+0000, no wildcard.
// Nothing is allocated, and SubscriptionIDs used again, unless properties that
// travel with the message stand around one that does not: Props is a copy then.
func (p *Publish) Decode(raw []byte, v mqtt.Version) error {
	r := open(raw, PUBLISH, v)
	*p = Publish{
		Dup:             r.flags&0x08 != 0,
		QoS:             mqtt.QoS(r.flags >> 1 & 3),
		Retain:          r.flags&0x01 != 0,
		SubscriptionIDs: p.SubscriptionIDs[:0],
	}
	switch {
	case p.QoS > mqtt.ExactlyOnce:
		r.fail(mqtt.MalformedPacket, clause{"MQTT-3.3.1-4", "MQTT-3.3.1-4"}, "QoS is 3")
	case p.Dup && p.QoS == mqtt.AtMostOnce && v != mqtt.V31:
		r.fail(mqtt.MalformedPacket, clause{"MQTT-3.3.1-2", "MQTT-3.3.1-2"}, "DUP is set with QoS 0")
	}
	p.Topic = r.binary("topic name")
	if p.QoS > mqtt.AtMostOnce {
		p.PacketID = r.packetID()
	}
	switch {
	case v < mqtt.V5:
	case len(r.rest) > 0 && r.rest[0] == 0: // an empty list, as most messages have
		r.rest = r.rest[1:]
	default:
		p.decodeProperties(&r)
	}
	if r.err == nil && (len(p.Topic) > 0 || p.TopicAlias == 0) {
		if err := mqtt.CheckName(p.Topic); err != nil {
			r.grammar("topic name", clause{"MQTT-3.3.2-2", "MQTT-3.3.2-2"}, mqtt.ProtocolError, err)
		}
	}
	p.Payload, r.rest = r.rest[:len(r.rest):len(r.rest)], nil // the buffer goes on with the next packet
	return r.done()
}

// TopicOf gives the topic name of a whole PUBLISH as it stands in the packet, before any check; nil when there is none.
func TopicOf(raw []byte) []byte {
	at := 1
	for at < len(raw) && raw[at] >= 0x80 {
		at++
	}
	at++
	if len(raw) < at+2 {
		return nil
	}
	end := at + 2 + int(binary.BigEndian.Uint16(raw[at:]))
	if len(raw) < end {
		return nil
	}
	return raw[at+2 : end]
}

func (p *Publish) decodeProperties(r *reader) {
	list := r.properties(PUBLISH)
	var message forwarded
	for one, ok := list.next(); ok; one, ok = list.next() {
		if message.message(&one, &p.Expiry, &p.HasExpiry) {
			continue
		}
		switch one.id {
		case topicAlias:
			p.TopicAlias = uint16(one.number)
		case subscriptionID:
			p.SubscriptionIDs = append(p.SubscriptionIDs, one.number)
		}
	}
	p.Props = message.get()
}

// remaining gives the remaining length and the length of the properties; the first
// is above maxRemaining when no packet can carry the message.
func (p *Publish) remaining(v mqtt.Version, payload int) (n, props int) {
	if len(p.Topic) > 65535 || payload > maxRemaining {
		return maxRemaining + 1, 0
	}
	n = 2 + len(p.Topic) + payload
	if p.QoS > mqtt.AtMostOnce {
		n += 2
	}
	if v < mqtt.V5 {
		return n, 0
	}
	props = len(p.Props)
	if p.TopicAlias != 0 {
		props += 3
	}
	if p.HasExpiry {
		props += 5
	}
	for _, id := range p.SubscriptionIDs {
		props += 1 + varintSize(int(id))
	}
	return n + varintSize(props) + props, props
}

// Size gives the length in bytes of the packet that Append writes; it is above
// MaxSize when no packet can carry the message.
func (p *Publish) Size(v mqtt.Version) int {
	n, _ := p.remaining(v, len(p.Payload))
	if n > maxRemaining {
		return MaxSize + 1
	}
	return 1 + varintSize(n) + n
}

// Append writes the packet behind dst.
func (p *Publish) Append(dst []byte, v mqtt.Version) []byte {
	head := p.AppendHead(dst, v, len(p.Payload))
	if len(head) == len(dst) {
		return dst
	}
	return append(head, p.Payload...)
}

// AppendHead writes all of the packet but its payload, of which payload bytes are
// to follow: for large payloads that many receivers share. p.Payload is not read.
func (p *Publish) AppendHead(dst []byte, v mqtt.Version, payload int) []byte {
	n, props := p.remaining(v, payload)
	if n > maxRemaining {
		return dst
	}
	first := byte(PUBLISH)<<4 | byte(p.QoS)<<1
	if p.Dup {
		first |= 0x08
	}
	if p.Retain {
		first |= 0x01
	}
	dst = appendVarint(append(dst, first), n)
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(p.Topic)))
	dst = append(dst, p.Topic...)
	if p.QoS > mqtt.AtMostOnce {
		dst = binary.BigEndian.AppendUint16(dst, p.PacketID)
	}
	if v < mqtt.V5 {
		return dst
	}
	dst = appendVarint(dst, props)
	if p.TopicAlias != 0 {
		dst = binary.BigEndian.AppendUint16(append(dst, topicAlias), p.TopicAlias)
	}
	if p.HasExpiry {
		dst = binary.BigEndian.AppendUint32(append(dst, messageExpiry), p.Expiry)
	}
	for _, id := range p.SubscriptionIDs {
		dst = appendVarint(append(dst, subscriptionID), int(id))
	}
	return append(dst, p.Props...)
}

// SetDelivery turns the PUBLISH at the start of raw, as Append or AppendHead wrote
// it with a QoS above 0, into the same one with another packet identifier and DUP
// flag: a message is encoded once for many receivers.
func SetDelivery(raw []byte, packetID uint16, dup bool) {
	raw[0] &^= 0x08
	if dup {
		raw[0] |= 0x08
	}
	binary.BigEndian.PutUint16(raw[PacketIDOffset(raw):], packetID)
}

// PacketIDOffset tells where the packet identifier stands in the PUBLISH at the
// start of raw, as Append or AppendHead wrote it with a QoS above 0.
func PacketIDOffset(raw []byte) int {
	at := 1
	for raw[at] >= 0x80 {
		at++
	}
	at++
	return at + 2 + int(binary.BigEndian.Uint16(raw[at:]))
}
