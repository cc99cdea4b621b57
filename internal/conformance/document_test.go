package conformance

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "write docs/conformance.md anew")

func TestDocument_IsUpToDate(t *testing.T) {
	tables := statements(t)
	list := scripts(t, tables)
	goTests(t, tables)
	document := write(tables, list, realClients(t))
	file := filepath.Join(root, "docs/conformance.md")
	if *update {
		require.NoError(t, os.WriteFile(file, []byte(document), 0o644))
	}
	was, err := os.ReadFile(file)
	require.NoError(t, err)
	require.True(t, string(was) == document, "docs/conformance.md is stale; go test ./internal/conformance -update writes it anew")
}

const intro = `# Conformance

Every normative statement of MQTT 3.1.1 and 5.0, in our own words, and the test that shows that the broker keeps it.
Names without ` + "`Test`" + ` are the conversation scripts in [broker/testdata](../broker/testdata), which TestConversations of package broker plays,
each packet at once and byte by byte. Statements for clients bind the uplinks; here they have a test where the broker sees them broken.

This file is generated from the scripts and ` + "`broker/testdata/statements-*.txt`" + `: ` + "`go test ./internal/conformance -update`" + `.
`

func write(tables map[string]*table, list []*script, clients []realClient) string {
	var b strings.Builder
	b.WriteString(intro)
	b.WriteString("\n| | statements | bind a server | shown | reasoned | open |\n|---|---|---|---|---|---|\n")
	for _, v := range versions {
		all, binding, shown, reasoned := len(tables[v.mark].list), 0, 0, 0
		for _, s := range tables[v.mark].list {
			if !s.bindsServer() {
				continue
			}
			binding++
			switch {
			case len(s.proofs) > 0:
				shown++
			case s.reason != "":
				reasoned++
			}
		}
		fmt.Fprintf(&b, "| %s | %d | %d | %d | %d | %d |\n", v.name, all, binding, shown, reasoned, binding-shown-reasoned)
	}
	for _, v := range versions {
		fmt.Fprintf(&b, "\n## %s\n\n| statement | binds | what it asks | shown by |\n|---|---|---|---|\n", v.name)
		for _, s := range tables[v.mark].list {
			fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", s.id, s.who, s.text, evidence(s))
		}
	}
	writeClients(&b, clients)
	writeJudgement(&b, list)
	return b.String()
}

func evidence(s *statement) string {
	var links []string
	for _, p := range s.proofs {
		links = append(links, fmt.Sprintf("[%s](../%s)", p.name, filepath.ToSlash(p.path)))
	}
	switch {
	case len(links) > 0:
		return strings.Join(links, ", ")
	case s.reason != "":
		return "not shown, " + "because " + s.reason
	case s.bindsServer():
		return "**open**"
	}
	return ""
}

func writeJudgement(b *strings.Builder, list []*script) {
	b.WriteString(`
## Where mosquitto behaves in another way

` + "`make judge`" + ` plays the same scripts to mosquitto 2.0.11 as Debian ships it, every step of them, hours of waiting by putting its clocks forward. It fails on
every difference that does not stand here, and on every one that stands here and is gone. The clause decides. Where the verdict was mosquitto's, we followed: grammar faults in filters and topic names are 0x81 and 0x82, not 0x8F
and 0x90, and a property of another packet is 0x81.

| script, line | we | mosquitto | clause and verdict |
|---|---|---|---|
`)
	for _, s := range list {
		for _, d := range s.differences {
			fmt.Fprintf(b, "| [%s](../broker/testdata/%s.mqtt), %d | %s | %s | %s |\n", s.file, s.file, d.line, cell(d.step), cell(d.theirs), d.why)
		}
	}
	b.WriteString("\nOnly our broker can play these:\n\n")
	for _, s := range list {
		if s.ours != "" {
			fmt.Fprintf(b, "- [%s](../broker/testdata/%s.mqtt): %s\n", s.file, s.file, s.ours)
		}
	}
}

// cell makes code of the text that no table takes apart.
func cell(text string) string {
	return "`" + strings.ReplaceAll(text, "|", "\\|") + "`"
}
