package uplink_test

import (
	"encoding/json"
	"log/slog"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"fieldgate/bridges"
	"fieldgate/bridges/uplink"
)

// TestPresets_AreRightOnceTheyAreFilled puts each example in its place.
func TestPresets_AreRightOnceTheyAreFilled(t *testing.T) {
	presets, err := uplink.Presets()
	require.NoError(t, err)
	require.NotEmpty(t, presets)
	seen := map[string]bool{}
	for _, p := range presets {
		t.Run(p.ID, func(t *testing.T) {
			require.False(t, seen[p.ID])
			seen[p.ID] = true
			require.NotEmpty(t, p.Name["en"])
			require.NotEmpty(t, p.Name["zh"])
			require.Len(t, p.Advice, len(p.Name))
			var settings map[string]any
			require.NoError(t, json.Unmarshal(p.Settings, &settings))
			settings["id"] = "cloud"
			for _, f := range p.Fill {
				at, keys := settings, strings.Split(f.Pointer[1:], "/")
				for _, key := range keys[:len(keys)-1] {
					at, _ = at[key].(map[string]any)
				}
				at[keys[len(keys)-1]] = f.Example
			}
			text, err := json.Marshal(settings)
			require.NoError(t, err)
			c, err := bridges.NewConfig(text, "uplink")
			require.NoError(t, err)
			_, err = uplink.Kind.New(c, slog.New(slog.DiscardHandler))
			require.NoError(t, err)
		})
	}
}
