package broker_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"fieldgate/broker"
	"fieldgate/broker/listen"
	"fieldgate/broker/mqtt"
	"fieldgate/broker/packet"
	"fieldgate/broker/session"
	"fieldgate/broker/session/sessiontest"
)

func TestSlowReaders_ShareOneBudget(t *testing.T) {
	const budget, many, size = 1 << 20, 8, 60 << 10
	b := start(t, memory(t), func(c *broker.Config) {
		onTCP(c)
		c.MaxUnsentBytes = budget
	})
	var slow []*testClient
	for n := range many {
		c := dial(t, b, packet.Connect{ClientID: fmt.Sprint("slow", n), CleanStart: true})
		require.NoError(t, c.nc.(*net.TCPConn).SetReadBuffer(4096))
		c.subscribe("t", 0)
		slow = append(slow, c)
	}
	quick := dial(t, b, packet.Connect{ClientID: "quick", CleanStart: true})
	quick.subscribe("t", 0)
	p := dial(t, b, packet.Connect{ClientID: "p", CleanStart: true})
	message := packet.Publish{Topic: []byte("t"), Payload: make([]byte, size)}
	raw := message.Append(nil, mqtt.V311)
	say := func() {
		p.send(raw)
		_, err := quick.recvPublish()
		require.NoError(t, err, "who reads gets everything")
	}
	for full := int64(0); full < many; full, _ = b.Unsent() {
		say()
	}
	for range 100 {
		say()
		_, bytes := b.Unsent()
		require.LessOrEqual(t, bytes, int64(budget+budget/4+many*(size+8<<10)))
	}
	require.Positive(t, b.Stats().PublishDropped)
	for _, c := range slow {
		c.close()
	}
	require.Eventually(t, func() bool { conns, bytes := b.Unsent(); return conns == 0 && bytes == 0 }, 20*time.Second, time.Millisecond, "what is not owed any more does not count")
	quick.close()
	p.close()
}

// TestFlood_StarvesNobody asks how much of the flood the broker takes before it answers somebody else: the time
// for it would be that of the machine. Beside what it takes at once, a starved client would wait for millions.
func TestFlood_StarvesNobody(t *testing.T) {
	const pings, most = 200, 2_000_000
	b := start(t, memory(t), onTCP)
	sink := dial(t, b, packet.Connect{ClientID: "sink", CleanStart: true})
	sink.subscribe("flood/#", 0)
	stop, stopped := make(chan struct{}), make(chan error, 3)
	for n := range 2 {
		c := dial(t, b, packet.Connect{ClientID: fmt.Sprint("flood", n), CleanStart: true})
		defer c.close()
		go func() { stopped <- flood(c, n, stop) }()
	}
	go func() {
		for {
			if _, err := sink.tryRecv(); err != nil {
				stopped <- nil
				return
			}
		}
	}()
	victim := dial(t, b, packet.Connect{ClientID: "victim", CleanStart: true})
	for b.Stats().PublishReceived == 0 {
		victim.ping()
	}
	for range pings {
		before := b.Stats().PublishReceived
		victim.ping()
		require.Less(t, b.Stats().PublishReceived-before, int64(most))
	}
	for _, c := range b.Clients() {
		require.True(t, c.Connected, c.ClientID)
	}
	close(stop)
	require.NoError(t, <-stopped)
	require.NoError(t, <-stopped)
	sink.close()
	<-stopped
	victim.close()
}

// flood publishes as fast as the broker takes it, until stop.
func flood(c *testClient, n int, stop <-chan struct{}) error {
	p := packet.Publish{Topic: fmt.Appendf(nil, "flood/%d", n), Payload: make([]byte, 64)}
	var raw []byte
	for range 500 {
		raw = p.Append(raw, mqtt.V311)
	}
	for {
		select {
		case <-stop:
			return nil
		default:
		}
		if _, err := c.nc.Write(raw); err != nil {
			return err
		}
	}
}

// ownAddress gives an IPv4 address of this machine that is not its loopback.
func ownAddress(t *testing.T) net.IP {
	addrs, err := net.InterfaceAddrs()
	require.NoError(t, err)
	for _, a := range addrs {
		if n, ok := a.(*net.IPNet); ok && n.IP.To4() != nil && !n.IP.IsLoopback() && !n.IP.IsLinkLocalUnicast() {
			return n.IP
		}
	}
	t.Skip("this machine has no address but its loopback")
	return nil
}

