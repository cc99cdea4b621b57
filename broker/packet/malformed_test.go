package packet_test

import (
	"encoding/hex"
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"fieldgate/broker/mqtt"
	"fieldgate/broker/packet"
)

func TestDecode_RefusesWhatTheSpecificationForbids(t *testing.T) {
	const (
		v31, v311, v5 = mqtt.V31, mqtt.V311, mqtt.V5
		malformed     = mqtt.MalformedPacket
		protocol      = mqtt.ProtocolError
	)
	// The remaining length is put in by the test: a row has the first byte, a
	// vertical bar, and the body.
	tests := []struct {
		name    string
		version mqtt.Version
		hex     string
		reason  mqtt.ReasonCode
		clause  string
	}{
		// fixed header
		{"flags of PUBACK", v311, "41|0001", malformed, "v3.1.1 MQTT-2.2.2-2"},
		{"flags of PUBREL", v311, "60|0001", malformed, "v3.1.1 MQTT-2.2.2-2"},
		{"flags of PUBREL", v5, "63|0001", malformed, "v5 MQTT-2.1.3-1"},
		{"flags of PUBREL of 3.1 without QoS 1", v31, "60|0001", malformed, "v3.1.1 MQTT-2.2.2-2"},
		{"flags of SUBSCRIBE", v311, "80|0001000161 00", malformed, "v3.1.1 MQTT-2.2.2-2"},
		{"DUP in SUBSCRIBE", v311, "8a|0001000161 00", malformed, "v3.1.1 MQTT-2.2.2-2"},
		{"flags of UNSUBSCRIBE", v5, "a0|0001 00 000161", malformed, "v5 MQTT-2.1.3-1"},
		{"flags of PINGREQ", v311, "c1|", malformed, "v3.1.1 MQTT-2.2.2-2"},
		{"flags of DISCONNECT", v5, "e1|", malformed, "v5 MQTT-2.1.3-1"},
		{"flags of AUTH", v5, "f1|", malformed, "v5 MQTT-2.1.3-1"},
		{"flags of CONNECT", v311, "11|00044d515454 04 02 0000 0000", malformed, "v3.1.1 MQTT-2.2.2-2"},
		{"body of PINGREQ", v311, "c0|00", malformed, "v3.1.1 MQTT-4.8.0-1"},
		{"body of DISCONNECT", v311, "e0|00", malformed, "v3.1.1 MQTT-4.8.0-1"},

		// packet identifier
		{"identifier 0 of PUBLISH", v311, "32|000161 0000", protocol, "v3.1.1 MQTT-2.3.1-1"},
		{"identifier 0 of PUBLISH", v5, "34|000161 0000 00", protocol, "v5 MQTT-2.2.1-3"},
		{"identifier 0 of PUBACK", v311, "40|0000", protocol, "v3.1.1 MQTT-2.3.1-1"},
		{"identifier 0 of SUBSCRIBE", v5, "82|0000 00 000161 00", protocol, "v5 MQTT-2.2.1-3"},
		{"identifier 0 of UNSUBSCRIBE", v311, "a2|0000 000161", protocol, "v3.1.1 MQTT-2.3.1-1"},
		{"torn identifier", v311, "40|00", malformed, "v3.1.1 MQTT-4.8.0-1"},
		{"bytes behind PUBACK", v311, "40|0001 00", malformed, "v3.1.1 MQTT-4.8.0-1"},
		{"bytes behind UNSUBACK", v311, "b0|0001 00", malformed, "v3.1.1 MQTT-4.8.0-1"},

		// strings
		{"surrogate", v311, "30|0003eda080", malformed, "v3.1.1 MQTT-1.5.3-1"},
		{"surrogate", v5, "30|0003eda080 00", malformed, "v5 MQTT-1.5.4-1"},
		{"overlong slash", v311, "30|0002c0af", malformed, "v3.1.1 MQTT-1.5.3-1"},
		{"above U+10FFFF", v311, "30|0004f4908080", malformed, "v3.1.1 MQTT-1.5.3-1"},
		{"U+0000", v311, "30|0003610062", malformed, "v3.1.1 MQTT-1.5.3-2"},
		{"U+0000", v5, "30|0003610062 00", malformed, "v5 MQTT-1.5.4-2"},
		{"string longer than the packet", v311, "30|000561", malformed, "v3.1.1 MQTT-4.8.0-1"},
		{"length of a string torn", v311, "30|00", malformed, "v3.1.1 MQTT-4.8.0-1"},

		// CONNECT
		{"reserved connect flag", v311, "10|00044d515454 04 01 0000 0000", malformed, "v3.1.1 MQTT-3.1.2-3"},
		{"reserved connect flag", v5, "10|00044d515454 05 03 0000 00 0000", malformed, "v5 MQTT-3.1.2-3"},
		{"foreign protocol", v311, "10|000448545450 04 02 0000 0000", mqtt.UnsupportedProtocolVersion, "v3.1.1 MQTT-3.1.2-1"},
		{"level 3 of MQTT", v311, "10|00044d515454 03 02 0000 0000", mqtt.UnsupportedProtocolVersion, "v3.1.1 MQTT-3.1.2-2"},
		{"level 4 of MQIsdp", v311, "10|00064d5149736470 04 02 0000 0000", mqtt.UnsupportedProtocolVersion, "v3.1.1 MQTT-3.1.2-2"},
		{"level 6", v5, "10|00044d515454 06 02 0000 00 0000", mqtt.UnsupportedProtocolVersion, "v5 MQTT-3.1.2-2"},
		{"will QoS 3", v311, "10|00044d515454 04 1e 0000 0000 000161 0000", malformed, "v3.1.1 MQTT-3.1.2-14"},
		{"will QoS 3", v5, "10|00044d515454 05 1e 0000 00 0000 00 000161 0000", malformed, "v5 MQTT-3.1.2-12"},
		{"will QoS 3", v31, "10|00064d5149736470 03 1e 0000 000161 000161 0000", malformed, "v3.1.1 MQTT-3.1.2-14"},
		{"will QoS without will", v311, "10|00044d515454 04 0a 0000 0000", malformed, "v3.1.1 MQTT-3.1.2-13"},
		{"will QoS without will", v5, "10|00044d515454 05 0a 0000 00 0000", malformed, "v5 MQTT-3.1.2-11"},
		{"will retain without will", v311, "10|00044d515454 04 22 0000 0000", malformed, "v3.1.1 MQTT-3.1.2-15"},
		{"will retain without will", v5, "10|00044d515454 05 22 0000 00 0000", malformed, "v5 MQTT-3.1.2-13"},
		{"password without user name", v311, "10|00044d515454 04 42 0000 0000 000170", protocol, "v3.1.1 MQTT-3.1.2-22"},
		{"password without user name", v31, "10|00064d5149736470 03 42 0000 000161 000170", protocol, "v3.1.1 MQTT-3.1.2-22"},
		{"user name missing", v311, "10|00044d515454 04 82 0000 0000", malformed, "v3.1.1 MQTT-4.8.0-1"},
		{"client identifier not UTF-8", v311, "10|00044d515454 04 02 0000 0001ff", malformed, "v3.1.1 MQTT-1.5.3-1"},
		{"will topic with a wildcard", v311, "10|00044d515454 04 06 0000 0000 0003612f23 0000", protocol, "v3.1.1 MQTT-4.7.1-1"},
		{"will topic with a wildcard", v5, "10|00044d515454 05 06 0000 00 0000 00 0003612f2b 0000", protocol, "v5 MQTT-4.7.0-1"},
		{"will topic empty", v311, "10|00044d515454 04 06 0000 0000 0000 0000", protocol, "v3.1.1 MQTT-4.7.3-1"},
		{"bytes behind CONNECT", v311, "10|00044d515454 04 02 0000 0000 00", malformed, "v3.1.1 MQTT-4.8.0-1"},
		{"authentication data alone", v5, "10|00044d515454 05 02 0000 04 16000101 0000", protocol, "v5 3.1.2.11.10"},
		{"receive maximum 0", v5, "10|00044d515454 05 02 0000 03 210000 0000", protocol, "v5 3.1.2.11.3"},
		{"maximum packet size 0", v5, "10|00044d515454 05 02 0000 05 2700000000 0000", protocol, "v5 3.1.2.11.4"},
		{"request problem information 2", v5, "10|00044d515454 05 02 0000 02 1702 0000", protocol, "v5 3.1.2.11.7"},
		{"will delay outside the will", v5, "10|00044d515454 05 02 0000 05 1800000001 0000", malformed, "v5 2.2.2.2"},
		{"session expiry twice", v5, "10|00044d515454 05 02 0000 0a 1100000001 1100000001 0000", protocol, "v5 3.1.2.11.2"},

		// CONNACK
		{"reserved acknowledge flags", v311, "20|0200", malformed, "v3.1.1 3.2.2.1"},
		{"reserved acknowledge flags", v5, "20|8000 00", malformed, "v5 MQTT-3.2.2-1"},
		{"session present with a refusal", v311, "20|0105", protocol, "v3.1.1 MQTT-3.2.2-4"},
		{"session present with a refusal", v5, "20|0187 00", protocol, "v5 MQTT-3.2.2-6"},
		{"return code 6", v311, "20|0006", protocol, "v3.1.1 3.2.2.3"},
		{"reason of DISCONNECT", v5, "20|008b 00", protocol, "v5 MQTT-3.2.2-8"},
		{"maximum QoS 2", v5, "20|0000 02 2402", protocol, "v5 3.2.2.3.4"},

		// PUBLISH
		{"QoS 3", v311, "36|000161 0001", malformed, "v3.1.1 MQTT-3.3.1-4"},
		{"QoS 3", v5, "36|000161 0001 00", malformed, "v5 MQTT-3.3.1-4"},
		{"DUP with QoS 0", v311, "38|000161", malformed, "v3.1.1 MQTT-3.3.1-2"},
		{"DUP with QoS 0", v5, "38|000161 00", malformed, "v5 MQTT-3.3.1-2"},
		{"wildcard in a topic name", v311, "30|0003612f23", protocol, "v3.1.1 MQTT-3.3.2-2"},
		{"wildcard in a topic name", v5, "30|00012b 00", protocol, "v5 MQTT-3.3.2-2"},
		{"empty topic name", v311, "30|0000", mqtt.ProtocolError, "v3.1.1 MQTT-4.7.3-1"},
		{"empty topic name without alias", v5, "30|0000 00", mqtt.ProtocolError, "v5 MQTT-4.7.3-1"},
		{"topic alias 0", v5, "30|000161 03 230000", mqtt.TopicAliasInvalid, "v5 MQTT-3.3.2-8"},
		{"topic alias twice", v5, "30|000161 06 230001230001", protocol, "v5 MQTT-3.3.2-8"},
		{"payload format 2", v5, "30|000161 02 0102", protocol, "v5 3.3.2.3.2"},
		{"message expiry twice", v5, "30|000161 0a 0200000001 0200000001", protocol, "v5 3.3.2.3.3"},
		{"content type twice", v5, "30|000161 06 030000 030000", protocol, "v5 3.3.2.3.9"},
		{"correlation data twice", v5, "30|000161 06 090000 090000", protocol, "v5 3.3.2.3.6"},
		{"response topic with a wildcard", v5, "30|000161 04 080001 2b", protocol, "v5 MQTT-3.3.2-14"},
		{"response topic empty", v5, "30|000161 03 080000", protocol, "v5 MQTT-4.7.3-1"},
		{"user property not UTF-8", v5, "30|000161 07 26 0001ff 000161", malformed, "v5 MQTT-1.5.4-1"},
		{"subscription identifier 0", v5, "30|000161 02 0b00", protocol, "v5 3.8.2.1.2"},
		{"subscription identifier longer than needed", v5, "30|000161 03 0b8100", malformed, "v5 MQTT-1.5.5-1"},
		{"subscription identifier of five bytes", v5, "30|000161 06 0b8080808001", malformed, "v5 MQTT-1.5.5-1"},
		{"property length longer than needed", v5, "30|000161 8000", malformed, "v5 MQTT-1.5.5-1"},
		{"property length above the packet", v5, "30|000161 05 0101", malformed, "v5 MQTT-4.13.1-1"},
		{"property length missing", v5, "30|000161", malformed, "v5 MQTT-4.13.1-1"},
		{"property torn by the property length", v5, "30|000161 02 0200000001", malformed, "v5 2.2.2.1"},
		{"unknown property", v5, "30|000161 02 0401", malformed, "v5 2.2.2.2"},
		{"property identifier of two bytes", v5, "30|000161 03 8101 01", malformed, "v5 2.2.2.2"},
		{"session expiry in PUBLISH", v5, "30|000161 05 1100000001", malformed, "v5 2.2.2.2"},

		// acknowledgements
		{"reason of CONNACK in PUBACK", v5, "40|0001 84", protocol, "v5 MQTT-3.4.2-1"},
		{"unknown reason in PUBREC", v5, "50|0001 ff", protocol, "v5 MQTT-3.5.2-1"},
		{"reason of PUBREC in PUBREL", v5, "62|0001 97", protocol, "v5 MQTT-3.6.2-1"},
		{"reason of PUBREC in PUBCOMP", v5, "70|0001 10", protocol, "v5 MQTT-3.7.2-1"},
		{"reason string twice", v5, "40|0001 00 06 1f0000 1f0000", protocol, "v5 3.2.2.3.9"},
		{"bytes behind the properties", v5, "40|0001 00 00 00", malformed, "v5 MQTT-4.13.1-1"},

		// SUBSCRIBE, UNSUBSCRIBE and their answers
		{"no filter", v311, "82|0001", protocol, "v3.1.1 MQTT-3.8.3-3"},
		{"no filter", v5, "82|0001 00", protocol, "v5 MQTT-3.8.3-2"},
		{"no filter to end", v311, "a2|0001", protocol, "v3.1.1 MQTT-3.10.3-2"},
		{"QoS 3 of a subscription", v311, "82|0001 000161 03", protocol, "v3.1.1 MQTT-3.8.3-4"},
		{"QoS 3 of a subscription", v5, "82|0001 00 000161 03", protocol, "v5 3.8.3.1"},
		{"reserved bits", v311, "82|0001 000161 04", malformed, "v3.1.1 MQTT-3.8.3-4"},
		{"reserved bits", v5, "82|0001 00 000161 40", malformed, "v5 MQTT-3.8.3-5"},
		{"retain handling 3", v5, "82|0001 00 000161 30", protocol, "v5 3.8.3.1"},
		{"no local on a shared subscription", v5, "82|0001 00 000a 2473686172652f672f61 04", protocol, "v5 MQTT-3.8.3-4"},
		{"share name with a wildcard", v5, "82|0001 00 000a 2473686172652f2b2f61 00", malformed, "v5 MQTT-4.8.2-2"},
		{"share without a filter", v5, "82|0001 00 0008 2473686172652f67 00", malformed, "v5 MQTT-4.8.2-2"},
		{"empty filter", v311, "82|0001 0000 00", malformed, "v3.1.1 MQTT-4.7.3-1"},
		{"# not last", v311, "82|0001 0003232f61 00", malformed, "v3.1.1 MQTT-4.7.1-2"},
		{"# not last", v5, "82|0001 00 0003232f61 00", malformed, "v5 MQTT-4.7.1-1"},
		{"+ not alone", v311, "82|0001 0002612b 00", malformed, "v3.1.1 MQTT-4.7.1-3"},
		{"+ not alone", v5, "a2|0001 00 0002612b", malformed, "v5 MQTT-4.7.1-2"},
		{"filter not UTF-8", v311, "a2|0001 0001ff", malformed, "v3.1.1 MQTT-1.5.3-1"},
		{"options missing", v311, "82|0001 000161", malformed, "v3.1.1 MQTT-4.8.0-1"},
		{"two subscription identifiers", v5, "82|0001 04 0b01 0b02 000161 00", protocol, "v5 3.8.2.1.2"},
		{"return code 3", v311, "90|0001 03", protocol, "v3.1.1 MQTT-3.9.3-2"},
		{"reason of UNSUBACK in SUBACK", v5, "90|0001 00 11", protocol, "v5 MQTT-3.9.3-2"},
		{"reason of SUBACK in UNSUBACK", v5, "b0|0001 00 01", protocol, "v5 MQTT-3.11.3-2"},
		{"no reason in SUBACK", v311, "90|0001", protocol, "v3.1.1 MQTT-4.8.0-1"},
		{"no reason in UNSUBACK", v5, "b0|0001 00", protocol, "v5 MQTT-4.13.1-1"},

		// DISCONNECT and AUTH
		{"reason of CONNACK in DISCONNECT", v5, "e0|86", protocol, "v5 MQTT-3.14.2-1"},
		{"assigned client identifier in DISCONNECT", v5, "e0|00 03 120000", malformed, "v5 2.2.2.2"},
		{"reason of DISCONNECT in AUTH", v5, "f0|04", protocol, "v5 MQTT-3.15.2-1"},
		{"authentication data without method in AUTH", v5, "f0|00 04 160001 07", protocol, "v5 3.15.2.2.2"},
		{"no method in AUTH", v5, "f0|18 00", protocol, "v5 3.15.2.2.2"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			first, body, _ := strings.Cut(strings.ReplaceAll(test.hex, " ", ""), "|")
			raw, err := hex.DecodeString(first + "00" + body)
			require.NoError(t, err)
			raw[1] = byte(len(raw) - 2)
			c, _ := codecOf(raw[0])
			err = c.decode(raw, test.version)
			refused, ok := errors.AsType[*packet.Error](err)
			require.True(t, ok, "got %v", err)
			require.Equal(t, test.clause, refused.Clause, refused.Detail)
			require.Equal(t, test.reason, refused.Reason, refused.Detail)
			require.Contains(t, refused.Detail, packet.TypeOf(raw[0]).String())
		})
	}
}

