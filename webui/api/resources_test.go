package api_test

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestReads_GiveWhatTheContractSays(t *testing.T) {
	h := newHouse(t)
	anna := h.login("anna")
	for name, row := range map[string]struct{ path, want string }{
		"setup":   {"/setup", ``},
		"session": {"/session", `{"user":{"name":"anna","role":"admin","language":"en"}}`},
		"bridges": {"/bridges", `{"items":[{"id":"cabinet","kind":"modbus","devices":[{"id":"meter","unit":1,"points":[{"id":"power"}]},{"id":"relays","unit":2}],
			"status":{"id":"cabinet","kind":"modbus","state":"online","since":"2026-11-22T10:00:00Z","reason":"","counters":{"polls":12},
			"devices":[{"id":"meter","state":"online","since":"2026-11-22T10:00:00Z","reason":""}]}}],"next":null}`},
		"device": {"/devices/meter", `{"id":"meter","unit":1,"points":[{"id":"power"}],"bridge":"cabinet",
			"status":{"state":"online","since":"2026-11-22T10:00:00Z","reason":""}}`},
		"devices of a bridge": {"/devices?bridge=other", `{"items":[],"next":null}`},
		"values": {"/values?device=meter", `{"items":[
			{"device":"meter","point":"limit","value":null,"unit":"","quality":"bad","error":"timeout","time":"2026-11-22T10:00:00Z","writable":true},
			{"device":"meter","point":"power","name":{"en":"Power"},"value":230.1,"unit":"W","quality":"good","error":"","time":"2026-11-22T10:00:00.047Z","writable":false}],"next":null}`},
		"uplink": {"/uplinks/cloud", `{"id":"cloud","url":"mqtts://c.example:8883","password_set":true,
			"status":{"id":"cloud","kind":"uplink","state":"connected","since":"2026-11-22T10:00:00Z","reason":"","counters":{},"queue":{"messages":0,"bytes":0,"oldest":null}}}`},
		"bridge kinds": {"/bridge-kinds", `{"items":[{"name":"modbus","title":"Modbus RTU and TCP"}],"next":null}`},
		"serial ports": {"/serial-ports", `{"items":[{"port":"/dev/serial/by-id/usb","device":"/dev/ttyUSB0","name":"FT232R USB UART","used_by":"cabinet","problem":""}],"next":null}`},
		"accounts":     {"/accounts", `{"items":[{"username":"sensor","enabled":true,"password_set":true}],"next":null}`},
		"access rules": {"/access-rules", `{"items":[{"id":"own","filter":"site/%u/#","allow":["read","write"]}],"next":null}`},
		"alarms":       {"/alarms", `{"items":[],"next":null}`},
		"revisions":    {"/config/revisions", `{"items":[{"revision":7,"time":"2026-11-22T10:00:00Z","author":"anna","summary":"change bridge cabinet"}],"next":null}`},
		"live":         {"/health/live", `{"status":"ok"}`},
		"ready":        {"/health/ready", `{"status":"ok"}`},
	} {
		t.Run(name, func(t *testing.T) {
			a := anna.send("GET", row.path, "").want(200)
			if row.want != "" {
				require.JSONEq(t, row.want, a.body)
			}
		})
	}
}
