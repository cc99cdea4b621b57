package packet

import "fieldgate/broker/mqtt"

// Disconnect ends a connection in order; a server sends it to 5.0 clients only.
type Disconnect struct {
	Reason mqtt.ReasonCode
	// 5.0 only
	SessionExpiry    uint32 // seconds, with HasSessionExpiry; only from a client [v5 MQTT-3.14.2-2]
	HasSessionExpiry bool
	ReasonString     string
	ServerReference  string
	User             []UserProperty
}

// Decode reads the packet.
func (p *Disconnect) Decode(raw []byte, v mqtt.Version) error {
	*p = Disconnect{}
	r := open(raw, DISCONNECT, v)
	r.wantFlags(0)
	if v >= mqtt.V5 && len(r.rest) > 0 {
		p.Reason = mqtt.ReasonCode(r.uint8("reason code"))
		r.wantReason(p.Reason, "MQTT-3.14.2-1")
		if len(r.rest) > 0 {
			p.decodeProperties(&r)
		}
	}
	return r.done()
}

func (p *Disconnect) decodeProperties(r *reader) {
	list := r.properties(DISCONNECT)
	for one, ok := list.next(); ok; one, ok = list.next() {
		switch one.id {
		case sessionExpiry:
			p.SessionExpiry, p.HasSessionExpiry = one.number, true
		case reasonString:
			p.ReasonString = string(one.data)
		case serverReference:
			p.ServerReference = string(one.data)
		case userProperty:
			p.User = append(p.User, one.user())
		}
	}
}

// Append writes the packet behind dst.
func (p *Disconnect) Append(dst []byte, v mqtt.Version) []byte {
	w := begin(dst, DISCONNECT, 0)
	hasProps := p.HasSessionExpiry || p.ReasonString != "" || p.ServerReference != "" || len(p.User) > 0
	if v < mqtt.V5 || p.Reason == mqtt.NormalDisconnection && !hasProps {
		return w.end()
	}
	w.uint8(byte(p.Reason))
	if hasProps {
		mark := w.beginProps()
		if p.HasSessionExpiry {
			w.prop32(sessionExpiry, p.SessionExpiry)
		}
		w.propText(reasonString, p.ReasonString)
		w.users(p.User)
		w.propText(serverReference, p.ServerReference)
		w.closeProps(mark)
	}
	return w.end()
}
