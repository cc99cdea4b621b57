package packet_test

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"fieldgate/broker/mqtt"
	"fieldgate/broker/packet"
)

var versions = []mqtt.Version{mqtt.V31, mqtt.V311, mqtt.V5}

// codec is one packet structure as the tests drive it.
type codec struct {
	decode func(raw []byte, v mqtt.Version) error
	append func(dst []byte, v mqtt.Version) []byte
	value  any // pointer to the structure
}

// empty does what PINGREQ and PINGRESP have instead of a structure.
type empty struct{ Type packet.Type }

// codecOf gives an empty structure for the packet that begins with first.
func codecOf(first byte) (codec, bool) {
	switch packet.TypeOf(first) {
	case packet.CONNECT:
		p := &packet.Connect{}
		return codec{func(b []byte, _ mqtt.Version) error { return p.Decode(b) }, func(b []byte, _ mqtt.Version) []byte { return p.Append(b) }, p}, true
	case packet.CONNACK:
		p := &packet.Connack{}
		return codec{p.Decode, p.Append, p}, true
	case packet.PUBLISH:
		p := &packet.Publish{}
		return codec{p.Decode, p.Append, p}, true
	case packet.PUBACK, packet.PUBREC, packet.PUBREL, packet.PUBCOMP:
		p := &packet.Ack{}
		return codec{p.Decode, p.Append, p}, true
	case packet.SUBSCRIBE:
		p := &packet.Subscribe{}
		return codec{p.Decode, p.Append, p}, true
	case packet.SUBACK:
		p := &packet.Suback{}
		return codec{p.Decode, p.Append, p}, true
	case packet.UNSUBSCRIBE:
		p := &packet.Unsubscribe{}
		return codec{p.Decode, p.Append, p}, true
	case packet.UNSUBACK:
		p := &packet.Unsuback{}
		return codec{p.Decode, p.Append, p}, true
	case packet.PINGREQ, packet.PINGRESP:
		p := &empty{packet.TypeOf(first)}
		write := packet.AppendPingreq
		if p.Type == packet.PINGRESP {
			write = packet.AppendPingresp
		}
		return codec{packet.DecodeEmpty, func(b []byte, _ mqtt.Version) []byte { return write(b) }, p}, true
	case packet.DISCONNECT:
		p := &packet.Disconnect{}
		return codec{p.Decode, p.Append, p}, true
	case packet.AUTH:
		p := &packet.Auth{}
		return codec{func(b []byte, _ mqtt.Version) error { return p.Decode(b) }, func(b []byte, _ mqtt.Version) []byte { return p.Append(b) }, p}, true
	}
	return codec{}, false
}

