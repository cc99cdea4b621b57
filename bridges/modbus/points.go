package modbus

import (
	"cmp"
	"math"
	"slices"
	"time"

	"fieldgate/bridges"
)

// Point is one value of a device.
type Point struct {
	ID        string           `json:"id"`
	Name      bridges.Names    `json:"name"` // for a person
	Enabled   *bool            `json:"enabled"`
	Location  Address          `json:"address"`
	Table     Table            `json:"table"`
	Type      Type             `json:"type"`
	Order     Order            `json:"order"`
	Priority  Priority         `json:"priority"`
	Length    int              `json:"length"` // registers, of string, raw and bits
	Bit       *int             `json:"bit"`    // of the register, 0 is the lowest; makes the point a bool
	Scale     float64          `json:"scale"`  // value = register * scale * 10^scale_from + offset
	Offset    float64          `json:"offset"`
	SunSpec   *SunSpec         `json:"sunspec"`    // in the place of an address
	ScaleFrom string           `json:"scale_from"` // id of the point of the device that holds a power of ten
	Precision *int             `json:"precision"`  // decimals, 0 to 15
	Unit      string           `json:"unit"`
	Enum      bridges.Labels   `json:"enum"`     // the label is the value; of bits: names of the bits
	Invalid   bridges.NoValues `json:"invalid"`  // what the registers hold when there is no value
	Interval  *Interval        `json:"interval"` // in place of the device's
	Write     *Write           `json:"write"`    // its presence makes the point writable
	bridges.PublishRule

	Address  int    `json:"-"` // 0-based, as on the wire
	from     *Point // that holds its power of ten, nil for none
	state    state
	located  bool // Address was found in the device's SunSpec map
	scales   bool // another point is scaled by it
	decimals int8 // to round to; -1 for none
}

// SetDefaults fills in the scale.
func (p *Point) SetDefaults() { p.Scale = 1 }

func (p *Point) enabled() bool { return p.Enabled == nil || *p.Enabled }

// isBit tells whether the value is a single bit: a coil, an input, or a bit of a register.
func (p *Point) isBit() bool { return p.Table.bits() || p.Bit != nil }

// exact tells whether an integer goes through unchanged.
func (p *Point) exact() bool { return p.Scale == 1 && p.Offset == 0 }

// Interval is the time between two polls of a point. In settings "once" stands for
// a read when the link was opened and when the device has come back.
type Interval time.Duration

const once = Interval(10 * 365 * 24 * time.Hour)

// UnmarshalJSON reads "once" or a duration.
func (i *Interval) UnmarshalJSON(data []byte) error {
	if string(data) == `"once"` {
		*i = once
		return nil
	}
	var d struct{ D time.Duration }
	if err := bridges.Decode(append(append([]byte(`{"D":`), data...), '}'), &d); err != nil {
		return bridges.Fault(bridges.Invalid, `must be "once" or a time with its unit, such as "500ms", "10s", "1m" or "24h"`)
	}
	*i = Interval(d.D)
	return nil
}

// Write says what may be written to a point.
type Write struct {
	Min      *float64 `json:"min"`
	Max      *float64 `json:"max"`
	Step     *float64 `json:"step"`     // allowed are min + n * step; 0 + n * step without a min
	Verify   bool     `json:"verify"`   // read back and compare
	Function int      `json:"function"` // function code: 5, 15 (coils), 6, 16, 22 (registers); 0 takes the one that fits
}

const maxTextLength = maxRegisters

func (p *Point) check(f *bridges.Faults, at string, d *Device) {
	f.CheckID(at+"/id", p.ID)
	p.Name.Check(f, at+"/name")
	p.checkAddress(f, at, d.Addresses)
	p.Order = cmp.Or(p.Order, d.Order, ABCD)
	p.checkType(f, at)
	bridges.CheckRange(f, at+"/address", p.Address, 0, 1<<16-p.size())
	if !p.Table.bits() && p.size() > d.MaxRead && !f.Has(at+"/length") {
		f.Add(at+"/type", bridges.Invalid, "%s needs %d registers, more than the device's max_read", p.Type, p.size())
	}
	p.checkNumber(f, at)
	if len(p.Unit) > maxUnitText {
		f.Add(at+"/unit", bridges.OutOfRange, "must have at most %d bytes", maxUnitText)
	}
	if p.Interval != nil && *p.Interval != once {
		checkDuration(f, at+"/interval", time.Duration(*p.Interval), minInterval, maxInterval)
	}
	p.PublishRule.Check(f, at)
	if p.Write != nil {
		p.checkWrite(f, at+"/write")
	}
}

func (p *Point) checkAddress(f *bridges.Faults, at, notation string) {
	if p.Location.set {
		address, table, err := p.Location.resolve(p.Table, notation)
		if err != nil {
			f.Add(at+"/address", bridges.Invalid, "%s", err)
		}
		p.Address, p.Table = address, table
	}
	if p.SunSpec != nil {
		p.SunSpec.check(f, at+"/sunspec", p)
	}
	p.Table = cmp.Or(p.Table, Holding)
}

