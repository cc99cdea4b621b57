package broker_test

import (
	"context"
	"errors"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"fieldgate/broker"
	"fieldgate/broker/listen"
	"fieldgate/broker/mqtt"
	"fieldgate/broker/packet"
	"fieldgate/broker/session/sessiontest"
	"fieldgate/internal/fault"
)

func TestConfig_NamesWhatIsWrong(t *testing.T) {
	require.NoError(t, broker.DefaultConfig().Validate())
	for _, c := range []struct {
		name    string
		change  func(*broker.Config)
		pointer string
	}{
		{"a listener", func(c *broker.Config) { c.Listeners[0].Address = "nowhere" }, "/listeners/0/address"},
		{"a websocket's path", func(c *broker.Config) {
			c.Listeners = append(c.Listeners, listen.Config{Address: ":8083", Transport: "websocket", Path: "mqtt"})
		}, "/listeners/1/path"},
		{"a listener twice", func(c *broker.Config) { c.Listeners = append(c.Listeners, c.Listeners[0]) }, "/listeners/1/address"},
		{"no connections", func(c *broker.Config) { c.MaxConnections = 0 }, "/max_connections"},
		{"no inflight", func(c *broker.Config) { c.MaxInflight = 0 }, "/max_inflight"},
		{"too many inflight", func(c *broker.Config) { c.MaxInflight = 65536 }, "/max_inflight"},
		{"tiny packets", func(c *broker.Config) { c.MaxPacketSize = 10 }, "/max_packet_size"},
		{"packets that MQTT can't have", func(c *broker.Config) { c.MaxPacketSize = 1 << 30 }, "/max_packet_size"},
		{"QoS 3", func(c *broker.Config) { c.MaxQoS = 3 }, "/max_qos"},
		{"keep alive", func(c *broker.Config) { c.MaxKeepAlive = 0 }, "/max_keep_alive"},
		{"aliases", func(c *broker.Config) { c.MaxTopicAlias = -1 }, "/max_topic_alias"},
		{"queue", func(c *broker.Config) { c.MaxQueuedMessages = 0 }, "/max_queued_messages"},
		{"bytes", func(c *broker.Config) { c.MaxQueuedBytes = 0 }, "/max_queued_bytes"},
		{"subscriptions", func(c *broker.Config) { c.MaxSubscriptions = 0 }, "/max_subscriptions"},
		{"unsent bytes", func(c *broker.Config) { c.MaxUnsentBytes = 1000 }, "/max_unsent_bytes"},
		{"sessions", func(c *broker.Config) { c.MaxSessions = 0 }, "/max_sessions"},
		{"retained messages", func(c *broker.Config) { c.MaxRetained = 0 }, "/max_retained_messages"},
		{"retained bytes", func(c *broker.Config) { c.MaxRetainedBytes = 1023 }, "/max_retained_bytes"},
		{"default access", func(c *broker.Config) { c.DefaultAccess = "ask" }, "/default_access"},
		{"expiry", func(c *broker.Config) { c.MaxSessionExpiry = -1 }, "/max_session_expiry"},
		{"what happens when full", func(c *broker.Config) { c.QueueFull = "panic" }, "/queue_full"},
		{"patience", func(c *broker.Config) { c.ConnectTimeout = 0 }, "/connect_timeout"},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg := broker.DefaultConfig()
			c.change(&cfg)
			faults := fault.All(cfg.Validate())
			require.Len(t, faults, 1)
			require.Equal(t, c.pointer, faults[0].Field)
			_, err := broker.New(cfg, nil, nil, &fault.Alarms{}, logger(t))
			require.Error(t, err)
		})
	}
}

func TestListener_ThatCannotBeOpenedIsAnAlarmUntilItCan(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer taken.Close()
	address := taken.Addr().String()
	alarms := &fault.Alarms{}
	cfg := broker.DefaultConfig()
	cfg.AllowAnonymous = true
	cfg.Listeners = []listen.Config{{Address: address}, {Address: "127.0.0.1:0"}}
	b, err := broker.New(cfg, memory(t), nil, alarms, logger(t))
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	ran := make(chan error)
	go func() { ran <- b.Run(ctx) }()
	require.Eventually(t, func() bool {
		list, _ := alarms.List()
		return len(list) == 1 && len(b.Addrs()) == 1
	}, 10*time.Second, time.Millisecond, "the other one serves")
	list, _ := alarms.List()
	require.Equal(t, "mqtt/"+address, list[0].Part)
	require.Contains(t, list[0].Message, "another program has this port")
	require.NoError(t, taken.Close())
	require.Eventually(t, func() bool {
		list, _ := alarms.List()
		return len(list) == 0 && len(b.Addrs()) == 2
	}, 20*time.Second, time.Millisecond)
	cancel()
	require.NoError(t, <-ran)
}

