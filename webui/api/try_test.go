package api_test

import (
	"context"
	"encoding/json"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"fieldgate/bridges"
	"fieldgate/internal/fault"
)

func TestTest_TellsHowItWent(t *testing.T) {
	good := bridges.Reading{Device: "meter", Point: "power", Value: bridges.Int(1), Quality: bridges.Good}
	bad := bridges.Reading{Device: "meter", Point: "power", Quality: bridges.Bad, Error: bridges.ErrTimeout}
	for name, row := range map[string]struct {
		readings []bridges.Reading
		err      error
		status   int
		ok       bool
		code     string
	}{
		"all well":            {[]bridges.Reading{good, bad}, nil, 200, true, ""},
		"nothing to read":     {nil, nil, 200, true, ""},
		"no point":            {[]bridges.Reading{bad}, nil, 200, false, "timeout"},
		"link":                {nil, fault.New(fault.Unreachable, "open serial port: permission denied"), 200, false, "unreachable"},
		"busy":                {nil, fault.New(fault.Conflict, "a test of cabinet runs already"), 409, false, ""},
		"no such device":      {nil, fault.New(fault.NotFound, "there is no device x"), 404, false, ""},
		"wrong settings":      {nil, fault.List{fault.At("/link", fault.Required, "is needed")}, 422, false, ""},
		"a mistake of ours":   {nil, fault.New(fault.Internal, "boom"), 500, false, ""},
		"a word without code": {nil, errors.New("dial tcp: no route"), 200, false, "unreachable"},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t)
			h.bridges.test = func(context.Context, bridges.Config, string) ([]bridges.Reading, error) { return row.readings, row.err }
			a := h.login("otto").send("POST", "/bridges/cabinet/test", "").want(row.status)
			if row.status == 200 {
				require.Equal(t, row.ok, a.json()["ok"])
				require.Equal(t, row.code, a.json()["code"])
				require.Equal(t, row.ok, a.json()["error"] == "")
				require.Len(t, a.json()["readings"], len(row.readings))
			}
		})
	}
}

func TestTest_GivesTheSettingsOfTheBody(t *testing.T) {
	h := newHouse(t)
	otto := h.login("otto")
	var got bridges.Config
	var device string
	h.bridges.test = func(_ context.Context, c bridges.Config, d string) ([]bridges.Reading, error) {
		got, device = c, d
		return nil, nil
	}
	otto.send("POST", "/bridges/test?device=a", `{"id":"shed","kind":"line","status":{"state":"online"}}`).want(200)
	require.Equal(t, "shed line a", got.ID+" "+got.Kind+" "+device)
	require.JSONEq(t, `{"id":"shed","kind":"line"}`, string(got.Settings))

	otto.send("POST", "/devices/test", `{"id":"new","bridge":"cabinet","unit":5}`).want(200)
	require.Equal(t, "cabinet new", got.ID+" "+device)
	require.JSONEq(t, `{"id":"cabinet","kind":"modbus","devices":[{"id":"new","unit":5}]}`, string(got.Settings))

	otto.send("POST", "/devices/relays/test", "").want(200)
	require.JSONEq(t, `{"id":"cabinet","kind":"modbus","devices":[{"id":"relays","unit":2}]}`, string(got.Settings))

	require.Equal(t, []string{"/bridge not_found"}, otto.send("POST", "/devices/test", `{"id":"new","bridge":"shed"}`).want(422).pointers())

	h.uplinks.test = h.bridges.test
	otto.send("POST", "/uplinks/test", `{"id":"backup","url":"mqtt://b"}`).want(200)
	require.Equal(t, "backup uplink", got.ID+" "+got.Kind)
}

