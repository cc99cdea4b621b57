package line_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"fieldgate/bridges"
	"fieldgate/bridges/bridgestest"
	"fieldgate/bridges/internal/port"
	"fieldgate/bridges/line"
	"fieldgate/broker/mqtt"
	"fieldgate/internal/fault"
)

// dialogue runs a bridge against a device that answers lines that end with CR.
func dialogue(t *testing.T, rest string, answer func(request string, reply func(string))) *stage {
	st := &stage{t: t, bus: &bridgestest.Bus{}, alarms: &fault.Alarms{}, server: listen(t)}
	var log bridgestest.Log
	st.Supervisor = bridges.NewSupervisor(bridges.FieldRole, []bridges.Kind{line.Kind(&port.Ports{})}, st.bus, st.alarms, log.Logger())
	require.NoError(t, st.Apply([]bridges.Config{settings(t, st.server.Addr(), rest)}))
	ctx, stop := context.WithCancel(context.Background())
	ended, served := make(chan error), make(chan struct{})
	go func() { ended <- st.Run(ctx) }()
	go func() {
		defer close(served)
		conn, err := st.server.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		serve(conn, answer)
	}()
	t.Cleanup(func() {
		stop()
		require.NoError(t, <-ended)
		<-served
	})
	return st
}

func serve(conn net.Conn, answer func(string, func(string))) {
	for in := bufio.NewReader(conn); ; {
		request, err := in.ReadString('\r')
		if err != nil {
			return
		}
		answer(strings.TrimSuffix(request, "\r"), func(text string) { _, _ = conn.Write([]byte(text)) })
	}
}

const bus = `"timeout":"2s","devices":[
	{"id":"one","address":"01","request":"{address}W\r","interval":"20ms","wait":"150ms","parse":{"regex":"^(?P<adr>\\d\\d)(?P<w>.*)kg$","address":"adr"},"points":[{"id":"w","unit":"kg"}]},
	{"id":"two","address":"02","request":"{address}W\r","interval":"20ms","wait":"150ms","parse":{"regex":"^(?P<adr>\\d\\d)(?P<w>.*)kg$","address":"adr"},"points":[{"id":"w","unit":"kg"}]}]`

func TestPoll_AsksAddressedDevices(t *testing.T) {
	n := 0
	st := dialogue(t, bus, func(request string, reply func(string)) {
		n++
		switch address := request[:2]; {
		case address == "02" && n%5 == 0:
			reply("03 99.9kg\r\n02 2.5kg\r\n") // a stranger speaks first
		case address == "02":
			reply("02W\r\n02 2.5kg\r\n") // with its echo
		case n%7 != 0: // else silent
			reply("01 1.5kg\r\n")
		}
	})
	st.bus.Await(t, "values of both", func() bool {
		return len(st.bus.Payloads("fieldgate/one/w")) > 20 && len(st.bus.Payloads("fieldgate/two/w")) > 20
	})
	for _, c := range []struct{ topic, want string }{{"fieldgate/one/w", `"value":1.5,`}, {"fieldgate/two/w", `"value":2.5,`}} {
		for _, payload := range st.bus.Payloads(c.topic) {
			require.True(t, strings.Contains(payload, c.want) || strings.Contains(payload, `"value":null`), payload)
		}
	}
	require.Eventually(t, func() bool {
		x := st.Statuses()[0].Counters
		return x["foreign"] > 0 && x["echoes"] > 0 && x["timeouts"] > 0
	}, 10*time.Second, 10*time.Millisecond)
}

func TestPoll_ALateAnswerIsNeverAnothers(t *testing.T) {
	st := dialogue(t, `"devices":[{"id":"d","interval":"20ms","wait":"100ms","retries":0,"parse":{"regex":"^(?P<v>[0-9.]+)$"},"points":[
		{"id":"u","field":"v","request":"U\r"},{"id":"i","field":"v","request":"I\r"}]}]`, func() func(string, func(string)) {
		n := 0
		return func(request string, reply func(string)) {
			if n++; n%4 == 1 {
				time.Sleep(250 * time.Millisecond) // the lateness is what is tested
			}
			reply(map[string]string{"U": "230.1\r\n", "I": "1.5\r\n"}[request])
		}
	}())
	st.bus.Await(t, "late answers", func() bool {
		return len(st.bus.Payloads("fieldgate/d/u")) > 8 && len(st.bus.Payloads("fieldgate/d/i")) > 8
	})
	for _, c := range []struct{ topic, want string }{{"fieldgate/d/u", `"value":230.1,`}, {"fieldgate/d/i", `"value":1.5,`}} {
		for _, payload := range st.bus.Payloads(c.topic) {
			require.True(t, strings.Contains(payload, c.want) || strings.Contains(payload, `"value":null`), payload)
		}
	}
	require.Eventually(t, func() bool { return st.Statuses()[0].Counters["late"] > 0 }, 10*time.Second, 10*time.Millisecond)
}

