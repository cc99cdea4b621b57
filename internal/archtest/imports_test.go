package archtest

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// floors says for every package of ours which others of ours it may import; a
// trailing * stands for any package below. Imports of test files do not count.
// A package that has no row fails the test: nobody adds a room by accident.
var floors = map[string]string{
	"cmd/fieldgate":              "bridges bridges/all gateway gateway/config gateway/demo bridges/sim bridges/template internal/fault",
	"gateway/demo":               "gateway gateway/config broker storage bridges/sim internal/fault",
	"gateway":                    "*",
	"gateway/config":             "bridges bridges/homeassistant broker broker/access storage webui internal/fault internal/ordered",
	"webui":                      "webui/api internal/fault",
	"webui/api":                  "bridges bridges/homeassistant bridges/template broker broker/access broker/mqtt internal/fault internal/logring internal/ordered",
	"bridges/all":                "bridges bridges/*",
	"bridges/sim":                "bridges bridges/internal/* bridges/template",
	"bridges/template":           "bridges internal/fault",
	"bridges/homeassistant":      "bridges broker/mqtt",
	"bridges/modbus":             "bridges bridges/internal/* broker/mqtt",
	"bridges/line":               "bridges bridges/internal/* broker/mqtt",
	"bridges/uplink":             "bridges broker/mqtt broker/packet broker/session",
	"bridges":                    "broker/mqtt internal/fault",
	"bridges/bridgestest":        "bridges broker/mqtt internal/fault", // the Kind conformance suite, imported by tests only
	"bridges/internal/port":      "",
	"storage":                    "broker/session broker/mqtt internal/fault",
	"broker":                     "broker/* internal/fault",
	"broker/listen":              "internal/fault",
	"broker/access":              "broker/mqtt internal/fault",
	"broker/route":               "broker/mqtt",
	"broker/session":             "broker/mqtt",
	"broker/session/sessiontest": "broker/session broker/mqtt", // the Spool conformance suite, imported by tests only
	"broker/packet":              "broker/mqtt",
	"broker/mqtt":                "",
	"internal/fault":             "",
	"internal/logring":           "",
	"internal/ordered":           "",
	"internal/leak":              "", // imported by tests only
	"internal/archtest":          "",
	"internal/conformance":       "", // tests only: docs/conformance.md
	"internal/loadtest":          "", // tests only: make bench, make soak
}

func TestImportsFallNeverClimb(t *testing.T) {
	const module = "fieldgate/"
	list := exec.Command("go", "list", "-f", `{{.ImportPath}} {{join .Imports " "}}`, module+"...")
	list.Stderr = t.Output()
	out, err := list.Output()
	require.NoError(t, err)
	for line := range strings.Lines(string(out)) {
		words := strings.Fields(line)
		importer := strings.TrimPrefix(words[0], module)
		row, known := floors[importer]
		if !known {
			t.Errorf("%s has no row in the import table", importer)
			continue
		}
		for _, path := range words[1:] {
			if dep, ours := strings.CutPrefix(path, module); ours && !allows(row, dep) {
				t.Errorf("%s must not import %s", importer, dep)
			}
		}
	}
}

func allows(row, dep string) bool {
	for _, rule := range strings.Fields(row) {
		prefix, wild := strings.CutSuffix(rule, "*")
		if rule == dep || wild && strings.HasPrefix(dep, prefix) {
			return true
		}
	}
	return false
}
