package conformance

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// root is the folder of the module.
const root = "../.."

// versions are the specifications, as the scripts call them.
var versions = []struct{ name, mark, file string }{
	{"MQTT 3.1.1", "v3.1.1", "statements-3.1.1.txt"},
	{"MQTT 5.0", "v5", "statements-5.0.txt"},
}

// statement is one normative statement.
type statement struct {
	id, who, text string
	reason        string // why it can't be shown; empty for none
	proofs        []proof
}

// bindsServer tells whether the statement asks something of a broker.
func (s *statement) bindsServer() bool { return s.who != "client" }

// table is the statements of one version, in the order of the text.
type table struct {
	list []*statement
	byID map[string]*statement
}

var statementLine = regexp.MustCompile(`^(MQTT-\d+\.\d+\.\d+-\d+) (server|client|both) (\S.*\.|\S.*\))$`)

func parseStatements(text string) (*table, error) {
	t := &table{byID: map[string]*statement{}}
	n := 0
	for line := range strings.Lines(text) {
		n++
		line = strings.TrimRight(line, "\n")
		if line == "" || line[0] == '#' {
			continue
		}
		if reason, ok := strings.CutPrefix(line, "  because "); ok && len(t.list) > 0 {
			t.list[len(t.list)-1].reason = reason
			continue
		}
		m := statementLine.FindStringSubmatch(line)
		if m == nil {
			return nil, fmt.Errorf("line %d is no statement: %s", n, line)
		}
		if t.byID[m[1]] != nil {
			return nil, fmt.Errorf("line %d: %s stands there already", n, m[1])
		}
		s := &statement{id: m[1], who: m[2], text: m[3]}
		t.list = append(t.list, s)
		t.byID[s.id] = s
	}
	return t, nil
}

// statements reads the tables of all versions, by their marks.
func statements(t *testing.T) map[string]*table {
	t.Helper()
	tables := map[string]*table{}
	for _, v := range versions {
		text, err := os.ReadFile(filepath.Join(root, "broker/testdata", v.file))
		require.NoError(t, err)
		tables[v.mark], err = parseStatements(string(text))
		require.NoError(t, err, v.file)
	}
	return tables
}

func TestParseStatements_SaysWhatIsWrong(t *testing.T) {
	for _, test := range []struct{ name, text, fault string }{
		{"good", "# words\n\nMQTT-1.2.3-4 both Text.\n  because so\n", ""},
		{"unknown binding", "MQTT-1.2.3-4 broker Text.\n", "line 1 is no statement"},
		{"no text", "MQTT-1.2.3-4 both\n", "line 1 is no statement"},
		{"twice", "MQTT-1.2.3-4 both A.\nMQTT-1.2.3-4 both B.\n", "line 2: MQTT-1.2.3-4 stands there already"},
		{"reason of nothing", "  because so\n", "line 1 is no statement"},
	} {
		t.Run(test.name, func(t *testing.T) {
			table, err := parseStatements(test.text)
			if test.fault != "" {
				require.ErrorContains(t, err, test.fault)
				return
			}
			require.NoError(t, err)
			require.Equal(t, "so", table.byID["MQTT-1.2.3-4"].reason)
		})
	}
}
