package bridges

import (
	"maps"
	"slices"
	"strconv"
	"time"

	"fieldgate/broker/mqtt"
)

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
	Queue    *mqtt.Usage      `json:"queue,omitempty"` // of the durable session (uplinks); nil when there is none or it was not seen yet
	Devices  []DeviceStatus   `json:"devices,omitempty"`
}

// DeviceStatus is a snapshot of one device.
type DeviceStatus struct {
	ID     string    `json:"id"`
	State  State     `json:"state"`
	Since  time.Time `json:"since"`
	Reason string    `json:"reason"`
	// Counters since the bridge was started; none when its kind does not count by device.
	Counters map[string]int64 `json:"counters,omitempty"`
}

// appendStatePayload appends the payload of a device's $state topic.
func (d DeviceStatus) appendStatePayload(b []byte) []byte {
	return append(appendState(append(b, '{'), d.State, d.Since, d.Reason), '}')
}

// appendStatePayload appends the payload of a bridge's or uplink's topic: state and counters, these by name.
func (s Status) appendStatePayload(b []byte) []byte {
	b = appendState(append(b, '{'), s.State, s.Since, s.Reason)
	b = append(b, `,"counters":{`...)
	for i, name := range slices.Sorted(maps.Keys(s.Counters)) {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(appendText(b, name), ':')
		b = strconv.AppendInt(b, s.Counters[name], 10)
	}
	return append(b, '}', '}')
}

func appendState(b []byte, s State, since time.Time, reason string) []byte {
	b = append(b, `"state":`...)
	b = appendText(b, string(s))
	b = append(b, `,"since":`...)
	b = appendTime(b, since)
	b = append(b, `,"reason":`...)
	return appendText(b, reason)
}
