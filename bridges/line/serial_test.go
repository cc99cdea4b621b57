package line_test

import (
	"context"
	"encoding/json"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"fieldgate/bridges"
	"fieldgate/bridges/bridgestest"
	"fieldgate/bridges/internal/port"
	"fieldgate/bridges/line"
	"fieldgate/internal/fault"
)

func plug(t *testing.T, path string) *port.PTY {
	p, err := port.OpenPTY(path)
	require.NoError(t, err)
	t.Cleanup(func() { _ = p.Close() })
	return p
}

// feed sends a line again and again until the test's end or until it is stopped, as a scale does.
func feed(t *testing.T, p *port.PTY, bus *bridgestest.Bus, text, topic, want string) {
	t.Helper()
	done := make(chan struct{})
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			select {
			case <-done:
				return
			default:
				_, _ = p.Write([]byte(text)) // waits while nobody reads
				pause(done)
			}
		}
	}()
	defer func() { close(done); <-ended }()
	bus.AwaitRetained(t, topic, want)
}

func TestBridge_SerialUnplugAndReplug(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ttyUSB1")
	ports := &port.Ports{}
	bus, alarms, log := &bridgestest.Bus{}, &fault.Alarms{}, &bridgestest.Log{}
	s := bridges.NewSupervisor(bridges.FieldRole, []bridges.Kind{line.Kind(ports)}, bus, alarms, log.Logger())
	c, err := bridges.NewConfig(json.RawMessage(`{"id":"b","kind":"line","link":{"serial":{"port":"`+path+`","baud":115200,"format":"7E1"}},`+scale+`}`), "")
	require.NoError(t, err)
	require.NoError(t, s.Apply([]bridges.Config{c}))
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- s.Run(ctx) }()
	defer func() { stop(); require.NoError(t, <-ended) }()

	bus.AwaitRetained(t, "fieldgate/scale/weight", `"error":"link"`)
	bus.AwaitRetained(t, "fieldgate/$bridge/b", `"state":"offline"`, "no such file or directory: plug the adapter in")
	p := plug(t, path)
	feed(t, p, bus, "ST,GS,+  12.34kg\r\n", "fieldgate/scale/weight", `"value":12.34,`)
	require.Equal(t, "bridge b", ports.Holder(path))
	require.NoError(t, p.Close())
	bus.AwaitRetained(t, "fieldgate/scale/weight", `"error":"link"`)
	bus.AwaitRetained(t, "fieldgate/scale/$state", `"state":"offline"`, "the port is gone")

	p = plug(t, path)
	feed(t, p, bus, "- 5.0kg\r\n", "fieldgate/scale/weight", `"value":-5,`)
	bus.AwaitRetained(t, "fieldgate/scale/$state", `"state":"online"`)

	_, err = s.Test(t.Context(), config(t, "other", path), "")
	require.ErrorContains(t, err, "is in use by bridge b")
}

func config(t *testing.T, id, path string) bridges.Config {
	c, err := bridges.NewConfig(json.RawMessage(`{"id":"`+id+`","kind":"line","link":{"serial":{"port":"`+path+`"}},`+scale+`}`), "")
	require.NoError(t, err)
	return c
}

func TestTest_SerialReadsALine(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ttyUSB1")
	p := plug(t, path)
	b, err := line.Kind(&port.Ports{}).New(config(t, "b", path), (&bridgestest.Log{}).Logger())
	require.NoError(t, err)
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			select {
			case <-done:
				return
			default:
				_, _ = p.Write([]byte("  3.5kg\r\n"))
				pause(done)
			}
		}
	}()
	got, err := b.(bridges.Tester).Test(t.Context(), "scale")
	close(done)
	<-ended
	require.NoError(t, err)
	require.Len(t, got, 1)
	require.Equal(t, bridges.Float(3.5), got[0].Value)
}

// A frame that ends when nothing comes for a while, over a port: two that come without a gap are none, and are never taken for one.
func TestBridge_FramesByTheGapBetweenThem(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ttyUSB1")
	p := plug(t, path)
	bus, log := &bridgestest.Bus{}, &bridgestest.Log{}
	s := bridges.NewSupervisor(bridges.FieldRole, []bridges.Kind{line.Kind(&port.Ports{})}, bus, &fault.Alarms{}, log.Logger())
	c, err := bridges.NewConfig(json.RawMessage(`{"id":"b","kind":"line","throttle":"0s","link":{"serial":{"port":"`+path+`","baud":115200}},"framing":{"idle_gap":"20ms"},
		"devices":[{"id":"d","parse":{"regex":"^(?P<v>[0-9]{2})$"},"points":[{"id":"v","type":"int"}]}]}`), "")
	require.NoError(t, err)
	require.NoError(t, s.Apply([]bridges.Config{c}))
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- s.Run(ctx) }()
	defer func() { stop(); require.NoError(t, <-ended) }()
	bus.AwaitRetained(t, "fieldgate/$bridge/b", `"state":"online"`)

	gap := time.NewTicker(150 * time.Millisecond)
	defer gap.Stop()
	limit := time.Now().Add(30 * time.Second)
	for i := 0; len(bus.Payloads("fieldgate/d/v")) < 8; i++ {
		require.True(t, time.Now().Before(limit), "%d values", len(bus.Payloads("fieldgate/d/v")))
		<-gap.C
		_, err := p.Write([]byte([]string{"15", "16", "1515", "1", "17"}[i%5]))
		require.NoError(t, err)
	}
	for _, payload := range bus.Payloads("fieldgate/d/v") {
		require.Regexp(t, `"value":(15|16|17),|"error":"no_value_yet"`, payload)
	}
}
