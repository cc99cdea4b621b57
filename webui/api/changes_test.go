package api_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestChanges_EveryStatus(t *testing.T) {
	const bridge = `{"id":"shed","kind":"modbus","devices":[]}`
	stale := []string{"If-Match", `"stale"`}
	star := []string{"If-Match", "*"}
	for name, row := range map[string]struct {
		method, path, body string
		header             []string
		status             int
		code               string
		pointers           []string
	}{
		"add a bridge":               {"POST", "/bridges", bridge, nil, 201, "", nil},
		"add a bridge twice":         {"POST", "/bridges", `{"id":"cabinet","kind":"modbus"}`, nil, 409, "conflict", []string{"/id conflict"}},
		"add without id":             {"POST", "/bridges", `{"kind":"modbus"}`, nil, 422, "required", []string{"/id required"}},
		"all faults at once":         {"POST", "/bridges", `{"id":"Shed","timeot":1,"devices":[{"id":"x","unit":900},{"unit":1}]}`, nil, 422, "invalid", []string{"/id invalid", "/timeot unknown_key", "/devices/0/unit out_of_range", "/devices/1/id required"}},
		"all without id":             {"POST", "/bridges", `{"kind":"modbus","timeot":1,"devices":[{"id":"x","unit":900}]}`, nil, 422, "required", []string{"/id required", "/timeot unknown_key", "/devices/0/unit out_of_range"}},
		"an empty object":            {"POST", "/bridges", `{}`, nil, 422, "required", []string{"/id required", "/kind required"}},
		"a number as id":             {"POST", "/bridges", `{"id":7,"kind":"modbus"}`, nil, 422, "required", []string{"/id required"}},
		"no JSON":                    {"POST", "/bridges", `{"id":`, nil, 400, "invalid", nil},
		"no object":                  {"POST", "/bridges", `[1]`, nil, 422, "invalid", nil},
		"nested too deep":            {"POST", "/bridges", `{"a":` + strings.Repeat("[", 70) + strings.Repeat("]", 70) + `}`, nil, 422, "invalid", nil},
		"no body":                    {"POST", "/bridges", "", []string{"Content-Type", "application/json"}, 400, "invalid", nil},
		"no content type":            {"POST", "/bridges", bridge, []string{"Content-Type", ""}, 415, "unsupported_media_type", nil},
		"a form":                     {"POST", "/bridges", bridge, []string{"Content-Type", "text/plain"}, 415, "unsupported_media_type", nil},
		"too large":                  {"POST", "/bridges", `"` + strings.Repeat("x", 4<<20) + `"`, nil, 413, "too_large", nil},
		"get nothing":                {"GET", "/bridges/shed", "", nil, 404, "not_found", nil},
		"replace nothing":            {"PUT", "/bridges/shed", bridge, star, 404, "not_found", nil},
		"replace":                    {"PUT", "/bridges/cabinet", `{"kind":"line"}`, star, 200, "", nil},
		"replace without If-Match":   {"PUT", "/bridges/cabinet", `{"kind":"line"}`, nil, 428, "if_match_required", nil},
		"replace stale":              {"PUT", "/bridges/cabinet", `{"kind":"line"}`, stale, 412, "stale", nil},
		"replace by another id":      {"PUT", "/bridges/cabinet", bridge, star, 422, "invalid", []string{"/id invalid"}},
		"patch":                      {"PATCH", "/bridges/cabinet", `{"timeout":"1s"}`, star, 200, "", nil},
		"patch by its own type":      {"PATCH", "/bridges/cabinet", `{"timeout":"1s"}`, []string{"If-Match", "*", "Content-Type", "application/merge-patch+json"}, 200, "", nil},
		"patch stale":                {"PATCH", "/bridges/cabinet", `{"timeout":"1s"}`, stale, 412, "stale", nil},
		"patch away the id":          {"PATCH", "/bridges/cabinet", `{"id":null}`, star, 200, "", nil},
		"remove":                     {"DELETE", "/bridges/cabinet", "", star, 204, "", nil},
		"remove without If-Match":    {"DELETE", "/bridges/cabinet", "", nil, 428, "if_match_required", nil},
		"remove nothing":             {"DELETE", "/bridges/shed", "", star, 404, "not_found", nil},
		"pause":                      {"POST", "/bridges/cabinet/pause", "", nil, 204, "", nil},
		"pause nothing":              {"POST", "/bridges/shed/pause", "", nil, 404, "not_found", nil},
		"add a device":               {"POST", "/devices", `{"id":"pump","bridge":"cabinet","unit":3}`, nil, 201, "", nil},
		"device of another":          {"POST", "/devices", `{"id":"meter","bridge":"cabinet","unit":3}`, nil, 409, "conflict", []string{"/id conflict"}},
		"device without bridge":      {"POST", "/devices", `{"id":"pump"}`, nil, 422, "required", []string{"/bridge required"}},
		"device on nothing":          {"POST", "/devices", `{"id":"pump","bridge":"shed"}`, nil, 422, "not_found", []string{"/bridge not_found"}},
		"faults of a device":         {"POST", "/devices", `{"bridge":"cabinet","unit":900}`, nil, 422, "out_of_range", []string{"/unit out_of_range", "/id required"}},
		"replace a device":           {"PUT", "/devices/relays", `{"unit":9}`, star, 200, "", nil},
		"device to another bridge":   {"PATCH", "/devices/relays", `{"bridge":"shed"}`, star, 422, "invalid", []string{"/bridge invalid"}},
		"device stale":               {"PATCH", "/devices/relays", `{"unit":9}`, stale, 412, "stale", nil},
		"device without If-Match":    {"DELETE", "/devices/relays", "", nil, 428, "if_match_required", nil},
		"remove a device":            {"DELETE", "/devices/relays", "", star, 204, "", nil},
		"remove no device":           {"DELETE", "/devices/pump", "", star, 404, "not_found", nil},
		"write":                      {"POST", "/devices/meter/points/limit/write", `{"value":21.5}`, nil, 200, "", nil},
		"write nothing":              {"POST", "/devices/meter/points/limit/write", `{"value":null}`, nil, 422, "invalid", []string{"/value invalid"}},
		"write without value":        {"POST", "/devices/meter/points/limit/write", `{}`, nil, 422, "required", []string{"/value required"}},
		"write with a strange key":   {"POST", "/devices/meter/points/limit/write", `{"value":1,"secret":"s3cret"}`, nil, 422, "unknown_key", []string{"/secret unknown_key"}},
		"add an uplink":              {"POST", "/uplinks", `{"id":"backup","url":"mqtt://b"}`, nil, 201, "", nil},
		"add an account":             {"POST", "/accounts", `{"username":"cam","password":"geheim"}`, nil, 201, "", nil},
		"add an account twice":       {"POST", "/accounts", `{"username":"sensor","password":"geheim"}`, nil, 409, "conflict", []string{"/username conflict"}},
		"drop a queue":               {"DELETE", "/uplinks/cloud/queue", "", nil, 204, "", nil},
		"drop no queue":              {"DELETE", "/uplinks/backup/queue", "", nil, 404, "not_found", nil},
		"restore":                    {"POST", "/config/revisions/7/restore", "", nil, 200, "", nil},
		"try a restore":              {"POST", "/config/revisions/7/restore?dry_run=true", "", nil, 200, "", nil},
		"read a revision":            {"GET", "/config/revisions/7", "", nil, 200, "", nil},
		"read no revision":           {"GET", "/config/revisions/9", "", nil, 404, "not_found", nil},
		"restore nothing":            {"POST", "/config/revisions/9/restore", "", nil, 404, "not_found", nil},
		"restore no number":          {"POST", "/config/revisions/x/restore", "", nil, 422, "invalid", []string{" invalid"}},
		"apply with strange dry run": {"POST", "/config/apply?dry_run=perhaps", "{}", nil, 422, "invalid", []string{" invalid"}},
	} {
		t.Run(name, func(t *testing.T) {
			a := newHouse(t).login("anna").send(row.method, row.path, row.body, row.header...).want(row.status)
			if row.status >= 400 {
				require.Equal(t, "application/problem+json", a.header.Get("Content-Type"))
				require.Equal(t, row.code, a.json()["code"], a.body)
				require.Equal(t, row.pointers, a.pointers())
				require.NotContains(t, a.body, "s3cret")
			}
			if row.status == 201 {
				require.NotEmpty(t, a.header.Get("Location"))
				require.Regexp(t, `^"[\w-]{20}"$`, a.header.Get("ETag"))
			}
		})
	}
}

