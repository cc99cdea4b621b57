package packet_test

import (
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"fieldgate/broker/mqtt"
	"fieldgate/broker/packet"
)

// golden reads testdata/NAME.hex: hex bytes, # begins a comment. The version is a
// word of the name.
func golden(t testing.TB, name string) (raw []byte, v mqtt.Version) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", name+".hex"))
	require.NoError(t, err)
	for line := range strings.Lines(string(text)) {
		digits, _, _ := strings.Cut(line, "#")
		bytes, err := hex.DecodeString(strings.Join(strings.Fields(digits), ""))
		require.NoError(t, err, name)
		raw = append(raw, bytes...)
	}
	switch strings.Split(name, "_")[1] {
	case "v31":
		v = mqtt.V31
	case "v311":
		v = mqtt.V311
	case "v5":
		v = mqtt.V5
	}
	require.NotZero(t, v, name)
	return raw, v
}

// goldenNames lists the files, so that none is there without a row in the table.
func goldenNames(t testing.TB) (names []string) {
	t.Helper()
	files, err := filepath.Glob("testdata/*.hex")
	require.NoError(t, err)
	for _, file := range files {
		names = append(names, strings.TrimSuffix(filepath.Base(file), ".hex"))
	}
	require.NotEmpty(t, names)
	return names
}

// goldenPacket is what a file says; with otherForm the packet is written in
// another way than it was read.
type goldenPacket struct {
	want      any
	otherForm bool
}

