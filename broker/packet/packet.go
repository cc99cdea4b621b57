// Package packet reads and writes the MQTT control packets of 3.1, 3.1.1 and
// 5.0, a file each. It knows grammar only: no policy, no I/O, no goroutine.
//
// Decode reads one whole packet in place: byte slices in the result point into
// the packet and are valid only as long as it is; strings are copies. Append
// writes one whole packet behind dst and allocates nothing when dst has room.
package packet

import (
	"fmt"

	"fieldgate/broker/mqtt"
)

// Type is the control packet type, the upper half of the first byte.
type Type byte

// The control packet types [v5 2.1.2].
const (
	CONNECT     Type = 1
	CONNACK     Type = 2
	PUBLISH     Type = 3
	PUBACK      Type = 4
	PUBREC      Type = 5
	PUBREL      Type = 6
	PUBCOMP     Type = 7
	SUBSCRIBE   Type = 8
	SUBACK      Type = 9
	UNSUBSCRIBE Type = 10
	UNSUBACK    Type = 11
	PINGREQ     Type = 12
	PINGRESP    Type = 13
	DISCONNECT  Type = 14
	AUTH        Type = 15
)

// Error is a packet that the specification forbids.
type Error struct {
	Reason mqtt.ReasonCode // for the DISCONNECT or CONNACK of 5.0
	Clause string          // "v3.1.1 MQTT-3.1.0-2"
	Detail string          // what was wrong, without payload or password
}

func (e *Error) Error() string { return fmt.Sprintf("%s [%s]", e.Detail, e.Clause) }

// TypeOf gives the type of the packet that begins with first.
func TypeOf(first byte) Type { return Type(first >> 4) }

// Length gives the length in bytes of the first packet in buf, fixed header
// included, or 0 while buf is too short to tell. The packet itself may be longer
// than buf. It fails with *Error when the remaining length is malformed or the
// packet is longer than limit bytes.
func Length(buf []byte, limit int) (int, error) { panic("codec") }

// Connect is the first packet of a client.
type Connect struct {
	Version                  mqtt.Version
	CleanStart               bool   // clean session in 3.x
	KeepAlive                uint16 // seconds, 0 for none
	ClientID                 string
	HasWill                  bool
	Will                     Will
	HasUsername, HasPassword bool
	Username                 string
	Password                 []byte

	// 5.0 only
	SessionExpiry   uint32 // seconds; 0xFFFFFFFF never
	ReceiveMaximum  uint16 // 65535 when absent
	MaxPacketSize   uint32 // 0 when absent
	TopicAliasMax   uint16
	RequestResponse bool
	RequestProblem  bool // true when absent
	AuthMethod      string
	AuthData        []byte
}

// Will is what the broker publishes when the connection ends badly.
type Will struct {
	Topic     string
	Payload   []byte
	QoS       mqtt.QoS
	Retain    bool
	Delay     uint32 // seconds
	Expiry    uint32 // seconds, with HasExpiry
	HasExpiry bool
	Props     mqtt.Properties
}

// Decode reads the packet; it fails with *Error. A protocol name or level that is
// not ours is an *Error with the reason UnsupportedProtocolVersion; Version is set
// to what the client asked for as far as it was read.
func (p *Connect) Decode(raw []byte) error { panic("codec") }

// Append writes the packet behind dst.
func (p *Connect) Append(dst []byte) []byte { panic("codec") }

// Connack answers Connect. For 3.x, Reason is written as the return code that
// fits (see mqtt.ReasonCode.ReturnCode).
type Connack struct {
	SessionPresent bool
	Reason         mqtt.ReasonCode

	// 5.0 only; zero values (nil for pointers) are not written
	SessionExpiry                           *uint32
	ReceiveMaximum                          uint16
	MaxQoS                                  *byte
	RetainAvailable                         *bool
	MaxPacketSize                           uint32
	AssignedClientID                        string
	TopicAliasMax                           uint16
	ReasonString                            string
	ServerKeepAlive                         *uint16
	User                                    []UserProperty
	NoWildcard, NoSubscriptionIDs, NoShared bool
	ResponseInfo, ServerReference           string
	AuthMethod                              string
	AuthData                                []byte
}

// UserProperty is a name and a value that MQTT gives no meaning.
type UserProperty struct{ Name, Value string }

// Decode reads the packet; for 3.x the return code becomes the reason code that fits.
func (p *Connack) Decode(raw []byte, v mqtt.Version) error { panic("codec") }

// Append writes the packet behind dst.
func (p *Connack) Append(dst []byte, v mqtt.Version) []byte { panic("codec") }

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
	SubscriptionIDs []uint32 // only from a server
	Props           mqtt.Properties
}