func TestPoll_SaysWhyThereIsNoValue(t *testing.T) {
	for _, c := range []struct{ name, answer, code, words string }{
		{"silence", "", "timeout", "no answer within 100ms"},
		{"another form", "ERR\r\n", "parse", "the answer ERR is not what parse expects"},
		{"wrong checksum", "$GPGLL,1*00\r\n", "checksum", "wrong checksums"},
	} {
		t.Run(c.name, func(t *testing.T) {
			sum := map[bool]string{true: "nmea", false: "none"}[c.code == "checksum"]
			st := dialogue(t, `"checksum":{"type":"`+sum+`"},"devices":[{"id":"d","request":"U\r","interval":"20ms","wait":"100ms","retries":0,"parse":{"regex":"^(?P<u>[0-9.]+)$"},"points":[{"id":"u"}]}]`,
				func(_ string, reply func(string)) { reply(c.answer) })
			st.bus.AwaitRetained(t, "fieldgate/d/u", `"value":null`, `"error":"`+c.code+`"`)
			st.bus.AwaitRetained(t, "fieldgate/d/$state", `"state":"offline"`, c.words)
		})
	}
}

const oven = `"devices":[{"id":"d","points":[
	{"id":"setpoint","write":{"command":"SP{value:.1f}\r","ack":"^OK","min":0,"max":100,"step":0.5,"wait":"300ms"}},
	{"id":"fan","type":"bool","write":{"command":"{value}\r","values":{"true":"FAN ON","false":"FAN OFF"},"ack":"^OK","nack":"^(NO|ERR)"}},
	{"id":"tare","type":"string","write":{"command":"T{value}\r"}},
	{"id":"t"}],"parse":{"regex":"^T=(?P<t>.*)$"}}]`

func TestWrite_BelievesTheDevice(t *testing.T) {
	var requests []string
	st := dialogue(t, oven, func(request string, reply func(string)) {
		requests = append(requests, request)
		switch request {
		case "SP21.5", "FAN ON":
			reply("T=20.0\r\nOK\r\n")
		case "SP50.0":
			reply("BUSY \x02\r\n")
		case "FAN OFF":
			reply("what\r\nERR 7\r\n")
		}
	})
	st.bus.AwaitRetained(t, "fieldgate/$bridge/b", `"state":"online"`)
	write := func(point, value string) string {
		w, err := st.Write(t.Context(), "d", point, json.RawMessage(value))
		require.NoError(t, err)
		return fmt.Sprint(w.OK, w.Value, w.Code, ": ", w.Detail)
	}
	for _, c := range []struct{ point, value, want string }{
		{"setpoint", "21.5", "true 21.5: "},
		{"setpoint", "50", "false refused: the device answered BUSY <STX>"},
		{"setpoint", "60", "false timeout: no answer to the command within 300ms"},
		{"setpoint", "101", "false out_of_range: must be 0 to 100"},
		{"setpoint", "0.3", "false out_of_range: must be 0 and steps of 0.5"},
		{"setpoint", `"x"`, "false not_a_number: must be a number"},
		{"fan", "true", "true true: "},
		{"fan", "false", "false refused: the device answered ERR 7"},
		{"fan", "2", "false out_of_range: must be one of false, true"},
		{"tare", `"a\rSP99"`, "false invalid: must be a text of at most 512 bytes without control characters"},
		{"tare", `"x"`, "true"},
		{"t", "1", "false read_only: the point can't be written; its settings have no write"},
	} {
		require.Contains(t, strings.ReplaceAll(write(c.point, c.value), "  ", " "), c.want, "%s %s", c.point, c.value)
	}
	st.bus.AwaitRetained(t, "fieldgate/d/setpoint", `"value":21.5,`)
	st.bus.AwaitRetained(t, "fieldgate/d/t", `"value":20,`)
	require.NoError(t, st.bus.Publish(t.Context(), &mqtt.Message{Topic: "fieldgate/d/setpoint/set", Payload: []byte(`{"value":21.5,"id":"x7"}`), QoS: mqtt.AtLeastOnce}, nil))
	st.bus.Await(t, "the result", func() bool { return len(st.bus.Payloads("fieldgate/d/setpoint/result")) == 1 })
	require.Contains(t, st.bus.Payloads("fieldgate/d/setpoint/result")[0], `{"id":"x7","ok":true,"value":21.5`)
}