func goldenPackets() map[string]goldenPacket {
	ab := []packet.UserProperty{{Name: "a", Value: "b"}}
	connect := func(p packet.Connect) *packet.Connect {
		if p.Version != mqtt.V5 || p.ReceiveMaximum == 0 {
			p.ReceiveMaximum, p.RequestProblem = 65535, true
		}
		return &p
	}
	return map[string]goldenPacket{
		"connect_v31_full": {want: connect(packet.Connect{Version: mqtt.V31, KeepAlive: 10, ClientID: "meter", HasWill: true,
			Will: packet.Will{Topic: "w/t", Payload: []byte("gone"), QoS: 1, Retain: true}, HasUsername: true, HasPassword: true, Username: "u", Password: []byte("p")})},
		"connect_v31_fields_left_out": {want: connect(packet.Connect{Version: mqtt.V31, CleanStart: true, ClientID: "c"}), otherForm: true},
		"connack_v31_refused":         {want: &packet.Connack{Reason: mqtt.BadUserNameOrPassword}},
		"subscribe_v31_dup":           {want: &packet.Subscribe{PacketID: 7, Subscriptions: []mqtt.Subscription{{Filter: "a/+", QoS: 1}}}, otherForm: true},
		"pubrel_v31_dup":              {want: &packet.Ack{Type: packet.PUBREL, PacketID: 7}, otherForm: true},

		"connect_v311_minimal": {want: connect(packet.Connect{Version: mqtt.V311, CleanStart: true})},
		"connect_v311_full": {want: connect(packet.Connect{Version: mqtt.V311, KeepAlive: 60, ClientID: "gateway-7", HasWill: true,
			Will: packet.Will{Topic: "fieldgate/ü/$state", Payload: []byte{}, QoS: 2, Retain: true}, HasUsername: true, HasPassword: true, Username: "ann", Password: []byte{0, 255}})},
		"connack_v311_accepted":   {want: &packet.Connack{SessionPresent: true}},
		"connack_v311_refused":    {want: &packet.Connack{Reason: mqtt.NotAuthorized}},
		"publish_v311_qos0":       {want: &packet.Publish{Topic: []byte("a/b"), Payload: []byte("230.1")}},
		"publish_v311_qos2_empty": {want: &packet.Publish{Dup: true, QoS: 2, Retain: true, Topic: []byte("a"), PacketID: 65535, Payload: []byte{}}},
		"publish_v311_qos1_long":  {want: &packet.Publish{QoS: 1, Topic: []byte("t"), PacketID: 1, Payload: []byte(strings.Repeat("x", 200))}},
		"puback_v311":             {want: &packet.Ack{Type: packet.PUBACK, PacketID: 0x1234}},
		"pubrec_v311":             {want: &packet.Ack{Type: packet.PUBREC, PacketID: 0x1234}},
		"pubrel_v311":             {want: &packet.Ack{Type: packet.PUBREL, PacketID: 0x1234}},
		"pubcomp_v311":            {want: &packet.Ack{Type: packet.PUBCOMP, PacketID: 0x1234}},
		"subscribe_v311":          {want: &packet.Subscribe{PacketID: 10, Subscriptions: []mqtt.Subscription{{Filter: "a/b", QoS: 1}, {Filter: "+/c/#", QoS: 2}}}},
		"suback_v311":             {want: &packet.Suback{PacketID: 10, Reasons: []mqtt.ReasonCode{mqtt.GrantedQoS1, mqtt.UnspecifiedError}}},
		"unsubscribe_v311":        {want: &packet.Unsubscribe{PacketID: 11, Filters: []string{"a/b", "#"}}},
		"unsuback_v311":           {want: &packet.Unsuback{PacketID: 11}},
		"pingreq_v311":            {want: &empty{packet.PINGREQ}},
		"pingresp_v311":           {want: &empty{packet.PINGRESP}},
		"disconnect_v311":         {want: &packet.Disconnect{}},

		"connect_v5_minimal": {want: connect(packet.Connect{Version: mqtt.V5, ClientID: "c"})},
		"connect_v5_full": {want: connect(packet.Connect{Version: mqtt.V5, CleanStart: true, KeepAlive: 60, ClientID: "c", HasWill: true,
			Will: packet.Will{Topic: "w", Payload: []byte("bye"), QoS: 2, Retain: true, Delay: 30, Expiry: 60, HasExpiry: true,
				Props: mqtt.Properties(nil).AppendPayloadFormat(true).AppendContentType("text/plain").AppendResponseTopic("r").AppendCorrelationData([]byte{7}).AppendUser("k", "v")},
			HasUsername: true, HasPassword: true, Username: "u", Password: []byte("p"), SessionExpiry: 3600, ReceiveMaximum: 20, MaxPacketSize: 65536, TopicAliasMax: 10,
			RequestResponse: true, User: []packet.UserProperty{{Name: "a", Value: "1"}, {Name: "a", Value: "2"}}, AuthMethod: "SCRAM", AuthData: []byte{1, 2}})},
		"connect_v5_password_alone": {want: connect(packet.Connect{Version: mqtt.V5, HasPassword: true, Password: []byte("token")})},
		"connack_v5_minimal":        {want: &packet.Connack{}},
		"connack_v5_full": {want: &packet.Connack{SessionPresent: true, SessionExpiry: new(uint32(0)), ReceiveMaximum: 10, MaxQoS: new(byte(1)), RetainAvailable: new(false),
			MaxPacketSize: 1048576, AssignedClientID: "auto-1", TopicAliasMax: 5, ReasonString: "ok", ServerKeepAlive: new(uint16(30)), User: []packet.UserProperty{{Name: "n", Value: "v"}},
			NoWildcard: true, NoSubscriptionIDs: true, NoShared: true, ResponseInfo: "resp/", ServerReference: "other", AuthMethod: "m", AuthData: []byte{}}},
		"publish_v5_qos0": {want: &packet.Publish{Topic: []byte("a/b"), Payload: []byte("1")}},
		"publish_v5_full": {want: &packet.Publish{Dup: true, QoS: 1, Retain: true, Topic: []byte("cmd/set"), PacketID: 300, Payload: []byte(`{"value":1}`), TopicAlias: 3,
			Expiry: 5, HasExpiry: true, SubscriptionIDs: []uint32{1, 268435455},
			Props: mqtt.Properties(nil).AppendPayloadFormat(true).AppendContentType("application/json").AppendResponseTopic("cmd/result").
				AppendCorrelationData([]byte{0, 1}).AppendUser("a", "1").AppendUser("a", "2")}},
		"publish_v5_mixed": {want: &packet.Publish{Topic: []byte("t"), Payload: []byte("x"), TopicAlias: 9, HasExpiry: true,
			Props: mqtt.Properties(nil).AppendUser("a", "1").AppendUser("b", "2").AppendPayloadFormat(false)}, otherForm: true},
		"publish_v5_alias":     {want: &packet.Publish{QoS: 2, Topic: []byte{}, PacketID: 2, TopicAlias: 1, Payload: []byte{}}},
		"puback_v5_reason":     {want: &packet.Ack{Type: packet.PUBACK, PacketID: 1, Reason: mqtt.NoMatchingSubscribers}},
		"pubrec_v5_full":       {want: &packet.Ack{Type: packet.PUBREC, PacketID: 1, Reason: mqtt.QuotaExceeded, ReasonString: "full", User: []packet.UserProperty{{Name: "a"}}}},
		"pubrel_v5_reason":     {want: &packet.Ack{Type: packet.PUBREL, PacketID: 1, Reason: mqtt.PacketIdentifierNotFound}},
		"pubcomp_v5_long_form": {want: &packet.Ack{Type: packet.PUBCOMP, PacketID: 1}, otherForm: true},
		"subscribe_v5_full": {want: &packet.Subscribe{PacketID: 10, User: ab, Subscriptions: []mqtt.Subscription{
			{Filter: "a/#", QoS: 1, NoLocal: true, RetainAsPublished: true, RetainHandling: 2, ID: 128}, {Filter: "$share/g/b/+", QoS: 2, RetainHandling: 1, ID: 128}}}},
		"suback_v5_full":       {want: &packet.Suback{PacketID: 10, ReasonString: "no", User: ab, Reasons: []mqtt.ReasonCode{mqtt.GrantedQoS2, mqtt.SharedSubscriptionsNotSupported}}},
		"unsubscribe_v5_full":  {want: &packet.Unsubscribe{PacketID: 11, User: ab, Filters: []string{"$share/g/b/+"}}},
		"unsuback_v5_full":     {want: &packet.Unsuback{PacketID: 11, ReasonString: "no", User: ab, Reasons: []mqtt.ReasonCode{mqtt.NoSubscriptionExisted, mqtt.Success}}},
		"disconnect_v5_normal": {want: &packet.Disconnect{}},
		"disconnect_v5_reason": {want: &packet.Disconnect{Reason: mqtt.ServerShuttingDown}},
		"disconnect_v5_full": {want: &packet.Disconnect{Reason: mqtt.DisconnectWithWill, SessionExpiry: 0xFFFFFFFF, HasSessionExpiry: true, ReasonString: "later",
			ServerReference: "other", User: ab}},
		"auth_v5_success": {want: &packet.Auth{}},
		"auth_v5_full":    {want: &packet.Auth{Reason: mqtt.ContinueAuthentication, Method: "SCRAM", Data: []byte{1}, ReasonString: "more", User: ab}},
	}
}

