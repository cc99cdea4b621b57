package sim

import (
	"sync"
	"time"
)

// Relays is a simulated board with 8 relays (coils 0 to 7) and 8 inputs (discrete
// inputs 0 to 7). An input is on while InputAt says so. All methods may be called at the same time.
type Relays struct {
	now func() time.Time

	mu    sync.Mutex
	coils [8]bool
}

var _ Device = (*Relays)(nil)

// NewRelays makes a board with all relays off.
func NewRelays(now func() time.Time) *Relays { return &Relays{now: now} }

// InputAt tells whether input n, 0 to 7, is on at t: it blinks with a half period of n+1 seconds, counted from the Unix epoch.
func InputAt(n int, t time.Time) bool { return t.Unix()/int64(n+1)%2 == 1 }

// Coil tells whether relay n, 0 to 7, is on.
func (r *Relays) Coil(n int) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.coils[n]
}

// ReadBits gives relays or inputs.
func (r *Relays) ReadBits(table Table, address, quantity int) ([]bool, Exception) {
	r.mu.Lock()
	all := r.coils
	r.mu.Unlock()
	if address+quantity > len(all) {
		return nil, IllegalAddress
	}
	if table == DiscreteInputs {
		now := r.now()
		for n := range all {
			all[n] = InputAt(n, now)
		}
	}
	return all[address : address+quantity], OK
}

// WriteBits switches relays.
func (r *Relays) WriteBits(address int, values []bool) Exception {
	r.mu.Lock()
	defer r.mu.Unlock()
	if address+len(values) > len(r.coils) {
		return IllegalAddress
	}
	copy(r.coils[address:], values)
	return OK
}

// ReadRegisters refuses: a relay board has none.
func (r *Relays) ReadRegisters(Table, int, int) ([]uint16, Exception) { return nil, IllegalFunction }

// WriteRegisters refuses: a relay board has none.
func (r *Relays) WriteRegisters(int, []uint16) Exception { return IllegalFunction }
