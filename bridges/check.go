package bridges

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"fieldgate/broker/mqtt"
	"fieldgate/internal/fault"
)

// Header is what the settings of every kind begin with, for embedding.
type Header struct {
	ID      string `json:"id"`
	Kind    string `json:"kind"`
	Enabled *bool  `json:"enabled"`
}

// NewConfig reads the common keys of a settings object. kind is taken when the
// object names none (uplinks). Other keys are for the kind to judge.
func NewConfig(settings json.RawMessage, kind string) (Config, error) {
	var keys map[string]json.RawMessage
	if err := Decode(settings, &keys); err != nil {
		return Config{}, err
	}
	common := make(map[string]json.RawMessage)
	for _, key := range []string{"id", "kind", "enabled"} {
		if raw, ok := keys[key]; ok {
			common[key] = raw
		}
	}
	data, err := json.Marshal(common)
	if err != nil {
		return Config{}, fmt.Errorf("copy the common keys: %w", err)
	}
	var h Header
	var faults Faults
	faults.Decode(data, &h)
	faults.CheckID("/id", h.ID)
	if h.Kind == "" {
		h.Kind = kind
	}
	if h.Kind == "" {
		faults.Add("/kind", fault.Required, "is needed")
	}
	disabled := h.Enabled != nil && !*h.Enabled
	return Config{ID: h.ID, Kind: h.Kind, Disabled: disabled, Settings: settings}, faults.Err()
}

// Faults gathers what is wrong with one settings object: first Decode, then the
// kind's own checks. A check adds nothing where a fault stands already, so a
// field that could not be read is not called missing too. The zero value is ready.
type Faults struct{ list fault.List }

// Decode is the function Decode; its faults go to the list.
func (f *Faults) Decode(data json.RawMessage, into any) {
	if err := Decode(data, into); err != nil {
		f.list = append(f.list, fault.All(err)...)
	}
}

// Add appends a fault of the field at the JSON pointer, unless one stands there or below.
func (f *Faults) Add(pointer string, code fault.Code, format string, args ...any) {
	if !f.Has(pointer) {
		f.list.Add(pointer, code, format, args...)
	}
}

// Has tells whether a fault stands at the pointer or below.
func (f *Faults) Has(pointer string) bool {
	return slices.ContainsFunc(f.list, func(e *fault.Error) bool {
		return e.Field == pointer || strings.HasPrefix(e.Field, pointer+"/")
	})
}

// Err gives the faults as a fault.List, nil when there are none.
func (f *Faults) Err() error { return f.list.Err() }

// CheckID checks an id of a bridge, device, point or uplink.
func (f *Faults) CheckID(pointer, id string) {
	switch {
	case id == "":
		f.Add(pointer, fault.Required, "is needed: %s", idWords)
	case !ValidID(id):
		f.Add(pointer, fault.Invalid, "must be %s", idWords)
	}
}

// CheckTopic checks the topic of a device, to which names of points are appended.
func (f *Faults) CheckTopic(pointer, topic string) {
	if words := topicWords(topic); words != "" {
		f.Add(pointer, fault.Invalid, "%s", words)
	}
}

// CheckRange checks that a number lies within limits, both included.
func CheckRange[N int | int64 | float64](f *Faults, pointer string, n, low, high N) {
	if n < low || n > high {
		f.Add(pointer, fault.OutOfRange, "must be %v to %v", low, high)
	}
}

// OneOf checks that a word is among the allowed ones.
func (f *Faults) OneOf(pointer, word string, allowed ...string) {
	if slices.Contains(allowed, word) {
		return
	}
	words := "must be one of " + strings.Join(allowed, ", ")
	if near, ok := Nearest(word, allowed); ok {
		words += fmt.Sprintf("; did you mean %q?", near)
	}
	f.Add(pointer, fault.Invalid, "%s", words)
}

const (
	idWords  = "1 to 64 of a-z, 0-9, - _ . that begin with a letter or digit"
	maxID    = 64
	maxTopic = 1024 // bytes; leaves room for the names below it
)

// ValidID tells whether the text may name a bridge, device, point or uplink.
func ValidID(id string) bool {
	if id == "" || len(id) > maxID {
		return false
	}
	for i, c := range []byte(id) {
		alnum := 'a' <= c && c <= 'z' || '0' <= c && c <= '9'
		if !alnum && (i == 0 || c != '-' && c != '_' && c != '.') {
			return false
		}
	}
	return true
}

func topicWords(topic string) string {
	switch {
	case topic == "":
		return "must not be empty"
	case len(topic) > maxTopic:
		return fmt.Sprintf("must have at most %d bytes", maxTopic)
	case strings.HasPrefix(topic, "$"):
		return "must not begin with $, which is the broker's own"
	case strings.HasPrefix(topic, "/") || strings.HasSuffix(topic, "/") || strings.Contains(topic, "//"):
		return "must not have empty levels: no / at the ends, no //"
	}
	if err := mqtt.CheckName(topic); err != nil {
		return err.Error()
	}
	return ""
}