// Decode reads the packet. The topic name is checked: UTF-8, no U+0000, no wildcard.
func (p *Publish) Decode(raw []byte, v mqtt.Version) error { panic("codec") }

// Append writes the packet behind dst.
func (p *Publish) Append(dst []byte, v mqtt.Version) []byte { panic("codec") }

// Ack is PUBACK, PUBREC, PUBREL or PUBCOMP.
type Ack struct {
	Type     Type
	PacketID uint16
	Reason   mqtt.ReasonCode // 5.0 only
	// 5.0 only, rarely sent
	ReasonString string
	User         []UserProperty
}

// Decode reads the packet and checks its flags.
func (p *Ack) Decode(raw []byte, v mqtt.Version) error { panic("codec") }

// Append writes the packet behind dst.
func (p *Ack) Append(dst []byte, v mqtt.Version) []byte { panic("codec") }

// AppendAck writes an acknowledgement without properties: the hot path of Ack.Append.
func AppendAck(dst []byte, t Type, packetID uint16) []byte { panic("codec") }

// Subscribe asks for messages. Filters are checked: UTF-8, length, wildcards,
// reserved option bits, $share grammar (5.0).
type Subscribe struct {
	PacketID      uint16
	Subscriptions []mqtt.Subscription
	User          []UserProperty
}

// Decode reads the packet.
func (p *Subscribe) Decode(raw []byte, v mqtt.Version) error { panic("codec") }

// Append writes the packet behind dst.
func (p *Subscribe) Append(dst []byte, v mqtt.Version) []byte { panic("codec") }

// Suback answers Subscribe; a code a subscription: the granted QoS or a reason >= 0x80
// (always 0x80 on 3.1.1).
type Suback struct {
	PacketID     uint16
	Reasons      []mqtt.ReasonCode
	ReasonString string
	User         []UserProperty
}

// Decode reads the packet.
func (p *Suback) Decode(raw []byte, v mqtt.Version) error { panic("codec") }

// Append writes the packet behind dst.
func (p *Suback) Append(dst []byte, v mqtt.Version) []byte { panic("codec") }

// Unsubscribe ends subscriptions.
type Unsubscribe struct {
	PacketID uint16
	Filters  []string
	User     []UserProperty
}

// Decode reads the packet.
func (p *Unsubscribe) Decode(raw []byte, v mqtt.Version) error { panic("codec") }

// Append writes the packet behind dst.
func (p *Unsubscribe) Append(dst []byte, v mqtt.Version) []byte { panic("codec") }

// Unsuback answers Unsubscribe; Reasons are written for 5.0 only.
type Unsuback struct {
	PacketID     uint16
	Reasons      []mqtt.ReasonCode
	ReasonString string
	User         []UserProperty
}

// Decode reads the packet.
func (p *Unsuback) Decode(raw []byte, v mqtt.Version) error { panic("codec") }

// Append writes the packet behind dst.
func (p *Unsuback) Append(dst []byte, v mqtt.Version) []byte { panic("codec") }

// Disconnect ends a connection in order; a server sends it to 5.0 clients only.
type Disconnect struct {
	Reason mqtt.ReasonCode
	// 5.0 only
	SessionExpiry    uint32 // seconds, with HasSessionExpiry
	HasSessionExpiry bool
	ReasonString     string
	ServerReference  string
	User             []UserProperty
}

// Decode reads the packet.
func (p *Disconnect) Decode(raw []byte, v mqtt.Version) error { panic("codec") }

// Append writes the packet behind dst.
func (p *Disconnect) Append(dst []byte, v mqtt.Version) []byte { panic("codec") }

// Auth is a step of enhanced authentication, 5.0 only.
type Auth struct {
	Reason       mqtt.ReasonCode
	Method       string
	Data         []byte
	ReasonString string
	User         []UserProperty
}

// Decode reads the packet.
func (p *Auth) Decode(raw []byte) error { panic("codec") }

// Append writes the packet behind dst.
func (p *Auth) Append(dst []byte) []byte { panic("codec") }

// DecodeEmpty checks PINGREQ and PINGRESP, which have no body.
func DecodeEmpty(raw []byte) error { panic("codec") }

// AppendPingreq and AppendPingresp write the two packets without a body.
func AppendPingreq(dst []byte) []byte { return append(dst, byte(PINGREQ)<<4, 0) }

// AppendPingresp writes PINGRESP behind dst.
func AppendPingresp(dst []byte) []byte { return append(dst, byte(PINGRESP)<<4, 0) }