func TestMaxConnections_RefusesOneMore(t *testing.T) {
	b := start(t, memory(t), func(c *broker.Config) {
		onTCP(c)
		c.MaxConnections = 2
	})
	first := dial(t, b, packet.Connect{ClientID: "a", CleanStart: true})
	defer first.close()
	second := dial(t, b, packet.Connect{ClientID: "b", CleanStart: true})
	third, err := net.Dial("tcp", b.address(t).String())
	require.NoError(t, err)
	defer third.Close()
	require.NoError(t, third.SetDeadline(time.Now().Add(20*time.Second)))
	_, err = third.Read(make([]byte, 1))
	require.Error(t, err)
	second.close()
	require.Positive(t, b.Stats().ConnectionsRefused)
	connect := packet.Connect{Version: mqtt.V311, ClientID: "c", CleanStart: true}
	require.Eventually(t, func() bool { // as soon as the second one is cleaned up
		nc, err := net.Dial("tcp", b.address(t).String())
		require.NoError(t, err)
		defer nc.Close()
		require.NoError(t, nc.SetDeadline(time.Now().Add(20*time.Second)))
		_, _ = nc.Write(connect.Append(nil)) // it may be refused
		_, err = io.ReadFull(nc, make([]byte, 4))
		return err == nil
	}, 10*time.Second, time.Millisecond)
}

func TestSpoolFailure_IsNeverAcknowledged(t *testing.T) {
	spool := memory(t)
	b := start(t, spool, onTCP)
	s := dial(t, b, packet.Connect{ClientID: "s"})
	s.subscribe("t", 1)
	for _, qos := range []mqtt.QoS{1, 2} {
		p := dial(t, b, packet.Connect{ClientID: "p"})
		spool.Fail(errors.New("disk full"))
		message := packet.Publish{Topic: []byte("t"), QoS: qos, PacketID: 1, Payload: []byte("x")}
		p.send(message.Append(nil, mqtt.V311))
		_, err := p.tryRecv()
		require.Error(t, err, "the connection closes without an acknowledgement")
		p.close()
		spool.Fail(nil)

		p = dial(t, b, packet.Connect{ClientID: "p"})
		message.Dup = true
		p.send(message.Append(nil, mqtt.V311))
		require.Equal(t, byte(packet.PUBACK)+byte(qos-1), p.recv()[0]>>4, "it can be sent again")
		p.close()
	}
	s.close()
}

func TestSlowReader_HurtsNobodyElse(t *testing.T) {
	b := start(t, memory(t), onTCP)
	slow := dial(t, b, packet.Connect{ClientID: "slow"})
	slow.subscribe("t/0", 0)
	slow.subscribe("t/1", 1)
	quick := dial(t, b, packet.Connect{ClientID: "quick", CleanStart: true})
	quick.subscribe("t/#", 1)
	p := dial(t, b, packet.Connect{ClientID: "p", CleanStart: true})
	payload := make([]byte, 100<<10)
	const each = 300
	got := make(chan error, 1)
	go func() {
		for range 2 * each {
			if _, err := quick.recvPublish(); err != nil {
				got <- err
				return
			}
		}
		got <- nil
	}()
	for n := range each {
		p.send((&packet.Publish{Topic: []byte("t/0"), Payload: payload}).Append(nil, mqtt.V311))
		p.send((&packet.Publish{Topic: []byte("t/1"), QoS: 1, PacketID: uint16(n + 1), Payload: payload}).Append(nil, mqtt.V311))
		require.Equal(t, packet.PUBACK, packet.TypeOf(p.recv()[0]))
	}
	require.NoError(t, <-got)
	require.Positive(t, b.Stats().PublishDropped, "QoS 0 for the slow one")
	for n := 0; n < each; { // now it reads: nothing of QoS 1 is lost
		message, err := slow.recvPublish()
		require.NoError(t, err)
		if message.QoS == 1 {
			n++
		}
	}
	slow.close()
	quick.close()
	p.close()
}

func TestUncommitted_StopsTheReadingOfItsPublisher(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		spool := sessiontest.NewMemory()
		t.Cleanup(spool.Close)
		b := start(t, spool, nil)
		s := dialPipe(b.Broker, "s")
		defer s.Close()
		go io.Copy(io.Discard, s)
		subscribe := packet.Subscribe{PacketID: 1, Subscriptions: []mqtt.Subscription{{Filter: "t", QoS: 1}}}
		_, err := s.Write(subscribe.Append(nil, mqtt.V311))
		require.NoError(t, err)
		attach(t, b.Broker, uplink("t"))
		p := dialPipe(b.Broker, "p")
		defer p.Close()
		go io.Copy(io.Discard, p)
		spool.Hold()
		written := 0
		go func() {
			message := packet.Publish{Topic: []byte("t"), QoS: 1, PacketID: 1, Payload: make([]byte, 64<<10)}
			for range 100 {
				if _, err := p.Write(message.Append(nil, mqtt.V311)); err != nil {
					return
				}
				written++
			}
		}()
		time.Sleep(time.Hour) // its keep alive would be over, if it had one
		synctest.Wait()
		require.Greater(t, written, 10)
		require.Less(t, written, 50, "the broker reads no more than it may hold")
		spool.Release()
		time.Sleep(time.Second) // who always has more to say takes turns
		synctest.Wait()
		require.Equal(t, 100, written)
	})
}

