package modbus_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"fieldgate/bridges"
	"fieldgate/bridges/sim"
	"fieldgate/internal/fault"
)

// serveTCP serves simulated units over Modbus/TCP until the test's end and gives the address.
func serveTCP(t *testing.T, units map[byte]sim.Device) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	var server sync.WaitGroup
	server.Go(func() { _ = sim.ServeTCP(ctx, l, units) })
	t.Cleanup(func() {
		cancel()
		server.Wait()
	})
	return l.Addr().String()
}

type handAnswer struct {
	OK        bool
	Error     string
	Code      string
	Exception int
	Table     string
	Address   int
	Raw       string
	Function  int
	Verified  bool
	Registers []struct {
		Address  int
		Hex      string
		Unsigned int
		Signed   int
	}
	Said []struct {
		Name  string
		Value int
		Text  string
	}
	Bits    []struct{ Value bool }
	Decodes []struct {
		Address   int
		Type      string
		Order     string
		Registers int
		Value     any
		Text      string
		Likely    bool
	}
}

func answerOf(t *testing.T, a bridges.HandAnswer, err error) handAnswer {
	t.Helper()
	require.NoError(t, err)
	text, err := json.Marshal(a)
	require.NoError(t, err)
	var out handAnswer
	require.NoError(t, json.Unmarshal(text, &out), string(text))
	return out
}

// byHand is how a person reaches the cabinet: on the link of the running bridge, or on one of its own.
type byHand struct {
	name   string
	field  *field
	config bridges.Config
}

func byHands(t *testing.T) []byHand {
	link := filepath.Join(t.TempDir(), "ttyUSB0")
	plug(t, link, cabinet())
	running := start(t, serial(link, cabinetDevices))
	running.AwaitRetained(t, "fieldgate/meter/voltage", `"quality":"good"`)

	other := filepath.Join(t.TempDir(), "ttyUSB1")
	plug(t, other, cabinet())
	tcp := serveTCP(t, cabinet())
	unsaved := func(link string) bridges.Config {
		return bridges.Config{Kind: "modbus", Settings: json.RawMessage(`{"kind":"modbus","link":` + link + `}`)}
	}
	return []byHand{
		{"running bridge", running, bridges.Config{ID: "b"}},
		{"link that is not saved", running, unsaved(`{"serial":{"port":"` + other + `"}}`)},
		{"TCP that is not saved", running, unsaved(`{"tcp":{"address":"` + tcp + `"}}`)},
	}
}

func TestReadByHand_GivesRegistersAndAllDecodes(t *testing.T) {
	for _, h := range byHands(t) {
		t.Run(h.name, func(t *testing.T) {
			read, err := h.field.supervisor.ReadByHand(t.Context(), h.config, json.RawMessage(`{"unit":1,"table":"input","address":0,"quantity":2}`))
			a := answerOf(t, read, err)
			require.True(t, a.OK, a.Error)
			require.Len(t, a.Registers, 2)
			require.Len(t, a.Raw, 8)
			found := false
			for _, d := range a.Decodes {
				if d.Address == 0 && d.Type == "float32" && d.Order == "ABCD" {
					found = true
					require.True(t, d.Likely)
					require.InDelta(t, 230, d.Value, 25)
				}
			}
			require.True(t, found)

			read, err = h.field.supervisor.ReadByHand(t.Context(), h.config, json.RawMessage(`{"unit":2,"table":"coil","address":0,"quantity":8}`))
			a = answerOf(t, read, err)
			require.Len(t, a.Bits, 8)
			require.Empty(t, a.Decodes)

			read, err = h.field.supervisor.ReadByHand(t.Context(), h.config, json.RawMessage(`{"unit":1,"table":"holding","address":5000}`))
			a = answerOf(t, read, err)
			require.False(t, a.OK)
			require.Equal(t, 2, a.Exception)
			require.Contains(t, a.Error, "no such address")

			read, err = h.field.supervisor.ReadByHand(t.Context(), h.config, json.RawMessage(`{"unit":9,"address":0,"timeout":"50ms"}`))
			a = answerOf(t, read, err)
			require.False(t, a.OK)
			require.NotEmpty(t, a.Error)
		})
	}
}

