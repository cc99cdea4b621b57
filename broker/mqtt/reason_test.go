package mqtt_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"fieldgate/broker/mqtt"
)

func TestReasonCode_SpeaksInWords(t *testing.T) {
	known := map[string]bool{}
	for code := range 256 {
		words := mqtt.ReasonCode(code).String()
		if !strings.HasPrefix(words, "reason code 0x") {
			known[words] = true
		}
	}
	require.Len(t, known, 43, "the values of table 2-6, each with words of its own")
	require.Equal(t, "not authorized", mqtt.NotAuthorized.String())
	require.Equal(t, "reason code 0x05", mqtt.ReasonCode(5).String())
}

func TestReturnCode_GoesThereAndBack(t *testing.T) {
	for code := range byte(6) {
		reason, ok := mqtt.FromReturnCode(code)
		require.True(t, ok)
		require.Equal(t, code, reason.ReturnCode())
		require.Equal(t, code != 0, reason.Failed())
	}
	_, ok := mqtt.FromReturnCode(6)
	require.False(t, ok)
	for code := range 256 {
		reason := mqtt.ReasonCode(code)
		require.LessOrEqual(t, reason.ReturnCode(), byte(5))
		require.Equal(t, reason.Failed(), reason.ReturnCode() != 0, "%s must not become an acceptance", reason)
	}
}
