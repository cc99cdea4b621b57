package api_test

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestClone_CopiesADeviceWithoutItsTopic(t *testing.T) {
	h := newHouse(t)
	otto := h.login("otto")
	otto.send("PATCH", "/devices/meter", `{"topic":"site/hall/meter","name":"Hall"}`, "If-Match", "*").want(200)

	a := otto.send("POST", "/devices/meter/clone", `{"id":"meter-2","unit":7}`).want(201)
	require.Equal(t, "/api/v1/devices/meter-2", a.header.Get("Location"))
	require.NotEmpty(t, a.header.Get("ETag"))
	got := a.json()
	delete(got, "status")
	require.Equal(t, map[string]any{"id": "meter-2", "bridge": "cabinet", "unit": 7.0, "points": []any{map[string]any{"id": "power"}}}, got)
	require.Equal(t, "site/hall/meter", otto.send("GET", "/devices/meter", "").want(200).json()["topic"], "the first one stays as it is")
}

func TestClone_Refuses(t *testing.T) {
	h := newHouse(t)
	for _, tt := range []struct {
		name, device, body string
		status             int
		pointer            string
	}{
		{"a device that is not there", "none", `{"id":"new"}`, 404, ""},
		{"no id", "meter", `{}`, 422, "/id required"},
		{"an id that is in use", "meter", `{"id":"relays"}`, 409, "/id conflict"},
		{"a value that its kind refuses", "meter", `{"id":"new","unit":300}`, 422, "/unit out_of_range"},
		{"another bridge that is not there", "meter", `{"id":"new","bridge":"cellar"}`, 422, "/bridge not_found"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := h.login("otto").send("POST", "/devices/"+tt.device+"/clone", tt.body)
			require.Equal(t, tt.status, a.status, a.body)
			if tt.pointer != "" {
				require.Equal(t, []string{tt.pointer}, a.pointers())
			}
		})
	}
}

func TestStats_TellWhatABridgeHasCounted(t *testing.T) {
	h := newHouse(t)
	vera := h.login("vera")
	require.JSONEq(t, `{"id":"cabinet","state":"online","since":"2026-11-22T10:00:00Z","counters":{"polls":12},
		"devices":[{"id":"meter","state":"online","since":"2026-11-22T10:00:00Z","counters":{}}]}`, vera.send("GET", "/bridges/cabinet/stats", "").want(200).body)
	vera.send("GET", "/bridges/none/stats", "").want(404)
}
