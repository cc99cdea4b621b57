package template_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"fieldgate/bridges/sim"
)

// The ways in which manuals write addresses lead the bridge and the simulation, whose code is apart, to the same registers.
func TestReadFile_TakesAddressesAsManualsWriteThem(t *testing.T) {
	const text = `
id: my-meter
kind: modbus
manufacturer: ACME
model: EM-3
category: energy_meter
source: a manual
device: {addresses: manual}
points:
  - {id: counted, address: 7, type: uint16, sample: 1}
  - {id: five-digits, address: 40071, type: float32, sample: 2.5}
  - {id: six-digits, address: 400081, type: int32, order: CDAB, sample: -3}
  - {id: input, table: input, address: 30002, type: uint16, sample: 4}
  - {id: letters, address: "3x11", type: uint16, sample: 5}
  - {id: on-the-wire, address: "0x0046", type: float32, sample: 2.5}
  - {id: coil, table: coil, address: 1, sample: true}
`
	path := filepath.Join(t.TempDir(), "my-meter.yaml")
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	dir := filepath.Join(t.TempDir(), "templates")
	s, _ := set(t, dir)
	d, err := s.ReadFile(path)
	require.NoError(t, err)
	device, err := sim.NewSample(d)
	require.NoError(t, err)
	for _, want := range []struct {
		table    sim.Table
		at, word int
	}{{sim.HoldingRegisters, 6, 1}, {sim.HoldingRegisters, 70, 0x4020}, {sim.HoldingRegisters, 81, 0xFFFF}, {sim.InputRegisters, 1, 4}, {sim.InputRegisters, 10, 5}} {
		words, e := device.ReadRegisters(want.table, want.at, 1)
		require.Equal(t, sim.OK, e)
		require.EqualValues(t, want.word, words[0], "%d", want.at)
	}
	readOwn(t, d, tcpOf(t, map[byte]sim.Device{1: device}))
}