func TestGolden_PacketsAreReadAndWritten(t *testing.T) {
	table := goldenPackets()
	require.Len(t, table, len(goldenNames(t)))
	for _, name := range goldenNames(t) {
		t.Run(name, func(t *testing.T) {
			row, known := table[name]
			require.True(t, known, "no row in the table")
			raw, v := golden(t, name)
			size, err := packet.Length(raw, 0)
			require.NoError(t, err)
			require.Equal(t, len(raw), size)

			c, _ := codecOf(raw[0])
			require.NoError(t, c.decode(raw, v))
			require.Equal(t, row.want, normal(c.value))
			written := c.append(nil, v)
			if row.otherForm {
				require.NotEqual(t, raw, written)
			} else {
				require.Equal(t, raw, written)
			}
			again, _ := codecOf(raw[0])
			require.NoError(t, again.decode(written, v))
			require.Equal(t, row.want, normal(again.value))
			if p, ok := c.value.(*packet.Publish); ok {
				require.Equal(t, len(written), p.Size(v))
			}
		})
	}
}

// normal makes an empty list that was used again the nil that the table has.
func normal(value any) any {
	if p, ok := value.(*packet.Publish); ok && len(p.SubscriptionIDs) == 0 {
		p.SubscriptionIDs = nil
	}
	return value
}