func TestChanges_ETagOfTheAnswerIsTheNextIfMatch(t *testing.T) {
	for path, patch := range map[string]string{"/bridges/cabinet": `{"timeout":"1s"}`, "/devices/meter": `{"interval":"2s"}`, "/uplinks/cloud": `{"client_id":"c"}`, "/accounts/sensor": `{"enabled":false}`} {
		t.Run(path, func(t *testing.T) {
			anna := newHouse(t).login("anna")
			first := anna.send("GET", path, "").want(200)
			second := anna.send("PATCH", path, patch, "If-Match", first.header.Get("ETag")).want(200)
			require.NotEqual(t, first.header.Get("ETag"), second.header.Get("ETag"))
			again := anna.send("GET", path, "").want(200)
			require.Equal(t, second.header.Get("ETag"), again.header.Get("ETag"))
			require.JSONEq(t, second.body, again.body)
			anna.send("PATCH", path, patch, "If-Match", `"other", `+first.header.Get("ETag")).want(412)
			anna.send("PATCH", path, patch, "If-Match", `"other", `+again.header.Get("ETag")).want(200)
			// what was read may be sent back, its status is not read
			same := anna.send("PUT", path, again.body, "If-Match", again.header.Get("ETag")).want(200)
			require.Equal(t, again.header.Get("ETag"), same.header.Get("ETag"))
		})
	}
}

