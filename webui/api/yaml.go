package api

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"

	"fieldgate/internal/fault"
)

// yamlToJSON reads one YAML document. Anchors and aliases are refused: a few
// lines of them can stand for gigabytes.
func yamlToJSON(text []byte) (json.RawMessage, error) {
	file, err := parser.ParseBytes(text, 0)
	if err != nil {
		return nil, NewProblem(400, fault.Invalid, "the body is no YAML: %s", yamlWords(err))
	}
	if len(file.Docs) != 1 {
		return nil, fault.New(fault.Invalid, "must be one YAML document")
	}
	var search aliasSearch
	ast.Walk(&search, file.Docs[0])
	if search.line > 0 {
		return nil, fault.New(fault.Invalid, "line %d: anchors and aliases are not read", search.line)
	}
	var v any
	if err := yaml.UnmarshalWithOptions(text, &v, yaml.UseOrderedMap()); err != nil {
		return nil, NewProblem(400, fault.Invalid, "the body is no YAML: %s", yamlWords(err))
	}
	return appendJSON(nil, v)
}

// yamlWords gives a YAML error in one line, without the source that it quotes.
func yamlWords(err error) string {
	if e, ok := errors.AsType[yaml.Error](err); ok {
		return fmt.Sprintf("line %d: %s", e.GetToken().Position.Line, e.GetMessage())
	}
	return "it can't be read"
}

// aliasSearch remembers the line of the first anchor or alias.
type aliasSearch struct{ line int }

// Visit looks at one node.
func (s *aliasSearch) Visit(n ast.Node) ast.Visitor {
	switch n.Type() {
	case ast.AnchorType, ast.AliasType, ast.MergeKeyType:
		if s.line == 0 {
			s.line = n.GetToken().Position.Line
		}
		return nil
	}
	return s
}

// appendJSON writes what a YAML document holds, in its order.
func appendJSON(b []byte, v any) ([]byte, error) {
	var err error
	switch v := v.(type) {
	case yaml.MapSlice:
		b = append(b, '{')
		for i, item := range v {
			if i > 0 {
				b = append(b, ',')
			}
			b = append(b, quoted(fmt.Sprint(item.Key))...)
			b = append(b, ':')
			if b, err = appendJSON(b, item.Value); err != nil {
				return nil, err
			}
		}
		return append(b, '}'), nil
	case []any:
		b = append(b, '[')
		for i, item := range v {
			if i > 0 {
				b = append(b, ',')
			}
			if b, err = appendJSON(b, item); err != nil {
				return nil, err
			}
		}
		return append(b, ']'), nil
	case string:
		return append(b, quoted(v)...), nil
	}
	scalar, err := json.Marshal(v)
	if err != nil {
		return nil, fault.New(fault.Invalid, "%v is no value that settings can hold", v)
	}
	return append(b, scalar...), nil
}

// jsonToYAML writes a JSON document as YAML, in its order.
func jsonToYAML(text json.RawMessage) ([]byte, error) {
	return yaml.JSONToYAML(text)
}
