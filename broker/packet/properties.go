package packet

import (
	"fieldgate/broker/mqtt"
)

// The property identifiers of 5.0 [v5 table 2-4].
const (
	payloadFormat      = 0x01
	messageExpiry      = 0x02
	contentType        = 0x03
	responseTopic      = 0x08
	correlationData    = 0x09
	subscriptionID     = 0x0B
	sessionExpiry      = 0x11
	assignedClientID   = 0x12
	serverKeepAlive    = 0x13
	authMethod         = 0x15
	authData           = 0x16
	requestProblem     = 0x17
	willDelay          = 0x18
	requestResponse    = 0x19
	responseInfo       = 0x1A
	serverReference    = 0x1C
	reasonString       = 0x1F
	receiveMaximum     = 0x21
	topicAliasMax      = 0x22
	topicAlias         = 0x23
	maxQoS             = 0x24
	retainAvailable    = 0x25
	userProperty       = 0x26
	maxPacketSize      = 0x27
	wildcardAvailable  = 0x28
	subscriptionIDsOK  = 0x29
	sharedSubscription = 0x2A
)

// form is how the value of a property is written.
type form byte

const (
	flagByte form = 1 + iota // 0 or 1
	twoBytes
	fourBytes
	varBytes
	utf8Text
	binaryData
	utf8Pair
)

// will stands for the properties of a will where a Type says whose they are.
const will Type = 0

// packets is a set of types, a bit each.
type packets uint16

func in(types ...Type) packets {
	var set packets
	for _, t := range types {
		set |= 1 << t
	}
	return set
}

// grammar is what the specification says of one property [v5 table 2-4].
type grammar struct {
	name    string
	form    form
	packets packets
	notZero bool // 0 is a protocol error
	section string
}

var anyReason = in(CONNACK, PUBACK, PUBREC, PUBREL, PUBCOMP, SUBACK, UNSUBACK, DISCONNECT, AUTH)

// grammars is indexed by the property identifier; a row without a name is none.
var grammars = [...]grammar{
	payloadFormat:      {"payload format indicator", flagByte, in(PUBLISH, will), false, "3.3.2.3.2"},
	messageExpiry:      {"message expiry interval", fourBytes, in(PUBLISH, will), false, "3.3.2.3.3"},
	contentType:        {"content type", utf8Text, in(PUBLISH, will), false, "3.3.2.3.9"},
	responseTopic:      {"response topic", utf8Text, in(PUBLISH, will), false, "3.3.2.3.5"},
	correlationData:    {"correlation data", binaryData, in(PUBLISH, will), false, "3.3.2.3.6"},
	subscriptionID:     {"subscription identifier", varBytes, in(PUBLISH, SUBSCRIBE), true, "3.8.2.1.2"},
	sessionExpiry:      {"session expiry interval", fourBytes, in(CONNECT, CONNACK, DISCONNECT), false, "3.1.2.11.2"},
	assignedClientID:   {"assigned client identifier", utf8Text, in(CONNACK), false, "3.2.2.3.7"},
	serverKeepAlive:    {"server keep alive", twoBytes, in(CONNACK), false, "3.2.2.3.14"},
	authMethod:         {"authentication method", utf8Text, in(CONNECT, CONNACK, AUTH), false, "3.1.2.11.9"},
	authData:           {"authentication data", binaryData, in(CONNECT, CONNACK, AUTH), false, "3.1.2.11.10"},
	requestProblem:     {"request problem information", flagByte, in(CONNECT), false, "3.1.2.11.7"},
	willDelay:          {"will delay interval", fourBytes, in(will), false, "3.1.3.2.2"},
	requestResponse:    {"request response information", flagByte, in(CONNECT), false, "3.1.2.11.6"},
	responseInfo:       {"response information", utf8Text, in(CONNACK), false, "3.2.2.3.15"},
	serverReference:    {"server reference", utf8Text, in(CONNACK, DISCONNECT), false, "3.2.2.3.16"},
	reasonString:       {"reason string", utf8Text, anyReason, false, "3.2.2.3.9"},
	receiveMaximum:     {"receive maximum", twoBytes, in(CONNECT, CONNACK), true, "3.1.2.11.3"},
	topicAliasMax:      {"topic alias maximum", twoBytes, in(CONNECT, CONNACK), false, "3.1.2.11.5"},
	topicAlias:         {"topic alias", twoBytes, in(PUBLISH), true, "MQTT-3.3.2-8"},
	maxQoS:             {"maximum QoS", flagByte, in(CONNACK), false, "3.2.2.3.4"},
	retainAvailable:    {"retain available", flagByte, in(CONNACK), false, "3.2.2.3.5"},
	userProperty:       {"user property", utf8Pair, anyReason | in(CONNECT, PUBLISH, SUBSCRIBE, UNSUBSCRIBE, will), false, ""},
	maxPacketSize:      {"maximum packet size", fourBytes, in(CONNECT, CONNACK), true, "3.1.2.11.4"},
	wildcardAvailable:  {"wildcard subscription available", flagByte, in(CONNACK), false, "3.2.2.3.11"},
	subscriptionIDsOK:  {"subscription identifiers available", flagByte, in(CONNACK), false, "3.2.2.3.12"},
	sharedSubscription: {"shared subscription available", flagByte, in(CONNACK), false, "3.2.2.3.13"},
}

