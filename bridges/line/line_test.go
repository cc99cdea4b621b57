package line_test

import (
	"context"
	"encoding/json"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"fieldgate/bridges"
	"fieldgate/bridges/bridgestest"
	"fieldgate/bridges/internal/port"
	"fieldgate/bridges/line"
	"fieldgate/internal/fault"
)

// stage is a line bridge that runs against a TCP listener.
type stage struct {
	*bridges.Supervisor
	t      *testing.T
	bus    *bridgestest.Bus
	alarms *fault.Alarms
	server net.Listener
	conn   net.Conn
}

func listen(t *testing.T) net.Listener {
	server, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = server.Close() })
	return server
}

// settings puts the address and devices into a settings object.
func settings(t *testing.T, address net.Addr, rest string) bridges.Config {
	c, err := bridges.NewConfig(json.RawMessage(`{"id":"b","kind":"line","link":{"tcp":{"address":"`+address.String()+`"}},`+rest+`}`), "")
	require.NoError(t, err)
	return c
}

// start runs the bridge; its first line may follow at once.
func start(t *testing.T, rest string) *stage {
	st := &stage{t: t, bus: &bridgestest.Bus{}, alarms: &fault.Alarms{}, server: listen(t)}
	var log bridgestest.Log
	st.Supervisor = bridges.NewSupervisor(bridges.FieldRole, []bridges.Kind{line.Kind(&port.Ports{})}, st.bus, st.alarms, log.Logger())
	require.NoError(t, st.Apply([]bridges.Config{settings(t, st.server.Addr(), rest)}))
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- st.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		require.NoError(t, <-ended)
		require.NotContains(t, log.String(), "did not stop in time")
	})
	st.accept()
	return st
}

// accept takes the bridge's connection and sends the end of a line, which the bridge must drop.
func (st *stage) accept() {
	conn, err := st.server.Accept()
	require.NoError(st.t, err)
	st.t.Cleanup(func() { _ = conn.Close() })
	st.conn = conn
	st.send("99.9kg\r\n")
}

func (st *stage) send(text string) {
	_, err := st.conn.Write([]byte(text))
	require.NoError(st.t, err)
}

const scale = `"throttle":"0s","devices":[{"id":"scale","parse":{"regex":"(?P<weight>[-+0-9. ]*)kg"},"points":[{"id":"weight","unit":"kg"}]}]`

func TestBridge_ReadsEveryType(t *testing.T) {
	st := start(t, `"throttle":"0s","devices":[{"id":"d","parse":{"regex":"^(?P<a>[^;]*);(?P<b>[^;]*);(?P<c>[^;]*);(?P<d>[^;]*)(;(?P<e>.*))?$","decimal":","},"points":[
		{"id":"a","precision":1},{"id":"b","type":"int64"},{"id":"c","type":"bool"},{"id":"d","type":"string"},{"id":"e","type":"int","scale":0.01}]},
		{"id":"plain","payload":"value","topic":"x/y","parse":{"regex":"^P(?P<n>.*)"},"points":[{"id":"n","type":"int"}]},
		{"id":"off","enabled":false,"parse":{"regex":"(?P<n>.*)"},"points":[{"id":"n"}]}]`)
	st.send("nonsense\r\n\r\n")
	st.send("- 3,1415")
	st.send("9;-9223372036854775808;ON; bl\xe5 \r\n")
	st.send("P18446744073709551615\r\n")
	st.send("1 2;1.0;2;x;115\r\n")
	st.send("Pnothing\r\n")
	st.bus.Await(t, "the last line", func() bool { return len(st.bus.Payloads("x/y/n")) == 2 })

	value := func(point string, i int) string {
		var p struct {
			Value any    `json:"value"`
			Error string `json:"error"`
		}
		payload := st.bus.Payloads("fieldgate/d/" + point)[i]
		d := json.NewDecoder(strings.NewReader(payload))
		d.UseNumber()
		require.NoError(t, d.Decode(&p), payload)
		text, err := json.Marshal(p.Value)
		require.NoError(t, err)
		return string(text) + p.Error
	}
	for _, c := range []struct{ point, first, second string }{
		{"a", "-3.1", "nullparse"},
		{"b", "-9223372036854775808", "nullparse"},
		{"c", "true", "nullparse"},
		{"d", `"blå"`, `"x"`},
	} {
		require.Equal(t, c.first, value(c.point, 0), c.point)
		require.Equal(t, c.second, value(c.point, 1), c.point)
	}
	require.Equal(t, "1.15", value("e", 0), "a group that took no part says nothing")
	require.Len(t, st.bus.Payloads("fieldgate/d/e"), 1)
	require.Equal(t, []string{"18446744073709551615", ""}, st.bus.Payloads("x/y/n"), "a bare number that is none is taken back")
	require.Contains(t, st.bus.Retained("fieldgate/off/n"), `"error":"disabled"`)
	st.bus.AwaitRetained(t, "fieldgate/off/$state", `"state":"disabled"`)
	st.bus.AwaitRetained(t, "x/y/$state", `"state":"online"`)
}