func TestChanges_CarryTheAuthorAndKeepOrderAndNumbers(t *testing.T) {
	h := newHouse(t)
	h.login("otto").send("POST", "/bridges", `{"kind":"modbus","id":"shed","big":18446744073709551615,"exact":1.10,"a":1}`).want(201)
	require.Equal(t, []string{"otto"}, h.settings.authors)
	h.local().send("PATCH", "/bridges/shed", `{"a":null,"b":2}`, "If-Match", "*").want(200)
	require.Equal(t, "local", h.settings.authors[1])
	require.Equal(t, `{"kind":"modbus","id":"shed","big":18446744073709551615,"exact":1.10,"b":2}`, string(h.settings.List("bridges")[1]))
}

func TestChanges_SecretsGoInOnly(t *testing.T) {
	h := newHouse(t)
	anna := h.login("anna")
	a := anna.send("PATCH", "/uplinks/cloud", `{"password":"geheim"}`, "If-Match", "*").want(200)
	require.NotContains(t, a.body, "geheim")
	require.Equal(t, true, a.json()["password_set"])
	a = anna.send("PATCH", "/uplinks/cloud", `{"password":null}`, "If-Match", "*").want(200)
	require.Equal(t, false, a.json()["password_set"])
}

func TestPauseAndResume_SetEnabled(t *testing.T) {
	h := newHouse(t)
	otto := h.login("otto")
	enabled := func() any {
		var o map[string]any
		require.NoError(t, json.Unmarshal(h.settings.List("uplinks")[0], &o))
		return o["enabled"]
	}
	otto.send("POST", "/uplinks/cloud/pause", "").want(204)
	require.Equal(t, false, enabled())
	otto.send("POST", "/uplinks/cloud/resume", "").want(204)
	require.Equal(t, true, enabled())
}

func TestChanges_NamesInPathsMayHoldAnything(t *testing.T) {
	anna := newHouse(t).login("anna")
	for _, name := range []string{"a/b", "100%", "李 雷", "a?b#c", "a+b"} {
		text, err := json.Marshal(map[string]string{"username": name, "password": "geheim"})
		require.NoError(t, err)
		made := anna.send("POST", "/accounts", string(text)).want(201)
		got := anna.send("GET", made.header.Get("Location")[len("/api/v1"):], "").want(200)
		require.Equal(t, name, got.json()["username"])
		require.Equal(t, made.header.Get("ETag"), got.header.Get("ETag"))
	}
}
