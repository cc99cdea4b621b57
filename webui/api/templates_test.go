package api_test

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"
)

const ownTemplate = `id: my-meter
kind: modbus
manufacturer: Me
model: Meter
category: energy_meter
source: my desk
points:
  - {id: power, address: 1, unit: W}
`

func TestTemplates_ListsAndFinds(t *testing.T) {
	c := newHouse(t).login("vera")
	var all struct {
		Items []struct {
			ID, Kind, Manufacturer string
			Own                    bool
			PointCount             int `json:"point_count"`
			Description            map[string]string
		}
	}
	require.NoError(t, json.Unmarshal([]byte(c.send("GET", "/templates", "").want(200).body), &all))
	require.GreaterOrEqual(t, len(all.Items), 25)
	require.NoError(t, json.Unmarshal([]byte(c.send("GET", "/templates?kind=modbus&q=eastron+630", "").want(200).body), &all))
	require.Len(t, all.Items, 1)
	require.Equal(t, "eastron-sdm630", all.Items[0].ID)
	require.NotEmpty(t, all.Items[0].Description["zh"])
	require.Greater(t, all.Items[0].PointCount, 40)
	require.Contains(t, c.send("GET", "/templates/xy-md02", "").want(200).body, `"id":"temperature"`)
	c.send("GET", "/templates/none", "").want(404)
}

func TestTemplates_KeepsOwnOnes(t *testing.T) {
	h := newHouse(t)
	c := h.login("otto")
	put := func(text string) *answer {
		return c.send("PUT", "/templates/my-meter", text, "Content-Type", "application/yaml")
	}
	require.Contains(t, put(ownTemplate+"  - {id: Power}\n").want(422).body, `"pointer":"/points/1/id"`)
	require.Contains(t, put("id: a: b").want(422).body, "not YAML")
	tag := put(ownTemplate).want(200).header.Get("ETag")
	require.NotEmpty(t, tag)
	put(ownTemplate).want(428)
	c.header.Set("If-Match", tag)
	put(ownTemplate + "  - {id: energy, address: 2}\n").want(200)
	c.send("DELETE", "/templates/my-meter", "").want(412)
	c.header.Set("If-Match", "*")
	h.settings.sections["bridges"] = append(h.settings.sections["bridges"], json.RawMessage(`{"id":"b","kind":"modbus","devices":[{"id":"d9","template":"my-meter"}]}`))
	require.Contains(t, c.send("DELETE", "/templates/my-meter", "").want(409).body, "d9")
	h.settings.sections["bridges"] = h.settings.sections["bridges"][:1]
	c.send("DELETE", "/templates/my-meter", "").want(204)
	c.send("DELETE", "/templates/my-meter", "").want(404)
	c.send("DELETE", "/templates/xy-md02", "").want(409)
}
