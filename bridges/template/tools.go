package template

import (
	"context"
	"encoding/json"
	"log/slog"
	"slices"
	"strings"
	"time"
	"unicode"

	"fieldgate/bridges"
)

// tools makes tools whose scans name the templates that fit what they find.
func (s *Set) tools(kind string, build func(bridges.Config, *slog.Logger) (bridges.Tools, error)) func(bridges.Config, *slog.Logger) (bridges.Tools, error) {
	return func(c bridges.Config, log *slog.Logger) (bridges.Tools, error) {
		c.Settings, _ = s.Expand(c.Settings, kind) // templates may say the bit rate; what is wrong with them is no matter here
		return build(c, log)
	}
}

// Guess puts the templates into what a scan found: those whose maker and model the device
// names itself, those whose SunSpec models it has, then those whose voltages, frequencies, temperatures and humidities
// would be usual ones. kind is that of the bridge. To be called where the step is told.
func (s *Set) Guess(ctx context.Context, kind string, step bridges.ScanStep) {
	const most, patience = 5, 4 * time.Second
	if step.Found == nil || !step.Found.Certain {
		return
	}
	list := s.List() // reading them the first time takes a while, which is none of the bus's
	deadline := time.Now().Add(patience)
	words := strings.ToLower(step.Found.Vendor + " " + step.Found.Product)
	var named, mapped, fit []string
	tried := map[string]bool{} // by what is read
	chain := sunSpecModels(ctx, step, deadline)
	for _, t := range list {
		if t.Kind != kind {
			continue
		}
		if t.namedIn(words) {
			named = append(named, t.ID)
			continue
		}
		if t.isMapped(chain) {
			mapped = append(mapped, t.ID)
			continue
		}
		points := t.marks()
		if len(points) < minMarks || step.Try == nil || ctx.Err() != nil || time.Now().After(deadline) {
			continue
		}
		key := string(mustJSON(points)) + string(mustJSON(t.Device))
		usual, known := tried[key]
		if !known {
			usual = t.plausible(points, step)
			tried[key] = usual
		}
		if usual {
			fit = append(fit, t.ID)
		}
	}
	all := slices.Concat(named, mapped, fit)
	step.Found.Templates = append([]string{}, all[:min(len(all), most)]...)
}

// namedIn tells whether the words, in small letters, have the name of the model: a part of it with a digit, such as sdm630.
func (t *Template) namedIn(words string) bool {
	other := func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) }
	compact := strings.Join(strings.FieldsFunc(words, other), "")
	for model := range strings.FieldsFuncSeq(strings.ToLower(t.Model), other) {
		if len(model) >= 4 && strings.ContainsAny(model, "0123456789") && strings.Contains(compact, model) {
			return true
		}
	}
	return false
}

// minMarks is how many points must be usual before a template is named.
const minMarks = 2

// marks are the points by which a device is known: their values lie within narrow limits everywhere.
func (t *Template) marks() []Point {
	var list []Point
	for _, id := range []string{"voltage-l1", "voltage", "frequency", "temperature", "humidity"} {
		i := slices.IndexFunc(t.Points, func(p Point) bool { return p.ID() == id })
		if i < 0 || t.Points[i].text("scale_from") != "" || t.Points[i][sunSpecKey] != nil {
			continue
		}
		list = append(list, t.Points[i].mark())
	}
	return list
}

// mark leaves out of a point what does not matter for its value.
func (p Point) mark() Point {
	out := Point{}
	for key, value := range p {
		switch key {
		case "id", "table", "address", "type", "order", "length", "bit", "scale", "offset", "unit", "invalid":
			out[key] = value
		}
	}
	return out
}

func (t *Template) plausible(points []Point, step bridges.ScanStep) bool {
	raw := make([]json.RawMessage, len(points))
	for i, p := range points {
		raw[i] = mustJSON(p)
	}
	for i, v := range step.Try(t.Device, raw) {
		f, isNumber := v.Number()
		low, high := usual(points[i].text("unit"))
		if !isNumber || f < low || f > high {
			return false
		}
	}
	return true
}

// usual are the limits of values in the unit; 0 is none of them, for empty registers hold it.
func usual(unit string) (low, high float64) {
	switch unit {
	case "V":
		return 80, 500
	case "Hz":
		return 45, 66
	case "°C":
		return 0.1, 85
	case "%":
		return 1, 100
	}
	return 1, 0
}
