package modbus_test

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"fieldgate/bridges"
	"fieldgate/bridges/internal/port"
	"fieldgate/bridges/modbus"
	"fieldgate/bridges/sim"
	"fieldgate/broker/mqtt"
)

// registers is a device with 8 holding registers.
type registers struct {
	mu    sync.Mutex // protects what follows
	words [8]uint16
}

func (r *registers) ReadBits(sim.Table, int, int) ([]bool, sim.Exception) {
	return nil, sim.IllegalFunction
}
func (r *registers) WriteBits(int, []bool) sim.Exception { return sim.IllegalFunction }

func (r *registers) ReadRegisters(_ sim.Table, address, quantity int) ([]uint16, sim.Exception) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if address+quantity > len(r.words) {
		return nil, sim.IllegalAddress
	}
	return append([]uint16(nil), r.words[address:address+quantity]...), sim.OK
}

func (r *registers) WriteRegisters(address int, values []uint16) sim.Exception {
	r.mu.Lock()
	defer r.mu.Unlock()
	copy(r.words[address:], values)
	return sim.OK
}

func (r *registers) word(i int) uint16 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.words[i]
}

// named says who it is.
type named struct{ *registers }

func (named) Identity() (vendor, product, revision string) { return "ACME", "R8", "2.1" }

func tcp(t *testing.T, d sim.Device) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	ctx, stop := context.WithCancel(context.Background())
	var server sync.WaitGroup
	server.Go(func() { _ = sim.ServeTCP(ctx, ln, map[byte]sim.Device{1: d}) })
	t.Cleanup(func() {
		stop()
		server.Wait()
	})
	return ln.Addr().String()
}

func settings(address, points string) string {
	return fmt.Sprintf(`{"id":"b","kind":"modbus","link":{"tcp":{"address":%q}},"devices":[{"id":"d","interval":"1h","points":[%s]}]}`, address, points)
}

func TestCommands_ChangeOneBitAndLeaveTheOthers(t *testing.T) {
	d := &registers{words: [8]uint16{0xA5A5, 0xA5A5, 0xA5A5}}
	f := start(t, settings(tcp(t, d), `
		{"id":"auto","address":0,"bit":1,"write":{"verify":true}},
		{"id":"mask","address":1,"bit":0,"write":{"function":22}},
		{"id":"plain","address":2,"bit":15,"order":"BADC","write":{"function":6},"enum":{"0":"off","1":"on"}}`))
	f.AwaitRetained(t, "fieldgate/d/auto", `"quality":"good"`)
	for _, c := range []struct {
		point, payload, want string
		word                 int
		holds                uint16
	}{
		{"auto", `true`, `"ok":true,"value":true`, 0, 0xA5A7},
		{"mask", `0`, `"ok":true,"value":false`, 1, 0xA5A4},
		{"plain", `"off"`, `"ok":true,"value":"off"`, 2, 0xA525},
		{"plain", `"maybe"`, `"code":"out_of_range","detail":"must be one of: off, on"`, 2, 0xA525},
	} {
		result := "fieldgate/d/" + c.point + "/result"
		before := len(f.Messages(result))
		require.NoError(t, f.Publish(t.Context(), set("fieldgate/d/"+c.point+"/set", c.payload), nil))
		f.Await(t, "the result", func() bool { return len(f.Messages(result)) > before })
		require.Contains(t, f.Payloads(result)[before], c.want)
		require.Equal(t, c.holds, d.word(c.word), c.point)
	}
}

func TestCommands_AnswerToTheResponseTopicWithItsCorrelationData(t *testing.T) {
	f := start(t, settings(tcp(t, &registers{}), `{"id":"p","type":"uint16","address":0,"write":{}}`))
	f.AwaitRetained(t, "fieldgate/d/p", `"quality":"good"`)
	m := set("fieldgate/d/p/set", `{"value":7,"id":"x"}`)
	m.Props = m.Props.AppendResponseTopic("me/answers").AppendCorrelationData([]byte{1, 2})
	require.NoError(t, f.Publish(t.Context(), m, nil))
	f.Await(t, "the answer", func() bool { return len(f.Messages("me/answers")) == 1 })
	answer := f.Messages("me/answers")[0]
	require.Contains(t, string(answer.Payload), `{"id":"x","ok":true,"value":7,`)
	require.Equal(t, []byte{1, 2}, answer.Props.CorrelationData())
	require.Empty(t, f.Messages("fieldgate/d/p/result"))
	m = set("fieldgate/d/p/set", `8`)
	m.Props = m.Props.AppendResponseTopic("fieldgate/other/p/set")
	require.NoError(t, f.Publish(t.Context(), m, nil))
	f.Await(t, "the result", func() bool { return len(f.Messages("fieldgate/d/p/result")) == 1 })
	require.Equal(t, mqtt.AtLeastOnce, answer.QoS)
}

