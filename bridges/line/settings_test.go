package line_test

import (
	"encoding/json"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/stretchr/testify/require"

	"fieldgate/bridges"
	"fieldgate/bridges/bridgestest"
	"fieldgate/bridges/internal/port"
	"fieldgate/bridges/line"
	"fieldgate/internal/fault"
)

func TestKind_KeepsThePromises(t *testing.T) {
	bridgestest.Run(t, line.Kind(&port.Ports{}), bridgestest.Case{
		Good: bridgestest.Sample(t, "line.yaml"),
		Bad: []bridgestest.Wrong{
			{Settings: json.RawMessage(`{}`), Pointers: []string{"/link", "/devices"}},
			{Settings: json.RawMessage(`{"link":{"serial":{"port":"","baud":1,"format":"9X9"}},"timeout":"-1s","framing":{"delimiter":"\\q","max_length":-1},
				"devices":[{"id":"A","topic":"a/#","payload":"xml","interval":"48h","parse":{"regex":"(","decimal":";"},"points":[]}]}`),
				Pointers: []string{"/link/serial/port", "/link/serial/baud", "/link/serial/format", "/timeout", "/framing/delimiter", "/framing/max_length",
					"/devices/0/id", "/devices/0/topic", "/devices/0/payload", "/devices/0/interval", "/devices/0/parse/regex", "/devices/0/parse/decimal", "/devices/0/points"}},
			{Settings: json.RawMessage(`{"link":{"tcp":{"address":"host"}},"devices":[{"id":"a","parse":{"regex":"(?P<b>.)"},"points":[
				{"id":"b"},{"id":"b"},{"id":"c"},{"id":"d","group":"x"},{"id":"e","group":"b","type":"flaot64"},{"id":"f","group":"b","scale":0},
				{"id":"g","group":"b","type":"bool","scale":2},{"id":"h","group":"b","precision":16}]},{"id":"a","parse":{"regex":"(?P<b>.)"},"points":[{"id":"b","wieght":1}]}]}`),
				Pointers: []string{"/link/tcp/address", "/devices/0/points/1/id", "/devices/0/points/2/id", "/devices/0/points/3/group", "/devices/0/points/4/type",
					"/devices/0/points/5/scale", "/devices/0/points/6/scale", "/devices/0/points/7/precision", "/devices/1/id", "/devices/1/points/0/wieght"}},
			{Settings: json.RawMessage(`{"link":{"tcp":{"address":"h:1"},"serial":{"port":"p"}},"framing":{"delimiter":"\\x1"},"devices":[{"id":"a","timeout":5,"parse":{"regex":"(?P<b>.)"},"points":[{"id":"b"}]}]}`),
				Pointers: []string{"/link", "/framing/delimiter", "/devices/0/timeout"}},
		},
	})
}

func TestKind_NamesTheGroupsOfTheRegex(t *testing.T) {
	_, err := line.Kind(&port.Ports{}).New(bridges.Config{Settings: json.RawMessage(`{"link":{"tcp":{"address":"h:1"}},"devices":[
		{"id":"a","parse":{"regex":"(?P<x>.)(?P<y>.)"},"points":[{"id":"max-load"}]}]}`)}, slog.New(slog.DiscardHandler))
	require.EqualError(t, err, "/devices/0/points/0/id: the regex has no group (?P<max_load>...); it has x, y")
	require.Equal(t, fault.Invalid, fault.CodeOf(err))
}

func TestKind_ListsItsDevices(t *testing.T) {
	c, err := bridges.NewConfig(bridgestest.Sample(t, "line.yaml")[1], "")
	require.NoError(t, err)
	const fresh = 10 * time.Minute
	number := &bridges.ValueSet{Form: bridges.NumberForm}
	whole := &bridges.ValueSet{Form: bridges.NumberForm, Whole: true}
	require.Equal(t, []bridges.Device{
		{ID: "weather", Topic: "fieldgate/weather", Points: []bridges.Point{
			{ID: "temperature", Unit: "°C", Values: number, Fresh: fresh}, {ID: "wind", Unit: "km/h", Values: whole, Fresh: fresh},
			{ID: "rain", Values: &bridges.ValueSet{Form: bridges.BoolForm}, Fresh: fresh},
		}},
		{ID: "station-name", Topic: "fieldgate/station-name", Plain: true, Points: []bridges.Point{{ID: "name", Values: &bridges.ValueSet{Form: bridges.TextForm}}}},
	}, line.Kind(&port.Ports{}).Devices(c))
}

func TestDocs_ExamplesAreRight(t *testing.T) {
	text, err := os.ReadFile("../../docs/line-devices.md")
	require.NoError(t, err)
	n := 0
	for _, block := range strings.Split(string(text), "```yaml\n")[1:] {
		example, _, _ := strings.Cut(block, "```")
		var file struct {
			Bridges []map[string]any `yaml:"bridges"`
		}
		if !strings.HasPrefix(example, "bridges:") {
			continue
		}
		require.NoError(t, yaml.Unmarshal([]byte(example), &file), example)
		for _, b := range file.Bridges {
			raw, err := json.Marshal(b)
			require.NoError(t, err)
			_, err = line.Kind(&port.Ports{}).New(bridges.Config{Settings: raw}, slog.New(slog.DiscardHandler))
			require.NoError(t, err, example)
			n++
		}
	}
	require.Equal(t, 7, n)
}

// A point that others of its device outlive becomes stale; one that may be silent for ever does not.
func TestKind_SaysHowLongPointsStayGood(t *testing.T) {
	c, err := bridges.NewConfig(json.RawMessage(`{"id":"b","kind":"line","link":{"tcp":{"address":"h:1"}},"timeout":"20s","devices":[
		{"id":"a","parse":{"json":true},"points":[{"id":"x"},{"id":"off","enabled":false}]},
		{"id":"b","timeout":"0s","parse":{"json":true},"points":[{"id":"x"}]},
		{"id":"c","request":"?","interval":"1m","parse":{"json":true},"points":[{"id":"x"},{"id":"y","interval":"20ms"}]},
		{"id":"d","throttle":"1m","parse":{"json":true},"points":[{"id":"x"}]}]}`), "")
	require.NoError(t, err)
	var fresh []time.Duration
	for _, d := range line.Kind(&port.Ports{}).Devices(c) {
		for _, p := range d.Points {
			fresh = append(fresh, p.Fresh)
		}
	}
	require.Equal(t, []time.Duration{100 * time.Second, 0, 0, 5 * time.Minute, 10 * time.Second, 5 * time.Minute}, fresh)
}
