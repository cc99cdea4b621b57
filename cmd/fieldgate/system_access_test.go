package main_test

import (
	"fmt"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestSystem_PersonRulesWhoMayPublish makes an account and an access rule in Chromium: mosquitto_pub is refused
// on another topic, and the person sees the client, watches its packets and disconnects it.
func TestSystem_PersonRulesWhoMayPublish(t *testing.T) {
	need(t, "mosquitto_pub")
	need(t, "mosquitto_sub")
	b := newBox(t)
	host := fmt.Sprintf("data_dir: %s\nlog: {level: info}\nmqtt:\n  listeners: [{address: %q}]\nadmin: {address: %q}\n", b.data(), b.mqtt, b.admin)
	require.NoError(t, os.WriteFile(b.config(), []byte(host), 0o600))
	b.start()
	awaitPort(t, b.admin)
	chromium(t, "access.test", "FG_ACCESS=http://"+b.admin, "FG_MQTT="+b.mqtt)
}
