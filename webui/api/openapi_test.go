package api_test

import (
	"flag"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "write openapi.json anew")

func TestOpenAPI_DoesNotDrift(t *testing.T) {
	now := newUnclaimed(t).stranger().send("GET", "/openapi.json", "").want(200)
	require.Equal(t, "application/openapi+json", now.header.Get("Content-Type"))
	if *update {
		require.NoError(t, os.WriteFile("openapi.json", []byte(now.body), 0o644))
	}
	committed, err := os.ReadFile("openapi.json")
	require.NoError(t, err)
	was, is := strings.Split(string(committed), "\n"), strings.Split(now.body, "\n")
	for i := range min(len(was), len(is)) {
		require.Equal(t, was[i], is[i], "line %d; go test ./webui/api -update writes it anew", i+1)
	}
	require.Len(t, is, len(was))
}
