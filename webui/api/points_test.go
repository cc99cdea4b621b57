package api_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"fieldgate/webui/api"
)

const somePoints = `[{"id":"power","name":{"en":"Power","zh":"功率"},"table":"input","address":52,"type":"float32","unit":"W","deadband":0.5,"invalid":["nan",-1]},
	{"id":"state","address":"0x10","type":"uint16","enum":{"0":"off","1":"on"},"on_change":true},
	{"id":"setpoint","address":104,"type":"int16","scale":0.1,"offset":-40,"unit":"=cmd|' /C calc'!A0","write":{"min":-10,"max":60.5,"verify":true}},
	{"id":"relay","table":"coil","address":0,"write":{}},
	{"id":"sf","type":"int16","sunspec":{"models":[101],"offset":15},"publish":false}]`

func (h *house) withPoints(points string) {
	h.settings.sections["bridges"][0] = json.RawMessage(`{"id":"cabinet","kind":"modbus","devices":[{"id":"meter","unit":1,"points":` + points + `},{"id":"relays","unit":2}]}`)
}

func (h *house) pointsJSON(id string) string {
	b, err := json.Marshal(h.login("vera").send("GET", "/devices/"+id, "").want(200).json()["points"])
	require.NoError(h.t, err)
	return string(b)
}

func TestPoints_GoOutAndComeBackAsTheyWere(t *testing.T) {
	for _, query := range []string{"", "?separator=%3B&decimal=%2C&bom=true", "?separator=%3B"} {
		t.Run("export"+query, func(t *testing.T) {
			h := newHouse(t)
			h.withPoints(somePoints)
			otto := h.login("otto")
			file := otto.send("GET", "/devices/meter/points/export"+query, "").want(200)
			require.Contains(t, file.header.Get("Content-Disposition"), `filename="meter-points.csv"`)
			require.NotContains(t, file.body, ";=cmd")
			require.NotContains(t, file.body, ",=cmd")
			h.withPoints("[]")
			a := otto.send("POST", "/devices/meter/points/import", file.body, "Content-Type", "text/csv", "If-Match", "*").want(200).json()
			require.Equal(t, true, a["ok"])
			require.Len(t, a["added"], 5)
			require.JSONEq(t, somePoints, h.pointsJSON("meter"))
			again := otto.send("POST", "/devices/meter/points/import?mode=replace&dry_run=true", file.body, "Content-Type", "text/csv").want(200).json()
			require.Len(t, again["unchanged"], 5)
		})
	}
}

func TestPoints_KeepWhatLooksLikeSomethingElse(t *testing.T) {
	for name, point := range map[string]string{
		"text of digits":         `{"id":"a","group":"1","request":"5","write":{"ack":"1","command":"true"}}`,
		"text that is JSON":      `{"id":"a","request":"{\"cmd\":1}","write":{"nack":"[0]"}}`,
		"quoted text":            `{"id":"a","unit":"\"","request":"\"x\""}`,
		"white space":            `{"id":"a","request":" PV? ","write":{"command":"SP{value}\r"},"unit":"\tkg"}`,
		"line breaks":            `{"id":"a","request":"a\rb\nc\r\nd"}`,
		"empty text":             `{"id":"a","unit":"","request":""}`,
		"labels with bars":       `{"id":"a","enum":{"0":"off|idle","1":"a=b","2":" on "}}`,
		"labels":                 `{"id":"a","enum":{"0":"off","1":"on"}}`,
		"no labels":              `{"id":"a","enum":{}}`,
		"invalid":                `{"id":"a","invalid":["5",5,"a|b","1,5"]}`,
		"no invalid":             `{"id":"a","invalid":[]}`,
		"decimal comma in texts": `{"id":"a","request":"1,5","scale":0.5}`,
		"nested":                 `{"id":"a","write":{"values":{"true":"FAN ON\r","false":"FAN OFF\r"},"wait":"1s"}}`,
		"name without language":  `{"id":"a","name":"7"}`,
		"formulas":               `{"id":"a","unit":"'","request":"=1+1","name":{"en":"-5"}}`,
	} {
		for _, query := range []string{"", "?separator=%3B&decimal=%2C", "?separator=%3B"} {
			t.Run(name+query, func(t *testing.T) {
				h := newHouse(t)
				h.withPoints("[" + point + "]")
				otto := h.login("otto")
				file := otto.send("GET", "/devices/meter/points/export"+query, "").want(200).body
				plan := otto.send("POST", "/devices/meter/points/import?dry_run=true&mode=replace", file, "Content-Type", "text/csv").want(200).json()
				require.Equal(t, []any{"a"}, plan["unchanged"], file)
			})
		}
	}
}