// checkNumber checks what makes a number a value.
func (p *Point) checkNumber(f *bridges.Faults, at string) {
	if p.Scale == 0 || math.IsInf(p.Scale, 0) {
		f.Add(at+"/scale", bridges.OutOfRange, "must not be 0")
	}
	if !p.Type.number() && (!p.exact() || p.ScaleFrom != "") {
		f.Add(at+"/scale", bridges.Invalid, "only numbers have a scale and an offset, not a %s", p.Type)
	}
	p.decimals = -1
	if p.Precision != nil {
		bridges.CheckRange(f, at+"/precision", *p.Precision, 0, maxDecimals)
		p.decimals = int8(min(max(*p.Precision, 0), maxDecimals))
	} else if p.Type.integer() && !p.exact() && p.ScaleFrom == "" {
		p.decimals = int8(min(max(decimals(p.Scale), decimals(p.Offset)), maxDecimals))
	}
	p.Invalid.Check(f, at+"/invalid")
	p.Enum.Check(f, at+"/enum")
	if len(p.Enum) > 0 && (p.Type.float() || p.Type == TypeString || p.Type == TypeRaw || !p.exact() || p.ScaleFrom != "") {
		f.Add(at+"/enum", bridges.Invalid, "only integers without scale and offset, bits and bools have labels")
	}
}

// link finds the point that scales this one, once all are checked.
func (p *Point) link(f *bridges.Faults, at string, d *Device) {
	if p.ScaleFrom == "" {
		return
	}
	i := slices.IndexFunc(d.Points, func(x Point) bool { return x.ID == p.ScaleFrom })
	if i < 0 {
		f.Add(at+"/scale_from", bridges.Invalid, "the device has no point %s", p.ScaleFrom)
		return
	}
	from := &d.Points[i]
	switch {
	case from == p || !from.Type.integer() || from.isBit() || !from.exact() || from.ScaleFrom != "" || len(from.Enum) > 0:
		f.Add(at+"/scale_from", bridges.Invalid, "must name an integer point without scale and labels, which holds a power of ten")
	case !from.enabled():
		f.Add(at+"/scale_from", bridges.Invalid, "the point %s is switched off", from.ID)
	default:
		p.from, from.scales = from, true
	}
}

// checkType fills in what a point without a type is.
func (p *Point) checkType(f *bridges.Faults, at string) {
	if p.Bit != nil {
		bridges.CheckRange(f, at+"/bit", *p.Bit, 0, 15)
		if p.Table.bits() {
			f.Add(at+"/bit", bridges.Invalid, "a %s has no bits; leave it out", p.Table)
		}
	}
	if p.isBit() {
		p.Type = cmp.Or(p.Type, TypeBool)
		if p.Type != TypeBool {
			f.Add(at+"/type", bridges.Invalid, "a single bit is a bool; leave the type out")
		}
	}
	p.Type = cmp.Or(p.Type, TypeInt16)
	p.checkLength(f, at+"/length")
}

func (p *Point) checkLength(f *bridges.Faults, at string) {
	switch {
	case p.Type == TypeBits && p.Length != 0 && p.Length != 1 && p.Length != 2 && p.Length != 4:
		f.Add(at, bridges.OutOfRange, "must be 1, 2 or 4 registers for bits")
	case p.Type == TypeString || p.Type == TypeRaw:
		if p.Length == 0 {
			f.Add(at, bridges.Required, "is needed for a %s: the number of registers", p.Type)
		}
		bridges.CheckRange(f, at, p.Length, 1, maxTextLength)
	case p.Type != TypeBits && p.Length != 0 && p.Length != p.size():
		f.Add(at, bridges.Invalid, "a %s always has %d registers; leave the length out", p.Type, p.size())
	}
}

func (p *Point) checkWrite(f *bridges.Faults, at string) {
	w := p.Write
	if p.Table == DiscreteInput || p.Table == Input {
		f.Add(at, bridges.Invalid, "a point of the table %s can't be written; only coil and holding can", p.Table)
	}
	if w.Min != nil && w.Max != nil && *w.Min > *w.Max {
		f.Add(at+"/max", bridges.OutOfRange, "must not be below min")
	}
	if w.Step != nil && *w.Step <= 0 {
		f.Add(at+"/step", bridges.OutOfRange, "must be above 0")
	}
	allowed := []int{0, 6, 16}
	switch {
	case p.Type == TypeBits:
		f.Add(at, bridges.Invalid, "bits can't be written; make a point of each, with bit")
	case p.isPart():
		allowed = []int{0, 6, 16, 22}
	case p.Table.bits():
		allowed = []int{0, 5, 15}
	case p.size() > 1:
		allowed = []int{0, 16}
	}
	if !slices.Contains(allowed, w.Function) {
		f.Add(at+"/function", bridges.Invalid, "must be one of %v for this point; 0 takes the one that fits", allowed)
	}
}
