// Package homeassistant announces points to Home Assistant by its MQTT discovery: one
// retained message for each point says what the point is and where its values and
// commands go. It must not know how devices are read; what the broker retains is its only memory.
package homeassistant

import (
	"encoding/json"

	"fieldgate/bridges"
)

// Settings is the switch for all devices.
type Settings struct {
	Enabled bool   `json:"enabled"` // announces every device that does not say home_assistant: false
	Prefix  string `json:"prefix"`  // Home Assistant's discovery prefix
	NodeID  string `json:"node_id"` // names this gateway where several announce to one Home Assistant
}

// SetDefaults fills in what Home Assistant takes when nothing else is set.
func (s *Settings) SetDefaults() { s.Prefix, s.NodeID = "homeassistant", "fieldgate" }

const maxNodeID = 64

// Decode reads and checks settings; nil is the default. Faults are a fault.List with pointers into raw.
func Decode(raw json.RawMessage) (Settings, error) {
	var s Settings
	s.SetDefaults()
	if raw == nil {
		return s, nil
	}
	var f bridges.Faults
	f.Decode(raw, &s)
	f.CheckTopic("/prefix", s.Prefix)
	if !validNodeID(s.NodeID) {
		f.Add("/node_id", bridges.Invalid, "must be 1 to %d of a-z, A-Z, 0-9, - and _", maxNodeID)
	}
	return s, f.Err()
}

// validNodeID tells whether Home Assistant takes the text as a level of its topics.
func validNodeID(id string) bool {
	for _, c := range []byte(id) {
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '_') {
			return false
		}
	}
	return id != "" && len(id) <= maxNodeID
}
