package broker_test

import (
	"fmt"
	"io"
	"log/slog"
	"regexp"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"fieldgate/broker"
	"fieldgate/broker/mqtt"
	"fieldgate/broker/packet"
	"fieldgate/broker/session"
	"fieldgate/internal/fault"
)

const crowdSize = 1000

// abused is a broker over TCP whose log is kept, with a connect timeout for those who say half of it.
func abused(t testing.TB, spool session.Spool, log io.Writer, connect time.Duration) *testBroker {
	cfg := broker.DefaultConfig()
	onTCP(&cfg)
	cfg.AllowAnonymous = true
	cfg.ConnectTimeout = connect
	cfg.MaxQueuedMessages = 1000
	b, err := broker.New(cfg, spool, nil, &fault.Alarms{}, slog.New(slog.NewTextHandler(log, nil)))
	require.NoError(t, err)
	return &testBroker{Broker: b, stop: run(t, b)}
}

// crowd connects the clients that behave; each hears its own topic.
func crowd(t testing.TB, b *testBroker) []*testClient {
	all := make([]*testClient, crowdSize)
	for i := range all {
		all[i] = dial(t, b, packet.Connect{ClientID: fmt.Sprint("good-", i), CleanStart: true})
		all[i].subscribe(fmt.Sprint("crowd/", i), 1)
	}
	return all
}

// roundTrip sends a client's message and waits for it and its acknowledgement.
func (c *testClient) roundTrip(i, n int) error {
	topic := fmt.Sprint("crowd/", i)
	p := packet.Publish{Topic: []byte(topic), Payload: fmt.Append(nil, n), QoS: 1, PacketID: uint16(1 + n%65535)}
	if _, err := c.nc.Write(p.Append(nil, mqtt.V311)); err != nil {
		return err
	}
	for acked, heard := false, false; !acked || !heard; {
		raw, err := c.tryRecv()
		if err != nil {
			return err
		}
		switch packet.TypeOf(raw[0]) {
		case packet.PUBACK:
			acked = true
		case packet.PUBLISH:
			var m packet.Publish
			if err := m.Decode(raw, mqtt.V311); err != nil {
				return err
			}
			if string(m.Topic) != topic || string(m.Payload) != fmt.Sprint(n) {
				return fmt.Errorf("message %d of client %d came as %s %s", n, i, m.Topic, m.Payload)
			}
			if _, err := c.nc.Write(packet.AppendAck(nil, packet.PUBACK, m.PacketID)); err != nil {
				return err
			}
			heard = true
		}
	}
	return nil
}

// TestAbusers_HurtNobodyElse: beside one abuser of each kind a thousand clients get each of their messages, keep
// their connections, and the abusers are shown the door for the right reason.
func TestAbusers_HurtNobodyElse(t *testing.T) {
	const each = 5
	var log lockedBuffer
	b := abused(t, memory(t), &log, 5*time.Second) // a slow machine takes its time for a CONNECT, too
	clients := crowd(t, b)
	var seen closings
	stop := sync.OnceFunc(letLoose(b.address(t).String(), abusers(&seen)))
	defer stop()
	var lost atomic.Pointer[error]
	var wg sync.WaitGroup
	for i, c := range clients {
		wg.Go(func() {
			for n := range each {
				if err := c.roundTrip(i, n); err != nil {
					err = fmt.Errorf("client %d, message %d: %w", i, n, err)
					lost.CompareAndSwap(nil, &err)
					return
				}
			}
		})
	}
	wg.Wait()
	if err := lost.Load(); err != nil {
		require.NoError(t, *err)
	}
	require.Eventually(t, func() bool { return seen.halfOpen.Load() > 0 }, time.Minute, 50*time.Millisecond, "half-open connections stay")
	for _, a := range abusers(&seen) {
		if a.cause != "" {
			right := regexp.MustCompile(a.cause)
			require.Eventually(t, func() bool { return right.MatchString(log.String()) }, time.Minute, 50*time.Millisecond, "%s: no %s", a.name, a.cause)
		}
	}
	require.NotRegexp(t, `client_id=flood .*connection closed`, log.String(), "flooding alone breaks no rule")
	stop()
	require.NotRegexp(t, `client_id=good-`, regexp.MustCompile(`(?m)^.*msg=connected.*$`).ReplaceAllString(log.String(), ""), "nobody else is mentioned")
	require.NotContains(t, log.String(), "panic")
	for i, c := range clients {
		require.NoError(t, c.roundTrip(i, each))
		c.close()
	}
}
