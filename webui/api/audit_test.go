package api_test

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"fieldgate/bridges"
	"fieldgate/internal/fault"
)

// noted lists "operation path" of the changes that were noted by somebody, the newest first.
func (h *house) noted(author string) []string {
	h.t.Helper()
	var list struct {
		Items []struct{ Author, Operation, Path string }
	}
	require.NoError(h.t, json.Unmarshal([]byte(h.local().send("GET", "/audit", "").want(200).body), &list))
	words := []string{}
	for _, e := range list.Items {
		if e.Author == author && e.Operation != "login" {
			words = append(words, e.Operation+" "+e.Path)
		}
	}
	return words
}

func TestAudit_DoesNotTakeADryRunForAChange(t *testing.T) {
	h := newHouse(t)
	anna := h.login("anna")
	csv := "id,address\r\npower,1\r\n"
	anna.send("POST", "/config/apply?dry_run=true", `{"bridges":[]}`).want(200)
	anna.send("POST", "/config/revisions/7/restore?dry_run=true", "").want(200)
	anna.send("POST", "/devices/meter/points/import?dry_run=true", csv, "Content-Type", "text/csv").want(200)
	require.Empty(t, h.noted("anna"))
	anna.send("POST", "/devices/meter/points/import?dry_run=false", csv, "Content-Type", "text/csv", "If-Match", "*").want(200)
	anna.send("POST", "/config/revisions/7/restore", "").want(200)
	anna.send("POST", "/config/apply", `{"bridges":[]}`).want(200)
	require.Equal(t, []string{
		"apply-config /config/apply", "restore-revision /config/revisions/7/restore", "import-points /devices/meter/points/import",
	}, h.noted("anna"))
}

func TestAudit_SaysWhereWasWrittenByHand(t *testing.T) {
	h := newHouse(t)
	otto := h.login("otto")
	otto.send("POST", "/bridges/cabinet/write", `{"unit":1,"table":"holding","address":104,"value":21.5}`).want(200)
	otto.send("POST", "/bridges/cabinet/write", `{"unit":1,"table":"holding","address":"0x69","value":21.5,"function":16}`).want(200)
	h.field.hand = func(bridges.Config, json.RawMessage) (bridges.HandAnswer, error) {
		return nil, fault.New(fault.Unreachable, "plug it in")
	}
	otto.send("POST", "/bridges/write", `{"bridge":{"kind":"modbus","link":{}},"unit":7,"address":1}`).want(200)
	require.Equal(t, []string{
		"write-link /bridges/write?unit=7&address=1",
		"write-bridge /bridges/cabinet/write?unit=1&table=holding&address=0x69&function=16",
		"write-bridge /bridges/cabinet/write?unit=1&table=holding&address=104",
	}, h.noted("otto"))
	require.Contains(t, h.log.String(), "unit=1&table=holding&address=104")
	require.NotContains(t, h.log.String(), "21.5")
}
