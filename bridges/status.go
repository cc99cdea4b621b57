package bridges

import "time"

// State is what a bridge, a device or an uplink is doing.
type State string

// The states of section 5 of the design, and those of an uplink's link.
const (
	Online       State = "online"
	Offline      State = "offline"
	Degraded     State = "degraded"
	Disabled     State = "disabled"
	Connecting   State = "connecting"   // uplinks
	Connected    State = "connected"    // uplinks
	Disconnected State = "disconnected" // uplinks
	Failed       State = "failed"       // its settings are wrong, or it panicked
)

// Status is a snapshot of one bridge or uplink.
type Status struct {
	ID       string           `json:"id"`
	Kind     string           `json:"kind"`
	State    State            `json:"state"`
	Since    time.Time        `json:"since"`
	Reason   string           `json:"reason"` // for a person; empty when all is well
	Counters map[string]int64 `json:"counters"`
	Devices  []DeviceStatus   `json:"devices,omitempty"`
}

// DeviceStatus is a snapshot of one device.
type DeviceStatus struct {
	ID     string    `json:"id"`
	State  State     `json:"state"`
	Since  time.Time `json:"since"`
	Reason string    `json:"reason"`
}
