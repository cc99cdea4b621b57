package broker_test

import (
	"io"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"fieldgate/broker"
	"fieldgate/broker/mqtt"
	"fieldgate/broker/packet"
	"fieldgate/broker/session/sessiontest"
	"fieldgate/internal/fault"
)

// FuzzConnection sends arbitrary bytes as a client that has connected: the broker
// neither panics nor stops serving others.
func FuzzConnection(f *testing.F) {
	var seed []byte
	seed = (&packet.Subscribe{PacketID: 1, Subscriptions: []mqtt.Subscription{{Filter: "a/+", QoS: 2}, {Filter: "#"}}}).Append(seed, mqtt.V311)
	for qos := range mqtt.QoS(3) {
		seed = (&packet.Publish{Topic: []byte("a/b"), QoS: qos, PacketID: 7, Retain: true, Payload: []byte("x")}).Append(seed, mqtt.V311)
	}
	for kind := packet.PUBACK; kind <= packet.PUBCOMP; kind++ {
		seed = packet.AppendAck(seed, kind, 1)
		seed = packet.AppendAck(seed, kind, 7)
	}
	seed = (&packet.Unsubscribe{PacketID: 2, Filters: []string{"a/+"}}).Append(seed, mqtt.V311)
	seed = packet.AppendPingreq(seed)
	f.Add(seed, true)
	f.Add(seed, false)
	f.Add([]byte{0x82, 6, 0, 1, 0, 1, '#', 3}, true)
	f.Add([]byte{0x30, 0xff, 0xff, 0xff, 0x7f}, true)
	f.Fuzz(func(t *testing.T, data []byte, clean bool) {
		fuzzConnection(t, packet.Connect{Version: mqtt.V311, ClientID: "fuzz", CleanStart: clean}, data)
	})
}

// FuzzConnection5 does the same with 5.0.
func FuzzConnection5(f *testing.F) {
	var seed []byte
	seed = (&packet.Subscribe{PacketID: 1, Subscriptions: []mqtt.Subscription{{Filter: "$share/g/a/+", QoS: 2, ID: 3}, {Filter: "#", RetainAsPublished: true, ID: 3}}}).Append(seed, mqtt.V5)
	for qos := range mqtt.QoS(3) {
		p := packet.Publish{Topic: []byte("a/b"), QoS: qos, PacketID: 7, Retain: true, Payload: []byte("x"), TopicAlias: 1, Expiry: 1, HasExpiry: true}
		p.Props = p.Props.AppendUser("a", "b")
		seed = p.Append(seed, mqtt.V5)
		p.Topic = nil
		seed = p.Append(seed, mqtt.V5)
	}
	for kind := packet.PUBACK; kind <= packet.PUBCOMP; kind++ {
		seed = (&packet.Ack{Type: kind, PacketID: 1, Reason: mqtt.PacketIdentifierNotFound}).Append(seed, mqtt.V5)
		seed = packet.AppendAck(seed, kind, 7)
	}
	seed = (&packet.Unsubscribe{PacketID: 2, Filters: []string{"a/+"}}).Append(seed, mqtt.V5)
	seed = (&packet.Disconnect{Reason: mqtt.DisconnectWithWill, SessionExpiry: 1, HasSessionExpiry: true}).Append(seed, mqtt.V5)
	f.Add(seed, uint32(0), uint16(1))
	f.Add(seed, uint32(60), uint16(0))
	f.Add([]byte{0xf0, 0}, uint32(0), uint16(0))
	f.Fuzz(func(t *testing.T, data []byte, expiry uint32, few uint16) {
		fuzzConnection(t, packet.Connect{
			Version: mqtt.V5, ClientID: "fuzz", SessionExpiry: expiry, ReceiveMaximum: few, TopicAliasMax: few, MaxPacketSize: uint32(few),
			HasWill: true, Will: packet.Will{Topic: "will", Delay: expiry}, RequestProblem: true,
		}, data)
	})
}

func FuzzStoredWill(f *testing.F) {
	f.Add([]byte("W\x01a\x00\x30\x05\x00\x01w\x00x"))
	f.Add([]byte("W"))
	f.Fuzz(func(t *testing.T, meta []byte) {
		if again := broker.ReencodeWill(meta); again != nil {
			require.Equal(t, again, broker.ReencodeWill(again))
		}
	})
}

func fuzzConnection(t *testing.T, connect packet.Connect, data []byte) {
	var log lockedBuffer
	spool := sessiontest.NewMemory()
	t.Cleanup(spool.Close)
	cfg := broker.DefaultConfig()
	cfg.Listeners, cfg.AllowAnonymous = nil, true
	b, err := broker.New(cfg, spool, nil, &fault.Alarms{}, slog.New(slog.NewTextHandler(&log, nil)))
	require.NoError(t, err)
	run(t, b)
	good := dialPipe(b, "good")
	defer good.Close()
	here, there := net.Pipe()
	b.ServeConn(there)
	go func() { _, _ = io.Copy(io.Discard, here) }()
	_, _ = here.Write(append(connect.Append(nil), data...))
	_, _ = here.Write(packet.AppendPingreq(nil))
	require.NoError(t, here.Close())
	require.NoError(t, good.SetDeadline(time.Now().Add(20*time.Second)))
	_, err = good.Write(packet.AppendPingreq(nil))
	require.NoError(t, err)
	_, err = io.ReadFull(good, make([]byte, 2))
	require.NoError(t, err)
	require.False(t, strings.Contains(log.String(), "panic"), log.String())
}
