package broker_test

import (
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"fieldgate/broker"
	"fieldgate/broker/mqtt"
	"fieldgate/broker/packet"
)

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
// their own work must not count as the broker's. A nice value is not low enough: Linux lets a process of nice 19
// use its slice of some milliseconds up while the broker's threads wait for the processor.
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
	house := abused(b, memory(b), io.Discard, 500*time.Millisecond)
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
			time.Sleep(time.Second) // the storm rises, and has its burst behind it
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

// BenchmarkConnect measures one connection from the socket to DISCONNECT and back, both ends of it, as fast as
// one client can: what a storm costs for each.
func BenchmarkConnect(b *testing.B) {
	house := startWith(b, memory(b), nil, func(cfg *broker.Config) {
		onTCP(cfg)
		cfg.Listeners[0].MaxConnectionRate = 1_000_000
	})
	address := house.address(b).String()
	raw := (&packet.Connect{Version: mqtt.V311, ClientID: "again", CleanStart: true}).Append(nil)
	goodbye := packet.Disconnect{}
	raw = goodbye.Append(raw, mqtt.V311)
	b.ReportAllocs()
	began := cpuTime(b)
	for b.Loop() {
		nc, err := net.Dial("tcp", address)
		require.NoError(b, err)
		_, err = nc.Write(raw)
		require.NoError(b, err)
		_, err = io.Copy(io.Discard, nc)
		require.NoError(b, err)
		require.NoError(b, nc.Close())
	}
	b.ReportMetric(float64((cpuTime(b)-began).Nanoseconds())/float64(b.N), "cpu-ns/op")
}

// cpuTime is what the process has used.
func cpuTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	require.NoError(b, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
