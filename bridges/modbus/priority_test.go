package modbus

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestShare(t *testing.T) {
	for _, tt := range []struct {
		name    string
		demands [ranks]float64
		room    float64
		want    [ranks]float64
	}{
		{"enough for all", [ranks]float64{0.2, 0.3, 0.1}, 1, [ranks]float64{1, 1, 1}},
		{"all of one priority", [ranks]float64{0, 2, 0}, 1, [ranks]float64{1, 2, 1}},
		{"low gives way", [ranks]float64{0.3, 0.4, 0.6}, 1, [ranks]float64{1, 1, 2}},
		{"normal gives way too, low keeps a tenth", [ranks]float64{0.5, 0.8, 0.2}, 1, [ranks]float64{1, 2, 2}},
		{"high alone is too much, each other keeps a tenth", [ranks]float64{1.6, 0.3, 0.5}, 1, [ranks]float64{2, 3, 5}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			require.InDeltaSlice(t, tt.want[:], func() []float64 { s := share(tt.demands, tt.room); return s[:] }(), 1e-9)
		})
	}
}

func TestSchedule_HighPriorityKeepsItsIntervalOnAnOverloadedBus(t *testing.T) {
	p := newPlant(t, []time.Duration{time.Second}, 300*time.Millisecond, 300*time.Millisecond, 900*time.Millisecond)
	p.devices[0].blocks[0].priority = PriorityHigh
	p.devices[2].blocks[0].priority = PriorityLow
	p.run(20 * time.Second)
	require.Contains(t, p.overload(), "bus needs 150 % of its time: intervals are stretched, those of low priority first")
	p.reset()
	p.run(300 * time.Second)
	require.InDelta(t, 300, p.polls[p.devices[0].blocks[0]], 6)
	require.InDelta(t, 300, p.polls[p.devices[1].blocks[0]], 6)
	require.InDelta(t, 300*0.37/0.9, p.polls[p.devices[2].blocks[0]], 10)
}

func TestNewDeviceRun_ReadsPrioritiesApart(t *testing.T) {
	d := &Device{ID: "d", Unit: 1, Interval: time.Second, MaxRead: maxRegisters, Points: []Point{
		{ID: "a", Table: Holding, Address: 0, Type: TypeInt16, Priority: PriorityHigh},
		{ID: "b", Table: Holding, Address: 1, Type: TypeInt16},
		{ID: "c", Table: Holding, Address: 2, Type: TypeInt16, Priority: PriorityNormal},
	}}
	run := newDeviceRun(d, Link{TCP: &TCP{}})
	require.Len(t, run.blocks, 2)
	require.Equal(t, PriorityHigh, run.blocks[0].priority)
	require.Len(t, run.blocks[1].points, 2, "normal is what a point without a priority has")
}
