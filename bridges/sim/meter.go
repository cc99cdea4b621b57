package sim

import (
	"math"
	"sync"
	"time"
)

// MeterValues is what the simulated energy meter measures at one moment.
type MeterValues struct {
	Voltage     [3]float64 // V, 227 to 233
	Current     [3]float64 // A, 1 to 9
	Power       [3]float64 // W, voltage times current
	TotalPower  float64    // W, the sum
	Frequency   float64    // Hz, 49.95 to 50.05
	Energy      float64    // kWh, rises by 3 kW from 1000 at the Unix epoch, modulo 100,000
	Temperature float64    // °C, -10 to 40
	PowerFactor float64    // 0.90 to 1.00
}

// MeterAt gives what the meter measures at t, in seconds s since the Unix epoch:
//
//	voltage L1..L3 = 230 + 3 sin(2π s/60 + k 2π/3), k = 0, 1, 2
//	current L1..L3 = 5 + 4 sin(2π s/45 + k)
//	frequency      = 50 + 0.05 sin(2π s/30)
//	energy         = (1000 + 3 s/3600) mod 100000
//	temperature    = 15 + 25 sin(2π s/120)
//	power factor   = 0.95 + 0.05 cos(2π s/90)
func MeterAt(t time.Time) MeterValues {
	s := float64(t.UnixNano()) / 1e9
	wave := func(period, phase float64) float64 {
		return math.Sin(2*math.Pi*math.Mod(s, period)/period + phase)
	}
	v := MeterValues{
		Frequency:   50 + 0.05*wave(30, 0),
		Energy:      math.Mod(1000+3*s/3600, 100_000),
		Temperature: 15 + 25*wave(120, 0),
		PowerFactor: 0.95 + 0.05*wave(90, math.Pi/2),
	}
	for k := range v.Voltage {
		v.Voltage[k] = 230 + 3*wave(60, float64(k)*2*math.Pi/3)
		v.Current[k] = 5 + 4*wave(45, float64(k))
		v.Power[k] = v.Voltage[k] * v.Current[k]
		v.TotalPower += v.Power[k]
	}
	return v
}

// Meter is a simulated energy meter. All methods may be called at the same time.
//
// Input registers, float32, order ABCD: 0, 2, 4 voltages; 6, 8, 10 currents; 12,
// 14, 16 powers; 18 total power; 20 frequency; 22 energy. Holding registers: 0 temperature (int16, 0.1 °C), 1 power factor (int16,
// 0.001), 2 and 3 setpoint (int32, order ABCD, 0.01 °C, writable), 4 interval (uint16, writable, 1 to 3600,
// else exception 3). What lies beyond answers exception 2.
type Meter struct {
	now func() time.Time

	mu       sync.Mutex
	settings [3]uint16 // holding registers 2 to 4
}

var _ Device = (*Meter)(nil)

// NewMeter makes a meter that takes the time of its formulas from now.
func NewMeter(now func() time.Time) *Meter {
	return &Meter{now: now, settings: [3]uint16{0, 2150, 15}}
}

// ReadBits refuses: a meter has no bits.
func (m *Meter) ReadBits(Table, int, int) ([]bool, Exception) { return nil, IllegalFunction }

// WriteBits refuses: a meter has no bits.
func (m *Meter) WriteBits(int, []bool) Exception { return IllegalFunction }

// ReadRegisters measures once for all that is asked.
func (m *Meter) ReadRegisters(table Table, address, quantity int) ([]uint16, Exception) {
	v := MeterAt(m.now())
	var all []uint16
	if table == InputRegisters {
		floats := append(append(append([]float64{}, v.Voltage[:]...), v.Current[:]...), v.Power[:]...)
		for _, f := range append(floats, v.TotalPower, v.Frequency, v.Energy) {
			bits := math.Float32bits(float32(f))
			all = append(all, uint16(bits>>16), uint16(bits))
		}
	} else {
		m.mu.Lock()
		all = append([]uint16{
			uint16(int16(math.Round(v.Temperature * 10))),
			uint16(int16(math.Round(v.PowerFactor * 1000))),
		}, m.settings[:]...)
		m.mu.Unlock()
	}
	if address+quantity > len(all) {
		return nil, IllegalAddress
	}
	return all[address : address+quantity], OK
}

// WriteRegisters changes the setpoint and the interval.
func (m *Meter) WriteRegisters(address int, values []uint16) Exception {
	const first, interval, longest = 2, 4, 3600
	if address < first || address+len(values) > first+len(m.settings) {
		return IllegalAddress
	}
	if i := interval - address; i >= 0 && i < len(values) && (values[i] < 1 || values[i] > longest) {
		return IllegalValue
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	copy(m.settings[address-first:], values)
	return OK
}
