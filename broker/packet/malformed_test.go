package packet_test

import (
	"encoding/hex"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"fieldgate/broker/mqtt"
	"fieldgate/broker/packet"
)

func TestDecode_RefusesWhatTheSpecificationForbids(t *testing.T) {
	for _, test := range malformed(t) {
		t.Run(test.name, func(t *testing.T) {
			c, _ := codecOf(test.raw[0])
			err := c.decode(test.raw, test.version)
			refused, ok := errors.AsType[*packet.Error](err)
			require.True(t, ok, "got %v", err)
			require.Equal(t, test.clause, refused.Clause, refused.Detail)
			require.Equal(t, test.reason, refused.Reason.String(), refused.Detail)
			require.Contains(t, refused.Detail, packet.TypeOf(test.raw[0]).String())
		})
	}
}

// malformedPacket is a row of testdata/malformed.txt.
type malformedPacket struct {
	name           string
	version        mqtt.Version
	raw            []byte
	reason, clause string
}

func malformed(t testing.TB) (rows []malformedPacket) {
	text, err := os.ReadFile("testdata/malformed.txt")
	require.NoError(t, err)
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		cells := strings.Split(line, ", ")
		require.Len(t, cells, 5, line)
		version, known := map[string]mqtt.Version{"3.1": mqtt.V31, "3.1.1": mqtt.V311, "5.0": mqtt.V5}[cells[1]]
		require.True(t, known, line)
		first, body, _ := strings.Cut(strings.ReplaceAll(cells[2], " ", ""), "|")
		raw, err := hex.DecodeString(first + "00" + body)
		require.NoError(t, err, line)
		raw[1] = byte(len(raw) - 2)
		rows = append(rows, malformedPacket{cells[0] + " in " + cells[1], version, raw, cells[3], cells[4]})
	}
	require.NotEmpty(t, rows)
	return rows
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
