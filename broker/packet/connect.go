package packet

import "fieldgate/broker/mqtt"

// Connect is the first packet of a client.
type Connect struct {
	Version                  mqtt.Version
	CleanStart               bool   // clean session in 3.x
	KeepAlive                uint16 // seconds, 0 for none
	ClientID                 string // may be empty: whether it may is the broker's policy
	HasWill                  bool
	Will                     Will
	HasUsername, HasPassword bool
	Username                 string
	Password                 []byte

	// 5.0 only
	SessionExpiry   uint32 // seconds; 0xFFFFFFFF never
	ReceiveMaximum  uint16 // 65535 when absent; 0 is written as absent
	MaxPacketSize   uint32 // bytes, 0 when absent
	TopicAliasMax   uint16
	RequestResponse bool
	RequestProblem  bool // true when absent
	User            []UserProperty
	AuthMethod      string
	AuthData        []byte // nil when absent
}

// Will is what the broker publishes when the connection ends badly.
type Will struct {
	Topic   string
	Payload []byte
	QoS     mqtt.QoS
	Retain  bool

	// 5.0 only
	Delay     uint32 // seconds
	Expiry    uint32 // seconds, with HasExpiry
	HasExpiry bool
	Props     mqtt.Properties
}

// The bits of the connect flags [v3.1.1 3.1.2.3].
const (
	flagCleanStart = 0x02
	flagWill       = 0x04
	flagWillQoS    = 0x18
	flagWillRetain = 0x20
	flagPassword   = 0x40
	flagUsername   = 0x80
)

// Decode reads the packet; it fails with *Error. A protocol name or level that is
// not ours is an *Error with the reason UnsupportedProtocolVersion; Version is set
// to what the client asked for as far as it was read.
func (p *Connect) Decode(raw []byte) error {
	// The version decides the rules but stands inside: until then those of 3.1.1,
	// where a remaining length may be longer than needed.
	r := open(raw, CONNECT, mqtt.V311)
	*p = Connect{ReceiveMaximum: 65535, RequestProblem: true}
	p.decodeVersion(&r)
	if _, _, fault := varint(raw[min(1, len(raw)):]); fault == isNotMinimal && p.Version == mqtt.V5 {
		r.fail(mqtt.MalformedPacket, varintRule, "remaining length %s", fault)
	}
	if p.Version != mqtt.V31 {
		r.wantFlags(0)
	}
	flags := r.uint8("connect flags")
	p.checkFlags(&r, flags)
	p.CleanStart = flags&flagCleanStart != 0
	p.KeepAlive = r.uint16("keep alive")
	p.decodeProperties(&r)
	p.ClientID = string(r.text("client identifier"))
	if p.HasWill = flags&flagWill != 0; p.HasWill {
		p.Will.QoS = mqtt.QoS(flags & flagWillQoS >> 3)
		p.Will.Retain = flags&flagWillRetain != 0
		p.Will.decode(&r)
	}
	// 3.1 lets a client set these flags and leave the fields out at the end.
	absent := p.Version == mqtt.V31 && len(r.rest) == 0
	if p.HasUsername = flags&flagUsername != 0 && !absent; p.HasUsername {
		p.Username = string(r.text("user name"))
	}
	absent = p.Version == mqtt.V31 && len(r.rest) == 0
	if p.HasPassword = flags&flagPassword != 0 && !absent; p.HasPassword {
		p.Password = r.binary("password")
	}
	return r.done()
}

func (p *Connect) decodeVersion(r *reader) {
	name := string(r.binary("protocol name"))
	level := r.uint8("protocol level")
	if r.err != nil {
		return
	}
	p.Version = mqtt.Version(level)
	// The version is noted before the checks: a fault is told in the words of the client's version.
	r.version = p.Version
	switch {
	case name != "MQTT" && name != "MQIsdp":
		r.fail(mqtt.UnsupportedProtocolVersion, clause{"MQTT-3.1.2-1", "MQTT-3.1.2-1"}, "protocol name is not MQTT")
	case name == "MQTT" && (p.Version == mqtt.V311 || p.Version == mqtt.V5):
	case name == "MQIsdp" && p.Version == mqtt.V31:
	default:
		r.fail(mqtt.UnsupportedProtocolVersion, clause{"MQTT-3.1.2-2", "MQTT-3.1.2-2"}, "protocol level %d of %s is not known", level, name)
	}
}

