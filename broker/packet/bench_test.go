package packet_test

import (
	"bytes"
	"fmt"
	"slices"
	"testing"
	"time"

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
	return p
}

// rich is a message with properties, which 5.0 alone has.
func rich(v mqtt.Version, qos mqtt.QoS) packet.Publish {
	p := hotPublish(v, qos)
	p.Props = mqtt.Properties(nil).AppendContentType("application/json").AppendUser("site", "7")
	return p
}

func TestHotPath_AllocatesNothing(t *testing.T) {
	buf := make([]byte, 0, 32<<10)
	for _, v := range versions {
		for qos := range mqtt.QoS(3) {
			out := rich(v, qos)
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
	for _, test := range []struct {
		name string
		v    mqtt.Version
		make func(mqtt.Version, mqtt.QoS) packet.Publish
	}{
		{"3.1.1", mqtt.V311, hotPublish},
		{"5.0", mqtt.V5, hotPublish},
		{"5.0 with properties", mqtt.V5, rich},
	} {
		for _, qos := range []mqtt.QoS{0, 1} {
			out := test.make(test.v, qos)
			raw := out.Append(nil, test.v)
			b.Run(fmt.Sprintf("decode/%s/qos%d", test.name, qos), func(b *testing.B) {
				b.ReportAllocs()
				var in packet.Publish
				for b.Loop() {
					if err := in.Decode(raw, test.v); err != nil {
						b.Fatal(err)
					}
				}
			})
			b.Run(fmt.Sprintf("append/%s/qos%d", test.name, qos), func(b *testing.B) {
				b.ReportAllocs()
				buf := make([]byte, 0, 4096)
				for b.Loop() {
					buf = out.Append(buf[:0], test.v)
				}
			})
		}
	}
}

// BenchmarkPublishOf5AgainstOlder decodes both in turns, so that both meet the same load of the machine.
func BenchmarkPublishOf5AgainstOlder(b *testing.B) {
	decode := func(v mqtt.Version) time.Duration {
		out := hotPublish(v, 0)
		raw := out.Append(nil, v)
		var in packet.Publish
		began := time.Now()
		for range 10_000 {
			if err := in.Decode(raw, v); err != nil {
				b.Fatal(err)
			}
		}
		return time.Since(began)
	}
	var ratios []float64
	for b.Loop() {
		older := decode(mqtt.V311)
		ratios = append(ratios, float64(decode(mqtt.V5))/float64(older))
	}
	slices.Sort(ratios)
	b.ReportMetric(ratios[len(ratios)/2], "of-3.1.1")
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
