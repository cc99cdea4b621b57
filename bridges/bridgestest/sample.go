package bridgestest

import (
	"encoding/json"
	"os"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/stretchr/testify/require"
)

// Sample gives the settings of the bridges in a kind's sample file, which its README.md must show as it is. Paths are
// those of the test's package.
func Sample(t testing.TB, file string) []json.RawMessage {
	t.Helper()
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	readme, err := os.ReadFile("README.md")
	require.NoError(t, err)
	require.Contains(t, string(readme), string(text), "README.md shows another sample than %s", file)
	var list struct {
		Bridges []map[string]any `yaml:"bridges"`
	}
	require.NoError(t, yaml.Unmarshal(text, &list))
	var settings []json.RawMessage
	for _, b := range list.Bridges {
		one, err := json.Marshal(b)
		require.NoError(t, err)
		settings = append(settings, one)
	}
	return settings
}
