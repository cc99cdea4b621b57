package broker_test

import (
	"fmt"
	"io"
	"runtime"
	"testing"

	"fieldgate/broker"
	"fieldgate/broker/access"
	"fieldgate/broker/mqtt"
	"fieldgate/broker/packet"
)

// BenchmarkLoopback sends messages of 64 bytes from one client to some receivers
// over TCP; an operation is one message in and its copies out. Allocations are
// those of the whole process, the two ends of the test included.
func BenchmarkLoopback(b *testing.B) {
	for _, c := range []struct {
		name      string
		qos       mqtt.QoS
		receivers int
		durable   bool
		rules     int
	}{
		{"QoS 0 to 1", 0, 1, false, 0},
		{"QoS 0 to 10", 0, 10, false, 0},
		{"QoS 1 to 1", 1, 1, false, 0},
		{"QoS 1 to 10", 1, 10, false, 0},
		{"QoS 1 to 1 durable", 1, 1, true, 0},
		{"QoS 2 to 1", 2, 1, false, 0},
		{"QoS 0 to 1 with 100 rules", 0, 1, false, 100},
		{"QoS 0 to 10 with 100 rules", 0, 10, false, 100},
		{"QoS 1 to 1 with 100 rules", 1, 1, false, 100},
	} {
		b.Run(c.name, func(b *testing.B) { loopback(b, c.qos, c.receivers, c.durable, c.rules) })
	}
}

func loopback(b *testing.B, qos mqtt.QoS, receivers int, durable bool, rules int) {
	accounts := broker.NewAccounts()
	if rules > 0 {
		accounts.SetPolicy(manyRules(rules))
	}
	br := startWith(b, memory(b), accounts, onTCP)
	const window = 100
	payload := make([]byte, 64)
	done := make(chan struct{}, receivers)
	for i := range receivers {
		c := dial(b, br, packet.Connect{ClientID: fmt.Sprint("s", i), CleanStart: !durable})
		c.subscribe("bench/topic", qos)
		go receiveAll(c, b.N, done)
	}
	pub := dial(b, br, packet.Connect{ClientID: "p", CleanStart: true})
	out := make(chan struct{}, window)
	if qos > 0 {
		go countAcks(pub, out)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	b.ResetTimer()
	var raw []byte
	for n := range b.N {
		p := packet.Publish{Topic: []byte("bench/topic"), Payload: payload, QoS: qos}
		if qos > 0 {
			p.PacketID = uint16(1 + n%60000)
			out <- struct{}{}
		}
		raw = p.Append(raw, mqtt.V311)
		if len(raw) > 4096 || len(out) == window || qos > 0 && len(out) > window/2 || n == b.N-1 {
			if _, err := pub.nc.Write(raw); err != nil {
				b.Fatal(err)
			}
			raw = raw[:0]
		}
	}
	for range receivers {
		<-done
	}
	b.StopTimer()
	runtime.ReadMemStats(&after)
	b.ReportMetric(float64(after.Mallocs-before.Mallocs)/float64(b.N), "mallocs/op")
	pub.close()
}

// manyRules lets everybody use bench/topic by the last one.
func manyRules(n int) *access.Policy {
	var rules []access.Rule
	for i := range n - 1 {
		rules = append(rules, access.Rule{ID: fmt.Sprint("r", i), Filter: fmt.Sprintf("plant/%d/+/value", i), Allow: both})
	}
	return access.New(append(rules, access.Rule{ID: "bench", Filter: "bench/#", Allow: both}), access.DenyWithRules)
}

// receiveAll takes n messages and acknowledges them in batches.
func receiveAll(c *testClient, n int, done chan<- struct{}) {
	defer func() { done <- struct{}{} }()
	var acks []byte
	for n > 0 {
		raw, err := c.tryRecv()
		if err != nil {
			return
		}
		switch qos := mqtt.QoS(raw[0] >> 1 & 3); {
		case packet.TypeOf(raw[0]) == packet.PUBREL:
			acks = packet.AppendAck(acks, packet.PUBCOMP, uint16(raw[2])<<8|uint16(raw[3]))
			n--
		case qos == 0:
			n--
		default:
			if qos == 1 {
				n--
			}
			at := packet.PacketIDOffset(raw)
			acks = packet.AppendAck(acks, packet.PUBACK+packet.Type(qos-1), uint16(raw[at])<<8|uint16(raw[at+1]))
		}
		if c.in.Buffered() == 0 && len(acks) > 0 {
			if _, err := c.nc.Write(acks); err != nil {
				return
			}
			acks = acks[:0]
		}
	}
}

// countAcks frees a place in the window for each message that is done.
func countAcks(c *testClient, out <-chan struct{}) {
	var answer [4]byte
	var rels []byte
	for {
		if _, err := io.ReadFull(c.in, answer[:]); err != nil {
			return
		}
		if packet.TypeOf(answer[0]) == packet.PUBREC {
			rels = packet.AppendAck(rels, packet.PUBREL, uint16(answer[2])<<8|uint16(answer[3]))
		} else {
			<-out
		}
		if c.in.Buffered() == 0 && len(rels) > 0 {
			if _, err := c.nc.Write(rels); err != nil {
				return
			}
			rels = rels[:0]
		}
	}
}
