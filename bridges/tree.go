package bridges

import (
	"bytes"
	"encoding/json"
	"strings"
	"unicode/utf8"

	"fieldgate/internal/fault"
)

// node is one JSON value with its bytes; Decode reads from nodes so that numbers
// stay as they were written and every key keeps its place.
type node struct {
	kind    nodeKind
	raw     json.RawMessage
	members []member // of an object, in their order, duplicates included
	items   []node   // of an array
}

type member struct {
	key   string
	value node
}

type nodeKind byte

const (
	nullNode nodeKind = iota
	boolNode
	numberNode
	textNode
	arrayNode
	objectNode
)

// words says what came, for a person.
func (k nodeKind) words() string {
	return [...]string{"null", "true or false", "a number", "text", "a list", "an object"}[k]
}

// treeReader cuts JSON that is known to be valid into nodes.
type treeReader struct {
	data  []byte
	pos   int
	depth int
	count int
	keys  texts
}

// parseTree gives the nodes of data, or the one fault that makes it unreadable.
func parseTree(data json.RawMessage) (node, *fault.Error) {
	if len(data) > MaxSettingsSize {
		return node{}, fault.New(fault.OutOfRange, "the settings have %d bytes, at most %d are allowed", len(data), MaxSettingsSize)
	}
	if err := checkSyntax(data); err != nil {
		return node{}, err
	}
	r := treeReader{data: data}
	n, ok := r.value()
	if !ok {
		return node{}, fault.New(fault.OutOfRange, "the settings are nested deeper than %d levels or have more than %d values", maxSettingsDepth, maxSettingsNodes)
	}
	return n, nil
}

func checkSyntax(data []byte) *fault.Error {
	if len(bytes.TrimSpace(data)) == 0 {
		return fault.New(fault.Invalid, "the settings are empty, an object is needed")
	}
	var skip json.RawMessage
	err := json.Unmarshal(data, &skip)
	if err == nil {
		return nil
	}
	f := fault.New(fault.Invalid, "no valid JSON: %s", err)
	if at, ok := err.(*json.SyntaxError); ok {
		before := data[:min(max(at.Offset-1, 0), int64(len(data)))]
		line := 1 + bytes.Count(before, []byte("\n"))
		column := len(before) - bytes.LastIndexByte(before, '\n')
		f = fault.New(fault.Invalid, "no valid JSON at line %d, column %d: %s", line, column, err)
	}
	f.Err = err
	return f
}

func (r *treeReader) space() {
	for r.pos < len(r.data) {
		switch r.data[r.pos] {
		case ' ', '\t', '\r', '\n', ',', ':': // separators are known to stand where they should
			r.pos++
		default:
			return
		}
	}
}

// value reads one value; false when a limit is passed.
func (r *treeReader) value() (n node, ok bool) {
	r.space()
	r.count++
	if r.depth > maxSettingsDepth || r.count > maxSettingsNodes {
		return node{}, false
	}
	start := r.pos
	ok = true
	switch r.data[r.pos] {
	case '{':
		n, ok = r.object()
	case '[':
		n, ok = r.array()
	case '"':
		n.kind = textNode
		r.text()
	case 't', 'f':
		n.kind = boolNode
		r.word()
	case 'n':
		n.kind = nullNode
		r.word()
	default:
		n.kind = numberNode
		r.word()
	}
	n.raw = r.data[start:r.pos:r.pos]
	return n, ok
}

func (r *treeReader) object() (n node, ok bool) {
	n.kind = objectNode
	if r.keys == nil {
		r.keys = texts{}
	}
	r.depth++
	r.pos++
	for r.space(); r.data[r.pos] != '}'; r.space() {
		key := r.text()
		v, ok := r.value()
		if !ok {
			return n, false
		}
		n.members = append(n.members, member{key: r.keys.unquote(key), value: v})
	}
	r.pos++
	r.depth--
	return n, true
}

func (r *treeReader) array() (n node, ok bool) {
	n.kind = arrayNode
	r.depth++
	r.pos++
	for r.space(); r.data[r.pos] != ']'; r.space() {
		v, ok := r.value()
		if !ok {
			return n, false
		}
		n.items = append(n.items, v)
	}
	r.pos++
	r.depth--
	return n, true
}

func (r *treeReader) text() []byte {
	start := r.pos
	for r.pos++; r.data[r.pos] != '"'; r.pos++ {
		if r.data[r.pos] == '\\' {
			r.pos++
		}
	}
	r.pos++
	return r.data[start:r.pos]
}

func (r *treeReader) word() {
	for r.pos < len(r.data) && strings.IndexByte(" \t\r\n,:]}", r.data[r.pos]) < 0 {
		r.pos++
	}
}

// texts has short texts once that stand in settings often: keys, units, types, ids.
type texts map[string]string

func (t texts) unquote(quoted []byte) string {
	const short = 32 // bytes
	inside := quoted[1 : len(quoted)-1]
	if len(inside) > short || bytes.IndexByte(inside, '\\') >= 0 {
		return unquote(quoted)
	}
	if known, ok := t[string(inside)]; ok {
		return known
	}
	text := unquote(quoted)
	t[string(inside)] = text
	return text
}

// unquote gives the text of a valid JSON string.
func unquote(quoted []byte) string {
	if inside := quoted[1 : len(quoted)-1]; bytes.IndexByte(inside, '\\') < 0 && utf8.Valid(inside) {
		return string(inside)
	}
	var s string
	if err := json.Unmarshal(quoted, &s); err != nil {
		return string(quoted)
	}
	return s
}