func TestWriteByHand_WritesAndReadsBack(t *testing.T) {
	for _, h := range byHands(t) {
		t.Run(h.name, func(t *testing.T) {
			for _, c := range []struct {
				question string
				function int
				raw      string
			}{
				{`{"unit":1,"address":2,"type":"int32","value":2150,"verify":true}`, 16, "00000866"},
				{`{"unit":1,"address":4,"registers":[7],"verify":true}`, 6, "0007"},
				{`{"unit":1,"address":4,"value":9,"function":16,"verify":true}`, 16, "0009"},
				{`{"unit":2,"table":"coil","address":3,"value":true,"verify":true}`, 5, "01"},
				{`{"unit":2,"address":0,"coils":[true,false,true],"verify":true}`, 15, "05"},
			} {
				written, err := h.field.supervisor.WriteByHand(t.Context(), h.config, json.RawMessage(c.question))
				a := answerOf(t, written, err)
				require.True(t, a.OK, "%s: %s", c.question, a.Error)
				require.True(t, a.Verified)
				require.Equal(t, c.function, a.Function)
				require.Equal(t, c.raw, a.Raw)
			}
		})
	}
}

func TestByHand_TellsWhatIsWrongWithTheQuestion(t *testing.T) {
	h := byHands(t)[0]
	for _, c := range []struct{ name, question, want string }{
		{"unit", `{"unit":0}`, "/unit: must be 1 to 247"},
		{"unknown key", `{"adress":3}`, "/adress"},
		{"quantity", `{"quantity":126}`, "/quantity: must be 1 to 125"},
		{"both readings", `{"address":40001}`, "/address: 40001 is either"},
		{"table", `{"table":"holdin"}`, `/table: must be one of coil, discrete_input, holding, input; did you mean "holding"?`},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := h.field.supervisor.ReadByHand(t.Context(), h.config, json.RawMessage(c.question))
			require.ErrorContains(t, err, strings.SplitN(c.want, ": ", 2)[0])
			require.ErrorContains(t, err, c.want[strings.Index(c.want, " ")+1:])
		})
	}
	for _, c := range []struct{ name, question, field string }{
		{"nothing", `{}`, "/value"},
		{"two", `{"value":1,"registers":[1]}`, "/value"},
		{"input", `{"table":"input","value":1}`, "/table"},
		{"too large", `{"value":70000}`, "/value"},
		{"coil", `{"table":"coil","value":7}`, "/value"},
		{"type", `{"type":"floot32","value":7}`, "/type"},
		{"function", `{"value":7,"function":5,"table":"holding"}`, "/function"},
		{"end", `{"address":65535,"type":"float32","value":7}`, "/address"},
		{"register", `{"registers":[65536]}`, "/registers"},
	} {
		t.Run("write "+c.name, func(t *testing.T) {
			_, err := h.field.supervisor.WriteByHand(t.Context(), h.config, json.RawMessage(c.question))
			var fields []string
			for _, f := range fault.All(err) {
				fields = append(fields, f.Field)
			}
			require.Contains(t, fields, c.field)
		})
	}
	_, err := h.field.supervisor.ReadByHand(t.Context(), bridges.Config{Kind: "modbus", Settings: json.RawMessage(`{"kind":"modbus","link":{"serial":{}}}`)}, json.RawMessage(`{}`))
	require.Equal(t, "/bridge/link/serial/port", fault.All(err)[0].Field)
	_, err = h.field.supervisor.ReadByHand(t.Context(), bridges.Config{ID: "nobody"}, json.RawMessage(`{}`))
	require.Equal(t, fault.NotFound, fault.All(err)[0].Code)
}