func TestLength_SaysHowMuchIsNeeded(t *testing.T) {
	tests := []struct {
		name   string
		buf    []byte
		limit  int
		want   int
		reason mqtt.ReasonCode
	}{
		{"nothing", nil, 0, 0, 0},
		{"first byte", []byte{0x30}, 0, 0, 0},
		{"no body", []byte{0xC0, 0}, 0, 2, 0},
		{"body to come", []byte{0x30, 10}, 0, 12, 0},
		{"length to come", []byte{0x30, 0x80, 0x80, 0x80}, 0, 0, 0},
		{"longest", []byte{0x30, 0xFF, 0xFF, 0xFF, 0x7F}, 0, packet.MaxSize, 0},
		{"at the limit", []byte{0x30, 10}, 12, 12, 0},
		{"above the limit", []byte{0x30, 11}, 12, 0, mqtt.PacketTooLarge},
		{"length of five bytes", []byte{0x30, 0xFF, 0xFF, 0xFF, 0xFF}, 0, 0, mqtt.MalformedPacket},
		{"longer than needed, which 3.1.1 allows", []byte{0x30, 0x81, 0x80, 0}, 0, 5, 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			n, err := packet.Length(test.buf, test.limit)
			require.Equal(t, test.want, n)
			if test.reason == 0 {
				require.NoError(t, err)
				return
			}
			refused, ok := errors.AsType[*packet.Error](err)
			require.True(t, ok)
			require.Equal(t, test.reason, refused.Reason)
		})
	}
}