func TestBridge_PublishesTheNewestAtFiveHertz(t *testing.T) {
	st := start(t, `"devices":[{"id":"scale","parse":{"regex":"(?P<weight>.*)kg"},"points":[{"id":"weight"}]}]`)
	st.send("1kg\r\n2kg\r\n3kg\r\n")
	st.bus.AwaitRetained(t, "fieldgate/scale/weight", `"value":3,`)
	require.Len(t, st.bus.Payloads("fieldgate/scale/weight"), 2)
}

// TestBridge_ReadsEveryKindOfDeviceThroughAPort feeds good frames with bad ones between
// them through pseudo-terminals: only what the good ones say is published.
func TestBridge_ReadsEveryKindOfDeviceThroughAPort(t *testing.T) {
	for _, c := range []struct{ name, rest, good, bad, want string }{
		{"scale", `"framing":{"start":"\\x02","end":"\\x03","after":1},"checksum":{"type":"xor"},` + device(`{"regex":"^W(?P<v>[-+0-9. ]+)kg$"}`, `{"id":"v"}`),
			"\x02W+ 1.5kg\x03" + string(rune(sumOf("W+ 1.5kg\x03"))), "\x02W+ 9.5kg\x03\x00\x02W+ 8.5kg\x02\x03\x01", `"value":1.5,`},
		{"gps", device(`{"nmea":true}`, `{"id":"v","field":"GGA.lat"}`),
			"$GPGGA,123519,4807.038,N,01131.000,E,1,08,0.9,545.4,M,46.9,M,,*47\r\n", "$GPGGA,123519,4907.038,N,01131.000,E,1,08,0.9,545.4,M,46.9,M,,*47\r\n$GPGGA,123519,4\r\n\xff\x00\r\n", `"value":48.1173,`},
		{"csv", device(`{"csv":{"separator":";","count":3}}`, `{"id":"v","field":2}`), "a;1.5;z\r\n", "a;2.5\r\na;3.5;z;y\r\n", `"value":1.5,`},
		{"json", device(`{"json":true}`, `{"id":"v"}`), `{"v":1.5}` + "\r\n", `{"v":2.5` + "\r\n" + `{"v":3.5}}` + "\r\n", `"value":1.5,`},
		{"binary", `"framing":{"start":"hex: AA 55","length_field":{"offset":2,"add":5}},"checksum":{"type":"crc16_modbus"},` + device(`{"binary":true}`, `{"id":"v","type":"int16","at":3,"scale":0.1}`),
			withCRC("\xaa\x55\x02\x00\x0f"), "\xaa\x55\x02\x00\x19\x00\x00\xaa\x55\xff\xaa", `"value":1.5,`},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "tty")
			pty := plug(t, path)
			bus, log := &bridgestest.Bus{}, &bridgestest.Log{}
			s := bridges.NewSupervisor(bridges.FieldRole, []bridges.Kind{line.Kind(&port.Ports{})}, bus, &fault.Alarms{}, log.Logger())
			config, err := bridges.NewConfig(json.RawMessage(`{"id":"b","kind":"line","throttle":"0s","link":{"serial":{"port":"`+path+`","baud":115200}},`+c.rest+`}`), "")
			require.NoError(t, err)
			require.NoError(t, s.Apply([]bridges.Config{config}))
			ctx, stop := context.WithCancel(context.Background())
			ended := make(chan error)
			go func() { ended <- s.Run(ctx) }()
			defer func() { stop(); require.NoError(t, <-ended) }()
			for range 3 {
				feed(t, pty, bus, c.good+c.bad, "fieldgate/d/v", c.want)
			}
			for _, payload := range bus.Payloads("fieldgate/d/v") {
				require.Contains(t, payload, c.want)
			}
		})
	}
}