func TestConnectionRate_OfOneAddressIsNotInTheWayOfOthers(t *testing.T) {
	own := ownAddress(t)
	b := start(t, memory(t), func(c *broker.Config) {
		c.Listeners = []listen.Config{{Address: ":0", MaxConnectionRatePerAddress: 1, MaxConnectionBurst: 1, MaxConnectionRate: 1000}}
		c.ConnectTimeout = 4 * time.Second
	})
	port := b.address(t).Port
	begin := func(id string, host net.IP) *testClient {
		nc, err := net.DialTCP("tcp", nil, &net.TCPAddr{IP: host, Port: port})
		require.NoError(t, err)
		require.NoError(t, nc.SetDeadline(time.Now().Add(time.Minute)))
		c := &testClient{TB: t, nc: nc, in: bufio.NewReader(nc)}
		connect := packet.Connect{Version: mqtt.V311, ClientID: id, CleanStart: true}
		c.send(connect.Append(nil))
		return c
	}
	var storm []*testClient
	for i := range 60 { // the last one's turn is in a minute
		storm = append(storm, begin(fmt.Sprint("storm", i), own))
	}
	other := begin("other", net.IPv4(127, 0, 0, 1))
	require.Equal(t, packet.CONNACK, packet.TypeOf(other.recv()[0]))
	require.Equal(t, packet.CONNACK, packet.TypeOf(storm[0].recv()[0]))
	require.Equal(t, packet.CONNACK, packet.TypeOf(storm[6].recv()[0]), "who waits for longer than the connect timeout is served too")
	require.GreaterOrEqual(t, b.Stats().ConnectionsDelayed, int64(59))
	require.Less(t, b.Stats().Connects, int64(50))
	for _, c := range storm {
		require.NoError(t, c.nc.Close())
	}
	other.close()
	require.Eventually(t, func() bool { return b.Stats().ClientsConnected == 0 }, 20*time.Second, time.Millisecond)
}

// TestSlowReader_CostsWhatWaitsForIt: beyond the largest buffer that is kept each message once moved all that waited.
func TestSlowReader_CostsWhatWaitsForIt(t *testing.T) {
	const messages, bound = 1000, 256 << 20
	b := start(t, memory(t), onTCP)
	slow := dial(t, b, packet.Connect{ClientID: "slow", CleanStart: true})
	require.NoError(t, slow.nc.(*net.TCPConn).SetReadBuffer(4096))
	slow.subscribe("t", 0)
	p := dial(t, b, packet.Connect{ClientID: "p", CleanStart: true})
	message := packet.Publish{Topic: []byte("t"), Payload: make([]byte, 64)}
	var raw []byte
	for range messages {
		raw = message.Append(raw, mqtt.V311)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for b.Stats().PublishDropped == 0 { // its socket took what it could, and then a megabyte waited
		p.send(raw)
		p.ping()
	}
	runtime.ReadMemStats(&after)
	require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(bound))
	slow.close()
	p.close()
}

// What a client has to wait beside its turns, which take 5 s, is little: who had to wait for the disk in a turn
// does not wait for a multiple of it, and who is alone is not polite to itself.
func TestTurns_CostLittleBesideADisk(t *testing.T) {
	for _, c := range []struct {
		name  string
		alone bool
		most  time.Duration
	}{
		{"beside others", false, time.Second},
		{"alone", true, 20 * time.Millisecond},
	} {
		t.Run(c.name, func(t *testing.T) { require.Less(t, pauses(t, c.alone), c.most) })
	}
}

// pauses gives how long the broker does not read, beside the 5 s that its turns take.
func pauses(t *testing.T, alone bool) (took time.Duration) {
	synctest.Test(t, func(t *testing.T) {
		spool := &interrupted{Memory: sessiontest.NewMemory()}
		t.Cleanup(spool.Close)
		b := start(t, spool, nil)
		attach(t, b.Broker, uplink("t"))
		const slow = 5 * time.Second
		spool.append = func(session.Entry) { time.Sleep(slow / 200) }
		p := dialPipe(b.Broker, "p")
		defer p.Close()
		if !alone {
			other := dialPipe(b.Broker, "other")
			defer other.Close()
		}
		message := packet.Publish{Topic: []byte("t"), QoS: 1, PacketID: 1, Payload: make([]byte, 1000)}
		var raw []byte
		for range 200 {
			raw = message.Append(raw, mqtt.V311)
		}
		began := time.Now()
		go func() { _, _ = p.Write(raw) }() // the reading says whether it came
		_, err := io.ReadFull(p, make([]byte, 200*4))
		require.NoError(t, err)
		took = time.Since(began) - slow
	})
	return took
}
