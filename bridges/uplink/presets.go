package uplink

import (
	_ "embed"
	"encoding/json"
	"fmt"

	"fieldgate/bridges"
)

//go:embed presets.json
var presets []byte

// Presets gives settings to begin with for well-known brokers.
func Presets() ([]bridges.Preset, error) {
	var list []bridges.Preset
	if err := json.Unmarshal(presets, &list); err != nil {
		return nil, fmt.Errorf("read the uplink presets: %w", err)
	}
	return list, nil
}