func (p *Connect) checkFlags(r *reader, flags byte) {
	qos := flags & flagWillQoS >> 3
	switch {
	case qos == 3:
		r.fail(mqtt.MalformedPacket, clause{"MQTT-3.1.2-14", "MQTT-3.1.2-12"}, "will QoS is 3")
	case flags&flagUsername == 0 && flags&flagPassword != 0 && r.version < mqtt.V5:
		r.fail(mqtt.ProtocolError, clause{v3: "MQTT-3.1.2-22"}, "password without user name")
	case r.version == mqtt.V31: // leaves the other combinations undefined
	case flags&0x01 != 0:
		r.fail(mqtt.MalformedPacket, clause{"MQTT-3.1.2-3", "MQTT-3.1.2-3"}, "reserved connect flag is set")
	case flags&flagWill == 0 && qos != 0:
		r.fail(mqtt.MalformedPacket, clause{"MQTT-3.1.2-13", "MQTT-3.1.2-11"}, "will QoS is %d without a will", qos)
	case flags&flagWill == 0 && flags&flagWillRetain != 0:
		r.fail(mqtt.MalformedPacket, clause{"MQTT-3.1.2-15", "MQTT-3.1.2-13"}, "will retain is set without a will")
	}
}

func (p *Connect) decodeProperties(r *reader) {
	list := r.properties(CONNECT)
	for one, ok := list.next(); ok; one, ok = list.next() {
		switch one.id {
		case sessionExpiry:
			p.SessionExpiry = one.number
		case receiveMaximum:
			p.ReceiveMaximum = uint16(one.number)
		case maxPacketSize:
			p.MaxPacketSize = one.number
		case topicAliasMax:
			p.TopicAliasMax = uint16(one.number)
		case requestResponse:
			p.RequestResponse = one.number == 1
		case requestProblem:
			p.RequestProblem = one.number == 1
		case userProperty:
			p.User = append(p.User, one.user())
		case authMethod:
			p.AuthMethod = string(one.data)
		case authData:
			p.AuthData = one.data
		}
	}
	r.wantMethod(p.AuthMethod, p.AuthData)
}

// wantMethod refuses authentication data without a method [v5 3.1.2.11.10].
func (r *reader) wantMethod(method string, data []byte) {
	if method == "" && data != nil {
		r.fail(mqtt.ProtocolError, clause{v5: "3.1.2.11.10"}, "authentication data without authentication method")
	}
}

func (w *Will) decode(r *reader) {
	list := r.properties(will)
	var message forwarded
	for one, ok := list.next(); ok; one, ok = list.next() {
		if !message.message(&one, &w.Expiry, &w.HasExpiry) { // it is the will delay interval then
			w.Delay = one.number
		}
	}
	w.Props = message.get()
	w.Topic = string(r.topicName("will topic", clause{"MQTT-4.7.1-1", "MQTT-4.7.0-1"}))
	w.Payload = r.binary("will message")
}

// Append writes the packet behind dst.
func (p *Connect) Append(dst []byte) []byte {
	w := begin(dst, CONNECT, 0)
	if p.Version == mqtt.V31 {
		w.text("MQIsdp")
	} else {
		w.text("MQTT")
	}
	w.uint8(byte(p.Version))
	w.uint8(p.flags())
	w.uint16(p.KeepAlive)
	if p.Version >= mqtt.V5 {
		p.appendProperties(&w)
	}
	w.text(p.ClientID)
	if p.HasWill {
		p.Will.append(&w, p.Version)
	}
	if p.HasUsername {
		w.text(p.Username)
	}
	if p.HasPassword {
		w.binary(p.Password)
	}
	return w.end()
}

func (p *Connect) flags() (flags byte) {
	if p.CleanStart {
		flags |= flagCleanStart
	}
	if p.HasWill {
		flags |= flagWill | byte(p.Will.QoS)<<3
		if p.Will.Retain {
			flags |= flagWillRetain
		}
	}
	if p.HasPassword {
		flags |= flagPassword
	}
	if p.HasUsername {
		flags |= flagUsername
	}
	return flags
}

func (p *Connect) appendProperties(w *writer) {
	mark := w.beginProps()
	if p.SessionExpiry != 0 {
		w.prop32(sessionExpiry, p.SessionExpiry)
	}
	if p.ReceiveMaximum != 0 && p.ReceiveMaximum != 65535 {
		w.prop16(receiveMaximum, p.ReceiveMaximum)
	}
	if p.MaxPacketSize != 0 {
		w.prop32(maxPacketSize, p.MaxPacketSize)
	}
	if p.TopicAliasMax != 0 {
		w.prop16(topicAliasMax, p.TopicAliasMax)
	}
	if p.RequestResponse {
		w.prop8(requestResponse, 1)
	}
	if !p.RequestProblem {
		w.prop8(requestProblem, 0)
	}
	w.users(p.User)
	w.auth(p.AuthMethod, p.AuthData)
	w.closeProps(mark)
}

func (w *Will) append(to *writer, v mqtt.Version) {
	if v >= mqtt.V5 {
		mark := to.beginProps()
		if w.Delay != 0 {
			to.prop32(willDelay, w.Delay)
		}
		if w.HasExpiry {
			to.prop32(messageExpiry, w.Expiry)
		}
		to.buf = append(to.buf, w.Props...)
		to.closeProps(mark)
	}
	to.text(w.Topic)
	to.binary(w.Payload)
}
