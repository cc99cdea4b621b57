package modbus_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"fieldgate/bridges"
	"fieldgate/bridges/bridgestest"
	"fieldgate/bridges/internal/port"
	"fieldgate/bridges/sim"
)

// slowDevice takes its time.
type slowDevice struct {
	sim.Device
	thinks time.Duration
}

func (d slowDevice) ReadRegisters(table sim.Table, address, quantity int) ([]uint16, sim.Exception) {
	<-time.After(d.thinks)
	return d.Device.ReadRegisters(table, address, quantity)
}

// holed has registers 0 to 99, but not some of them.
type holed struct {
	sim.Device
	holes map[int]bool
}

func (d holed) ReadRegisters(_ sim.Table, address, quantity int) ([]uint16, sim.Exception) {
	values := make([]uint16, quantity)
	for i := range values {
		if d.holes[address+i] || address+i >= 100 {
			return nil, sim.IllegalAddress
		}
		values[i] = uint16(address + i)
	}
	return values, sim.OK
}

// Of the ten units on a port number 8 is slow, number 9 has holes and number 10 is dead.
const (
	healthyUnits = 7
	tenInterval  = 400 * time.Millisecond
)

// startTen runs a bridge with the ten units and waits until it knows them.
func startTen(t testing.TB) (*line, *field) {
	t.Helper()
	units := map[byte]sim.Device{8: slowDevice{holed{}, 80 * time.Millisecond}, 9: holed{holes: map[int]bool{7: true, 20: true, 21: true}}}
	var devices []string
	for unit := 1; unit <= 10; unit++ {
		if unit <= healthyUnits {
			units[byte(unit)] = holed{}
		}
		points := []string{}
		for _, address := range []int{0, 6, 7, 8, 19, 21, 25} {
			points = append(points, fmt.Sprintf(`{"id":"p%d","address":%d}`, address, address))
		}
		every := tenInterval
		if unit == 8 {
			every = time.Second
		}
		devices = append(devices, fmt.Sprintf(`{"id":"u%d","unit":%d,"interval":"%v","points":[%s]}`, unit, unit, every, strings.Join(points, ",")))
	}
	l := simLine(t, filepath.Join(t.TempDir(), "ttyUSB0"), 115200, units)
	f := startOn(t, &bridgestest.Bus{}, &port.Ports{TimedPTYs: true}, serial(l.link, `"timeout":"200ms","devices":[`+strings.Join(devices, ",")+`]`))
	f.AwaitRetained(t, "fieldgate/u10/$state", `"state":"offline"`, "unit 10 gives no answer")
	for _, address := range []int{0, 6, 8, 19, 25} {
		f.AwaitRetained(t, fmt.Sprintf("fieldgate/u9/p%d", address), fmt.Sprintf(`"value":%d,`, address))
	}
	for _, address := range []int{7, 21} {
		f.AwaitRetained(t, fmt.Sprintf("fieldgate/u9/p%d", address), `"error":"exception_2"`)
	}
	f.AwaitRetained(t, "fieldgate/u9/$state", `"state":"degraded"`)
	return l, f
}

// leastRate is which part of its polls the worst of the healthy units got while wait passed, at most 1.
func leastRate(t testing.TB, f *field, wait func()) float64 {
	before, begin := polls(f, healthyUnits), time.Now()
	wait()
	after, took := polls(f, healthyUnits), time.Since(begin)
	least := 1.0
	for unit := range after {
		rate := float64(after[unit]-before[unit]) * tenInterval.Seconds() / took.Seconds()
		t.Logf("unit %d has %.1f %% of its rate", unit+1, 100*rate)
		least = min(least, rate)
	}
	return least
}

// Of ten units one is dead, one is slow and one has holes; the others keep their rate.
func TestBridge_TenUnitsOneDeadOneSlowOneWithHoles(t *testing.T) {
	l, f := startTen(t)
	begin := time.Now()
	rate := leastRate(t, f, func() {
		f.Await(t, "6 s of polls", func() bool { return time.Since(begin) > 6*time.Second })
	})
	require.Greater(t, rate, 0.8, "0.95 and more on a machine that is not busy")
	require.Zero(t, l.collisions.Load())
	require.Zero(t, l.early.Load(), "requests before the silence was over")
}

// The rate of the worst of the seven healthy ones among ten units.
func BenchmarkTenUnits(b *testing.B) {
	_, f := startTen(b)
	rate := leastRate(b, f, func() {
		for b.Loop() {
			<-time.After(tenInterval)
		}
	})
	b.ReportMetric(100*rate, "%rate")
}

func polls(f *field, units int) []int {
	counts := make([]int, units)
	for i := range counts {
		counts[i] = len(f.Messages(fmt.Sprintf("fieldgate/u%d/p0", i+1)))
	}
	return counts
}

