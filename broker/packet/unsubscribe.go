package packet

import "fieldgate/broker/mqtt"

// Unsubscribe ends subscriptions. Filters are checked as those of Subscribe.
type Unsubscribe struct {
	PacketID uint16
	Filters  []string
	User     []UserProperty
}

// Decode reads the packet.
func (p *Unsubscribe) Decode(raw []byte, v mqtt.Version) error {
	*p = Unsubscribe{}
	r := open(raw, UNSUBSCRIBE, v)
	r.wantFlags(0x02)
	p.PacketID = r.packetID()
	list := r.properties(UNSUBSCRIBE)
	for one, ok := list.next(); ok; one, ok = list.next() {
		p.User = append(p.User, one.user())
	}
	for len(r.rest) > 0 {
		p.Filters = append(p.Filters, r.topicFilter())
	}
	if len(p.Filters) == 0 {
		r.fail(mqtt.ProtocolError, clause{"MQTT-3.10.3-2", "MQTT-3.10.3-2"}, "no topic filter")
	}
	return r.done()
}

// Append writes the packet behind dst.
func (p *Unsubscribe) Append(dst []byte, v mqtt.Version) []byte {
	w := begin(dst, UNSUBSCRIBE, 0x02)
	w.uint16(p.PacketID)
	if v >= mqtt.V5 {
		mark := w.beginProps()
		w.users(p.User)
		w.closeProps(mark)
	}
	for _, filter := range p.Filters {
		w.text(filter)
	}
	return w.end()
}

// Unsuback answers Unsubscribe; all but PacketID are read and written for 5.0 only.
type Unsuback struct {
	PacketID     uint16
	Reasons      []mqtt.ReasonCode // a code a filter
	ReasonString string
	User         []UserProperty
}

// Decode reads the packet.
func (p *Unsuback) Decode(raw []byte, v mqtt.Version) error {
	*p = Unsuback{}
	r := open(raw, UNSUBACK, v)
	r.wantFlags(0)
	p.PacketID = r.packetID()
	if v >= mqtt.V5 {
		p.ReasonString, p.User = r.reasons()
		p.Reasons = r.reasonList("MQTT-3.11.3-2")
	}
	return r.done()
}

// Append writes the packet behind dst.
func (p *Unsuback) Append(dst []byte, v mqtt.Version) []byte {
	w := begin(dst, UNSUBACK, 0)
	w.uint16(p.PacketID)
	if v >= mqtt.V5 {
		w.reasons(p.ReasonString, p.User)
		for _, code := range p.Reasons {
			w.uint8(byte(code))
		}
	}
	return w.end()
}
