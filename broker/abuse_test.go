package broker_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"regexp"
	"slices"
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

// abused is a broker over TCP whose log is kept, with a short connect timeout for those who say half of it.
func abused(t testing.TB, spool session.Spool, log *lockedBuffer) *testBroker {
	cfg := broker.DefaultConfig()
	onTCP(&cfg)
	cfg.AllowAnonymous = true
	cfg.ConnectTimeout = 500 * time.Millisecond
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

// abuser misbehaves over connections of its own until ctx is done.
type abuser struct {
	name  string
	cause string // a line of the broker's log that must have come, as a regular expression; empty where there is none
	run   func(ctx context.Context, address string)
}

// closings counts the half-open connections that the broker closed.
type closings struct{ halfOpen atomic.Int64 }

func abusers(seen *closings) []abuser {
	again := func(ctx context.Context, address string, abuse func(nc net.Conn)) {
		for ctx.Err() == nil {
			nc, err := net.Dial("tcp", address)
			if err != nil {
				continue // the storm takes all ports there are for a moment
			}
			stop := context.AfterFunc(ctx, func() { _ = nc.Close() })
			abuse(nc)
			stop()
			_ = nc.Close()
		}
	}
	connect := func(id string, v mqtt.Version, keepAlive uint16) []byte {
		return (&packet.Connect{Version: v, ClientID: id, CleanStart: true, KeepAlive: keepAlive}).Append(nil)
	}
	untilClosed := func(nc net.Conn) {
		for buf := make([]byte, 4096); ; {
			if _, err := nc.Read(buf); err != nil {
				return
			}
		}
	}
	return []abuser{
		{"slow reader", `client_id=slow .*cause="keep alive exceeded"`, func(ctx context.Context, address string) {
			again(ctx, address, func(nc net.Conn) {
				_ = nc.(*net.TCPConn).SetReadBuffer(4096)
				s := packet.Subscribe{PacketID: 1, Subscriptions: []mqtt.Subscription{{Filter: "#", QoS: 1}}}
				_, _ = nc.Write(s.Append(connect("slow", mqtt.V311, 1), mqtt.V311))
				<-ctx.Done() // and reads nothing
			})
		}},
		{"flooder", "", func(ctx context.Context, address string) {
			again(ctx, address, func(nc net.Conn) {
				_, _ = nc.Write(connect("flood", mqtt.V311, 0))
				var chunk []byte
				for range 100 {
					chunk = (&packet.Publish{Topic: []byte("flood"), Payload: make([]byte, 100)}).Append(chunk, mqtt.V311)
				}
				for {
					if _, err := nc.Write(chunk); err != nil {
						return
					}
				}
			})
		}},
		{"flooder beyond the receive maximum", `client_id=quota .*cause="bad packet" clause="v5 MQTT-3.3.4-7"`, func(ctx context.Context, address string) {
			again(ctx, address, func(nc net.Conn) {
				raw := connect("quota", mqtt.V5, 0)
				for pid := range uint16(200) {
					raw = (&packet.Publish{Topic: []byte("quota"), QoS: 2, PacketID: pid + 1}).Append(raw, mqtt.V5)
				}
				_, _ = nc.Write(raw)
				untilClosed(nc)
			})
		}},
		{"malformed sender", `client_id=malformed .*cause="bad packet" clause="v3.1.1 MQTT-3.3.1-4"`, func(ctx context.Context, address string) {
			again(ctx, address, func(nc net.Conn) {
				_, _ = nc.Write(append(connect("malformed", mqtt.V311, 0), 0x36, 5, 0, 1, 'x', 0, 1))
				untilClosed(nc)
			})
		}},
		{"connect storm", `client_id=storm .*cause="another connection took the session over"`, func(ctx context.Context, address string) {
			var storm sync.WaitGroup
			defer storm.Wait()
			for range 4 {
				storm.Go(func() {
					again(ctx, address, func(nc net.Conn) {
						_, _ = nc.Write(connect("storm", mqtt.V311, 0))
						_, _ = nc.Read(make([]byte, 16)) // CONNACK
						_ = nc.(*net.TCPConn).SetLinger(0)
					})
				})
			}
		}},
		{"half-open", "", func(ctx context.Context, address string) {
			var halves sync.WaitGroup
			defer halves.Wait()
			for range 20 {
				halves.Go(func() {
					again(ctx, address, func(nc net.Conn) {
						_, _ = nc.Write(connect("half", mqtt.V311, 0)[:9])
						untilClosed(nc)
						if ctx.Err() == nil {
							seen.halfOpen.Add(1)
						}
					})
				})
			}
		}},
	}
}

// letLoose starts abusers; the function ends them.
func letLoose(address string, abusers []abuser) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var all sync.WaitGroup
	for _, a := range abusers {
		all.Go(func() { a.run(ctx, address) })
	}
	return func() {
		cancel()
		all.Wait()
	}
}