// found gathers what a scan tells.
func found(t *testing.T, f *field, c bridges.Config, question string) (list []bridges.Found, last bridges.ScanStep) {
	t.Helper()
	require.NoError(t, f.supervisor.Scan(t.Context(), c, json.RawMessage(question), func(s bridges.ScanStep) {
		last = s
		if s.Found != nil {
			list = append(list, *s.Found)
		}
	}))
	return list, last
}

func TestScan_FindsTheUnits(t *testing.T) {
	for _, h := range byHands(t) {
		t.Run(h.name, func(t *testing.T) {
			list, last := found(t, h.field, h.config, `{"units":{"from":1,"to":4},"timeout":"250ms"}`)
			require.Len(t, list, 2)
			for i, x := range list {
				require.Equal(t, i+1, x.Unit)
				require.True(t, x.Certain)
			}
			require.Equal(t, last.Done, last.Total)
		})
	}
}

func TestScan_StopsTheBridgeForOtherFormatsAndStartsItAgain(t *testing.T) {
	link := filepath.Join(t.TempDir(), "ttyUSB0")
	plug(t, link, cabinet())
	f := start(t, serial(link, cabinetDevices))
	f.AwaitRetained(t, "fieldgate/meter/voltage", `"quality":"good"`)
	list, _ := found(t, f, bridges.Config{ID: "b"}, `{"units":{"from":1,"to":2},"timeout":"250ms","formats":[{"baud":9600,"format":"8E1"},{"baud":9600,"format":"8N1"}],"identify":false}`)
	require.Len(t, list, 2, "the second format is not tried any more")
	require.Equal(t, "8E1", list[0].Format)
	before := len(f.Payloads("fieldgate/meter/voltage"))
	f.Await(t, "polls again", func() bool { return len(f.Payloads("fieldgate/meter/voltage")) > before })
	f.AwaitRetained(t, "fieldgate/meter/voltage", `"quality":"good"`)
}

func TestScan_EndsWithItsContext(t *testing.T) {
	h := byHands(t)[1]
	ctx, cancel := context.WithCancel(t.Context())
	err := h.field.supervisor.Scan(ctx, h.config, json.RawMessage(`{"units":{"from":50,"to":247}}`), func(s bridges.ScanStep) {
		if s.Done > 2 {
			cancel()
		}
	})
	require.ErrorIs(t, err, context.Canceled)
}

func TestScan_ChecksItsQuestion(t *testing.T) {
	h := byHands(t)[2]
	for _, c := range []struct{ question, field string }{
		{`{"units":{"from":9,"to":2}}`, "/units/to"},
		{`{"units":{"from":1,"to":256}}`, "/units/to"},
		{`{"functions":[6]}`, "/functions/0"},
		{`{"formats":[{"baud":9600,"format":"8N1"}]}`, "/formats"},
		{`{"timeout":"1h"}`, "/timeout"},
	} {
		err := h.field.supervisor.Scan(t.Context(), h.config, json.RawMessage(c.question), func(bridges.ScanStep) {})
		require.Equal(t, c.field, fault.All(err)[0].Field, c.question)
	}
}

