package packet

import "fieldgate/broker/mqtt"

// Auth is a step of enhanced authentication, 5.0 only.
type Auth struct {
	Reason       mqtt.ReasonCode
	Method       string
	Data         []byte // nil when absent
	ReasonString string
	User         []UserProperty
}

// Decode reads the packet.
func (p *Auth) Decode(raw []byte) error {
	*p = Auth{}
	r := open(raw, AUTH, mqtt.V5)
	r.wantFlags(0)
	if r.err != nil || len(r.rest) == 0 {
		return r.done()
	}
	p.Reason = mqtt.ReasonCode(r.uint8("reason code"))
	r.wantReason(p.Reason, "MQTT-3.15.2-1")
	if len(r.rest) > 0 {
		p.decodeProperties(&r)
	}
	isShortForm := p.Reason == mqtt.Success && p.Data == nil && p.ReasonString == "" && len(p.User) == 0
	if p.Method == "" && !isShortForm {
		r.fail(mqtt.ProtocolError, clause{v5: "3.15.2.2.2"}, "no authentication method")
	}
	return r.done()
}

func (p *Auth) decodeProperties(r *reader) {
	list := r.properties(AUTH)
	for one, ok := list.next(); ok; one, ok = list.next() {
		switch one.id {
		case authMethod:
			p.Method = string(one.data)
		case authData:
			p.Data = one.data
		case reasonString:
			p.ReasonString = string(one.data)
		case userProperty:
			p.User = append(p.User, one.user())
		}
	}
}

// Append writes the packet behind dst.
func (p *Auth) Append(dst []byte) []byte {
	w := begin(dst, AUTH, 0)
	if p.Reason == mqtt.Success && p.Method == "" {
		return w.end()
	}
	w.uint8(byte(p.Reason))
	mark := w.beginProps()
	w.auth(p.Method, p.Data)
	w.propText(reasonString, p.ReasonString)
	w.users(p.User)
	w.closeProps(mark)
	return w.end()
}