// property is one property as it was read; which fields count depends on its form.
type property struct {
	id     byte
	number uint32
	name   []byte // of a user property
	data   []byte
	raw    []byte // all of it, as on the wire
	from   []byte // the rest of the packet, which begins with it
}

func (p *property) user() UserProperty { return UserProperty{string(p.name), string(p.data)} }

// properties reads the property list of a packet, or of a will.
type properties struct {
	r     *reader
	whose Type
	end   int // bytes of the packet that are left behind the list
	seen  uint64
}

// properties begins to read a property list; before 5.0 there is none.
func (r *reader) properties(whose Type) properties {
	p := properties{r: r, whose: whose, end: len(r.rest)}
	if r.version < mqtt.V5 || r.err != nil {
		return p
	}
	n := r.varint("property length")
	if n > len(r.rest) {
		r.torn("properties")
	}
	p.end = len(r.rest) - n
	return p
}

// next gives the next property; false at the end of the list or after a fault.
func (p *properties) next() (one property, ok bool) {
	r := p.r
	if r.err != nil || len(r.rest) <= p.end {
		return one, false
	}
	from := r.rest
	one.id = r.rest[0] // no identifier needs the second byte that its encoding allows
	r.rest = r.rest[1:]
	if int(one.id) >= len(grammars) || grammars[one.id].name == "" {
		r.fail(mqtt.MalformedPacket, clause{v5: "2.2.2.2"}, "unknown property 0x%02X", one.id)
		return one, false
	}
	g := &grammars[one.id]
	p.check(one.id, g)
	p.read(&one, g)
	if r.err == nil && len(r.rest) < p.end {
		r.fail(mqtt.MalformedPacket, clause{v5: "2.2.2.1"}, "%s runs over the end of the properties", g.name)
	}
	if r.err != nil {
		return one, false
	}
	one.raw, one.from = from[:len(from)-len(r.rest)], from
	return one, true
}

// check tells whether the property may stand here, and stands here first.
func (p *properties) check(id byte, g *grammar) {
	if g.packets&(1<<p.whose) == 0 {
		p.r.fail(mqtt.MalformedPacket, clause{v5: "2.2.2.2"}, "%s does not belong here", g.name)
		return
	}
	manyTimes := id == userProperty || id == subscriptionID && p.whose == PUBLISH
	if bit := uint64(1) << id; p.seen&bit != 0 && !manyTimes {
		p.r.fail(mqtt.ProtocolError, clause{v5: g.section}, "%s comes twice", g.name)
	} else {
		p.seen |= bit
	}
}