// structures are packets with everything in them, and with next to nothing.
func structures() []codec {
	user := []packet.UserProperty{{Name: "a", Value: "1"}, {Name: "a", Value: ""}}
	props := mqtt.Properties(nil).AppendPayloadFormat(true).AppendUser("k", "v").AppendContentType("text/plain").
		AppendResponseTopic("r/t").AppendUser("k", "w").AppendCorrelationData([]byte{0, 1})
	connect := func(p packet.Connect) codec {
		return codec{append: func(b []byte, _ mqtt.Version) []byte { return p.Append(b) }, value: &p}
	}
	ack := func(p packet.Ack) codec { return codec{append: p.Append, value: &p} }
	return []codec{
		connect(packet.Connect{Version: mqtt.V31, KeepAlive: 60, ClientID: "c", ReceiveMaximum: 65535, RequestProblem: true}),
		connect(packet.Connect{Version: mqtt.V311, CleanStart: true, ReceiveMaximum: 65535, RequestProblem: true}),
		connect(packet.Connect{Version: mqtt.V5, CleanStart: true, KeepAlive: 65535, ClientID: "c", HasWill: true,
			Will:        packet.Will{Topic: "w", Payload: []byte{1}, QoS: 2, Retain: true, Delay: 5, Expiry: 9, HasExpiry: true, Props: props},
			HasUsername: true, HasPassword: true, Username: "u", Password: []byte{0, 255}, SessionExpiry: 7, ReceiveMaximum: 3, MaxPacketSize: 200,
			TopicAliasMax: 4, RequestResponse: true, User: user, AuthMethod: "m", AuthData: []byte{}}),
		{append: (&packet.Connack{SessionPresent: true, SessionExpiry: new(uint32(1)), ReceiveMaximum: 2, MaxQoS: new(byte(1)), RetainAvailable: new(false),
			MaxPacketSize: 3, AssignedClientID: "id", TopicAliasMax: 4, ReasonString: "why", ServerKeepAlive: new(uint16(5)), User: user, NoWildcard: true,
			NoSubscriptionIDs: true, NoShared: true, ResponseInfo: "ri", ServerReference: "sr", AuthMethod: "m", AuthData: []byte("x")}).Append},
		{append: (&packet.Publish{Dup: true, QoS: 1, Retain: true, Topic: []byte("t/ü"), PacketID: 65535, Payload: []byte("p"), TopicAlias: 9, Expiry: 0,
			HasExpiry: true, SubscriptionIDs: []uint32{1, 268435455}, Props: props}).Append},
		{append: (&packet.Publish{Topic: []byte("t"), Payload: []byte(strings.Repeat("x", 20000))}).Append},
		ack(packet.Ack{Type: packet.PUBACK, PacketID: 1}),
		ack(packet.Ack{Type: packet.PUBREC, PacketID: 1, Reason: mqtt.QuotaExceeded}),
		ack(packet.Ack{Type: packet.PUBREL, PacketID: 1, Reason: mqtt.PacketIdentifierNotFound, ReasonString: strings.Repeat("r", 200), User: user}),
		ack(packet.Ack{Type: packet.PUBCOMP, PacketID: 1, User: user}),
		{append: (&packet.Subscribe{PacketID: 2, User: user, Subscriptions: []mqtt.Subscription{{Filter: "a/+", QoS: 1, ID: 128},
			{Filter: "$share/g/#", QoS: 2, RetainAsPublished: true, RetainHandling: 2, ID: 128}, {Filter: "#", NoLocal: true, ID: 128}}}).Append},
		{append: (&packet.Suback{PacketID: 2, Reasons: []mqtt.ReasonCode{0, 1, 2, mqtt.NotAuthorized}, ReasonString: "x", User: user}).Append},
		{append: (&packet.Unsubscribe{PacketID: 3, Filters: []string{"a", "b/#"}, User: user}).Append},
		{append: (&packet.Unsuback{PacketID: 3, Reasons: []mqtt.ReasonCode{0, 0x11}, ReasonString: "y", User: user}).Append},
		{append: (&packet.Disconnect{Reason: mqtt.DisconnectWithWill, SessionExpiry: 0, HasSessionExpiry: true, ReasonString: "z", ServerReference: "s", User: user}).Append},
		{append: (&packet.Disconnect{}).Append},
		{append: func(b []byte, _ mqtt.Version) []byte {
			return (&packet.Auth{Reason: mqtt.ContinueAuthentication, Method: "m", Data: []byte("d"), ReasonString: "r", User: user}).Append(b)
		}},
		{append: func(b []byte, _ mqtt.Version) []byte { return (&packet.Auth{}).Append(b) }},
		{append: func(b []byte, _ mqtt.Version) []byte { return packet.AppendPingreq(b) }},
		{append: func(b []byte, _ mqtt.Version) []byte { return packet.AppendPingresp(b) }},
	}
}

func TestAppend_IsReadBackTheSame(t *testing.T) {
	for i, s := range structures() {
		for _, v := range versions {
			prefix := []byte("before")
			whole := s.append(prefix, v)
			require.Equal(t, "before", string(whole[:6]))
			raw := whole[6:]
			n, err := packet.Length(raw, 0)
			require.NoError(t, err)
			require.Equal(t, len(raw), n)

			c, _ := codecOf(raw[0])
			name := fmt.Sprintf("structure %d, version %d, %s", i, v, packet.TypeOf(raw[0]))
			require.NoError(t, c.decode(raw, v), name)
			require.Equal(t, raw, c.append(nil, v), name)
			if connect, ok := s.value.(*packet.Connect); ok {
				require.Equal(t, connect, c.value)
			}
			if v == mqtt.V5 {
				again, _ := codecOf(raw[0])
				require.NoError(t, again.decode(c.append(nil, v), v))
				require.True(t, reflect.DeepEqual(c.value, again.value), name)
			}
		}
	}
}

func TestDecode_RefusesEveryShortenedPacket(t *testing.T) {
	for _, s := range structures() {
		for _, v := range versions {
			raw := s.append(nil, v)
			for n := range raw[:min(len(raw), 300)] {
				c, _ := codecOf(raw[0])
				err := c.decode(raw[:n:n], v)
				require.Error(t, err)
				require.IsType(t, &packet.Error{}, err)
			}
		}
	}
}

func TestTopicOf_IsWhatDecodeFinds(t *testing.T) {
	for _, v := range versions {
		for _, size := range []int{0, 100, 200, 20_000} { // the remaining length takes one to three bytes
			for _, qos := range []mqtt.QoS{mqtt.AtMostOnce, mqtt.AtLeastOnce} {
				raw := (&packet.Publish{Topic: []byte("a/b"), QoS: qos, PacketID: uint16(qos), Payload: make([]byte, size)}).Append(nil, v)
				var p packet.Publish
				require.NoError(t, p.Decode(raw, v))
				require.Equal(t, p.Topic, packet.TopicOf(raw))
			}
		}
	}
	whole := (&packet.Publish{Topic: []byte("a/b")}).Append(nil, mqtt.V311)
	for n := range len(whole) {
		require.Nil(t, packet.TopicOf(whole[:n]), "%d bytes", n)
	}
}