func TestDecode_TakesALongRemainingLengthBefore5(t *testing.T) {
	raw := []byte{0x40, 0x82, 0x00, 0, 1}
	var ack packet.Ack
	require.NoError(t, ack.Decode(raw, mqtt.V311))
	require.ErrorContains(t, ack.Decode(raw, mqtt.V5), "v5 MQTT-1.5.5-1")

	connect := (&packet.Connect{Version: mqtt.V5}).Append(nil)
	long := append([]byte{connect[0], connect[1] | 0x80, 0}, connect[2:]...)
	var p packet.Connect
	require.ErrorContains(t, p.Decode(long), "v5 MQTT-1.5.5-1")
	connect = (&packet.Connect{Version: mqtt.V311}).Append(nil)
	long = append([]byte{connect[0], connect[1] | 0x80, 0}, connect[2:]...)
	require.NoError(t, p.Decode(long))
}

func TestConnect_TellsTheVersionThatItCannotSpeak(t *testing.T) {
	raw := (&packet.Connect{Version: 9}).Append(nil)
	var p packet.Connect
	require.Error(t, p.Decode(raw))
	require.Equal(t, mqtt.Version(9), p.Version)
}

func TestAppend_LeavesOutWhatNoPacketCanCarry(t *testing.T) {
	long := strings.Repeat("x", 65536)
	kept := []byte("kept")
	require.Equal(t, kept, (&packet.Connect{Version: mqtt.V311, ClientID: long}).Append(kept))
	require.Equal(t, kept, (&packet.Connack{ReasonString: long}).Append(kept, mqtt.V5))
	require.Equal(t, kept, (&packet.Subscribe{Subscriptions: []mqtt.Subscription{{Filter: long}}}).Append(kept, mqtt.V311))
	require.Equal(t, kept, (&packet.Publish{Topic: []byte(long)}).Append(kept, mqtt.V311))
	require.Greater(t, (&packet.Publish{Topic: []byte(long)}).Size(mqtt.V311), packet.MaxSize)

	p := packet.Publish{Topic: []byte("t")}
	require.Equal(t, kept, p.AppendHead(kept, mqtt.V311, 268_435_455-2))
	head := p.AppendHead(nil, mqtt.V311, 268_435_455-3)
	size, err := packet.Length(head, 0)
	require.NoError(t, err)
	require.Equal(t, packet.MaxSize, size)
}