func TestBridge_SaysThatTheBusIsOverloaded(t *testing.T) {
	units := map[byte]sim.Device{1: holed{}, 2: holed{}}
	l := simLine(t, filepath.Join(t.TempDir(), "ttyUSB0"), 9600, units)
	f := startOn(t, &bridgestest.Bus{}, &port.Ports{TimedPTYs: true}, fmt.Sprintf(`{"id":"b","kind":"modbus","link":{"serial":{"port":%q}},"devices":[
		{"id":"u1","unit":1,"interval":"40ms","points":[{"id":"p0"},{"id":"p10","address":10}]},
		{"id":"u2","unit":2,"interval":"80ms","points":[{"id":"p0"},{"id":"p10","address":10}]}]}`, l.link))
	f.AwaitRetained(t, "fieldgate/$bridge/b", `"state":"degraded"`, `"reason":"bus needs `, "% of its time: intervals are stretched to")
	u1, u2 := len(f.Messages("fieldgate/u1/p0")), len(f.Messages("fieldgate/u2/p0"))
	f.Await(t, "more values", func() bool { return len(f.Messages("fieldgate/u1/p0")) > u1+40 })
	require.InDelta(t, 20, len(f.Messages("fieldgate/u2/p0"))-u2, 5, "both are stretched alike")
	status := f.supervisor.Statuses()[0]
	require.Greater(t, status.Counters["utilisation_percent"], int64(50))
	require.Positive(t, status.Devices[0].Counters["answers"])
	require.Greater(t, status.Counters["answers"], status.Devices[0].Counters["answers"])
}

// A broadcast is obeyed by all and answered by none.
func TestWrite_Broadcast(t *testing.T) {
	link := filepath.Join(t.TempDir(), "ttyUSB0")
	relays := []*sim.Relays{sim.NewRelays(time.Now), sim.NewRelays(time.Now)}
	plug(t, link, map[byte]sim.Device{1: relays[0], 2: relays[1]})
	f := start(t, serial(link, `"devices":[
		{"id":"all","unit":0,"points":[{"id":"relay","table":"coil","address":2,"write":{}}]},
		{"id":"one","unit":1,"interval":"50ms","points":[{"id":"relay","table":"coil","address":2}]}]`))
	f.AwaitRetained(t, "fieldgate/one/relay", `"value":false`)
	w, err := f.supervisor.Write(t.Context(), "all", "relay", json.RawMessage(`true`))
	require.NoError(t, err)
	require.True(t, w.OK, w.Detail)
	f.AwaitRetained(t, "fieldgate/one/relay", `"value":true`)
	require.True(t, relays[0].Coil(2))
	require.True(t, relays[1].Coil(2))
}

// go.bug.st/serial panics where select(2) ends: with a broker's clients the port of a replug gets a high descriptor.
func TestBridge_ReplugAmongManyDescriptors(t *testing.T) {
	var limit syscall.Rlimit
	require.NoError(t, syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit))
	const many = 1100
	if limit.Cur < many+200 {
		t.Skipf("this process may open %d descriptors only", limit.Cur)
	}
	for range many {
		file, err := os.Open(os.DevNull)
		require.NoError(t, err)
		defer file.Close()
	}
	link := filepath.Join(t.TempDir(), "ttyUSB0")
	f := start(t, serial(link, cabinetDevices))
	for range 3 {
		unplug := plug(t, link, cabinet())
		f.AwaitRetained(t, "fieldgate/meter/voltage", `"quality":"good"`)
		unplug()
		f.AwaitRetained(t, "fieldgate/meter/voltage", `"error":"link"`)
	}
}

// As often as MODBUS_UNPLUGS says, else some times: every point is bad once and good again.
func TestBridge_UnplugCycles(t *testing.T) {
	cycles := 20
	if text := os.Getenv("MODBUS_UNPLUGS"); text != "" {
		n, err := strconv.Atoi(text)
		require.NoError(t, err)
		cycles = n
	}
	link := filepath.Join(t.TempDir(), "ttyUSB0")
	f := start(t, serial(link, `"devices":[{"id":"meter","unit":1,"interval":"10s","points":[{"id":"voltage","table":"input","address":0,"type":"float32"}]}]`))
	f.AwaitRetained(t, "fieldgate/meter/voltage", `"error":"link"`)
	var longest time.Duration
	for range cycles {
		unplug := plug(t, link, cabinet())
		begin := time.Now()
		f.AwaitRetained(t, "fieldgate/meter/voltage", `"quality":"good"`)
		longest = max(longest, time.Since(begin))
		unplug()
		f.AwaitRetained(t, "fieldgate/meter/voltage", `"error":"link"`)
	}
	good, bad := 0, 0
	for _, r := range f.readings(t, "fieldgate/meter/voltage") {
		switch {
		case r.Quality == "good":
			good++
		case r.Error == bridges.ErrLink:
			bad++
		}
	}
	require.Equal(t, cycles, good)
	require.Equal(t, cycles+1, bad)
	t.Logf("%d cycles, at most %v from the plug to the first value", cycles, longest)
}
