package conformance

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// proof is a test that shows a statement.
type proof struct{ name, path string } // path from the folder of the module

// mention is a statement that a line "shows ..." names.
type mention struct{ mark, id string }

// parseShows reads what stands behind the word shows: a version holds until the next.
func parseShows(words string) ([]mention, error) {
	var list []mention
	mark := ""
	for word := range strings.FieldsFuncSeq(words, func(r rune) bool { return r == ' ' || r == ',' || r == '\t' }) {
		if !strings.HasPrefix(word, "MQTT-") {
			mark = word
			continue
		}
		if mark == "" {
			return nil, fmt.Errorf("%s has no version before it", word)
		}
		list = append(list, mention{mark, word})
	}
	if len(list) == 0 {
		return nil, fmt.Errorf("no statement is named in %q", words)
	}
	return list, nil
}

// difference is a place where mosquitto behaves in another way.
type difference struct {
	script string
	line   int
	step   string // what we do
	theirs string
	why    string
}

// script is what the document says of a conversation.
type script struct {
	file        string
	title       string
	ours        string // why only our broker can play it; empty when mosquitto can too
	shows       []mention
	differences []difference
}

func parseScript(file, text string) (*script, error) {
	s := &script{file: file}
	step, n := "", 0
	for line := range strings.Lines(text) {
		n++
		line = strings.TrimSpace(line)
		comment, isComment := strings.CutPrefix(line, "# ")
		switch {
		case isComment && s.title == "":
			s.title = comment
		case isComment && strings.HasPrefix(comment, "shows "):
			shows, err := parseShows(comment[len("shows "):])
			if err != nil {
				return nil, fmt.Errorf("line %d: %w", n, err)
			}
			s.shows = append(s.shows, shows...)
		case isComment && strings.HasPrefix(comment, "ours: "):
			s.ours = comment[len("ours: "):]
		case line == "" || line[0] == '#' || strings.HasSuffix(strings.Fields(line)[0], "~>"):
		case strings.Contains(strings.Fields(line)[0], "~"):
			theirs, why, found := strings.Cut(line, " -- ")
			if !found || step == "" {
				return nil, fmt.Errorf("line %d: a difference needs a step before it and its reason behind --", n)
			}
			theirs = strings.Join(strings.Fields(theirs)[1:], " ")
			s.differences = append(s.differences, difference{file, n, step, theirs, why})
		default:
			step = line
		}
	}
	if len(s.shows) == 0 {
		return nil, fmt.Errorf("it does not tell what it shows")
	}
	return s, nil
}

// scripts reads all conversations and notes them as proofs.
func scripts(t *testing.T, tables map[string]*table) []*script {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(root, "broker/testdata/*.mqtt"))
	require.NoError(t, err)
	require.NotEmpty(t, files)
	var list []*script
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		s, err := parseScript(strings.TrimSuffix(filepath.Base(file), ".mqtt"), string(text))
		require.NoError(t, err, file)
		list = append(list, s)
		note(t, tables, proof{s.file, "broker/testdata/" + filepath.Base(file)}, s.shows)
	}
	return list
}

// goTests notes the Go tests of the broker that say what they show.
func goTests(t *testing.T, tables map[string]*table) {
	t.Helper()
	err := filepath.WalkDir(filepath.Join(root, "broker"), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, path)
		for _, decl := range file.Decls {
			f, isFunc := decl.(*ast.FuncDecl)
			if !isFunc || f.Doc == nil || !strings.HasPrefix(f.Name.Name, "Test") {
				continue
			}
			for line := range strings.Lines(f.Doc.Text()) {
				words, shows := strings.CutPrefix(strings.TrimSpace(line), "shows v")
				if !shows {
					continue
				}
				list, err := parseShows("v" + words)
				require.NoError(t, err, "%s: %s", rel, f.Name.Name)
				note(t, tables, proof{f.Name.Name, rel}, list)
			}
		}
		return err
	})
	require.NoError(t, err)
}

func note(t *testing.T, tables map[string]*table, p proof, shows []mention) {
	t.Helper()
	for _, m := range shows {
		table := tables[m.mark]
		if table == nil {
			t.Errorf("%s: %s is no version; say v3.1.1 or v5", p.path, m.mark)
			continue
		}
		s := table.byID[m.id]
		if s == nil {
			t.Errorf("%s: there is no statement %s %s", p.path, m.mark, m.id)
			continue
		}
		if slices.Contains(s.proofs, p) {
			t.Errorf("%s: %s %s is named twice", p.path, m.mark, m.id)
			continue
		}
		s.proofs = append(s.proofs, p)
	}
}

func TestParseShows_ReadsVersionsAndStatements(t *testing.T) {
	list, err := parseShows("v3.1.1 MQTT-1.2.3-4, MQTT-1.2.3-5, v5 MQTT-6.0.0-1")
	require.NoError(t, err)
	require.Equal(t, []mention{{"v3.1.1", "MQTT-1.2.3-4"}, {"v3.1.1", "MQTT-1.2.3-5"}, {"v5", "MQTT-6.0.0-1"}}, list)
	_, err = parseShows("MQTT-1.2.3-4")
	require.ErrorContains(t, err, "no version")
	_, err = parseShows("v5")
	require.ErrorContains(t, err, "no statement")
}

func TestParseScript_ReadsHeaderAndDifferences(t *testing.T) {
	s, err := parseScript("x", "# Title.\n# shows v5 MQTT-1.2.3-4\n# ours: it fails commits\n\na< CONNACK\na~ closed -- v5 MQTT-1.2.3-4: because\na~> PINGREQ\n")
	require.NoError(t, err)
	require.Equal(t, &script{
		file: "x", title: "Title.", ours: "it fails commits", shows: []mention{{"v5", "MQTT-1.2.3-4"}},
		differences: []difference{{"x", 6, "a< CONNACK", "closed", "v5 MQTT-1.2.3-4: because"}},
	}, s)
	_, err = parseScript("x", "# Title.\n# shows v5 MQTT-1.2.3-4\na< CONNACK\na~ closed\n")
	require.ErrorContains(t, err, "line 4: a difference needs")
	_, err = parseScript("x", "# Title.\na< CONNACK\n")
	require.ErrorContains(t, err, "does not tell what it shows")
}
