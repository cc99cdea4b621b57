package modbus_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net"
	"path/filepath"
	"sync"
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

// field is a running supervisor with one Modbus bridge, and what it published.
type field struct {
	*bridgestest.Bus
	supervisor *bridges.Supervisor
	ports      *port.Ports
	log        *bridgestest.Log
}

// start runs a bridge b with these settings until the test's end.
func start(t testing.TB, settings string) *field {
	t.Helper()
	return startOn(t, &bridgestest.Bus{}, &port.Ports{}, settings)
}

func startOn(t testing.TB, bus *bridgestest.Bus, ports *port.Ports, settings string) *field {
	t.Helper()
	f := &field{Bus: bus, ports: ports, log: &bridgestest.Log{}}
	f.supervisor = bridges.NewSupervisor(bridges.FieldRole, []bridges.Kind{modbus.Kind(f.ports)}, f.Bus, &fault.Alarms{}, f.log.Logger())
	require.NoError(t, f.supervisor.Apply([]bridges.Config{config(t, settings)}))
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- f.supervisor.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		require.NoError(t, <-ended)
	})
	return f
}

func config(t testing.TB, settings string) bridges.Config {
	t.Helper()
	c, err := bridges.NewConfig(json.RawMessage(settings), "")
	require.NoError(t, err)
	return c
}

// reading is the payload of a point.
type reading struct {
	Value   any
	Unit    string
	Quality string
	Error   string
	Time    time.Time
}

func (f *field) readings(t *testing.T, topic string) []reading {
	t.Helper()
	var list []reading
	for _, payload := range f.Payloads(topic) {
		var r reading
		require.NoError(t, json.Unmarshal([]byte(payload), &r), payload)
		list = append(list, r)
	}
	return list
}

// plug makes a pseudo-terminal at link with a simulated bus on it, until unplug or the test's end.
func plug(t testing.TB, link string, units map[byte]sim.Device) (unplug func()) {
	t.Helper()
	pty, err := sim.NewPTY(link)
	require.NoError(t, err)
	return serve(t, pty, units)
}

func serve(t testing.TB, line io.ReadWriteCloser, units map[byte]sim.Device) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var server sync.WaitGroup
	server.Go(func() { _ = sim.ServeRTU(ctx, line, units) })
	stop = sync.OnceFunc(func() {
		cancel()
		server.Wait()
	})
	t.Cleanup(stop)
	return stop
}

func cabinet() map[byte]sim.Device {
	return map[byte]sim.Device{1: sim.NewMeter(time.Now), 2: sim.NewRelays(time.Now)}
}

// serial is the settings of bridge b on a serial port.
func serial(path, more string) string {
	return fmt.Sprintf(`{"id":"b","kind":"modbus","link":{"serial":{"port":%q,"baud":115200}},%s}`, path, more)
}

const cabinetDevices = `"timeout":"1s","devices":[
	{"id":"meter","unit":1,"interval":"50ms","points":[
		{"id":"voltage","table":"input","address":0,"type":"float32","unit":"V"},
		{"id":"current","table":"input","address":6,"type":"float32","unit":"A"},
		{"id":"frequency","table":"input","address":20,"type":"float32","unit":"Hz","precision":3},
		{"id":"temperature","table":"holding","address":0,"type":"int16","scale":0.1,"unit":"°C"},
		{"id":"setpoint","table":"holding","address":2,"type":"int32","scale":0.01,"write":{"min":-10,"max":60,"step":0.5,"verify":true}},
		{"id":"period","table":"holding","address":4,"type":"uint16","write":{}}]},
	{"id":"relays","unit":2,"interval":"50ms","points":[
		{"id":"relay-1","table":"coil","address":0,"write":{}},
		{"id":"relay-8","table":"coil","address":7,"write":{"verify":true,"function":15}},
		{"id":"input-1","table":"discrete_input","address":0}]}]`

