package line

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"

	"fieldgate/bridges"
)

// Field names a value in a frame: a group, a column, a path, a key, GGA.lat. A number stands for its digits.
type Field string

// UnmarshalJSON reads a text or a number.
func (n *Field) UnmarshalJSON(data []byte) error {
	v, err := bridges.ParseValue(data)
	if _, isBool := v.AsBool(); err != nil || isBool {
		return bridges.Fault(bridges.Invalid, "must be a text, or the number of a column")
	}
	*n = Field(v.String())
	return nil
}

// Point is one value of a device.
type Point struct {
	ID        string             `json:"id"`
	Enabled   *bool              `json:"enabled"`
	Field     Field              `json:"field"` // default: the id, with _ for - and .
	Group     string             `json:"group"` // the same, of a regex
	Type      string             `json:"type"`
	At        *int               `json:"at"` // binary: position of the first byte in the body
	Length    int                `json:"length"`
	Order     string             `json:"order"`
	Bit       *int               `json:"bit"`
	Scale     float64            `json:"scale"`
	Offset    float64            `json:"offset"`
	Precision *int               `json:"precision"` // decimals
	Unit      string             `json:"unit"`
	Units     map[string]float64 `json:"units"`      // units that the device may write, and their factors
	UnitField Field              `json:"unit_field"` // where the unit stands; default: behind the number
	Enum      map[string]string  `json:"enum"`
	Invalid   []bridges.Value    `json:"invalid"`
	Request   Bytes              `json:"request"`  // in place of the device's
	Interval  time.Duration      `json:"interval"` // in place of the device's
	Write     *Write             `json:"write"`
	Name      bridges.Names      `json:"name"` // for a person
	bridges.PublishRule

	index     int // of its cell; -1 for one that is only written
	unitIndex int // -1 for none
	request   string
	interval  time.Duration
}

// SetDefaults fills in the order and the scale.
func (p *Point) SetDefaults() { p.Order, p.Scale = "ABCD", 1 }

func (p *Point) enabled() bool { return p.Enabled == nil || *p.Enabled }

// check needs the device's parser; nil when that is wrong itself.
func (p *Point) check(f *bridges.Faults, at string, d *Device, s *Settings) {
	f.CheckID(at+"/id", p.ID)
	p.index, p.unitIndex = -1, -1
	p.checkType(f, at, d)
	if p.Scale == 0 {
		f.Add(at+"/scale", bridges.Invalid, "must not be 0")
	}
	if !p.isPlain() && (p.Type == "string" || p.Type == "raw" || p.Type == "bool") {
		f.Add(at+"/scale", bridges.Invalid, "only numbers have a scale and an offset, not a %s", p.Type)
	}
	if p.Precision != nil {
		bridges.CheckRange(f, at+"/precision", *p.Precision, 0, 15)
	}
	checkLength(f, at+"/unit", p.Unit, 0, maxUnit)
	p.PublishRule.Check(f, at)
	p.checkUnits(f, at, d)
	p.checkLists(f, at)
	p.checkField(f, at, d)
	checkRequest(f, at+"/request", p.Request, s)
	p.request = string(p.Request)
	if p.request == "" && p.index >= 0 {
		p.request = string(d.Request)
	}
	checkDuration(f, at+"/interval", p.Interval)
	if p.interval = p.Interval; p.interval == 0 {
		p.interval = d.Interval
	}
	if p.interval == 0 {
		p.interval = defaultInterval
	}
	if p.request != "" && p.interval < minInterval {
		f.Add(at+"/interval", bridges.OutOfRange, "requests need 20ms at least")
	}
	if p.Write != nil {
		p.Write.check(f, at+"/write", p, s)
		p.Write.wait = cmp.Or(p.Write.Wait, d.Wait)
	}
}

func (p *Point) checkType(f *bridges.Faults, at string, d *Device) {
	switch {
	case d.Parse.Binary:
		p.checkBinary(f, at)
		return
	case p.Type == "int":
		p.Type = "int64"
	case p.Type == "" && (d.Parse.Text || d.Parse.NMEA && isNMEAText(p.field())):
		p.Type = "string"
	case p.Type == "":
		p.Type = "float64"
	}
	f.OneOf(at+"/type", p.Type, "float64", "int64", "int", "string", "bool")
	for _, x := range []struct {
		field string
		set   bool
	}{{"/at", p.At != nil}, {"/length", p.Length != 0}, {"/bit", p.Bit != nil}} {
		if x.set {
			f.Add(at+x.field, bridges.Invalid, "has a meaning only with parse.binary")
		}
	}
}