func TestSetDelivery_ChangesIdentifierAndDup(t *testing.T) {
	for _, v := range versions {
		for _, size := range []int{0, 200, 70000} {
			p := packet.Publish{QoS: 1, Retain: true, Topic: []byte("a/b"), PacketID: 1, Payload: make([]byte, size)}
			raw := p.Append(nil, v)
			packet.SetDelivery(raw, 0xABCD, true)
			p.PacketID, p.Dup = 0xABCD, true
			require.Equal(t, p.Append(nil, v), raw)
			packet.SetDelivery(raw, 1, false)
			p.PacketID, p.Dup = 1, false
			require.Equal(t, p.Append(nil, v), raw)
		}
	}
}

func TestPublish_PropsStayInPlaceWhenTheyCan(t *testing.T) {
	raw, v := golden(t, "publish_v5_full")
	var p packet.Publish
	require.NoError(t, p.Decode(raw, v))
	before := string(p.Props)
	for i := range raw {
		raw[i] = 0xEE
	}
	require.NotEqual(t, before, string(p.Props), "they point into the packet")

	raw, v = golden(t, "publish_v5_mixed")
	require.NoError(t, p.Decode(raw, v))
}

func TestPublish_PartsEndWhereTheyEnd(t *testing.T) {
	one, v := golden(t, "publish_v5_full")
	buf := append(append([]byte{}, one...), one...)
	var p packet.Publish
	require.NoError(t, p.Decode(buf[:len(one)], v))
	_ = append(p.Topic, 1)
	_ = append(p.Props, 1)
	_ = append(p.Payload, 1)
	require.Equal(t, append(append([]byte{}, one...), one...), buf, "appending to a part must not reach what follows")
}
