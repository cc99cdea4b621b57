package config

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"fieldgate/internal/fault"
	"fieldgate/internal/ordered"
)

// object is a JSON object that keeps the order of its members and the digits of its numbers.
type object = ordered.Object

// parseObject reads one level of a JSON object in which every key stands once; the faults' pointers begin with at.
func parseObject(raw json.RawMessage, at string) (object, *fault.Error) {
	o, err := ordered.Parse(raw)
	if errors.Is(err, ordered.ErrNoObject) {
		return nil, fault.At(at, fault.Invalid, "%s", err)
	}
	if err != nil {
		return nil, fault.At(at, fault.Invalid, "no valid JSON: %s", err)
	}
	if key, repeated := o.Repeated(); repeated {
		return nil, fault.At(at+"/"+escapePointer(key), fault.Invalid, "stands there twice")
	}
	return o, nil
}

// editAt changes the member at the JSON pointer below raw; edit gets nil when it
// is not there and removes it by giving nil. What does not exist on the way there
// is left alone.
func editAt(raw json.RawMessage, pointer string, edit func(json.RawMessage) json.RawMessage) json.RawMessage {
	key, rest, deeper := strings.Cut(strings.TrimPrefix(pointer, "/"), "/")
	key = unescapePointer(key)
	o, err := parseObject(raw, "")
	if err != nil || deeper && !o.Has(key) {
		return raw
	}
	next := json.RawMessage(nil)
	if deeper {
		next = editAt(o.Get(key), "/"+rest, edit)
	} else {
		next = edit(o.Get(key))
	}
	if next == nil {
		o.Remove(key)
	} else {
		o.Set(key, next)
	}
	return o.JSON()
}

// inOrder writes a value with the keys of its objects in the order of keysAt;
// place is where it stands, without indexes ("bridges/devices/points").
func inOrder(raw json.RawMessage, place string) (json.RawMessage, *fault.Error) {
	return reorder(raw, place, "", 0)
}

const maxDepth = 32

func reorder(raw json.RawMessage, place, at string, depth int) (json.RawMessage, *fault.Error) {
	raw = bytes.TrimSpace(raw)
	if depth > maxDepth {
		return nil, fault.At(at, fault.OutOfRange, "more than %d levels", maxDepth)
	}
	switch {
	case len(raw) > 0 && raw[0] == '{':
		return reorderObject(raw, place, at, depth)
	case len(raw) > 0 && raw[0] == '[':
		var items []json.RawMessage
		if err := json.Unmarshal(raw, &items); err != nil {
			return nil, fault.At(at, fault.Invalid, "no valid JSON: %s", err)
		}
		for i, item := range items {
			var err *fault.Error
			if items[i], err = reorder(item, place, at+"/"+strconv.Itoa(i), depth+1); err != nil {
				return nil, err
			}
		}
		return ordered.List(items), nil
	case !json.Valid(raw):
		return nil, fault.At(at, fault.Invalid, "no valid JSON")
	}
	return raw, nil
}

func reorderObject(raw json.RawMessage, place, at string, depth int) (json.RawMessage, *fault.Error) {
	o, err := parseObject(raw, at)
	if err != nil {
		return nil, err
	}
	keys := keysAt(place)
	rank := func(m ordered.Member) int {
		if i := slices.Index(keys, m.Key); i >= 0 {
			return i
		}
		return len(keys)
	}
	slices.SortStableFunc(o, func(a, b ordered.Member) int { return rank(a) - rank(b) })
	for i, m := range o {
		if o[i].Value, err = reorder(m.Value, strings.TrimPrefix(place+"/"+m.Key, "/"), at+"/"+escapePointer(m.Key), depth+1); err != nil {
			return nil, err
		}
	}
	return o.JSON(), nil
}

// keysAt is the order in which people read the keys; others follow as they came.
func keysAt(place string) []string {
	words := ""
	switch place {
	case "":
		words = "bridges uplinks accounts access_rules home_assistant"
	case "bridges":
		words = "id kind enabled link timeout retries pause framing devices"
	case "bridges/link/serial":
		words = "port baud format rs485"
	case "bridges/devices":
		words = "id unit template interval max_read pause topic payload document home_assistant enabled parse points"
	case "bridges/devices/points":
		words = "id table address type order length bit scale offset scale_from precision unit enum invalid deadband on_change heartbeat interval priority enabled write"
	case "bridges/devices/points/write":
		words = "min max step verify function"
	case "uplinks":
		words = "id enabled url version client_id username password password_set keep_alive tls out in queue"
	case "uplinks/tls":
		words = "ca_file cert_file key_file server_name alpn"
	case "uplinks/out":
		words = "filter qos local_prefix remote_prefix"
	case "uplinks/in":
		words = "filter qos remote_prefix local_prefix"
	case "uplinks/queue":
		words = "max_messages max_bytes max_age full"
	case "accounts":
		words = "username enabled password password_set"
	case "home_assistant":
		words = "enabled prefix node_id"
	case "access_rules":
		words = "id account filter allow deny"
	}
	return strings.Fields(words)
}

func escapePointer(key string) string {
	return strings.NewReplacer("~", "~0", "/", "~1").Replace(key)
}

func unescapePointer(token string) string {
	return strings.NewReplacer("~1", "/", "~0", "~").Replace(token)
}

// keyPath gives a JSON pointer as people write it: mqtt.listeners[0].address.
func keyPath(pointer string) string {
	var b strings.Builder
	for part := range strings.SplitSeq(strings.TrimPrefix(pointer, "/"), "/") {
		switch _, err := strconv.Atoi(part); {
		case err == nil && b.Len() > 0:
			fmt.Fprintf(&b, "[%s]", part)
		case b.Len() > 0:
			b.WriteString("." + unescapePointer(part))
		default:
			b.WriteString(unescapePointer(part))
		}
	}
	return b.String()
}