func sumOf(text string) (x byte) {
	for _, c := range []byte(text) {
		x ^= c
	}
	return x
}

// streams runs 5 bridges on pseudo-terminals that get n lines each, 100 a second
// (as fast as they are read when pause is 0), and gives the lines that were published.
func streams(t testing.TB, n int, pause time.Duration) int {
	bus, log := &bridgestest.Bus{}, &bridgestest.Log{}
	s := bridges.NewSupervisor(bridges.FieldRole, []bridges.Kind{line.Kind(&port.Ports{})}, bus, &fault.Alarms{}, log.Logger())
	var configs []bridges.Config
	var ends []*port.PTY
	for i := range 5 {
		p, err := port.OpenPTY("")
		require.NoError(t, err)
		defer p.Close()
		ends = append(ends, p)
		c, err := bridges.NewConfig(json.RawMessage(fmt.Sprintf(`{"id":"b%d","kind":"line","throttle":"0s","link":{"serial":{"port":"%s","baud":115200}},
			"devices":[{"id":"d%d","parse":{"regex":"^N(?P<n>\\d+)$"},"points":[{"id":"n","type":"int"}]}]}`, i, p.Path(), i)), "")
		require.NoError(t, err)
		configs = append(configs, c)
	}
	require.NoError(t, s.Apply(configs))
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- s.Run(ctx) }()
	defer func() { stop(); require.NoError(t, <-ended) }()
	for i, p := range ends {
		bus.AwaitRetained(t, fmt.Sprintf("fieldgate/$bridge/b%d", i), `"state":"online"`)
		feed(t.(*testing.T), p, bus, "N0\r\n", fmt.Sprintf("fieldgate/d%d/n", i), `"value":0,`)
	}
	for i := 1; i <= n; i++ {
		for _, p := range ends {
			_, err := fmt.Fprintf(p, "N%d\r\n", i)
			require.NoError(t, err)
		}
		time.Sleep(pause)
	}
	got := 0
	for i := range ends {
		bus.AwaitRetained(t, fmt.Sprintf("fieldgate/d%d/n", i), fmt.Sprintf(`"value":%d,`, n))
		last := 0
		for _, payload := range bus.Payloads(fmt.Sprintf("fieldgate/d%d/n", i)) {
			var x struct {
				Value *int `json:"value"`
			}
			require.NoError(t, json.Unmarshal([]byte(payload), &x))
			if x.Value != nil && *x.Value > 0 {
				require.Equal(t, last+1, *x.Value)
				last, got = *x.Value, got+1
			}
		}
	}
	return got
}

func TestBridge_LosesNoneOfFiveStreams(t *testing.T) {
	require.Equal(t, 5*200, streams(t, 200, 10*time.Millisecond))
}

// An answer that comes later than anybody waits for it is not taken for that to another request.
func TestPoll_AVeryLateAnswerIsNeverAnothers(t *testing.T) {
	st := dialogue(t, `"devices":[{"id":"d","interval":"20ms","wait":"100ms","retries":0,"parse":{"regex":"^(?P<v>[0-9.]+)$"},"points":[
		{"id":"u","field":"v","request":"U\r"},{"id":"i","field":"v","request":"I\r"}]}]`, func() func(string, func(string)) {
		n := 0
		return func(request string, reply func(string)) {
			if n++; n%4 == 1 {
				time.Sleep(640 * time.Millisecond) // longer than the wait and the time that an answer is owed for
			}
			reply(map[string]string{"U": "230.1\r\n", "I": "1.5\r\n"}[request])
		}
	}())
	st.bus.Await(t, "values of both", func() bool {
		return len(st.bus.Payloads("fieldgate/d/u")) > 2 && len(st.bus.Payloads("fieldgate/d/i")) > 2
	})
	for _, c := range []struct{ topic, want string }{{"fieldgate/d/u", `"value":230.1,`}, {"fieldgate/d/i", `"value":1.5,`}} {
		for _, payload := range st.bus.Payloads(c.topic) {
			require.True(t, strings.Contains(payload, c.want) || strings.Contains(payload, `"value":null`), payload)
		}
	}
}
