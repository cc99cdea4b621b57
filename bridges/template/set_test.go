package template_test

import (
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"fieldgate/bridges"
	"fieldgate/bridges/sim"
	"fieldgate/internal/fault"
)

const good = `id: my-meter
kind: modbus
manufacturer: Me
model: Meter
category: energy_meter
source: measured on my desk
serial: {baud: 19200, format: 8E1}
bridge: {timeout: 1s}
device: {addresses: wire, max_read: 20, interval: 2s}
points:
  - {id: power, address: 40070, type: int16, unit: W, sample: 5}
  - {id: energy, address: 40071, type: uint32, unit: kWh, scale: 0.1, interval: 1m, sample: 1.5}
`

func write(t *testing.T, dir, name, text string) {
	t.Helper()
	require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
}

func TestLoad_NamesFileLineAndFieldOfABadOneAndGoesOn(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "my-meter.yaml", good)
	write(t, dir, "grammar.yaml", "id: a: b\n")
	write(t, dir, "fields.yaml", "id: fields\nkind: modbus\nmanufacturer: Me\nmodel: M\ncategory: meter\nsource: x\npoints:\n  - {id: power}\n")
	write(t, dir, "points.yaml", "id: points\nkind: modbus\nmanufacturer: Me\nmodel: M\ncategory: other\nsource: x\ndevice:\n  max_raed: 5\npoints:\n  - {id: power, address: 1}\n  - {id: Power, address: 2,\n     type: int17}\n")
	write(t, dir, "named.yaml", "id: otherwise\nkind: modbus\nmanufacturer: Me\nmodel: M\ncategory: other\nsource: x\npoints:\n  - {id: power}\n")
	write(t, dir, "notes.txt", "no template")
	s, _ := set(t, dir)
	var told []string
	for _, err := range s.Load() {
		told = append(told, err.Error())
	}
	at := func(name string) string { return filepath.Join(dir, name) }
	require.Equal(t, []string{
		at("fields.yaml") + ":5: category: must be one of energy_meter, inverter, charge_controller, relay, sensor, io, scale, gps, other",
		at("grammar.yaml") + ":1: not YAML: mapping value is not allowed in this context",
		at("named.yaml") + ":1: id: must be named, as the file is named",
		at("points.yaml") + `:8: device.max_raed: there is no such key; did you mean "max_read"?` + "\n" +
			at("points.yaml") + ":11: points[1].id: must be 1 to 64 of a-z, 0-9, - _ . that begin with a letter or digit" + "\n" +
			at("points.yaml") + `:12: points[1].type: must be one of bool, int8, int16, int32, int64, uint8, uint16, uint32, uint64, float16, float32, float64, bcd16, bcd32, string, raw, bits; did you mean "int16"?`,
	}, told)
	d, ok := s.Get("my-meter")
	require.True(t, ok)
	require.True(t, d.Own)
}

func TestExpand_DeviceKeysWin(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "my-meter.yaml", good)
	s, _ := set(t, dir)
	require.Empty(t, s.Load())
	for _, c := range []struct{ name, settings, want string }{
		{"nothing to do", `{"id":"b","devices":[{"id":"d"}]}`, `{"id":"b","devices":[{"id":"d"}]}`},
		{
			"all from the template",
			`{"link":{"serial":{"port":"/dev/x"}},"devices":[{"id":"d","template":"my-meter"}]}`,
			`{"link":{"serial":{"port":"/dev/x","baud":19200,"format":"8E1"}},"timeout":"1s","devices":[{"id":"d","addresses":"wire","max_read":20,"interval":"2s","points":[
				{"id":"power","address":40070,"type":"int16","unit":"W"},{"id":"energy","address":40071,"type":"uint32","unit":"kWh","scale":0.1,"interval":"1m"}]}]}`,
		},
		{
			"own keys and points win",
			`{"link":{"serial":{"port":"/dev/x","baud":9600}},"timeout":"3s","devices":[{"id":"d","template":"my-meter","interval":"9s","points":[{"id":"extra"},{"id":"energy","interval":"5m","enabled":false}]},{"id":"e","points":[]}]}`,
			`{"link":{"serial":{"port":"/dev/x","baud":9600,"format":"8E1"}},"timeout":"3s","devices":[{"id":"d","addresses":"wire","max_read":20,"interval":"9s","points":[
				{"id":"extra"},{"id":"energy","address":40071,"type":"uint32","unit":"kWh","scale":0.1,"interval":"5m","enabled":false},{"id":"power","address":40070,"type":"int16","unit":"W"}]},{"id":"e","points":[]}]}`,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, faults := s.Expand(json.RawMessage(c.settings), "modbus")
			require.NoError(t, faults.Err())
			require.JSONEq(t, c.want, string(got))
		})
	}
}

