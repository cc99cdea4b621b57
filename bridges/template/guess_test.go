package template_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"fieldgate/bridges"
	"fieldgate/bridges/sim"
)

// mute is a device that does not tell what it is.
type mute struct{ sim.Device }

// A scan names the template of a device that does not say what it is: by its SunSpec
// models, or by what is usual of its values. Templates with the same registers are named too.
func TestGuess_KnowsDevicesByWhatTheyAnswer(t *testing.T) {
	templates, kinds := set(t, "")
	modbus := kinds[slices.IndexFunc(kinds, func(k bridges.Kind) bool { return k.Name == "modbus" })]
	for _, c := range []struct {
		device string
		among  []string // one of these is named; the device itself when empty
		not    []string
	}{
		{device: "sunspec-inverter", not: []string{"sunspec-meter", "sunspec-inverter-float"}},
		{device: "sunspec-inverter-float", not: []string{"sunspec-inverter"}},
		{device: "sunspec-meter", not: []string{"sunspec-inverter"}},
		{device: "sunspec-meter-float", not: []string{"sunspec-meter"}},
		{device: "sunspec-mppt", not: []string{"sunspec-inverter"}},
		{device: "abb-b23"},
		{device: "bernecker-mpm3pm", not: []string{"carlo-gavazzi-em24"}},
		{device: "carlo-gavazzi-em24", not: []string{"carlo-gavazzi-em340"}},
		{device: "carlo-gavazzi-em340", not: []string{"carlo-gavazzi-em24"}},
		{device: "chint-dtsu666"},
		{device: "ddm18sd", not: []string{"eastron-sdm120"}},
		{device: "eastron-sdm120", not: []string{"ddm18sd"}},
		{device: "eastron-sdm630", among: []string{"eastron-sdm630", "eastron-sdm72d-v2"}},
		{device: "finder-7m38"},
		{device: "inepro-pro380"},
		{device: "janitza-umg-96rm", among: []string{"janitza-umg-604", "janitza-umg-96rm"}},
		{device: "orno-we-504"},
		{device: "orno-we-514"},
		{device: "orno-we-516"},
		{device: "peacefair-pzem-016"},
		{device: "schneider-iem3000"},
		{device: "solis-3p-4g"},
		{device: "sunspec-storage", not: []string{"sunspec-mppt"}},
	} {
		t.Run(c.device, func(t *testing.T) {
			t.Parallel()
			d, known := templates.Get(c.device)
			require.True(t, known)
			device, err := sim.NewSample(d)
			require.NoError(t, err)
			settings := fmt.Sprintf(`{"id":"b","kind":"modbus","link":%s,"timeout":"500ms","devices":[{"id":"d","points":[{"id":"p","address":1}]}]}`,
				tcpOf(t, map[byte]sim.Device{1: mute{device}}))
			c2, err := bridges.NewConfig(json.RawMessage(settings), "")
			require.NoError(t, err)
			tools, err := modbus.Tools(c2, slog.New(slog.DiscardHandler))
			require.NoError(t, err)
			var named []string
			require.NoError(t, tools.Scan(t.Context(), json.RawMessage(`{"units":{"from":1,"to":1},"functions":[3,4],"address":0,"timeout":"500ms","identify":true}`), func(step bridges.ScanStep) {
				templates.Guess(context.Background(), "modbus", step)
				if step.Found != nil {
					named = append(named, step.Found.Templates...)
				}
			}))
			among := c.among
			if among == nil {
				among = []string{c.device}
			}
			require.True(t, slices.ContainsFunc(among, func(id string) bool { return slices.Contains(named, id) }), "%v", named)
			for _, other := range c.not {
				require.NotContains(t, named, other)
			}
		})
	}
}