func TestTest_PointsOfADevicesFaultsAreIntoTheDevice(t *testing.T) {
	h := newHouse(t)
	h.bridges.test = func(context.Context, bridges.Config, string) ([]bridges.Reading, error) {
		return nil, fault.List{fault.At("/devices/0/unit", fault.OutOfRange, "must be 1 to 247"), fault.At("/link", fault.Invalid, "is wrong")}
	}
	a := h.login("otto").send("POST", "/devices/test", `{"id":"new","bridge":"cabinet","unit":900}`).want(422)
	require.Equal(t, []string{"/unit out_of_range", " invalid"}, a.pointers())
	require.Contains(t, a.body, "bridge cabinet, /link: is wrong")
}

func TestWrite_PassesTheValueAndTheResult(t *testing.T) {
	h := newHouse(t)
	otto := h.login("otto")
	var got string
	h.bridges.write = func(device, point string, value json.RawMessage) (bridges.WriteResult, error) {
		got = device + " " + point + " " + string(value)
		return bridges.WriteResult{Code: fault.OutOfRange, Detail: "must be at most 60"}, nil
	}
	a := otto.send("POST", "/devices/meter/points/limit/write", `{"value":18446744073709551615}`).want(200)
	require.JSONEq(t, `{"ok":false,"code":"out_of_range","detail":"must be at most 60"}`, a.body)
	require.Equal(t, "meter limit 18446744073709551615", got)
	h.bridges.write = func(string, string, json.RawMessage) (bridges.WriteResult, error) {
		return bridges.WriteResult{}, fault.New(fault.Unavailable, "the bridge cabinet does not run now")
	}
	otto.send("POST", "/devices/meter/points/limit/write", `{"value":"on"}`).want(503)
}

func TestReady_NamesThePartsThatHaveAlarms(t *testing.T) {
	h := newHouse(t)
	h.deps.Alarms.Raise("bridge/cabinet", "unreachable", "gone")
	h.stranger().send("GET", "/health/ready", "").want(200)
	h.deps.Alarms.Raise("mqtt", "listen", "taken")
	h.deps.Alarms.Raise("mqtt", "certificate", "gone")
	a := h.stranger().send("GET", "/health/ready", "")
	require.Equal(t, 503, a.status)
	require.JSONEq(t, `{"status":"degraded","parts":["mqtt"]}`, a.body)
}

func TestSystem_TellsOfTheGateway(t *testing.T) {
	got := newHouse(t).login("vera").send("GET", "/system", "").want(200).json()
	require.Equal(t, "1.2.3", got["version"])
	require.EqualValues(t, 12, got["uptime_seconds"])
	require.Equal(t, map[string]any{
		"listeners": []any{"127.0.0.1:1883"}, "clients": 1.0, "endpoints": []any{}, "allow_anonymous": false,
	}, got["mqtt"])
}

func TestConfig_GoesOutAndInAsYAMLAndJSON(t *testing.T) {
	h := newHouse(t)
	anna := h.login("anna")
	a := anna.send("GET", "/config", "").want(200)
	require.Equal(t, "application/yaml", a.header.Get("Content-Type"))
	anna.send("POST", "/config/apply?dry_run=true", a.body, "Content-Type", "application/yaml; charset=utf-8").want(200)
	asJSON := anna.send("GET", "/config", "", "Accept", "application/json").want(200)
	require.Equal(t, "application/json", asJSON.header.Get("Content-Type"))
	b := anna.send("POST", "/config/apply", asJSON.body).want(200)
	require.EqualValues(t, 7, b.json()["revision"])
	require.Equal(t, []string{asJSON.body, asJSON.body}, h.settings.applied)
	wrong := anna.send("POST", "/config/apply", `settings: {"bridges":[1]}`, "Content-Type", "application/yaml").want(422)
	require.Contains(t, wrong.body, `"line":2`)
	require.NotContains(t, anna.send("POST", "/config/apply", `{"bridges":[1]}`).want(422).body, `"line"`)
	anna.send("POST", "/config/apply", "a: [", "Content-Type", "application/yaml").want(400)
	anna.send("POST", "/config/apply", "{}", "Content-Type", "text/plain").want(415)
}
