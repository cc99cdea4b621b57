package modbus

import "time"

// Priority says whose polls an overloaded bus delays last.
type Priority uint8

// The priorities.
const (
	PriorityNormal Priority = iota
	PriorityHigh
	PriorityLow
)

func priorityNames() []string { return []string{"", "normal", "high", "low"} }

// UnmarshalText reads a name.
func (p *Priority) UnmarshalText(text []byte) error {
	var n Priority
	err := setNamed(&n, string(text), priorityNames())
	*p = max(n, 1) - 1
	return err
}

// rank is 0 for what is delayed last.
func (p Priority) rank() int {
	switch p {
	case PriorityHigh:
		return 0
	case PriorityLow:
		return ranks - 1
	}
	return 1
}

const (
	ranks = 3
	// reserved is the part of the bus that the polls of a rank keep, however much those before it ask for.
	reserved = 0.1
)

// pace is what points need to have in common to be read together.
type pace struct {
	interval time.Duration
	priority Priority
}

// paceOf is the point's own interval and priority, else the device's interval.
func (d *deviceRun) paceOf(p *Point) pace {
	at := pace{interval: d.Interval, priority: p.Priority}
	if p.Interval != nil {
		at.interval = time.Duration(*p.Interval)
	}
	return at
}

// share gives the factors by which the intervals of each rank are stretched, at least 1, when the
// polls of each ask for these parts of the bus's time and all together may have room.
func share(demands [ranks]float64, room float64) (stretch [ranks]float64) {
	later, left := 0.0, room
	for _, demand := range demands {
		later += min(demand, reserved*room)
	}
	for rank, demand := range demands {
		stretch[rank] = 1
		later -= min(demand, reserved*room)
		given := min(demand, left-later)
		if demand > given {
			stretch[rank] = demand / given
		}
		left -= given
	}
	return stretch
}