func TestBridge_ReadsBooleans(t *testing.T) {
	st := start(t, `"throttle":"0s","devices":[{"id":"d","parse":{"regex":"^S(?P<b>.*)"},"points":[{"id":"b","type":"bool"}]}]`)
	want := []string{}
	for _, c := range []struct{ text, want string }{
		{"1", "true"}, {" ON ", "true"}, {"yes", "true"}, {"Closed", "true"}, {"high", "true"}, {"true", "true"},
		{"0", "false"}, {"off", "false"}, {"NO", "false"}, {"open", "false"}, {"low", "false"}, {"false", "false"},
		{"2", "null"}, {"", "null"}, {"tru", "null"},
	} {
		st.send("S" + c.text + "\r\n")
		want = append(want, `{"value":`+c.want)
	}
	st.bus.Await(t, "all lines", func() bool { return len(st.bus.Payloads("fieldgate/d/b")) == len(want) })
	for i, payload := range st.bus.Payloads("fieldgate/d/b") {
		require.Contains(t, payload, want[i]+",")
	}
}

func TestBridge_NeverPublishesATornLine(t *testing.T) {
	st := start(t, scale) // which sent the end of a line at once
	st.send("12.5kg\r\n12.6")
	st.bus.AwaitRetained(t, "fieldgate/scale/weight", "12.5")
	time.Sleep(1200 * time.Millisecond) // the pause in the line is what is tested
	st.send("7kg\r\n8kg\r\n")           // the rest of the line, and the next one
	st.bus.AwaitRetained(t, "fieldgate/scale/weight", `"value":8,`)
	require.Len(t, st.bus.Payloads("fieldgate/scale/weight"), 2)
}

func TestBridge_TakesTheFirstLineAfterAQuietStart(t *testing.T) {
	server := listen(t)
	bus := &bridgestest.Bus{}
	var log bridgestest.Log
	s := bridges.NewSupervisor(bridges.FieldRole, []bridges.Kind{line.Kind(&port.Ports{})}, bus, &fault.Alarms{}, log.Logger())
	require.NoError(t, s.Apply([]bridges.Config{settings(t, server.Addr(), scale)}))
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- s.Run(ctx) }()
	defer func() { stop(); <-ended }()
	conn, err := server.Accept()
	require.NoError(t, err)
	defer conn.Close()
	time.Sleep(300 * time.Millisecond) // the quiet is what is tested
	_, err = conn.Write([]byte("12.5kg\r\n"))
	require.NoError(t, err)
	bus.AwaitRetained(t, "fieldgate/scale/weight", "12.5")
}

