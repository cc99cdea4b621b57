package api_test

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"
)

// While nothing can be kept, what only acts or asks goes on.
func TestUnkept_RefusesOnlyWhatIsKept(t *testing.T) {
	h := newHouse(t)
	otto := h.login("otto")
	h.api.Unkept = "the disk is read-only"
	for path, status := range map[string]int{
		"/bridges/cabinet/read": 200, "/bridges/cabinet/write": 200, "/bridges/read": 422, "/bridges/write": 422, "/bridges/cabinet/test": 200,
		"/bridges/cabinet/pause": 503, "/devices/meter/points/limit/write": 200,
	} {
		otto.send("POST", path, `{"value":1}`).want(status)
	}
	otto.send("DELETE", "/jobs/none", "").want(404)
	require.Contains(t, otto.send("POST", "/bridges", `{"id":"b"}`).want(503).body, "the disk is read-only")
}

func TestUplinks_OnlyAdministratorsNameFilesAndVariables(t *testing.T) {
	h := newHouse(t)
	h.settings.sections["uplinks"] = []json.RawMessage{json.RawMessage(`{"id":"cloud","url":"mqtts://c.example:8883","password":{"file":"/etc/cloud"}}`)}
	otto, anna := h.login("otto"), h.login("anna")
	for name, reference := range map[string]string{
		"file": `{"file":"/var/lib/fieldgate/admin-key.pem"}`, "variable": `{"env":"HOME"}`, "another secret": ` {"secret":"cloud-password"}`,
	} {
		body := `{"id":"spy","url":"mqtt://192.0.2.66:1883","password":` + reference + `}`
		require.Equal(t, []string{"/password forbidden"}, otto.send("POST", "/uplinks", body).want(403).pointers(), name)
		otto.send("POST", "/uplinks/test", body).want(403)
		otto.send("PUT", "/uplinks/cloud", `{"url":"mqtt://192.0.2.66:1883","password":`+reference+`}`, "If-Match", "*").want(403)
		otto.send("PATCH", "/uplinks/cloud", `{"password":`+reference+`}`, "If-Match", "*").want(403)
		anna.send("POST", "/uplinks/test", body).want(200)
		anna.send("PATCH", "/uplinks/cloud", `{"username":"gw"}`, "If-Match", "*").want(200)
	}
	require.Contains(t, string(h.settings.List("uplinks")[0]), "mqtts://c.example:8883")
	h.settings.sections["uplinks"] = []json.RawMessage{json.RawMessage(`{"id":"cloud","url":"mqtts://c.example:8883","password":{"file":"/etc/cloud"}}`)}
	otto.send("PATCH", "/uplinks/cloud", `{"url":"mqtts://d.example:8883","password":{"file":"/etc/cloud"}}`, "If-Match", "*").want(200) // what stands there may stay
	otto.send("PUT", "/uplinks/cloud", `{"url":"mqtts://d.example:8883","password":"text"}`, "If-Match", "*").want(200)
}
