package packet

import "fieldgate/broker/mqtt"

// Ack is PUBACK, PUBREC, PUBREL or PUBCOMP.
type Ack struct {
	Type     Type
	PacketID uint16
	Reason   mqtt.ReasonCode // 5.0 only
	// 5.0 only, rarely sent
	ReasonString string
	User         []UserProperty
}

// Decode reads the packet and checks its flags. Type is set from the packet.
// Without properties nothing is allocated.
func (p *Ack) Decode(raw []byte, v mqtt.Version) error {
	kind := PUBACK
	if len(raw) > 0 && TypeOf(raw[0]) >= PUBACK && TypeOf(raw[0]) <= PUBCOMP {
		kind = TypeOf(raw[0])
	}
	*p = Ack{Type: kind}
	r := open(raw, kind, v)
	r.wantFlags(ackFlags(kind))
	p.PacketID = r.packetID()
	if v >= mqtt.V5 && len(r.rest) > 0 {
		p.Reason = mqtt.ReasonCode(r.uint8("reason code"))
		r.wantReason(p.Reason, ackMark(kind))
		if len(r.rest) > 0 {
			p.ReasonString, p.User = r.reasons()
		}
	}
	return r.done()
}

func ackFlags(kind Type) byte {
	if kind == PUBREL {
		return 0x02 // [v3.1.1 MQTT-3.6.1-1] [v5 MQTT-3.6.1-1]
	}
	return 0
}

func ackMark(kind Type) string {
	switch kind {
	case PUBREC:
		return "MQTT-3.5.2-1"
	case PUBREL:
		return "MQTT-3.6.2-1"
	case PUBCOMP:
		return "MQTT-3.7.2-1"
	}
	return "MQTT-3.4.2-1"
}

// reasons reads a property list that may hold a reason string and user properties only.
func (r *reader) reasons() (text string, user []UserProperty) {
	list := r.properties(r.kind)
	for one, ok := list.next(); ok; one, ok = list.next() {
		if one.id == reasonString {
			text = string(one.data)
		} else {
			user = append(user, one.user())
		}
	}
	return text, user
}

// reasons writes the property list that reader.reasons reads.
func (w *writer) reasons(text string, user []UserProperty) {
	mark := w.beginProps()
	w.propText(reasonString, text)
	w.users(user)
	w.closeProps(mark)
}

// Append writes the packet behind dst: the reason code and the properties of 5.0
// only where they say something.
func (p *Ack) Append(dst []byte, v mqtt.Version) []byte {
	hasProps := p.ReasonString != "" || len(p.User) > 0
	if v < mqtt.V5 || p.Reason == mqtt.Success && !hasProps {
		return AppendAck(dst, p.Type, p.PacketID)
	}
	w := begin(dst, p.Type, ackFlags(p.Type))
	w.uint16(p.PacketID)
	w.uint8(byte(p.Reason))
	if hasProps {
		w.reasons(p.ReasonString, p.User)
	}
	return w.end()
}

// AppendAck writes an acknowledgement of success: the hot path of Ack.Append, the
// same bytes in all versions.
func AppendAck(dst []byte, t Type, packetID uint16) []byte {
	return append(dst, byte(t)<<4|ackFlags(t), 2, byte(packetID>>8), byte(packetID))
}
