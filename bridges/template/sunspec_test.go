package template_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"fieldgate/bridges"
	"fieldgate/bridges/sim"
)

// The maps of SunSpec devices differ: where they begin, which of the models of a kind
// they have, what stands between, whether the common block is padded and the chain ended.
// Foreign blocks are full of X, so that a register read in the wrong one is seen.
func TestSunSpec_IsFoundInEveryLayout(t *testing.T) {
	const x = 'X'<<8 | 'X'
	usual := sim.Layout{Base: 40000, Common: 66}
	templates, _ := set(t, "")
	for _, c := range []struct {
		name, template string
		layout         func(*sim.Layout)
		missing        []string // points that are bad, for the device does not have them
	}{
		{name: "at 50000", template: "sunspec-inverter", layout: func(l *sim.Layout) { l.Base = 50000 }},
		{name: "at 0", template: "sunspec-meter", layout: func(l *sim.Layout) { l.Base = 0 }},
		{name: "one phase", template: "sunspec-inverter", layout: func(l *sim.Layout) { l.Variant = 1 }},
		{name: "split phase", template: "sunspec-inverter-float", layout: func(l *sim.Layout) { l.Variant = 2 }},
		{name: "wye meter", template: "sunspec-meter", layout: func(l *sim.Layout) { l.Variant = 3 }},
		{name: "common block without its pad", template: "sunspec-meter-float", layout: func(l *sim.Layout) { l.Common = 65 }},
		{name: "no end mark", template: "sunspec-inverter", layout: func(l *sim.Layout) { l.NoEnd = true }},
		{name: "models of the maker and of the grid in between", template: "sunspec-mppt", layout: func(l *sim.Layout) {
			l.Before = []sim.Block{{ID: 1, Length: 66, Fill: x}, {ID: 64110, Length: 282, Fill: x}, {ID: 120, Length: 26, Fill: x}}
		}},
		{name: "a meter behind the inverter of the same unit", template: "sunspec-meter", layout: func(l *sim.Layout) {
			l.Common, l.Before = 65, []sim.Block{{ID: 1, Length: 65, Fill: x}, {ID: 103, Length: 50, Fill: x}}
		}},
		{name: "an empty model goes by", template: "sunspec-mppt", layout: func(l *sim.Layout) {
			l.Before = []sim.Block{{ID: 160, Length: 0}}
		}},
		{name: "no common block", template: "sunspec-inverter", layout: func(l *sim.Layout) { l.Absent = []int{1} },
			missing: []string{"manufacturer", "model", "version", "serial-number"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			d, known := templates.Get(c.template)
			require.True(t, known)
			layout := usual
			c.layout(&layout)
			device, err := sim.NewSampleAt(d, layout)
			require.NoError(t, err)
			got := valuesOf(t, d, tcpOf(t, map[byte]sim.Device{1: device}))
			for _, p := range d.Points {
				r := got[p.ID()]
				if slices.Contains(c.missing, p.ID()) {
					require.Equal(t, "no_model", r.Error, p.ID())
					continue
				}
				require.Equal(t, p.Sample().String(), r.Value.String(), p.ID())
			}
		})
	}
}

// What a device does not implement holds a value of its type that stands for nothing [SunSpec Information Model Specification, data types].
func TestSunSpec_TellsNothingForWhatIsNotImplemented(t *testing.T) {
	templates, _ := set(t, "")
	for _, c := range []struct {
		template string
		offset   int // in the second model, behind the common block
		words    []uint16
		point    string
		code     string
	}{
		{"sunspec-inverter", 12, []uint16{0xFFFF}, "voltage-l3", "no_value"},
		{"sunspec-inverter", 14, []uint16{0x8000}, "power", "no_value"},
		{"sunspec-inverter", 15, []uint16{0x8000}, "power", "no_scale"},
		{"sunspec-inverter", 24, []uint16{0xFFFF, 0xFFFF}, "energy", "no_value"},
		{"sunspec-inverter", 38, []uint16{0xFFFF}, "state", "no_value"},
		{"sunspec-meter", 8, []uint16{0x8000}, "voltage-l1", "no_value"},
		{"sunspec-inverter-float", 40, []uint16{0x7FC0, 0}, "temperature", "not_a_number"},
		{"sunspec-mppt", 19, []uint16{0xFFFF}, "dc-current-1", "no_value"},
	} {
		t.Run(fmt.Sprintf("%s %s %s", c.template, c.point, c.code), func(t *testing.T) {
			t.Parallel()
			d, _ := templates.Get(c.template)
			device, err := sim.NewSampleAt(d, sim.Layout{Base: 40000, Common: 66})
			require.NoError(t, err)
			model := 40002 + 68
			if c.template == "sunspec-mppt" {
				model = 40002 // it asks for no common block
			}
			device.Hold(sim.HoldingRegisters, model+c.offset, c.words...)
			got := valuesOf(t, d, tcpOf(t, map[byte]sim.Device{1: device}))
			require.Equal(t, c.code, got[c.point].Error)
			require.True(t, got[c.point].Value.IsNone())
		})
	}
}

// A power factor is told in percent: 9209 with the factor -2 is 0.92 and not 92 [SunSpec model 203: units Pct].
func TestSunSpec_PowerFactorIsAFraction(t *testing.T) {
	templates, _ := set(t, "")
	d, _ := templates.Get("sunspec-meter")
	device, err := sim.NewSampleAt(d, sim.Layout{Base: 40000, Common: 66})
	require.NoError(t, err)
	minusTwo := -2
	device.Hold(sim.HoldingRegisters, 40002+68+33, 9209)
	device.Hold(sim.HoldingRegisters, 40002+68+37, uint16(minusTwo))
	got := valuesOf(t, d, tcpOf(t, map[byte]sim.Device{1: device}))
	f, _ := got["power-factor"].Value.Number()
	require.InDelta(t, 0.9209, f, 1e-12)
	require.Equal(t, bridges.Good, got["power-factor"].Quality)
}
