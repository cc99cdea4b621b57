package bridges_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"fieldgate/bridges"
)

func TestBytes_ReadsAndWritesUnits(t *testing.T) {
	for text, want := range map[string]bridges.Bytes{
		"0": 0, "4096": 4096, "1KiB": 1024, "200MiB": 200 << 20, "4GiB": 4 << 30, "2 TiB": 2 << 40, "17B": 17,
	} {
		var b bridges.Bytes
		require.NoError(t, b.UnmarshalText([]byte(text)), text)
		require.Equal(t, want, b, text)
		var again bridges.Bytes
		require.NoError(t, again.UnmarshalText([]byte(b.String())), text)
		require.Equal(t, b, again, text)
	}
	for _, text := range []string{"", "MiB", "-1", "1.5GiB", "200MB", "9999999999TiB", "1e3"} {
		var b bridges.Bytes
		require.Error(t, b.UnmarshalText([]byte(text)), text)
	}
}