func (p *Point) checkBinary(f *bridges.Faults, at string) {
	if p.Type == "int" {
		p.Type = "int64"
	}
	if p.Type == "" && p.At == nil && p.Write != nil {
		p.Type = "float64" // only written
		return
	}
	f.OneOf(at+"/type", p.Type, slices.Sorted(maps.Keys(widths))...)
	f.OneOf(at+"/order", p.Order, "ABCD", "CDAB", "BADC", "DCBA")
	if p.At == nil {
		f.Add(at+"/at", bridges.Required, "is needed: the position of the first byte, from 0")
	} else {
		bridges.CheckRange(f, at+"/at", *p.At, 0, maxFrame-1)
	}
	if size, known := widths[p.Type]; known && size == 0 {
		bridges.CheckRange(f, at+"/length", p.Length, 1, maxFrame)
	} else if p.Length != 0 {
		f.Add(at+"/length", bridges.Invalid, "has a meaning only for string and raw")
	}
	if p.Bit != nil {
		bridges.CheckRange(f, at+"/bit", *p.Bit, 0, max(0, 8*widths[p.Type]-1))
	}
}

func (p *Point) checkUnits(f *bridges.Faults, at string, d *Device) {
	if len(p.Units) > maxUnits {
		f.Add(at+"/units", bridges.OutOfRange, "%d are too many, at most %d are allowed", len(p.Units), maxUnits)
	}
	for unit, factor := range p.Units {
		if factor == 0 || len(unit) > maxUnit {
			f.Add(at+"/units", bridges.Invalid, "must have factors that are not 0, and units of at most %d bytes", maxUnit)
		}
	}
	if len(p.Units) > 0 && (d.Parse.Binary || p.Type != "float64" && p.Type != "int64") {
		f.Add(at+"/units", bridges.Invalid, "only numbers in text have units")
	}
	if p.UnitField == "" {
		return
	}
	if len(p.Units) == 0 {
		f.Add(at+"/unit_field", bridges.Invalid, `needs units beside it, such as {"kg": 1, "g": 0.001}`)
	}
	if d.Parse.parser == nil || f.Has(at+"/unit_field") {
		return
	}
	i, err := d.Parse.parser.bind(string(p.UnitField), &Point{Type: "string", At: new(int), Length: 1})
	if err != nil {
		f.Add(at+"/unit_field", bridges.Invalid, "%s", err)
		return
	}
	p.unitIndex = i
}

func (p *Point) checkLists(f *bridges.Faults, at string) {
	if len(p.Enum) > maxEnum {
		f.Add(at+"/enum", bridges.OutOfRange, "%d are too many, at most %d are allowed", len(p.Enum), maxEnum)
	}
	if len(p.Invalid) > maxInvalid {
		f.Add(at+"/invalid", bridges.OutOfRange, "%d are too many, at most %d are allowed", len(p.Invalid), maxInvalid)
	}
}

// field is the name under which the point is looked for.
func (p *Point) field() string {
	return cmp.Or(string(p.Field), p.Group, strings.NewReplacer("-", "_", ".", "_").Replace(p.ID))
}

// checkField finds the point's cell. One that can be written needs none.
func (p *Point) checkField(f *bridges.Faults, at string, d *Device) {
	name := "/field"
	switch {
	case p.Field != "" && p.Group != "":
		f.Add(at+"/group", bridges.Invalid, "must be left out beside field")
	case p.Field != "":
	case p.Group != "":
		name = "/group"
	default:
		name = "/id"
	}
	if d.Parse.parser == nil || f.Has(at+name) || d.Parse.Binary && (f.Has(at) || p.At == nil) {
		return
	}
	i, err := d.Parse.parser.bind(p.field(), p)
	if err != nil {
		if name != "/id" || p.Write == nil {
			f.Add(at+name, bridges.Invalid, "%s", err)
		}
		return
	}
	p.index = i
}

// values tells what values the point has.
func (p *Point) values() bridges.ValueSet {
	v := bridges.ValueSet{Form: bridges.NumberForm}
	switch w := p.Write; {
	case w != nil && w.Values != nil:
		v.Form, v.Labels = bridges.TextForm, slices.Sorted(maps.Keys(w.Values))
		if p.Type == "bool" || len(v.Labels) == 2 && v.Labels[0] == "false" && v.Labels[1] == "true" {
			v.Form, v.Labels = bridges.BoolForm, nil
		}
	case p.Enum != nil:
		v.Form, v.Labels = bridges.TextForm, slices.Sorted(maps.Values(p.Enum))
	case p.Type == "string" || p.Type == "raw":
		v.Form = bridges.TextForm
	case p.Type == "bool" || p.Bit != nil:
		v.Form = bridges.BoolForm
	default:
		v.Whole = p.isPlain() && strings.Contains(p.Type, "int")
		if w != nil {
			v.Min, v.Max, v.Step = w.Min, w.Max, w.Step
		}
	}
	return v
}