func TestWatch_ShowsWhatGoesOverTheLink(t *testing.T) {
	devices := strings.Replace(cabinetDevices, `{"id":"relays","unit":2`, `{"id":"dead","unit":9,"interval":"50ms","points":[{"id":"x","address":0}]},{"id":"relays","unit":2`, 1)
	link := filepath.Join(t.TempDir(), "ttyUSB0")
	plug(t, link, cabinet())
	for name, settings := range map[string]string{
		"serial": serial(link, devices),
		"tcp":    `{"id":"b","kind":"modbus","link":{"tcp":{"address":"` + serveTCP(t, cabinet()) + `"}},` + devices + `}`,
	} {
		t.Run(name, func(t *testing.T) {
			f := start(t, settings)
			f.AwaitRetained(t, "fieldgate/meter/voltage", `"quality":"good"`)
			frames := make(chan bridges.Frame, 1000)
			stop, _, err := f.supervisor.Watch("b", func(x bridges.Frame) {
				select {
				case frames <- x:
				default:
				}
			})
			require.NoError(t, err)
			defer stop()
			var request, answer, silence bool
			deadline := time.After(20 * time.Second)
			for !request || !answer || !silence {
				select {
				case x := <-frames:
					require.NotEmpty(t, x.Time)
					switch {
					case x.Direction == "request" && x.Unit == 1 && x.Function == 4:
						request = x.Name == "read input registers" && x.Quantity > 0 && x.Hex != ""
					case x.Direction == "answer" && x.Unit == 1 && x.Function == 4 && x.Problem == "":
						answer = len(x.Values) == x.Quantity && x.MS >= 0
					case x.Direction == "answer" && x.Unit == 9:
						silence = x.Words != ""
					}
				case <-deadline:
					t.Fatalf("request %v, answer %v, silence %v", request, answer, silence)
				}
			}
		})
	}
}

func TestWatch_EndsWhenTheBridgeIsReplaced(t *testing.T) {
	link := filepath.Join(t.TempDir(), "ttyUSB0")
	plug(t, link, cabinet())
	f := start(t, serial(link, cabinetDevices))
	f.AwaitRetained(t, "fieldgate/meter/voltage", `"quality":"good"`)
	_, gone, err := f.supervisor.Watch("b", func(bridges.Frame) {})
	require.NoError(t, err)
	require.NoError(t, f.supervisor.Apply(nil))
	<-gone
	_, _, err = f.supervisor.Watch("b", func(bridges.Frame) {})
	require.Equal(t, fault.NotFound, fault.All(err)[0].Code)
}

// A slave that is not ours answers every function code that a person may send.
func TestPymodbus_FunctionCodesByHand(t *testing.T) {
	far, near := socatPair(t)
	slave(t, "rtu", far, "19200")
	running := start(t, fmt.Sprintf(`{"id":"b","kind":"modbus","link":{"serial":{"port":%q,"baud":19200}},%s}`, near, pymodbusDevices))
	running.AwaitRetained(t, "fieldgate/meter/voltage", `"quality":"good"`)
	tcp := fmt.Sprintf(`{"kind":"modbus","link":{"tcp":{"address":"127.0.0.1:%s"}}}`, slave(t, "tcp"))
	for name, config := range map[string]bridges.Config{"RTU, running": {ID: "b"}, "TCP": {Kind: "modbus", Settings: json.RawMessage(tcp)}} {
		t.Run(name, func(t *testing.T) {
			for question, first := range map[string]string{
				`{"function":7}`: "exception_status",
				`{"function":8}`: "returned_data",
				`{"function":8,"sub_function":11,"unit":2}`: "bus_messages",
				`{"function":11}`: "status",
				`{"function":17}`: "product",
				`{"function":24,"address":3,"unit":2,"timeout":"1s"}`: "fifo_count",
			} {
				read, err := running.supervisor.ReadByHand(t.Context(), config, json.RawMessage(question))
				a := answerOf(t, read, err)
				require.True(t, a.OK, "%s: %s", question, a.Error)
				require.NotEmpty(t, a.Said, question)
				require.Equal(t, first, a.Said[0].Name, question)
			}
			write, err := running.supervisor.WriteByHand(t.Context(), config, json.RawMessage(`{"unit":2,"function":23,"address":2,"registers":[7,8],"read_address":1,"read_quantity":3,"verify":true}`))
			a := answerOf(t, write, err)
			require.True(t, a.OK, a.Error)
			require.True(t, a.Verified)
			require.Len(t, a.Registers, 3)
			require.Equal(t, 1, a.Registers[0].Address)
			require.Equal(t, 7, a.Registers[1].Unsigned, "it writes before it reads")
		})
	}
}