func TestBridge_SilenceIsBad(t *testing.T) {
	st := start(t, `"timeout":"300ms",`+scale)
	st.send("1kg\r\n")
	st.bus.AwaitRetained(t, "fieldgate/scale/weight", `"value":1,`, `"quality":"good"`)
	st.bus.AwaitRetained(t, "fieldgate/scale/weight", `"value":null`, `"error":"timeout"`)
	st.bus.AwaitRetained(t, "fieldgate/scale/$state", `"state":"offline"`, "no line for 300ms")
	alarms, _ := st.alarms.List()
	require.Len(t, alarms, 1)
	st.send("2kg\r\n")
	st.bus.AwaitRetained(t, "fieldgate/scale/weight", `"value":2,`)
	st.bus.AwaitRetained(t, "fieldgate/scale/$state", `"state":"online"`)
	require.Len(t, st.bus.Messages("fieldgate/scale/weight"), 3, "bad is said once")
}

func TestBridge_SaysWhenLinesMatchNothing(t *testing.T) {
	st := start(t, `"timeout":"300ms",`+scale)
	stop := make(chan struct{})
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-stop:
				return
			case <-time.After(20 * time.Millisecond):
				_, _ = st.conn.Write([]byte("\xff\xfe\x00garbage\r\n"))
			}
		}
	}()
	st.bus.AwaitRetained(t, "fieldgate/scale/$state", `"state":"offline"`, "lines come, but for 300ms none matches parse")
	close(stop)
	<-done
	require.Eventually(t, func() bool { return st.Statuses()[0].Counters["unmatched"] > 0 }, 10*time.Second, 10*time.Millisecond)
	require.Len(t, st.bus.Messages("fieldgate/scale/weight"), 1)
}

func TestBridge_LostLinkComesBack(t *testing.T) {
	st := start(t, scale)
	st.send("1kg\r\n")
	st.bus.AwaitRetained(t, "fieldgate/scale/weight", `"value":1,`)
	require.NoError(t, st.conn.Close())
	st.bus.AwaitRetained(t, "fieldgate/scale/weight", `"error":"link"`)
	st.bus.AwaitRetained(t, "fieldgate/$bridge/b", `"state":"offline"`)
	st.accept()
	st.send("2kg\r\n")
	st.bus.AwaitRetained(t, "fieldgate/scale/weight", `"value":2,`)
	st.bus.AwaitRetained(t, "fieldgate/$bridge/b", `"state":"online"`)
	alarms, _ := st.alarms.List()
	require.Empty(t, alarms)
}

func TestBridge_IntervalPublishesTheNewest(t *testing.T) {
	st := start(t, `"devices":[{"id":"scale","interval":"500ms","parse":{"regex":"(?P<weight>.*)kg"},"points":[{"id":"weight"}]}]`)
	st.send("1kg\r\n2kg\r\n3kg\r\n4kg\r\n")
	st.bus.AwaitRetained(t, "fieldgate/scale/weight", `"value":4,`)
	require.Len(t, st.bus.Messages("fieldgate/scale/weight"), 2)
	require.Contains(t, st.bus.Payloads("fieldgate/scale/weight")[0], `"value":1,`)
}

func TestBridge_AFloodIsThinnedOut(t *testing.T) {
	st := start(t, scale)
	st.send(strings.Repeat("1kg\r\n", 5000) + "2kg\r\n")
	st.bus.AwaitRetained(t, "fieldgate/scale/weight", `"value":2,`)
	require.Less(t, len(st.bus.Messages("fieldgate/scale/weight")), 4000)
}

func TestBridge_CountsOverlongLines(t *testing.T) {
	st := start(t, `"framing":{"max_length":16},`+scale)
	st.send(strings.Repeat("9", 100_000) + "kg\r\n1kg\r\n")
	st.bus.AwaitRetained(t, "fieldgate/scale/weight", `"value":1,`)
	require.Eventually(t, func() bool { return st.Statuses()[0].Counters["overlong"] == 1 }, 10*time.Second, 10*time.Millisecond)
	require.Len(t, st.bus.Messages("fieldgate/scale/weight"), 1)
}

