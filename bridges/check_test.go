package bridges_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"fieldgate/bridges"
)

func TestFaults_CheckTopic(t *testing.T) {
	for _, c := range []struct{ name, topic, words string }{
		{"usual", "fieldgate/main-meter", ""},
		{"with spaces and umlauts", "werk/Öl tank", ""},
		{"empty", "", "must not be empty"},
		{"too long", strings.Repeat("a", 1025), "must have at most 1024 bytes"},
		{"the broker's own", "$SYS/x", "must not begin with $, which is the broker's own"},
		{"slash before", "/a", "must not have empty levels: no / at the ends, no //"},
		{"slash after", "a/", "must not have empty levels: no / at the ends, no //"},
		{"two slashes", "a//b", "must not have empty levels: no / at the ends, no //"},
		{"wildcard", "a/#", "must not contain the wildcards + and #"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var f bridges.Faults
			f.CheckTopic("/topic", c.topic)
			if c.words == "" {
				require.NoError(t, f.Err())
				return
			}
			require.EqualError(t, f.Err(), "/topic: "+c.words)
		})
	}
}

func TestRole_NamesTopicsPartsAndSessions(t *testing.T) {
	require.Equal(t, "fieldgate/$uplink/cloud", bridges.UplinkRole.StateTopic("cloud"))
	require.Equal(t, "bridge/cabinet", bridges.FieldRole.Part("cabinet"))
	for _, c := range []struct{ name, want string }{
		{"", "$uplink/cloud"},
		{"$uplink/cloud", "$uplink/cloud"},
		{"$uplink/cloud/in", "$uplink/cloud/in"},
		{"in", "$uplink/cloud/in"},
		{"$uplink/cloudy", "$uplink/cloud/$uplink/cloudy"}, // another's session stays out of reach
	} {
		require.Equal(t, c.want, bridges.UplinkRole.SessionID("cloud", c.name))
	}
}

func TestNearest(t *testing.T) {
	for _, c := range []struct{ word, want string }{
		{"timout", "timeout"}, {"TIMEOUT", "timeout"}, {"tiemout", "timeout"}, {"bit", "bit"}, {"bti", ""}, {"xyz", ""}, {strings.Repeat("timeout", 20), ""},
	} {
		got, ok := bridges.Nearest(c.word, []string{"timeout", "bit", "unit"})
		require.Equal(t, c.want, got)
		require.Equal(t, c.want != "", ok)
	}
}