func (p *properties) read(one *property, g *grammar) {
	r := p.r
	switch g.form {
	case flagByte:
		one.number = uint32(r.uint8(g.name))
		if one.number > 1 {
			r.fail(mqtt.ProtocolError, clause{v5: g.section}, "%s is %d, only 0 and 1 are allowed", g.name, one.number)
		}
	case twoBytes:
		one.number = uint32(r.uint16(g.name))
	case fourBytes:
		one.number = r.uint32(g.name)
	case varBytes:
		one.number = uint32(r.varint(g.name))
	case utf8Text:
		one.data = r.text(g.name)
	case binaryData:
		one.data = r.binary(g.name)
	case utf8Pair:
		one.name = r.text("name of a user property")
		one.data = r.text("value of a user property")
	}
	if g.notZero && one.number == 0 {
		reason := mqtt.ProtocolError
		if one.id == topicAlias {
			reason = mqtt.TopicAliasInvalid
		}
		r.fail(reason, clause{v5: g.section}, "%s is 0", g.name)
	}
	if one.id == responseTopic && r.err == nil {
		if err := mqtt.CheckName(one.data); err != nil {
			r.grammar(g.name, clause{v5: "MQTT-3.3.2-14"}, mqtt.ProtocolError, err)
		}
	}
}

// forwarded gathers the properties that travel with a message: in place as long
// as nothing stands between them.
type forwarded struct {
	props  mqtt.Properties
	whole  []byte // the rest of the packet from the first of them on
	copied bool
}

func (f *forwarded) add(one *property) {
	n, raw := len(f.props), one.raw
	switch {
	case n == 0:
		f.whole = one.from
		f.props = raw
	case !f.copied && len(f.whole)-len(one.from) == n:
		f.props = mqtt.Properties(f.whole[:n+len(raw)])
	default:
		// The slice into the packet must not be appended to: it would overwrite the packet.
		if !f.copied {
			f.props = append(make(mqtt.Properties, 0, 2*(n+len(raw))), f.props...)
			f.copied = true
		}
		f.props = append(f.props, raw...)
	}
}

// get gives what was gathered, nil for nothing.
func (f *forwarded) get() mqtt.Properties { return f.props[:len(f.props):len(f.props)] }

// message takes the properties that PUBLISH and a will share; false for any other.
func (f *forwarded) message(one *property, expiry *uint32, hasExpiry *bool) bool {
	switch one.id {
	case payloadFormat, contentType, responseTopic, correlationData, userProperty:
		f.add(one)
	case messageExpiry:
		*expiry, *hasExpiry = one.number, true
	default:
		return false
	}
	return true
}

// beginProps leaves room for a property length of one byte; see closeProps.
func (w *writer) beginProps() (mark int) {
	w.uint8(0)
	return len(w.buf) - 1
}

// closeProps writes the length of the properties since beginProps.
func (w *writer) closeProps(mark int) { w.close(mark) }

func (w *writer) prop8(id, v byte) { w.buf = append(w.buf, id, v) }

func (w *writer) prop16(id byte, v uint16) {
	w.uint8(id)
	w.uint16(v)
}

func (w *writer) prop32(id byte, v uint32) {
	w.uint8(id)
	w.uint32(v)
}

func (w *writer) propFlag(id byte, v bool) {
	if v {
		w.prop8(id, 1)
	} else {
		w.prop8(id, 0)
	}
}

// propText writes a string property unless it is empty.
func (w *writer) propText(id byte, s string) {
	if s != "" {
		w.uint8(id)
		w.text(s)
	}
}

func (w *writer) users(list []UserProperty) {
	for _, u := range list {
		w.uint8(userProperty)
		w.text(u.Name)
		w.text(u.Value)
	}
}

// auth writes method and data; data that is empty but not nil is written too.
func (w *writer) auth(method string, data []byte) {
	w.propText(authMethod, method)
	if data != nil {
		w.uint8(authData)
		w.binary(data)
	}
}
