package config

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// The limits of one YAML document. Aliases are copied where they stand, so the
// number of values bounds what a document full of aliases can grow to.
const (
	maxYAMLDepth  = 64
	maxYAMLValues = 500_000
)

// Lines says on which line of a YAML text each value stands, by JSON pointer.
type Lines map[string]int

// Of gives the line of the value at the pointer or, when there is none, of the
// nearest value around it.
func (l Lines) Of(pointer string) int {
	for {
		if n, ok := l[pointer]; ok {
			return n
		}
		i := strings.LastIndexByte(pointer, '/')
		if i < 0 {
			return 1
		}
		pointer = pointer[:i]
	}
}

// FromYAML gives the one document of src as JSON, and where each of its values
// stands. Numbers keep their digits; a number with an exponent but no decimal
// point is a text, as in YAML 1.1, so that 7E1 can name a serial format. name is
// for the error, a *FileError with all faults at once except those of the grammar.
func FromYAML(name string, src []byte) (json.RawMessage, Lines, error) {
	c := converter{name: name, lines: Lines{"": 1}, anchors: map[string]ast.Node{}}
	if deepFlow(src) {
		c.at(1, "more than %d brackets inside one another", maxYAMLDepth)
		return nil, nil, &c.faults
	}
	file, err := parser.ParseBytes(src, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		c.grammar(err)
		return nil, nil, &c.faults
	}
	var body ast.Node
	for _, doc := range file.Docs {
		switch {
		case doc.Body == nil || doc.Body.Type() == ast.CommentType:
		case body == nil:
			body = doc.Body
		default:
			c.fault(doc.Body, "a second document is not allowed")
		}
	}
	if body == nil {
		return json.RawMessage("{}"), c.lines, nil
	}
	c.value(body, "", 0)
	if len(c.faults.Faults) > 0 {
		c.faults.sort()
		return nil, nil, &c.faults
	}
	return c.out, c.lines, nil
}

// deepFlow tells whether src opens so many brackets that the parser, which
// recurses, would take long over it.
func deepFlow(src []byte) bool {
	depth := 0
	for _, b := range src {
		switch b {
		case '[', '{':
			depth++
		case ']', '}':
			depth = max(depth-1, 0)
		case '\n':
			continue
		}
		if depth > 4*maxYAMLDepth { // brackets in texts are counted too, hence the room
			return true
		}
	}
	return false
}

// converter walks a YAML tree and writes JSON.
type converter struct {
	out     []byte
	lines   Lines
	anchors map[string]ast.Node
	values  int
	full    bool // the limit of values was reported
	name    string
	faults  FileError
}

func (c *converter) fault(n ast.Node, format string, args ...any) {
	line := 1
	if t := n.GetToken(); t != nil {
		line = t.Position.Line
	}
	c.at(line, format, args...)
}

func (c *converter) at(line int, format string, args ...any) {
	c.faults.Faults = append(c.faults.Faults, FileFault{File: c.name, Line: line, Text: fmt.Sprintf(format, args...)})
}

// grammar takes over what the parser says, without its picture of the source.
func (c *converter) grammar(err error) {
	var syntax interface {
		GetToken() *token.Token
		GetMessage() string
	}
	if !errors.As(err, &syntax) {
		first, _, _ := strings.Cut(err.Error(), "\n")
		c.at(1, "not YAML: %s", first)
		return
	}
	line := 1
	if t := syntax.GetToken(); t != nil {
		line = t.Position.Line
	}
	c.at(line, "not YAML: %s", syntax.GetMessage())
}

// value writes the node that stands at the pointer.
func (c *converter) value(n ast.Node, pointer string, depth int) {
	c.values++
	switch {
	case depth > maxYAMLDepth:
		c.fault(n, "more than %d levels", maxYAMLDepth)
		return
	case c.values > maxYAMLValues:
		if !c.full {
			c.full = true
			c.fault(n, "more than %d values", maxYAMLValues)
		}
		return
	}
	if _, known := c.lines[pointer]; !known {
		c.mark(n, pointer)
	}
	switch n := n.(type) {
	case *ast.MappingNode:
		c.mapping(n, pointer, depth)
	case *ast.MappingValueNode: // a mapping of one key, in places
		c.mapping(&ast.MappingNode{BaseNode: n.BaseNode, Start: n.Start, Values: []*ast.MappingValueNode{n}}, pointer, depth)
	case *ast.SequenceNode:
		c.out = append(c.out, '[')
		for i, item := range n.Values {
			if i > 0 {
				c.out = append(c.out, ',')
			}
			c.value(item, pointer+"/"+strconv.Itoa(i), depth+1)
		}
		c.out = append(c.out, ']')
	case *ast.AnchorNode:
		name := n.Name.GetToken().Value
		c.value(n.Value, pointer, depth+1)
		c.anchors[name] = n.Value // after its value: an alias can't stand inside its own anchor
	case *ast.AliasNode:
		name := n.Value.GetToken().Value
		target, known := c.anchors[name]
		if !known {
			c.fault(n, "*%s: no anchor of that name stands above", name)
			return
		}
		c.value(target, pointer, depth+1)
	default:
		c.scalar(n)
	}
}

