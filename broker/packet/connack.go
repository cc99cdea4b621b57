package packet

import "fieldgate/broker/mqtt"

// Connack answers Connect. For 3.x, Reason is written as the return code that
// fits (see mqtt.ReasonCode.ReturnCode).
type Connack struct {
	SessionPresent bool
	Reason         mqtt.ReasonCode

	// 5.0 only; zero values (nil for pointers) are not written
	SessionExpiry                           *uint32 // seconds
	ReceiveMaximum                          uint16
	MaxQoS                                  *byte // 0 or 1
	RetainAvailable                         *bool
	MaxPacketSize                           uint32 // bytes
	AssignedClientID                        string
	TopicAliasMax                           uint16
	ReasonString                            string
	ServerKeepAlive                         *uint16 // seconds
	User                                    []UserProperty
	NoWildcard, NoSubscriptionIDs, NoShared bool
	ResponseInfo, ServerReference           string
	AuthMethod                              string
	AuthData                                []byte
}

// Decode reads the packet; for 3.x the return code becomes the reason code that fits.
func (p *Connack) Decode(raw []byte, v mqtt.Version) error {
	*p = Connack{}
	r := open(raw, CONNACK, v)
	r.wantFlags(0)
	flags := r.uint8("acknowledge flags")
	if v != mqtt.V31 { // 3.1 leaves the byte unused
		p.SessionPresent = flags&1 != 0
		if flags > 1 {
			r.fail(mqtt.MalformedPacket, clause{"3.2.2.1", "MQTT-3.2.2-1"}, "reserved acknowledge flags are 0x%02X", flags)
		}
	}
	code := r.uint8("return code")
	if v >= mqtt.V5 {
		p.Reason = mqtt.ReasonCode(code)
		r.wantReason(p.Reason, "MQTT-3.2.2-8")
		p.decodeProperties(&r)
	} else {
		known := false
		if p.Reason, known = mqtt.FromReturnCode(code); !known {
			r.fail(mqtt.ProtocolError, clause{v3: "3.2.2.3"}, "return code %d is reserved", code)
		}
	}
	if p.SessionPresent && p.Reason.Failed() {
		r.fail(mqtt.ProtocolError, clause{"MQTT-3.2.2-4", "MQTT-3.2.2-6"}, "session present is set with %s", p.Reason)
	}
	return r.done()
}

func (p *Connack) decodeProperties(r *reader) {
	list := r.properties(CONNACK)
	for one, ok := list.next(); ok; one, ok = list.next() {
		switch one.id {
		case sessionExpiry:
			p.SessionExpiry = new(one.number)
		case receiveMaximum:
			p.ReceiveMaximum = uint16(one.number)
		case maxQoS:
			p.MaxQoS = new(byte(one.number))
		case retainAvailable:
			p.RetainAvailable = new(one.number == 1)
		case maxPacketSize:
			p.MaxPacketSize = one.number
		case assignedClientID:
			p.AssignedClientID = string(one.data)
		case topicAliasMax:
			p.TopicAliasMax = uint16(one.number)
		case reasonString:
			p.ReasonString = string(one.data)
		case serverKeepAlive:
			p.ServerKeepAlive = new(uint16(one.number))
		case userProperty:
			p.User = append(p.User, one.user())
		case wildcardAvailable:
			p.NoWildcard = one.number == 0
		case subscriptionIDsOK:
			p.NoSubscriptionIDs = one.number == 0
		case sharedSubscription:
			p.NoShared = one.number == 0
		case responseInfo:
			p.ResponseInfo = string(one.data)
		case serverReference:
			p.ServerReference = string(one.data)
		case authMethod:
			p.AuthMethod = string(one.data)
		case authData:
			p.AuthData = one.data
		}
	}
	r.wantMethod(p.AuthMethod, p.AuthData)
}

// Append writes the packet behind dst.
func (p *Connack) Append(dst []byte, v mqtt.Version) []byte {
	w := begin(dst, CONNACK, 0)
	if p.SessionPresent && v != mqtt.V31 {
		w.uint8(1)
	} else {
		w.uint8(0)
	}
	if v < mqtt.V5 {
		w.uint8(p.Reason.ReturnCode())
		return w.end()
	}
	w.uint8(byte(p.Reason))
	mark := w.beginProps()
	p.appendLimits(&w)
	w.propText(assignedClientID, p.AssignedClientID)
	w.propText(reasonString, p.ReasonString)
	w.users(p.User)
	w.propText(responseInfo, p.ResponseInfo)
	w.propText(serverReference, p.ServerReference)
	w.auth(p.AuthMethod, p.AuthData)
	w.closeProps(mark)
	return w.end()
}

func (p *Connack) appendLimits(w *writer) {
	if p.SessionExpiry != nil {
		w.prop32(sessionExpiry, *p.SessionExpiry)
	}
	if p.ReceiveMaximum != 0 {
		w.prop16(receiveMaximum, p.ReceiveMaximum)
	}
	if p.MaxQoS != nil {
		w.prop8(maxQoS, *p.MaxQoS)
	}
	if p.RetainAvailable != nil {
		w.propFlag(retainAvailable, *p.RetainAvailable)
	}
	if p.MaxPacketSize != 0 {
		w.prop32(maxPacketSize, p.MaxPacketSize)
	}
	if p.TopicAliasMax != 0 {
		w.prop16(topicAliasMax, p.TopicAliasMax)
	}
	if p.ServerKeepAlive != nil {
		w.prop16(serverKeepAlive, *p.ServerKeepAlive)
	}
	if p.NoWildcard {
		w.prop8(wildcardAvailable, 0)
	}
	if p.NoSubscriptionIDs {
		w.prop8(subscriptionIDsOK, 0)
	}
	if p.NoShared {
		w.prop8(sharedSubscription, 0)
	}
}
