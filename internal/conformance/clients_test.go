package conformance

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// realClient is a row of broker/testdata/clients.txt.
type realClient struct {
	name, what            string
	versions, ways, tests []string
}

// allWays are the ways in, as the rows call them and as the document does.
var allWays = []struct{ name, title string }{
	{"tcp", "TCP"}, {"tls", "TLS"}, {"ws", "WebSocket"}, {"wss", "WebSocket over TLS"}, {"unix", "Unix socket"},
}

func parseClients(text string) (list []realClient, err error) {
	n := 0
	for line := range strings.Lines(text) {
		n++
		if line[0] == '#' {
			continue
		}
		cells := strings.Split(strings.TrimSpace(line), " | ")
		if len(cells) != 5 {
			return nil, fmt.Errorf("line %d: name | versions | ways | tests | what it is", n)
		}
		list = append(list, realClient{cells[0], cells[4], strings.Fields(cells[1]), strings.Fields(cells[2]), strings.Split(cells[3], ", ")})
	}
	return list, nil
}

// realClients reads the rows; their tests must exist.
func realClients(t *testing.T) []realClient {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, "broker/testdata/clients.txt"))
	require.NoError(t, err)
	list, err := parseClients(string(text))
	require.NoError(t, err)
	there := map[string]bool{}
	for _, pattern := range []string{"broker/*_test.go", "cmd/fieldgate/*_test.go"} {
		files, err := filepath.Glob(filepath.Join(root, pattern))
		require.NoError(t, err)
		for _, file := range files {
			source, err := os.ReadFile(file)
			require.NoError(t, err)
			for _, name := range regexp.MustCompile(`(?m)^func (Test\w+)\(`).FindAllSubmatch(source, -1) {
				there[string(name[1])] = true
			}
		}
	}
	for _, c := range list {
		for _, test := range c.tests {
			require.True(t, there[test], "%s: there is no test %s", c.name, test)
		}
	}
	return list
}

func writeClients(b *strings.Builder, list []realClient) {
	b.WriteString(`
## Clients of others

Each exchanges a message of every QoS and a retained one, in each version and way that stands here; over TLS it logs in with a
certificate (in Chromium both with a certificate and with a password). From ` + "`broker/testdata/clients.txt`" + `, whose rows the tests play.

| client |`)
	for _, way := range allWays {
		b.WriteString(" " + way.title + " |")
	}
	b.WriteString(" test |\n|---|" + strings.Repeat("---|", len(allWays)+1) + "\n")
	for _, c := range list {
		fmt.Fprintf(b, "| %s: %s |", c.name, c.what)
		for _, way := range allWays {
			cell := " "
			if slices.Contains(c.ways, way.name) {
				cell = " " + strings.Join(c.versions, ", ") + " "
			}
			b.WriteString(cell + "|")
		}
		fmt.Fprintf(b, " %s |\n", strings.Join(c.tests, ", "))
	}
}

func TestParseClients_SaysWhatIsWrong(t *testing.T) {
	list, err := parseClients("# words\nx | 3.1 5.0 | tcp | TestX, TestY | a client\n")
	require.NoError(t, err)
	require.Equal(t, []realClient{{"x", "a client", []string{"3.1", "5.0"}, []string{"tcp"}, []string{"TestX", "TestY"}}}, list)
	_, err = parseClients("# words\nx | 3.1\n")
	require.ErrorContains(t, err, "line 2: name | versions")
}