func TestTest_ReadsOneLineOrSaysWhatCame(t *testing.T) {
	for _, c := range []struct {
		name, rest, send string
		wait             time.Duration
		want             []bridges.Reading
		err              string
	}{
		{"a line", scale, "x\r\n12.5kg\r\n", 5 * time.Second,
			[]bridges.Reading{{Device: "scale", Point: "weight", Value: bridges.Float(12.5), Unit: "kg", Quality: bridges.Good}}, ""},
		{"nothing", scale, "", 300 * time.Millisecond, nil, "nothing came from 127.0.0.1:"},
		{"no match", scale, "x\r\n\x02hello \xb0\r\n", 300 * time.Millisecond, nil, "1 frames came, but none matches parse; the last was <STX>hello °"},
		{"cut", scale, "x\r\n" + strings.Repeat("é", 200) + "\r\n", 300 * time.Millisecond, nil, `é and 280 bytes more`},
		{"no delimiter", scale, "x\nhello\n", 300 * time.Millisecond, nil, "8 bytes came, but no whole frame by framing.delimiter <CR><LF>"},
		{"too long", `"framing":{"max_length":4},` + scale, "x\r\nhello\r\n", 300 * time.Millisecond, nil, "longer than framing.max_length 4"},
		{"one of two", scale[:len(scale)-1] + `,{"id":"other","parse":{"regex":"^(?P<x>.)$"},"points":[{"id":"x"}]}]`, "x\r\n1kg\r\n", 300 * time.Millisecond,
			[]bridges.Reading{{Device: "scale", Point: "weight", Value: bridges.Float(1), Unit: "kg", Quality: bridges.Good},
				{Device: "other", Point: "x", Quality: bridges.Bad, Error: "timeout"}}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			server := listen(t)
			b, err := line.Kind(&port.Ports{}).New(settings(t, server.Addr(), c.rest), (&bridgestest.Log{}).Logger())
			require.NoError(t, err)
			served := make(chan struct{})
			go func() {
				defer close(served)
				conn, err := server.Accept()
				if err != nil {
					return
				}
				defer conn.Close()
				_, _ = conn.Write([]byte(c.send))
				_, _ = conn.Read(make([]byte, 1)) // until the test closes
			}()
			ctx, stop := context.WithTimeout(t.Context(), c.wait)
			defer stop()
			got, err := b.(bridges.Tester).Test(ctx, "")
			<-served
			if c.err != "" {
				require.ErrorContains(t, err, c.err)
				return
			}
			require.NoError(t, err)
			for i := range got {
				got[i].Time = time.Time{}
			}
			require.Equal(t, c.want, got)
		})
	}
}

func TestTest_SaysThatTheLinkFailed(t *testing.T) {
	server := listen(t)
	c := settings(t, server.Addr(), scale)
	require.NoError(t, server.Close())
	b, err := line.Kind(&port.Ports{}).New(c, (&bridgestest.Log{}).Logger())
	require.NoError(t, err)
	_, err = b.(bridges.Tester).Test(t.Context(), "")
	require.EqualError(t, err, "connect to "+server.Addr().String()+": connection refused")
}

// A frame of a length without a checksum is published when nothing follows it.
func TestBridge_PublishesALoneFrameOfALength(t *testing.T) {
	st := start(t, `"throttle":"0s","framing":{"start":"A","length":4},"devices":[{"id":"d","parse":{"regex":"^A(?P<n>[0-9]{3})$"},"points":[{"id":"n","type":"int"}]}]`)
	st.send("A123A45A789")
	st.bus.AwaitRetained(t, "fieldgate/d/n", `"value":789,`)
	require.Len(t, st.bus.Payloads("fieldgate/d/n"), 2)
}
