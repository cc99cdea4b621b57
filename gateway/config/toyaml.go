package config

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"fieldgate/internal/ordered"
)

// maxFlow is how long a line may get before its object is written over several, in letters.
const maxFlow = 160

// ToYAML gives a JSON value as YAML that FromYAML reads back as the same value:
// objects and lists over several lines, those that hold only plain values on one
// when it is short. The order of keys stays. raw must be valid JSON.
func ToYAML(raw json.RawMessage) []byte {
	var w yamlWriter
	w.block(bytes.TrimSpace(raw), "")
	return w.Bytes()
}

type yamlWriter struct{ bytes.Buffer }

// block writes a value that may take lines of its own, each behind the indent.
func (w *yamlWriter) block(raw json.RawMessage, indent string) {
	switch raw[0] {
	case '{':
		o, _ := parseObject(raw, "")
		if len(o) == 0 {
			w.WriteString(indent + "{}\n")
		}
		for _, m := range o {
			w.WriteString(indent + plainText(m.Key) + ":")
			w.below(m.Value, indent)
		}
	case '[':
		var items []json.RawMessage
		_ = json.Unmarshal(raw, &items) // valid, see ToYAML
		if len(items) == 0 {
			w.WriteString(indent + "[]\n")
		}
		for _, item := range items {
			w.item(bytes.TrimSpace(item), indent)
		}
	default:
		w.WriteString(indent + scalarText(raw) + "\n")
	}
}

// below writes the value of a key.
func (w *yamlWriter) below(raw json.RawMessage, indent string) {
	raw = bytes.TrimSpace(raw)
	if line, ok := flow(raw, maxFlow-len(indent)); ok {
		w.WriteString(" " + line + "\n")
		return
	}
	w.WriteByte('\n')
	w.block(raw, indent+"  ")
}

// item writes an element of a list; the first line of an object follows the dash.
func (w *yamlWriter) item(raw json.RawMessage, indent string) {
	if line, ok := flow(raw, maxFlow-len(indent)); ok && !bytes.HasPrefix(raw, []byte(`{"id"`)) || len(indent) >= 4 && ok {
		w.WriteString(indent + "- " + line + "\n")
		return
	}
	var inner yamlWriter
	inner.block(raw, indent+"  ")
	w.WriteString(indent + "- ")
	w.Write(inner.Bytes()[len(indent)+2:])
}

// flow writes a value on one line of at most room letters; false when it does not fit or lists hold lists.
func flow(raw json.RawMessage, room int) (string, bool) {
	if len(raw) > room {
		return "", false
	}
	switch raw[0] {
	case '{':
		o, _ := parseObject(raw, "")
		parts := make([]string, len(o))
		for i, m := range o {
			value, ok := flow(bytes.TrimSpace(m.Value), room)
			if !ok {
				return "", false
			}
			parts[i] = plainText(m.Key) + ": " + value
		}
		line := "{" + strings.Join(parts, ", ") + "}"
		return line, len(line) <= room
	case '[':
		var items []json.RawMessage
		_ = json.Unmarshal(raw, &items) // valid, see ToYAML
		parts := make([]string, len(items))
		for i, item := range items {
			item = bytes.TrimSpace(item)
			if item[0] == '{' || item[0] == '[' {
				return "", false
			}
			parts[i] = scalarText(item)
		}
		line := "[" + strings.Join(parts, ", ") + "]"
		return line, len(line) <= room
	}
	return scalarText(raw), true
}

// scalarText writes a text, a number, true, false or null.
func scalarText(raw json.RawMessage) string {
	if raw[0] != '"' {
		return numberText(string(raw))
	}
	var s string
	_ = json.Unmarshal(raw, &s) // valid, see ToYAML
	return plainText(s)
}

// numberText gives a number with an exponent a decimal point, for without one it is a text (FromYAML).
func numberText(text string) string {
	mantissa, exponent, found := strings.Cut(strings.ToLower(text), "e")
	if !found || text == "true" || text == "false" || strings.Contains(mantissa, ".") {
		return text
	}
	return mantissa + ".0e" + exponent
}

// plainText writes a text without quotes when nobody could take it for anything else.
func plainText(s string) string {
	if isPlain(s) {
		return s
	}
	return string(ordered.Quote(s))
}

// isPlain asks for a letter or a path at the beginning and harmless letters after it.
func isPlain(s string) bool {
	if s == "" || !utf8.ValidString(s) || len(s) > 120 {
		return false
	}
	switch strings.ToLower(s) {
	case "true", "false", "null", "yes", "no", "y", "n":
		return false
	}
	switch first := s[0]; {
	case isDigit(first):
		return isQuantity(s)
	case first < 0x80 && !isLetter(first) && first != '/':
		return false
	}
	for i, c := range []byte(s) {
		switch {
		case isLetter(c), isDigit(c), strings.IndexByte("._-/+$°", c) >= 0:
		case c == ' ' && i < len(s)-1 && s[i+1] != ' ' && s[i+1] != '#':
		case c == ':' && i < len(s)-1 && s[i+1] != ' ':
		default:
			return false
		}
	}
	return true
}

func isLetter(c byte) bool { return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' }

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

// isQuantity tells whether a text that begins with a digit can be no number: 500ms, 4GiB, 8N1.
func isQuantity(s string) bool {
	for _, c := range []byte(s) {
		if !isLetter(c) && !isDigit(c) && c != '.' {
			return false
		}
	}
	_, noInt := strconv.ParseInt(s, 0, 64)
	_, noFloat := strconv.ParseFloat(s, 64)
	return noInt != nil && noFloat != nil && strings.ContainsFunc(s, unicode.IsLetter)
}
