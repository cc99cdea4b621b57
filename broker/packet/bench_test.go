package packet_test

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"fieldgate/broker/mqtt"
	"fieldgate/broker/packet"
)

// hotPublish is what a meter sends: a topic of 24 bytes and a payload of 64.
func hotPublish(v mqtt.Version, qos mqtt.QoS) packet.Publish {
	p := packet.Publish{QoS: qos, Topic: []byte("fieldgate/meter-12/power"), Payload: bytes.Repeat([]byte("x"), 64)}
	if qos > 0 {
		p.PacketID = 7
	}
	if v == mqtt.V5 {
		p.Props = mqtt.Properties(nil).AppendContentType("application/json").AppendUser("site", "7")
	}
	return p
}

func TestHotPath_AllocatesNothing(t *testing.T) {
	buf := make([]byte, 0, 32<<10)
	for _, v := range versions {
		for qos := range mqtt.QoS(3) {
			out := hotPublish(v, qos)
			raw := out.Append(nil, v)
			var in packet.Publish
			require.Zero(t, testing.AllocsPerRun(100, func() {
				if in.Decode(raw, v) != nil {
					panic("refused")
				}
			}))
			require.Zero(t, testing.AllocsPerRun(100, func() { out.Append(buf, v) }))
		}
		for kind := packet.PUBACK; kind <= packet.PUBCOMP; kind++ {
			raw := packet.AppendAck(nil, kind, 7)
			var ack packet.Ack
			require.Zero(t, testing.AllocsPerRun(100, func() {
				if ack.Decode(raw, v) != nil {
					panic("refused")
				}
			}))
			require.Zero(t, testing.AllocsPerRun(100, func() { ack.Append(buf, v) }))
		}
	}
	for _, s := range structures() {
		require.Zero(t, testing.AllocsPerRun(100, func() { s.append(buf, mqtt.V5) }))
	}
}

func BenchmarkPublish(b *testing.B) {
	for _, v := range []mqtt.Version{mqtt.V311, mqtt.V5} {
		for _, qos := range []mqtt.QoS{0, 1} {
			out := hotPublish(v, qos)
			raw := out.Append(nil, v)
			b.Run(fmt.Sprintf("decode/v%d/qos%d", v, qos), func(b *testing.B) {
				b.ReportAllocs()
				var in packet.Publish
				for b.Loop() {
					if err := in.Decode(raw, v); err != nil {
						b.Fatal(err)
					}
				}
			})
			b.Run(fmt.Sprintf("append/v%d/qos%d", v, qos), func(b *testing.B) {
				b.ReportAllocs()
				buf := make([]byte, 0, 4096)
				for b.Loop() {
					buf = out.Append(buf[:0], v)
				}
			})
		}
	}
}

func BenchmarkSetDelivery(b *testing.B) {
	out := hotPublish(mqtt.V311, 1)
	raw := out.Append(nil, mqtt.V311)
	for b.Loop() {
		packet.SetDelivery(raw, 9, false)
	}
}

func BenchmarkAck(b *testing.B) {
	raw := packet.AppendAck(nil, packet.PUBACK, 7)
	b.Run("decode", func(b *testing.B) {
		b.ReportAllocs()
		var ack packet.Ack
		for b.Loop() {
			if err := ack.Decode(raw, mqtt.V311); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("append", func(b *testing.B) {
		b.ReportAllocs()
		buf := make([]byte, 0, 16)
		for b.Loop() {
			buf = packet.AppendAck(buf[:0], packet.PUBACK, 7)
		}
	})
}