func TestSessions_ExpireWithoutTheirClients(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		spool := sessiontest.NewMemory()
		t.Cleanup(func() { spool.Close() })
		short := func(c *broker.Config) { c.MaxSessionExpiry = 3600 * 24 }
		b := start(t, spool, short)
		connect := func(id string) {
			here, there := net.Pipe()
			b.ServeConn(there)
			p := packet.Connect{Version: mqtt.V311, ClientID: id}
			_, err := here.Write(p.Append(nil))
			require.NoError(t, err)
			_, err = io.ReadFull(here, make([]byte, 4))
			require.NoError(t, err)
			require.NoError(t, here.Close())
			synctest.Wait()
		}
		connect("a")
		connect("b")
		time.Sleep(20 * time.Hour)
		connect("b")
		b.stop()
		synctest.Wait()
		spool = spool.Reopen()
		b = start(t, spool, short)
		require.Len(t, b.Clients(), 2)
		time.Sleep(5 * time.Hour)
		synctest.Wait()
		clients := b.Clients()
		require.Len(t, clients, 1, "the time before the restart counts")
		require.Equal(t, "b", clients[0].ClientID)
		require.EqualValues(t, 1, b.Stats().ClientsExpired)
	})
}

func TestSystemTopics_HaveMosquittosNames(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		spool := sessiontest.NewMemory()
		t.Cleanup(spool.Close)
		b := start(t, spool, func(c *broker.Config) { c.Version = "1.2.3" })
		time.Sleep(25 * time.Second)
		l := attach(t, b.Broker, mqtt.Attachment{ClientID: "$test", Subscriptions: []mqtt.Subscription{{Filter: "$SYS/#"}}})
		got := map[string]string{}
		for len(got) < 53 {
			for _, d := range next(t, l, 1) {
				require.True(t, d.Retain)
				got[d.Message.Topic] = string(d.Message.Payload)
			}
		}
		require.Equal(t, "fieldgate 1.2.3", got["$SYS/broker/version"])
		require.Equal(t, "20 seconds", got["$SYS/broker/uptime"])
		for _, name := range []string{
			"clients/connected", "clients/total", "clients/disconnected", "messages/received", "messages/sent",
			"publish/messages/received", "publish/messages/sent", "publish/messages/dropped", "bytes/received", "bytes/sent",
			"subscriptions/count", "retained messages/count", "store/messages/count", "store/messages/bytes",
		} {
			require.Contains(t, got, "$SYS/broker/"+name)
		}
	})
}

func TestSpoolFailure_RefusesANewSession(t *testing.T) {
	spool := memory(t)
	b := start(t, spool, onTCP)
	spool.Fail(errors.New("disk full"))
	connect := packet.Connect{Version: mqtt.V311, ClientID: "a"}
	for range 2 {
		nc, err := net.Dial("tcp", b.address(t).String())
		require.NoError(t, err)
		require.NoError(t, nc.SetDeadline(time.Now().Add(20*time.Second)))
		_, err = nc.Write(connect.Append(nil))
		require.NoError(t, err)
		answer, err := io.ReadAll(nc)
		require.NoError(t, err)
		require.Equal(t, []byte{0x20, 2, 0, 3}, answer)
		require.NoError(t, nc.Close())
	}
	_, err := b.Attach(t.Context(), uplink("t"))
	require.ErrorContains(t, err, "disk full")
	spool.Fail(nil)
	dial(t, b, connect).close()
	attach(t, b.Broker, uplink("t"))
}

func TestQoS0Retained_DoesNotSufferFromTheSpool(t *testing.T) {
	spool := memory(t)
	b := start(t, spool, onTCP)
	p := dial(t, b, packet.Connect{ClientID: "p", CleanStart: true})
	defer p.close()
	spool.Fail(errors.New("disk full"))
	p.send((&packet.Publish{Topic: []byte("t"), Retain: true, Payload: []byte("x")}).Append(nil, mqtt.V311))
	for range 3 {
		p.send(packet.AppendPingreq(nil))
		require.Equal(t, packet.PINGRESP, packet.TypeOf(p.recv()[0]))
	}
}

func TestQueueFull_DropsTheOldest(t *testing.T) {
	b := start(t, memory(t), func(c *broker.Config) {
		onTCP(c)
		c.MaxQueuedMessages = 2
	})
	l := attach(t, b.Broker, mqtt.Attachment{ClientID: "$small", Durable: true, MaxMessages: 1, Subscriptions: []mqtt.Subscription{{Filter: "t", QoS: 1}}})
	for _, payload := range []string{"1", "2", "3"} {
		publish(t, b.Broker, mqtt.Message{Topic: "t", QoS: 1, Payload: []byte(payload)})
	}
	require.Equal(t, []string{"3"}, payloads(next(t, l, 1)))
	require.EqualValues(t, 2, l.Usage().Dropped)
	info, found := b.Session("$small")
	require.True(t, found)
	require.EqualValues(t, 2, info.Dropped, "the list of sessions tells it too")
}
