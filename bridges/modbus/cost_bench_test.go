package modbus_test

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"fieldgate/bridges/bridgestest"
	"fieldgate/bridges/internal/port"
	"fieldgate/bridges/sim"
	"fieldgate/broker/mqtt"
)

// From the last byte of an answer that was damaged on the line to the next good value: the goal is a
// transaction, here of 14.6 ms, and 50 ms.
func BenchmarkDamagedAnswer(b *testing.B) {
	var damage atomic.Bool
	values := make(chan time.Time, 1000)
	bus := &bridgestest.Bus{OnPublish: func(_ context.Context, m *mqtt.Message) error {
		if strings.HasSuffix(m.Topic, "/p") && strings.Contains(string(m.Payload), `"good"`) {
			values <- time.Now()
		}
		return nil
	}}
	l := unitsLine(b, filepath.Join(b.TempDir(), "ttyUSB0"), 19200, map[byte]sim.Device{1: ruler{1, &counter{}}})
	damaged := make(chan time.Time, 1)
	l.onAnswer = func(answer []byte) (taken bool) {
		if damage.CompareAndSwap(true, false) {
			answer[5] ^= 0x10
			_, _ = l.Write(answer)
			damaged <- time.Now()
			return true
		}
		return false
	}
	l.run()
	startOn(b, bus, &port.Ports{TimedPTYs: true}, fmt.Sprintf(`{"id":"b","kind":"modbus","link":{"serial":{"port":%q,"baud":19200}},"devices":[{"id":"d","unit":1,"interval":"10ms","points":[{"id":"p","type":"uint64"}]}]}`, l.link))
	var times []time.Duration
	for b.Loop() {
		for range 3 { // good ones between
			<-values
		}
		damage.Store(true)
		at := <-damaged
		good := <-values
		for good.Before(at) {
			good = <-values
		}
		times = append(times, good.Sub(at))
	}
	report(b, times)
}

// What part of a full bus the probes of a dead unit take, when its first silence is over.
func BenchmarkDeadUnit(b *testing.B) {
	const timeout, dead = 100 * time.Millisecond, 9
	var probes atomic.Int64
	l := unitsLine(b, filepath.Join(b.TempDir(), "ttyUSB0"), 115200, map[byte]sim.Device{1: holed{}})
	l.onRequest = func(request []byte) (taken bool) {
		if request[0] == dead {
			probes.Add(1)
		}
		return request[0] == dead
	}
	l.run()
	f := startOn(b, &bridgestest.Bus{}, &port.Ports{TimedPTYs: true}, serial(l.link, fmt.Sprintf(`"timeout":"%v","devices":[
		{"id":"dead","unit":%d,"interval":"50ms","points":[{"id":"p"}]},
		{"id":"u1","unit":1,"interval":"10ms","points":[{"id":"p0"}]}]`, timeout, dead)))
	f.AwaitRetained(b, "fieldgate/dead/$state", `"state":"offline"`)
	f.AwaitRetained(b, "fieldgate/u1/p0", `"quality":"good"`)
	for count := probes.Load(); probes.Load() < count+2; { // the free ones are over
		<-time.After(timeout)
	}
	before, begin := probes.Load(), time.Now()
	for b.Loop() {
		<-time.After(time.Second)
	}
	b.ReportMetric(100*float64(probes.Load()-before)*timeout.Seconds()/time.Since(begin).Seconds(), "%bus")
}