func TestKind_TellsAllFaultsAtTheirPlaces(t *testing.T) {
	_, kinds := set(t, "")
	for _, k := range kinds {
		if k.Name != "modbus" {
			continue
		}
		c, err := bridges.NewConfig(json.RawMessage(`{"id":"b","kind":"modbus","link":{"tcp":{"address":"h"}},"devices":[
			{"id":"a","template":"eastron-sdm603","points":[{"id":"x"}]},
			{"id":"b","template":"eastron-sdm630","points":[{"id":"x","address":1},{"id":"power","scale":0}]},
			{"id":"c","template":"and-scale","points":[{"id":"x"}]}]}`), "")
		require.NoError(t, err)
		_, err = k.New(c, slog.New(slog.DiscardHandler))
		var told []string
		for _, f := range fault.All(err) {
			told = append(told, f.Error())
		}
		require.Equal(t, []string{
			`/devices/0/template: there is no template eastron-sdm603; did you mean "eastron-sdm630"?`,
			"/devices/2/template: the template and-scale is for bridges of the kind line",
			"/devices/1/points/1/scale: must not be 0",
		}, told)
		require.Greater(t, len(k.Devices(c)[1].Points), 40)
	}
}

func TestPut_KeepsOwnTemplatesOverARestart(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "templates")
	s, _ := set(t, dir)
	require.Empty(t, s.Load(), "no directory yet")
	_, err := s.Put("my-meter", []byte(good+"nonsense: 1\n"))
	require.EqualError(t, err, "/nonsense: there is no such key; known are bridge, category, description, device, id, kind, lines, manufacturer, model, points, serial, source")
	_, err = s.Put("../x", []byte(good))
	require.Error(t, err)
	_, err = s.Put("my-meter", []byte(good))
	require.NoError(t, err)
	again, _ := set(t, dir)
	require.Empty(t, again.Load())
	d, ok := again.Get("my-meter")
	require.True(t, ok)
	require.Equal(t, good, string(d.Text()))
	require.NoError(t, again.Remove("my-meter"))
	_, ok = again.Get("my-meter")
	require.False(t, ok)
	var missing *fault.Error
	require.ErrorAs(t, again.Remove("my-meter"), &missing)
	require.Equal(t, fault.NotFound, missing.Code)
	require.ErrorAs(t, again.Remove("eastron-sdm630"), &missing, "what comes with the program stays")
}

// Whatever stands in a file, reading it ends with a template that its kind takes and that can be simulated or refused, or with words.
func FuzzCheck(f *testing.F) {
	f.Add([]byte(good))
	f.Add([]byte("points: [{id: {}}]"))
	f.Add([]byte("id: my-meter\nkind: line\nmanufacturer: a\nmodel: b\ncategory: scale\nsource: c\ndevice: {parse: {regex: '(?P<w>.)'}}\npoints: [{id: w}]\n"))
	s, _ := set(f, "")
	f.Fuzz(func(t *testing.T, text []byte) {
		d, err := s.Check("my-meter", text)
		if err != nil {
			require.NotEmpty(t, err.Error())
			return
		}
		if d.Kind == "modbus" {
			_, _ = sim.NewSample(d)
		}
	})
}