// TestAbusers_HurtNobodyElse: beside one abuser of each kind a thousand clients get each of their messages, keep
// their connections, and the abusers are shown the door for the right reason.
func TestAbusers_HurtNobodyElse(t *testing.T) {
	const each = 5
	var log lockedBuffer
	b := abused(t, memory(t), &log)
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

// abusersEnv holds the address for a child process that is nothing but abusers, and which of them.
const (
	abusersEnv = "FIELDGATE_TEST_ABUSE"
	whichEnv   = "FIELDGATE_TEST_ABUSERS"
)

// TestAbusersProcess is the child of BenchmarkAbuse: it misbehaves until its standard input ends.
func TestAbusersProcess(t *testing.T) {
	address := os.Getenv(abusersEnv)
	if address == "" {
		t.Skip("only BenchmarkAbuse needs it")
	}
	all := abusers(&closings{})
	if which := os.Getenv(whichEnv); which != "" {
		all = slices.DeleteFunc(all, func(a abuser) bool { return a.name != which })
	}
	stop := letLoose(address, all)
	_, _ = io.Copy(io.Discard, os.Stdin)
	stop()
}

// abuseFromOutside runs the abusers in a process of the lowest priority: elsewhere they are other machines, and
// their own work must not count as the broker's.
func abuseFromOutside(b *testing.B, address, which string) (stop func()) {
	cmd := exec.Command("chrt", "--idle", "0", os.Args[0], "-test.run", "^TestAbusersProcess$")
	cmd.Env = append(os.Environ(), abusersEnv+"="+address, whichEnv+"="+which)
	in, err := cmd.StdinPipe()
	require.NoError(b, err)
	require.NoError(b, cmd.Start())
	return func() {
		_ = in.Close()
		require.NoError(b, cmd.Wait())
	}
}

// BenchmarkAbuse measures the round trips (QoS 1, to themselves) of 1,000 clients without abusers and with
// them, in turns: make abuse. What counts is the ratio of the 99th percentiles, at most 3.
func BenchmarkAbuse(b *testing.B) {
	b.Run("all", func(b *testing.B) { benchmarkAbuse(b, "") })
	for _, a := range abusers(&closings{}) {
		b.Run(a.name, func(b *testing.B) { benchmarkAbuse(b, a.name) })
	}
}

func benchmarkAbuse(b *testing.B, which string) {
	const turns, length = 2, 4 * time.Second
	var log lockedBuffer
	house := abused(b, memory(b), &log)
	clients := crowd(b, house)
	address := house.address(b).String()
	for _, c := range clients {
		require.NoError(b, c.nc.SetDeadline(time.Now().Add(10*time.Minute)))
	}
	var numbers [crowdSize]int
	var without, with []time.Duration
	var connections, packets float64 // a second, of the abusers too
	for b.Loop() {
		for range turns {
			without = append(without, pace(b, clients, &numbers, length)...)
			stop := abuseFromOutside(b, address, which)
			time.Sleep(time.Second) // the storm rises
			before, began := house.Stats(), time.Now()
			with = append(with, pace(b, clients, &numbers, length)...)
			after, seconds := house.Stats(), time.Since(began).Seconds()*turns
			connections += float64(after.Sockets-before.Sockets) / seconds
			packets += float64(after.MessagesReceived-before.MessagesReceived) / seconds
			stop()
		}
	}
	a, z := p99(without), p99(with)
	b.ReportMetric(float64(a.Microseconds())/1000, "ms-p99-without")
	b.ReportMetric(float64(z.Microseconds())/1000, "ms-p99-with")
	b.ReportMetric(float64(z)/float64(a), "ratio")
	b.ReportMetric(connections, "connections/s")
	b.ReportMetric(packets, "packets/s")
	for _, c := range clients {
		c.close()
	}
}

// pace lets each client do a round trip each second, spread over it, and gives how long they took.
func pace(b *testing.B, clients []*testClient, numbers *[crowdSize]int, length time.Duration) []time.Duration {
	took := make([][]time.Duration, len(clients))
	end := time.Now().Add(length)
	var wg sync.WaitGroup
	for i, c := range clients {
		wg.Go(func() {
			time.Sleep(rand.N(time.Second))
			for time.Now().Before(end) {
				began := time.Now()
				if err := c.roundTrip(i, numbers[i]); err != nil {
					b.Errorf("client %d: %v", i, err)
					return
				}
				numbers[i]++
				took[i] = append(took[i], time.Since(began))
				time.Sleep(time.Until(began.Add(time.Second)))
			}
		})
	}
	wg.Wait()
	return slices.Concat(took...)
}

func p99(all []time.Duration) time.Duration {
	slices.Sort(all)
	return all[len(all)*99/100]
}