func TestTest_TellsWhatTheDeviceSaysAboutItself(t *testing.T) {
	address := tcp(t, named{&registers{}})
	b, err := modbus.Kind(&port.Ports{}).New(config(t, settings(address, `{"id":"p","address":0}`)), slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	told := map[string]bridges.Identity{}
	ctx := bridges.WithIdentities(t.Context(), func(device string, id bridges.Identity) { told[device] = id })
	_, err = b.(bridges.Tester).Test(ctx, "")
	require.NoError(t, err)
	require.Equal(t, map[string]bridges.Identity{"d": {Vendor: "ACME", Product: "R8", Revision: "2.1"}}, told)
}

func TestPoints_OnceIsReadOnceAndPublishSaysWhat(t *testing.T) {
	d := &registers{words: [8]uint16{5, 7}}
	f := start(t, fmt.Sprintf(`{"id":"b","kind":"modbus","link":{"tcp":{"address":%q}},"devices":[{"id":"d","interval":"20ms","points":[
		{"id":"once","address":0,"interval":"once"},{"id":"same","address":1,"on_change":true},{"id":"quiet","address":2,"publish":false},{"id":"beat","address":3}]}]}`, tcp(t, d)))
	f.Await(t, "some polls", func() bool { return len(f.Messages("fieldgate/d/beat")) > 5 })
	require.Len(t, f.Messages("fieldgate/d/once"), 1)
	require.Len(t, f.Messages("fieldgate/d/same"), 1)
	require.Empty(t, f.Messages("fieldgate/d/quiet"))
	for _, v := range f.supervisor.Values() {
		require.Equal(t, bridges.Good, v.Quality, v.Point)
	}
}

func TestCommands_ChangeOneByteAndLeaveTheOther(t *testing.T) {
	d := &registers{words: [8]uint16{0x1234, 0x1234, 0x1234}}
	f := start(t, settings(tcp(t, d), `
		{"id":"low","address":0,"type":"uint8","write":{"verify":true}},
		{"id":"high","address":1,"type":"int8","order":"BADC","write":{"function":6}},
		{"id":"masked","address":2,"type":"int8","write":{"function":22}}`))
	f.AwaitRetained(t, "fieldgate/d/low", `"value":52`)
	for _, c := range []struct {
		point, payload, want string
		word                 int
		holds                uint16
	}{
		{"low", `86`, `"ok":true,"value":86`, 0, 0x1256},
		{"high", `-2`, `"ok":true,"value":-2`, 1, 0xFE34},
		{"masked", `-1`, `"ok":true,"value":-1`, 2, 0x12FF},
		{"low", `256`, `"code":"out_of_range"`, 0, 0x1256},
	} {
		result := "fieldgate/d/" + c.point + "/result"
		before := len(f.Messages(result))
		require.NoError(t, f.Publish(t.Context(), set("fieldgate/d/"+c.point+"/set", c.payload), nil))
		f.Await(t, "the result", func() bool { return len(f.Messages(result)) > before })
		require.Contains(t, f.Payloads(result)[before], c.want)
		require.Equal(t, c.holds, d.word(c.word), c.point)
	}
}

// stubborn confirms what is written and keeps what it has.
type stubborn struct{ *registers }

func (stubborn) WriteRegisters(int, []uint16) sim.Exception { return sim.OK }

// holey refuses the second register.
type holey struct{ stubborn }

func (d holey) ReadRegisters(table sim.Table, address, quantity int) ([]uint16, sim.Exception) {
	if address+quantity > 1 {
		return nil, sim.IllegalAddress
	}
	return d.registers.ReadRegisters(table, address, quantity)
}

// What a device still says after a write that it only confirmed is told again.
func TestCommands_ABadValueIsToldAgainAfterAWrite(t *testing.T) {
	for _, c := range []struct {
		name, point, bad string
		device           sim.Device
	}{
		{"no value", `{"id":"p","address":0,"type":"uint16","invalid":["0x8000"],"write":{}}`, `"error":"no_value"`, stubborn{&registers{words: [8]uint16{0x8000}}}},
		{"a refused address", `{"id":"p","address":1,"type":"uint16","write":{}}`, `"error":"exception_2"`, holey{stubborn{&registers{}}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := start(t, fmt.Sprintf(`{"id":"b","kind":"modbus","link":{"tcp":{"address":%q}},"devices":[{"id":"d","interval":"50ms","points":[%s]}]}`, tcp(t, c.device), c.point))
			f.AwaitRetained(t, "fieldgate/d/p", c.bad)
			require.NoError(t, f.Publish(t.Context(), set("fieldgate/d/p/set", "5"), nil))
			f.Await(t, "good", func() bool {
				return len(f.Payloads("fieldgate/d/p")) > 1
			})
			require.Contains(t, f.Payloads("fieldgate/d/p")[1], `"value":5,`)
			f.AwaitRetained(t, "fieldgate/d/p", c.bad)
		})
	}
}

func TestCommands_ToADeviceThatIsSwitchedOffAreAnswered(t *testing.T) {
	f := start(t, fmt.Sprintf(`{"id":"b","kind":"modbus","link":{"tcp":{"address":%q}},"devices":[
		{"id":"on","points":[{"id":"p","address":0}]},{"id":"off","enabled":false,"points":[{"id":"p","address":0,"write":{}}]}]}`, tcp(t, &registers{})))
	f.AwaitRetained(t, "fieldgate/on/p", `"quality":"good"`)
	require.NoError(t, f.Publish(t.Context(), set("fieldgate/off/p/set", "5"), nil))
	f.Await(t, "the result", func() bool { return len(f.Messages("fieldgate/off/p/result")) == 1 })
	require.Contains(t, f.Payloads("fieldgate/off/p/result")[0], `"code":"disabled"`)
}
