package packet

import (
	"strings"

	"fieldgate/broker/mqtt"
)

// Subscribe asks for messages. Filters are checked: UTF-8, length, wildcards,
// reserved option bits, $share grammar (5.0).
type Subscribe struct {
	PacketID      uint16
	Subscriptions []mqtt.Subscription // all with the same ID, for the packet carries one
	User          []UserProperty
}

// The bits of the subscription options of 5.0 [v5 3.8.3.1].
const (
	optionNoLocal           = 0x04
	optionRetainAsPublished = 0x08
	optionReserved          = 0xC0
)

// Decode reads the packet.
func (p *Subscribe) Decode(raw []byte, v mqtt.Version) error {
	*p = Subscribe{}
	r := open(raw, SUBSCRIBE, v)
	r.wantFlags(0x02)
	p.PacketID = r.packetID()
	var id uint32
	list := r.properties(SUBSCRIBE)
	for one, ok := list.next(); ok; one, ok = list.next() {
		if one.id == subscriptionID {
			id = one.number
		} else {
			p.User = append(p.User, one.user())
		}
	}
	for len(r.rest) > 0 {
		sub := mqtt.Subscription{Filter: r.topicFilter(), ID: id}
		r.options(&sub)
		p.Subscriptions = append(p.Subscriptions, sub)
	}
	if len(p.Subscriptions) == 0 {
		r.fail(mqtt.ProtocolError, clause{"MQTT-3.8.3-3", "MQTT-3.8.3-2"}, "no topic filter")
	}
	return r.done()
}

// topicFilter reads and checks the filter of a SUBSCRIBE or UNSUBSCRIBE.
func (r *reader) topicFilter() string {
	v := r.binary("topic filter")
	if r.err != nil {
		return ""
	}
	var err error
	filter := string(v)
	if r.version >= mqtt.V5 {
		_, _, _, err = mqtt.ParseShared(filter)
	} else {
		err = mqtt.CheckFilter(filter)
	}
	if err != nil {
		r.grammar("topic filter", violation, mqtt.MalformedPacket, err) // 0x8F is for filters that are well formed [v5 3.14.2.1]
		return ""
	}
	return filter
}

// options reads the byte behind a topic filter.
func (r *reader) options(sub *mqtt.Subscription) {
	b := r.uint8("subscription options")
	sub.QoS = mqtt.QoS(b & 0x03)
	if sub.QoS > mqtt.ExactlyOnce {
		r.fail(mqtt.ProtocolError, clause{"MQTT-3.8.3-4", "3.8.3.1"}, "QoS of a subscription is 3")
	}
	if r.version < mqtt.V5 {
		if b > 3 && r.version != mqtt.V31 { // 3.1 leaves the other bits unused
			r.fail(mqtt.MalformedPacket, clause{v3: "MQTT-3.8.3-4"}, "reserved bits of the requested QoS are set")
		}
		return
	}
	sub.NoLocal = b&optionNoLocal != 0
	sub.RetainAsPublished = b&optionRetainAsPublished != 0
	sub.RetainHandling = b >> 4 & 3
	switch {
	case b&optionReserved != 0:
		r.fail(mqtt.MalformedPacket, clause{v5: "MQTT-3.8.3-5"}, "reserved bits of the subscription options are set")
	case sub.RetainHandling == 3:
		r.fail(mqtt.ProtocolError, clause{v5: "3.8.3.1"}, "retain handling is 3")
	case sub.NoLocal && strings.HasPrefix(sub.Filter, "$share/"):
		r.fail(mqtt.ProtocolError, clause{v5: "MQTT-3.8.3-4"}, "no local on a shared subscription")
	}
}

// Append writes the packet behind dst.
func (p *Subscribe) Append(dst []byte, v mqtt.Version) []byte {
	w := begin(dst, SUBSCRIBE, 0x02)
	w.uint16(p.PacketID)
	if v >= mqtt.V5 {
		mark := w.beginProps()
		if len(p.Subscriptions) > 0 && p.Subscriptions[0].ID != 0 {
			w.uint8(subscriptionID)
			w.buf = appendVarint(w.buf, int(p.Subscriptions[0].ID))
		}
		w.users(p.User)
		w.closeProps(mark)
	}
	for i := range p.Subscriptions {
		sub := &p.Subscriptions[i]
		w.text(sub.Filter)
		options := byte(sub.QoS)
		if v >= mqtt.V5 {
			options |= sub.RetainHandling << 4
			if sub.NoLocal {
				options |= optionNoLocal
			}
			if sub.RetainAsPublished {
				options |= optionRetainAsPublished
			}
		}
		w.uint8(options)
	}
	return w.end()
}

// Suback answers Subscribe; a code a subscription: the granted QoS or a reason >= 0x80
// (always 0x80 on 3.x).
type Suback struct {
	PacketID     uint16
	Reasons      []mqtt.ReasonCode
	ReasonString string
	User         []UserProperty
}

// Decode reads the packet.
func (p *Suback) Decode(raw []byte, v mqtt.Version) error {
	*p = Suback{}
	r := open(raw, SUBACK, v)
	r.wantFlags(0)
	p.PacketID = r.packetID()
	p.ReasonString, p.User = r.reasons()
	p.Reasons = r.reasonList("MQTT-3.9.3-2")
	return r.done()
}

// reasonList reads the rest of the packet as reason codes, at least one.
func (r *reader) reasonList(mark string) []mqtt.ReasonCode {
	if len(r.rest) == 0 {
		r.fail(mqtt.ProtocolError, violation, "no reason code")
		return nil
	}
	list := make([]mqtt.ReasonCode, len(r.rest))
	for i, code := range r.rest {
		list[i] = mqtt.ReasonCode(code)
		if r.version >= mqtt.V5 {
			r.wantReason(list[i], mark)
		} else if code > 2 && code != 0x80 {
			r.fail(mqtt.ProtocolError, clause{v3: "MQTT-3.9.3-2"}, "return code 0x%02X is reserved", code)
		}
	}
	r.rest = nil
	return list
}

// Append writes the packet behind dst.
func (p *Suback) Append(dst []byte, v mqtt.Version) []byte {
	w := begin(dst, SUBACK, 0)
	w.uint16(p.PacketID)
	if v >= mqtt.V5 {
		w.reasons(p.ReasonString, p.User)
	}
	for _, code := range p.Reasons {
		if v < mqtt.V5 && code.Failed() {
			code = mqtt.UnspecifiedError
		}
		w.uint8(byte(code))
	}
	return w.end()
}