func TestBridge_PublishesWhatASimulatedBusMeasures(t *testing.T) {
	link := filepath.Join(t.TempDir(), "ttyUSB0")
	plug(t, link, cabinet())
	f := start(t, serial(link, cabinetDevices))
	f.AwaitRetained(t, "fieldgate/meter/voltage", `"quality":"good"`, `"unit":"V"`)
	f.AwaitRetained(t, "fieldgate/meter/temperature", `"quality":"good"`)
	f.AwaitRetained(t, "fieldgate/relays/relay-1", `"value":false`)
	f.AwaitRetained(t, "fieldgate/relays/input-1", `"quality":"good"`)
	f.AwaitRetained(t, "fieldgate/meter/$state", `"state":"online"`)
	f.AwaitRetained(t, "fieldgate/$bridge/b", `"state":"online"`)
	for topic, exact := range map[string]func(sim.MeterValues) float64{
		"fieldgate/meter/voltage":     func(v sim.MeterValues) float64 { return v.Voltage[0] },
		"fieldgate/meter/current":     func(v sim.MeterValues) float64 { return v.Current[0] },
		"fieldgate/meter/temperature": func(v sim.MeterValues) float64 { return math.Round(v.Temperature*10) / 10 },
	} {
		for _, r := range f.readings(t, topic) {
			if r.Quality == "bad" {
				require.Equal(t, bridges.ErrNoValueYet, r.Error)
				continue
			}
			require.InDelta(t, exact(sim.MeterAt(r.Time)), r.Value, 0.5, topic)
		}
	}
}

func TestBridge_SpeaksModbusTCP(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	ctx, stop := context.WithCancel(context.Background())
	var server sync.WaitGroup
	server.Go(func() { _ = sim.ServeTCP(ctx, ln, cabinet()) })
	t.Cleanup(func() { stop(); server.Wait() })
	f := start(t, fmt.Sprintf(`{"id":"b","kind":"modbus","link":{"tcp":{"address":%q}},%s}`, ln.Addr(), cabinetDevices))
	f.AwaitRetained(t, "fieldgate/meter/voltage", `"quality":"good"`)
	f.AwaitRetained(t, "fieldgate/relays/input-1", `"quality":"good"`)
	require.NoError(t, f.Publish(t.Context(), set("fieldgate/meter/setpoint/set", `{"value":19.5,"id":"a"}`), nil))
	f.Await(t, "the result", func() bool { return len(f.Messages("fieldgate/meter/setpoint/result")) == 1 })
	require.Contains(t, f.Payloads("fieldgate/meter/setpoint/result")[0], `{"id":"a","ok":true,"value":19.5,"ms":`)
}

func set(topic, payload string) *mqtt.Message {
	return &mqtt.Message{Topic: topic, Payload: []byte(payload), QoS: mqtt.AtLeastOnce, Accepted: time.Now()}
}

func TestBridge_UnplugAndReplug(t *testing.T) {
	link := filepath.Join(t.TempDir(), "ttyUSB0")
	f := start(t, serial(link, cabinetDevices))
	f.AwaitRetained(t, "fieldgate/meter/voltage", `"quality":"bad"`, `"error":"link"`)
	f.AwaitRetained(t, "fieldgate/$bridge/b", `"state":"offline"`, "plug the adapter in")
	for range 3 {
		unplug := plug(t, link, cabinet())
		f.AwaitRetained(t, "fieldgate/meter/voltage", `"quality":"good"`)
		f.AwaitRetained(t, "fieldgate/relays/$state", `"state":"online"`)
		unplug()
		f.AwaitRetained(t, "fieldgate/meter/voltage", `"error":"link"`)
		f.AwaitRetained(t, "fieldgate/relays/$state", `"state":"offline"`, "the port is gone")
	}
	bad := 0
	for _, r := range f.readings(t, "fieldgate/meter/voltage") {
		if r.Quality == "bad" && r.Error == "link" {
			bad++
		}
	}
	require.Equal(t, 4, bad, "told once for each time")
}