func TestPoints_LeaveOutNulls(t *testing.T) {
	h := newHouse(t)
	h.withPoints(`[{"id":"a","unit":null,"write":{"min":null}}]`)
	require.Equal(t, "id\r\na\r\n", h.login("otto").send("GET", "/devices/meter/points/export", "").want(200).body)
}

func TestImport_ReadsWhatSpreadsheetsWrite(t *testing.T) {
	h := newHouse(t)
	h.withPoints(`[{"id":"power","address":1},{"id":"kept","address":2}]`)
	otto := h.login("otto")
	text := "\ufeffid;address;scale;enabled;write;unit\r\npower;52;0,01;WAHR;;kWh\r\n\r\nlimit;7;1;TRUE;TRUE;\"a;b\"\r\n;;;;;\r\n"
	text = strings.Replace(text, "WAHR", "true", 1)
	dry := otto.send("POST", "/devices/meter/points/import?dry_run=true", text, "Content-Type", "text/csv").want(200).json()
	require.Equal(t, []any{"power"}, dry["changed"])
	require.Equal(t, []any{"limit"}, dry["added"])
	require.Empty(t, dry["removed"])
	require.JSONEq(t, `[{"id":"power","address":1},{"id":"kept","address":2}]`, h.pointsJSON("meter"), "nothing happened")
	otto.send("POST", "/devices/meter/points/import", text, "Content-Type", "text/csv").want(428)
	otto.send("POST", "/devices/meter/points/import", text, "Content-Type", "text/csv", "If-Match", `"x"`).want(412)
	otto.send("POST", "/devices/meter/points/import?mode=replace", text, "Content-Type", "text/csv", "If-Match", "*").want(200)
	require.JSONEq(t, `[{"id":"power","address":52,"scale":0.01,"enabled":true,"unit":"kWh"},{"id":"limit","address":7,"scale":1,"enabled":true,"write":{},"unit":"a;b"}]`, h.pointsJSON("meter"))
	h.login("vera").send("POST", "/devices/meter/points/import", text, "Content-Type", "text/csv", "If-Match", "*").want(403)
}

func TestImport_NamesRowAndColumn(t *testing.T) {
	h := newHouse(t)
	h.withPoints(`[]`)
	otto := h.login("otto")
	for _, c := range []struct {
		name, text string
		row        float64
		column     string
	}{
		{"empty", "\n", 1, ""},
		{"no id", "address,type\r\n1,int16\r\n", 1, "id"},
		{"twice in the header", "id,id\r\n", 1, "id"},
		{"not UTF-8", "id\r\n\xff\xfe\r\n", 0, ""},
		{"twice", "id,address\r\na,1\r\na,2\r\n", 3, "id"},
		{"enum", "id,enum\r\na,on\r\n", 2, "enum"},
		{"JSON", "id,sunspec\r\na,{x\r\n", 2, "sunspec"},
		{"too many cells", "id\r\na,1\r\n", 2, ""},
		{"quote", "id\r\n\"a\r\n", 2, ""},
		{"quote in a later row", "id\r\na\r\nb\r\n\"c\r\n", 4, ""},
		{"bare quote", "id\r\na\r\n\r\nb\"c\r\n", 4, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := otto.send("POST", "/devices/meter/points/import?dry_run=true", c.text, "Content-Type", "text/csv").want(200).json()
			require.Equal(t, false, a["ok"])
			first := a["errors"].([]any)[0].(map[string]any)
			require.Equal(t, c.row, first["row"])
			require.Equal(t, c.column, first["column"])
		})
	}
	refused := otto.send("POST", "/devices/meter/points/import", "id,enum\r\na,on\r\n", "Content-Type", "text/csv", "If-Match", "*").want(422)
	require.Equal(t, []string{"/rows/2/enum invalid"}, refused.pointers())
}

func FuzzReadPoints(f *testing.F) {
	f.Add([]byte("id,address,enum\r\na,1,0=off|1=on\r\n"))
	f.Add([]byte("\ufeffid;scale;write.min\r\nb;0,5;-3\r\n"))
	f.Add([]byte("id\t\"x\ny\"\r\n'=1\r\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		api.RereadPoints(t, text)
	})
}
