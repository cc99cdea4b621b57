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
		connect := packet.Connect{Version: mqtt.V311, ClientID: "fuzz", CleanStart: clean}
		_, _ = here.Write(append(connect.Append(nil), data...))
		_, _ = here.Write(packet.AppendPingreq(nil))
		require.NoError(t, here.Close())
		require.NoError(t, good.SetDeadline(time.Now().Add(20*time.Second)))
		_, err = good.Write(packet.AppendPingreq(nil))
		require.NoError(t, err)
		_, err = io.ReadFull(good, make([]byte, 2))
		require.NoError(t, err)
		require.False(t, strings.Contains(log.String(), "panic"), log.String())
	})
}
