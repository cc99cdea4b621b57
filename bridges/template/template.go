// Package template has what is known of devices that people buy: a file per model
// with its points, limits and byte order. A device in the settings that names one gets all
// that from it, and its own keys win. Some come with the program, own ones lie in the
// data directory. The package knows YAML and kinds only through what it is given,
// and must not know what a point is.
package template

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"fieldgate/bridges"
)

// Template is one file.
type Template struct {
	ID           string        `json:"id"`
	Kind         string        `json:"kind"`         // of the bridge: modbus, line
	Manufacturer string        `json:"manufacturer"` // as on the label
	Model        string        `json:"model"`
	Category     string        `json:"category"`    // one of Categories
	Description  bridges.Names `json:"description"` // what it is, by language
	Source       string        `json:"source"`      // document and revision, or library, that the points were taken from
	Serial       *Serial       `json:"serial"`      // what the device is shipped with; nil when it has no serial port
	// Bridge and Device are settings of the bridge and of the device, as its kind knows them.
	Bridge map[string]json.RawMessage `json:"bridge"`
	Device map[string]json.RawMessage `json:"device"`
	// Points are settings of points; the key sample, which no kind knows, is what the simulation shows.
	Points []Point `json:"points"`
	// Lines are what a simulated line device sends, one after the other.
	Lines []string `json:"lines"`

	Own  bool   `json:"-"` // it lies in the data directory
	text []byte // as it was read
}

// Point is the settings of a point by their keys.
type Point map[string]json.RawMessage

// Serial is how the serial port of a device is set when it comes from its factory.
type Serial struct {
	Baud   int    `json:"baud"`
	Format string `json:"format"` // 8N1
}

// Categories are what templates are sorted by.
func Categories() []string {
	return []string{"energy_meter", "inverter", "charge_controller", "relay", "sensor", "io", "scale", "gps", "other"}
}

// Text gives the file as it was read. The caller must not change it.
func (t *Template) Text() []byte { return t.text }

// ID of the point, "" when it has none.
func (p Point) ID() string { return p.text("id") }

func (p Point) text(key string) string {
	var s string
	if raw, ok := p[key]; !ok || json.Unmarshal(raw, &s) != nil {
		return ""
	}
	return s
}

// Sample gives the value that the simulation of the template shows for the point, none when it names none.
func (p Point) Sample() bridges.Value {
	raw, ok := p[sampleKey]
	if !ok {
		return bridges.Value{}
	}
	v, err := bridges.ParseValue(raw)
	if err != nil {
		return bridges.Value{}
	}
	return v
}

const (
	sampleKey   = "sample"
	templateKey = "template"
)

// Limits of a file.
const (
	MaxSize   = 512 << 10 // bytes
	maxWords  = 500       // bytes of a description or a source
	maxPoints = 2000
	maxLines  = 200
)

var formats = regexp.MustCompile(`^[5-8][NEOMS](1|1\.5|2)$`)

// check adds what is wrong with the file, but for what its kind must judge.
func (t *Template) check(f *bridges.Faults) {
	f.CheckID("/id", t.ID)
	for _, k := range []struct{ field, text string }{
		{"/kind", t.Kind}, {"/manufacturer", t.Manufacturer}, {"/model", t.Model}, {"/source", t.Source},
	} {
		switch {
		case k.text == "":
			f.Add(k.field, bridges.Required, "is needed")
		case len(k.text) > maxWords:
			f.Add(k.field, bridges.OutOfRange, "must have at most %d bytes", maxWords)
		}
	}
	f.OneOf("/category", t.Category, Categories()...)
	t.Description.Check(f, "/description")
	if t.Serial != nil && (t.Serial.Baud < 50 || t.Serial.Baud > 4_000_000) {
		f.Add("/serial/baud", bridges.OutOfRange, "must be 50 to 4000000")
	}
	if t.Serial != nil && !formats.MatchString(t.Serial.Format) {
		f.Add("/serial/format", bridges.Invalid, "must be data bits, parity and stop bits, such as 8N1")
	}
	switch n := len(t.Points); {
	case n == 0:
		f.Add("/points", bridges.Required, "at least one is needed")
	case n > maxPoints:
		f.Add("/points", bridges.OutOfRange, "at most %d points are allowed", maxPoints)
	}
	if len(t.Lines) > maxLines {
		f.Add("/lines", bridges.OutOfRange, "at most %d lines are allowed", maxLines)
	}
	for _, key := range []string{"id", "kind", "link", "devices", "enabled"} {
		if _, there := t.Bridge[key]; there {
			f.Add("/bridge/"+key, bridges.Invalid, "is not for a template to say")
		}
	}
	for _, key := range []string{"id", "points", "topic", templateKey} {
		if _, there := t.Device[key]; there {
			f.Add("/device/"+key, bridges.Invalid, "is not for a template to say")
		}
	}
}

// example is the settings of a bridge with one device that has nothing but the template.
func (t *Template) example() map[string]json.RawMessage {
	device := map[string]json.RawMessage{"id": json.RawMessage(`"device"`)}
	t.apply(device, nil)
	bridge := map[string]json.RawMessage{
		"id": json.RawMessage(`"bridge"`), "kind": mustJSON(t.Kind),
		"link":    json.RawMessage(`{"tcp":{"address":"127.0.0.1:502"}}`),
		"devices": mustJSON([]any{device}),
	}
	for key, value := range t.Bridge {
		bridge[key] = value
	}
	return bridge
}

// apply fills in what the device does not say. points are the device's own; one with the id of a
// template's point is laid over it. They come first, in their order, so that pointers to them stay right.
func (t *Template) apply(device map[string]json.RawMessage, points []Point) {
	for key, value := range t.Device {
		if _, own := device[key]; !own {
			device[key] = value
		}
	}
	merged := make([]Point, 0, len(points)+len(t.Points))
	for _, p := range points {
		if i := slices.IndexFunc(t.Points, func(x Point) bool { return x.ID() == p.ID() && p.ID() != "" }); i >= 0 {
			p = t.Points[i].under(p)
		}
		merged = append(merged, p)
	}
	for _, p := range t.Points {
		if !slices.ContainsFunc(points, func(x Point) bool { return x.ID() == p.ID() }) {
			merged = append(merged, p.under(nil))
		}
	}
	device["points"] = mustJSON(merged)
}

// under gives the point with the keys of another laid over it, without its sample.
func (p Point) under(over Point) Point {
	out := Point{}
	for key, value := range p {
		if key != sampleKey {
			out[key] = value
		}
	}
	for key, value := range over {
		out[key] = value
	}
	return out
}

// mustJSON writes what was made of JSON, which can't fail.
func mustJSON(v any) json.RawMessage {
	raw, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("template: %v", err))
	}
	return raw
}

// ownPointer gives the pointer into a template's file for one into its example.
func ownPointer(pointer string) string {
	rest, inDevice := strings.CutPrefix(pointer, "/devices/0")
	switch {
	case !inDevice:
		return "/bridge" + pointer
	case strings.HasPrefix(rest, "/points"):
		return rest
	}
	return "/device" + rest
}
