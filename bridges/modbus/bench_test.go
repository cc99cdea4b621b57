package modbus_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"fieldgate/bridges"
	"fieldgate/bridges/bridgestest"
	"fieldgate/bridges/internal/port"
	"fieldgate/bridges/modbus"
	"fieldgate/bridges/sim"
	"fieldgate/broker/mqtt"
	"fieldgate/internal/fault"
)

// sink is a broker that only counts.
type sink struct {
	bridgestest.Bus
	values atomic.Int64
}

func (s *sink) Publish(_ context.Context, m *mqtt.Message, safe func(error)) error {
	if !strings.Contains(m.Topic, "$") {
		s.values.Add(1)
	}
	if safe != nil {
		safe(nil)
	}
	return nil
}

// drive runs a bridge until the benchmark's end.
func drive(b *testing.B, bus bridges.Bus, settings string) *bridges.Supervisor {
	b.Helper()
	kinds := []bridges.Kind{modbus.Kind(&port.Ports{TimedPTYs: true})}
	s := bridges.NewSupervisor(bridges.FieldRole, kinds, bus, &fault.Alarms{}, slog.New(slog.DiscardHandler))
	require.NoError(b, s.Apply([]bridges.Config{config(b, settings)}))
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	b.Cleanup(func() {
		stop()
		require.NoError(b, <-ended)
	})
	return s
}

// await waits until the counter has n more.
func await(b *testing.B, count func() int64, n int64) {
	b.Helper()
	limit := time.Now().Add(time.Minute)
	for target := count() + n; count() < target; {
		if time.Now().After(limit) {
			b.Fatal("nothing comes any more")
		}
		<-time.After(5 * time.Millisecond)
	}
}

func BenchmarkReplug(b *testing.B) {
	link := filepath.Join(b.TempDir(), "ttyUSB0")
	f := startOn(b, &bridgestest.Bus{}, &port.Ports{}, serial(link, `"devices":[{"id":"meter","unit":1,"points":[{"id":"voltage","table":"input","address":0,"type":"float32"}]}]`))
	f.AwaitRetained(b, "fieldgate/meter/voltage", `"error":"link"`)
	var times []time.Duration
	for b.Loop() {
		unplug := plug(b, link, cabinet())
		begin := time.Now()
		f.AwaitRetained(b, "fieldgate/meter/voltage", `"quality":"good"`)
		times = append(times, time.Since(begin))
		unplug()
		f.AwaitRetained(b, "fieldgate/meter/voltage", `"error":"link"`)
	}
	report(b, times)
}

func report(b *testing.B, times []time.Duration) {
	slices.Sort(times)
	b.ReportMetric(float64(times[len(times)/2])/1e6, "p50-ms")
	b.ReportMetric(float64(times[len(times)*99/100])/1e6, "p99-ms")
}

// A write while the bus is full of polls, whose transaction takes 21 ms.
func BenchmarkWrite(b *testing.B) {
	l := simLine(b, filepath.Join(b.TempDir(), "ttyUSB0"), 19200, map[byte]sim.Device{1: sim.NewMeter(time.Now)})
	s := drive(b, &sink{}, fmt.Sprintf(`{"id":"b","kind":"modbus","link":{"serial":{"port":%q,"baud":19200}},"devices":[{"id":"d","unit":1,"interval":"10ms","points":[
		{"id":"period","address":4,"type":"uint16","write":{}},{"id":"v","table":"input","address":0,"type":"float32"},{"id":"f","table":"input","address":20,"type":"float32"}]}]}`, l.link))
	await(b, l.requests.Load, 5)
	var times []time.Duration
	for b.Loop() {
		begin := time.Now()
		w, err := s.Write(b.Context(), "d", "period", json.RawMessage(`15`))
		require.NoError(b, err)
		require.True(b, w.OK, w.Detail)
		times = append(times, time.Since(begin))
	}
	report(b, times)
}

func BenchmarkTCP(b *testing.B) {
	for _, outstanding := range []int{1, 4} {
		b.Run(fmt.Sprintf("outstanding=%d", outstanding), func(b *testing.B) {
			ln, err := net.Listen("tcp", "127.0.0.1:0")
			require.NoError(b, err)
			ctx, stop := context.WithCancel(context.Background())
			var server sync.WaitGroup
			units := map[byte]sim.Device{}
			var devices []string
			points := make([]string, 100)
			for i := range points {
				points[i] = fmt.Sprintf(`{"id":"p%d","address":%d}`, i, i)
			}
			for unit := 1; unit <= 50; unit++ {
				units[byte(unit)] = holed{}
				devices = append(devices, fmt.Sprintf(`{"id":"u%d","unit":%d,"interval":"10ms","points":[%s]}`, unit, unit, strings.Join(points, ",")))
			}
			server.Go(func() { _ = sim.ServeTCP(ctx, ln, units) })
			b.Cleanup(func() { stop(); server.Wait() })
			bus := &sink{}
			drive(b, bus, fmt.Sprintf(`{"id":"b","kind":"modbus","link":{"tcp":{"address":%q,"outstanding":%d}},"devices":[%s]}`, ln.Addr(), outstanding, strings.Join(devices, ",")))
			await(b, bus.values.Load, 10000)
			before, begin := bus.values.Load(), time.Now()
			for b.Loop() {
				await(b, bus.values.Load, 5000)
			}
			b.ReportMetric(float64(bus.values.Load()-before)/time.Since(begin).Seconds(), "points/s")
		})
	}
}