func TestWrite_AnswersEachCommand(t *testing.T) {
	link := filepath.Join(t.TempDir(), "ttyUSB0")
	units := cabinet()
	relays := sim.NewRelays(time.Now)
	units[2] = relays
	plug(t, link, units)
	f := start(t, serial(link, cabinetDevices))
	f.AwaitRetained(t, "fieldgate/meter/$state", `"state":"online"`)
	f.AwaitRetained(t, "fieldgate/relays/$state", `"state":"online"`)
	for _, c := range []struct{ name, point, payload, want string }{
		{"number", "meter/setpoint", `21.5`, `{"ok":true,"value":21.5,"ms":`},
		{"negative", "meter/setpoint", `{"value":-9.5,"id":"n"}`, `{"id":"n","ok":true,"value":-9.5,"ms":`},
		{"integer", "meter/period", `60`, `{"ok":true,"value":60,"ms":`},
		{"coil on", "relays/relay-1", `{"value":true,"id":"x7","expires":5}`, `{"id":"x7","ok":true,"value":true,"ms":`},
		{"coil by function 15", "relays/relay-8", `1`, `{"ok":true,"value":true,"ms":`},
		{"too high", "meter/setpoint", `{"value":61,"id":"h"}`, `{"id":"h","ok":false,"code":"out_of_range","detail":"must be -10 to 60"}`},
		{"off step", "meter/setpoint", `20.2`, `"code":"out_of_range"`},
		{"no number", "meter/setpoint", `"warm"`, `"code":"not_a_number"`},
		{"bool for a number", "meter/period", `true`, `"code":"not_a_number"`},
		{"too wide", "meter/period", `70000`, `"code":"out_of_range"`},
		{"number for a coil", "relays/relay-1", `2`, `"code":"out_of_range"`},
		{"nonsense", "meter/setpoint", `{"value":`, `"code":"invalid"`},
		{"read-only", "meter/voltage", `1`, `"code":"read_only"`},
		{"unknown", "meter/colour", `1`, `"code":"unknown_point"`},
		{"refused by the device", "meter/period", `0`, `"code":"exception_3"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			results := "fieldgate/" + c.point + "/result"
			before := len(f.Payloads(results))
			require.NoError(t, f.Publish(t.Context(), set("fieldgate/"+c.point+"/set", c.payload), nil))
			f.Await(t, "a result", func() bool { return len(f.Payloads(results)) > before })
			require.Contains(t, f.Payloads(results)[before], c.want)
		})
	}
	require.True(t, relays.Coil(0))
	require.True(t, relays.Coil(7))
	f.AwaitRetained(t, "fieldgate/meter/setpoint", `"value":-9.5`)
	f.AwaitRetained(t, "fieldgate/relays/relay-1", `"value":true`)
}

func TestWrite_IgnoresRetainedAndLateCommands(t *testing.T) {
	link := filepath.Join(t.TempDir(), "ttyUSB0")
	units := cabinet()
	relays := sim.NewRelays(time.Now)
	units[2] = relays
	plug(t, link, units)
	f := start(t, serial(link, cabinetDevices))
	f.AwaitRetained(t, "fieldgate/relays/$state", `"state":"online"`)
	retained := set("fieldgate/relays/relay-1/set", "true")
	retained.Retain = true
	require.NoError(t, f.Publish(t.Context(), retained, nil))
	late := set("fieldgate/relays/relay-1/set", `{"value":true,"expires":5}`)
	late.Accepted = time.Now().Add(-time.Minute)
	require.NoError(t, f.Publish(t.Context(), late, nil))
	f.Await(t, "a result", func() bool { return len(f.Payloads("fieldgate/relays/relay-1/result")) > 0 })
	require.Contains(t, f.Payloads("fieldgate/relays/relay-1/result")[0], `"code":"expired"`)
	require.False(t, relays.Coil(0))
	require.Equal(t, 1, f.log.Count("retained command ignored"))
}

func TestWriter_WritesForThePage(t *testing.T) {
	link := filepath.Join(t.TempDir(), "ttyUSB0")
	plug(t, link, cabinet())
	f := start(t, serial(link, cabinetDevices))
	f.AwaitRetained(t, "fieldgate/meter/$state", `"state":"online"`)
	w, err := f.supervisor.Write(t.Context(), "meter", "setpoint", json.RawMessage(`18`))
	require.NoError(t, err)
	require.True(t, w.OK, w.Detail)
	require.Equal(t, "18", w.Value.String())
	_, err = f.supervisor.Write(t.Context(), "meter", "nothing", json.RawMessage(`18`))
	require.Equal(t, fault.NotFound, fault.CodeOf(err))
}

func TestBridge_ADeadUnitDoesNotStopTheOthers(t *testing.T) {
	link := filepath.Join(t.TempDir(), "ttyUSB0")
	plug(t, link, map[byte]sim.Device{1: sim.NewMeter(time.Now)})
	f := start(t, serial(link, `"timeout":"100ms","devices":[
		{"id":"dead","unit":9,"interval":"50ms","points":[{"id":"x","address":0},{"id":"y","address":500}]},
		{"id":"meter","unit":1,"interval":"50ms","points":[{"id":"period","address":4},{"id":"hole","address":6},{"id":"nan","table":"input","address":300}]}]`))
	f.AwaitRetained(t, "fieldgate/dead/x", `"error":"timeout"`)
	f.AwaitRetained(t, "fieldgate/dead/y", `"error":"timeout"`)
	f.AwaitRetained(t, "fieldgate/dead/$state", `"state":"offline"`, "unit 9 gives no answer")
	f.AwaitRetained(t, "fieldgate/meter/period", `"value":15`)
	f.AwaitRetained(t, "fieldgate/meter/hole", `"error":"exception_2"`)
	f.AwaitRetained(t, "fieldgate/meter/$state", `"state":"degraded"`, "the device has no such address")
	before := len(f.Messages("fieldgate/meter/period"))
	f.Await(t, "20 more values", func() bool { return len(f.Messages("fieldgate/meter/period")) > before+20 })
	bad := 0
	for _, r := range f.readings(t, "fieldgate/dead/x") {
		if r.Error == "timeout" {
			bad++
		}
	}
	require.Equal(t, 1, bad)
}

func TestTest_SaysWhatToDo(t *testing.T) {
	dir := t.TempDir()
	silent := filepath.Join(dir, "silent")
	plug(t, silent, map[byte]sim.Device{})
	alive := filepath.Join(dir, "alive")
	plug(t, alive, cabinet())
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, closed.Close())
	tcp := fmt.Sprintf(`{"id":"b","kind":"modbus","link":{"tcp":{"address":%q}},%s}`, closed.Addr(), cabinetDevices)
	for _, c := range []struct {
		name, settings string
		want           []string
	}{
		{"no port", serial(filepath.Join(dir, "none"), cabinetDevices), []string{"no such file or directory", "plug the adapter in, or choose another port"}},
		{"silence", serial(silent, cabinetDevices), []string{"unit 1 gives no answer", "its unit identifier", "115200 8N1", "wiring (A and B)"}},
		{"refused", tcp, []string{"connection refused", "nothing listens at this port"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := tester(t, c.settings).Test(t.Context(), "")
			require.Error(t, err)
			for _, words := range c.want {
				require.ErrorContains(t, err, words)
			}
			require.Equal(t, fault.Unreachable, fault.CodeOf(err))
		})
	}
	t.Run("alive", func(t *testing.T) {
		got, err := tester(t, serial(alive, cabinetDevices)).Test(t.Context(), "meter")
		require.NoError(t, err)
		require.Len(t, got, 6)
		for _, r := range got {
			require.Equal(t, bridges.Good, r.Quality, r.Point)
			require.Equal(t, "meter", r.Device)
		}
	})
}

func tester(t *testing.T, settings string) bridges.Tester {
	t.Helper()
	b, err := modbus.Kind(&port.Ports{}).New(config(t, settings), slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	return b.(bridges.Tester)
}
