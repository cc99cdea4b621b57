package api

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"strings"

	"fieldgate/internal/fault"
	"fieldgate/internal/ordered"
)

// object is the JSON objects that the handlers work with.
type object = ordered.Object

const (
	maxDepth   = 64   // of nested objects and arrays in a body
	maxMembers = 4096 // of one object
)

// parseBody reads a request's body, which must be a JSON object. What it gives shares nothing with text.
func parseBody(text []byte) (object, error) {
	if !json.Valid(text) {
		var v any
		return nil, NewProblem(http.StatusBadRequest, fault.Invalid, "the body is no JSON: %v", json.Unmarshal(text, &v))
	}
	if depth(text) > maxDepth {
		return nil, fault.New(fault.Invalid, "objects and arrays are nested more than %d deep", maxDepth)
	}
	return parseObject(text)
}

// depth counts how deep objects and arrays stand in one another in a valid JSON text.
func depth(text []byte) int {
	deepest, now, quoted := 0, 0, false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{' || c == '[':
			now++
			deepest = max(deepest, now)
		case c == '}' || c == ']':
			now--
		}
	}
	return deepest
}

// parseObject reads a JSON object; the last of equal keys counts.
func parseObject(text []byte) (object, error) {
	o, err := ordered.Parse(text)
	if errors.Is(err, ordered.ErrNoObject) {
		return nil, fault.New(fault.Invalid, "%s", err)
	}
	if err != nil {
		return nil, err
	}
	if o = o.Last(); len(o) > maxMembers {
		return nil, fault.New(fault.OutOfRange, "an object has more than %d members", maxMembers)
	}
	return o, nil
}

// mergePatch applies a JSON merge patch (RFC 7396). Both must be valid JSON.
func mergePatch(target, patch json.RawMessage) json.RawMessage {
	changes, err := parseObject(patch)
	if err != nil {
		return patch // no object: it takes the target's place
	}
	merged, err := parseObject(target)
	if err != nil {
		merged = nil
	}
	for _, m := range changes {
		if isNull(m.Value) {
			merged.Remove(m.Key)
			continue
		}
		merged.Set(m.Key, mergePatch(merged.Get(m.Key), m.Value))
	}
	return merged.JSON()
}

func isNull(v json.RawMessage) bool { return string(bytes.TrimSpace(v)) == "null" }

// etag gives the strong entity tag of a JSON text; it does not change with white space or the order of keys.
func etag(v json.RawMessage) string {
	d := json.NewDecoder(bytes.NewReader(v))
	d.UseNumber()
	var parsed any
	canonical := []byte(v)
	if d.Decode(&parsed) == nil {
		if b, err := json.Marshal(parsed); err == nil {
			canonical = b
		}
	}
	sum := sha256.Sum256(canonical)
	return `"` + base64.RawURLEncoding.EncodeToString(sum[:15]) + `"`
}

// checkMatch compares an If-Match header (RFC 9110 section 13.1.1) with the tag of what stands there.
func checkMatch(header, tag string) error {
	if header == "" {
		return fault.New(codeIfMatch, "a change wants If-Match with the ETag that GET gave, or *")
	}
	for want := range strings.SplitSeq(header, ",") {
		if want = strings.TrimSpace(want); want == "*" || want == tag {
			return nil
		}
	}
	return fault.New(fault.Stale, "it was changed by somebody else; read it again")
}
