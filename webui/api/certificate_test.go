package api_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"fieldgate/broker/mqtt"
	"fieldgate/internal/fault"
)

func TestCertificate_IsShownReplacedAndRenewed(t *testing.T) {
	h := newHouse(t)
	anna := h.login("anna")
	require.Equal(t, true, anna.send("GET", "/system/tls", "").want(200).json()["self_signed"])
	a := anna.send("PUT", "/system/tls", `{"certificate":"CERT","key":"hush"}`).want(200)
	require.Equal(t, "CERT", a.json()["subject"])
	require.NotContains(t, a.body, "hush")
	require.Equal(t, []string{"/certificate invalid"}, anna.send("PUT", "/system/tls", `{"certificate":"bad","key":"hush"}`).want(422).pointers())
	anna.send("PUT", "/system/tls", `{"certificate":"CERT"}`).want(422)
	anna.send("DELETE", "/system/tls", "").want(204)
	require.Equal(t, true, anna.send("GET", "/system/tls", "").want(200).json()["self_signed"])
	require.NotContains(t, h.log.String(), "hush")
}

func TestRestart_IsAskedForOnce(t *testing.T) {
	h := newHouse(t)
	h.login("anna").send("POST", "/system/restart", "").want(202)
	require.Equal(t, 1, h.restarts)
}

func TestPresets_AreListed(t *testing.T) {
	items := newHouse(t).login("vera").send("GET", "/uplink-presets", "").want(200).json()["items"].([]any)
	require.Equal(t, "aws-iot-core", items[0].(map[string]any)["id"])
}

func TestUplinkQueue_ShowsWhatWaits(t *testing.T) {
	r := newRunning(t)
	vera := r.login("vera")
	require.Empty(t, vera.send("GET", "/uplinks/cloud/queue", "").want(200).json()["items"], "before it ever ran")
	local, err := r.broker.Attach(t.Context(), mqtt.Attachment{ClientID: "$uplink/cloud", Durable: true, Subscriptions: []mqtt.Subscription{{Filter: "a/#", QoS: 1}}})
	require.NoError(t, err)
	require.NoError(t, local.Close())
	for _, payload := range []string{"1", "2"} {
		r.login("otto").send("POST", "/publish", `{"topic":"a/b","qos":1,"payload":"`+payload+`"}`).want(200)
	}
	page := vera.send("GET", "/uplinks/cloud/queue?limit=1", "").want(200).json()
	require.Equal(t, "1", page["items"].([]any)[0].(map[string]any)["payload"])
	require.Contains(t, page["next"], "/api/v1/uplinks/cloud/queue?after=")
	vera.send("GET", "/uplinks/none/queue", "").want(404)
}

func TestPublish_RefusesAnAnswerThatWouldBeACommand(t *testing.T) {
	r := newRunning(t)
	for topic, status := range map[string]int{"answers/7": 200, "fieldgate/relays/coil/set": 422, "$SYS/x": 422, "a/#": 422} {
		a := r.login("otto").send("POST", "/publish", `{"topic":"a/b","response_topic":"`+topic+`"}`).want(status)
		if status == 422 {
			require.Equal(t, []string{"/response_topic " + string(fault.Invalid)}, a.pointers())
		}
	}
}