func (c *converter) mark(n ast.Node, pointer string) {
	if t := n.GetToken(); t != nil {
		c.lines[pointer] = t.Position.Line
	}
}

func (c *converter) mapping(n *ast.MappingNode, pointer string, depth int) {
	c.out = append(c.out, '{')
	seen := make(map[string]int, len(n.Values))
	for i, entry := range n.Values {
		key, ok := c.key(entry.Key)
		if !ok {
			continue
		}
		line := entry.Key.GetToken().Position.Line
		if first, twice := seen[key]; twice {
			c.fault(entry.Key, "%s stands here and on line %d", key, first)
			continue
		}
		seen[key] = line
		at := pointer + "/" + escapePointer(key)
		if _, known := c.lines[at]; !known {
			c.lines[at] = line
		}
		if i > 0 {
			c.out = append(c.out, ',')
		}
		c.text(key)
		c.out = append(c.out, ':')
		c.value(entry.Value, at, depth+1)
	}
	c.out = append(c.out, '}')
}

// key gives a mapping's key as text; numbers are texts in JSON ({0: off}).
func (c *converter) key(k ast.MapKeyNode) (string, bool) {
	switch k := k.(type) {
	case *ast.StringNode:
		return k.Value, true
	case *ast.IntegerNode:
		digits, err := integer(k.GetToken().Value)
		if err != nil {
			c.fault(k, "%s", err)
			return "", false
		}
		return digits, true
	case *ast.BoolNode:
		return strconv.FormatBool(k.Value), true
	case *ast.MergeKeyNode:
		c.fault(k, "merge keys (<<) are not allowed; an alias can stand for a whole value")
		return "", false
	default:
		c.fault(k, "a key must be a text or a whole number")
		return "", false
	}
}

func (c *converter) scalar(n ast.Node) {
	switch n := n.(type) {
	case *ast.NullNode:
		c.out = append(c.out, "null"...)
	case *ast.BoolNode:
		c.out = strconv.AppendBool(c.out, n.Value)
	case *ast.StringNode:
		c.text(n.Value)
	case *ast.LiteralNode:
		c.text(n.Value.Value)
	case *ast.IntegerNode:
		digits, err := integer(n.GetToken().Value)
		if err != nil {
			c.fault(n, "%s", err)
			return
		}
		c.out = append(c.out, digits...)
	case *ast.FloatNode:
		if math.IsInf(n.Value, 0) || math.IsNaN(n.Value) {
			c.fault(n, "%s is too large", n.GetToken().Value)
			return
		}
		c.out = append(c.out, float(n)...)
	case *ast.TagNode:
		c.fault(n, "tags such as %s are not allowed", n.GetToken().Value)
	case *ast.InfinityNode, *ast.NanNode:
		c.fault(n, "%s is no number that can be set", n.GetToken().Value)
	default:
		c.fault(n, "a %s is not allowed here", strings.ToLower(n.Type().YAMLName()))
	}
}

func (c *converter) text(s string) {
	quoted, _ := json.Marshal(s) // a string always has a JSON form
	c.out = append(c.out, quoted...)
}

// integer gives a YAML integer as decimal digits.
func integer(text string) (string, error) {
	digits := strings.ReplaceAll(strings.TrimPrefix(text, "+"), "_", "")
	plain := strings.TrimPrefix(digits, "-")
	if len(plain) > 1 && plain[0] == '0' && plain[1] >= '0' && plain[1] <= '9' {
		return "", fmt.Errorf("%s begins with 0; write it without, or 0o%s for an octal number", text, strings.TrimLeft(plain, "0"))
	}
	if i, err := strconv.ParseInt(digits, 0, 64); err == nil {
		return strconv.FormatInt(i, 10), nil
	}
	u, err := strconv.ParseUint(digits, 0, 64)
	if err != nil {
		return "", fmt.Errorf("%s does not fit into 64 bits", text)
	}
	return strconv.FormatUint(u, 10), nil
}

// float gives a YAML float with the digits that were written, when JSON allows them.
func float(n *ast.FloatNode) string {
	if text := n.GetToken().Value; json.Valid([]byte(text)) {
		return text
	}
	b, _ := json.Marshal(n.Value) // finite, see scalar
	return string(b)
}
