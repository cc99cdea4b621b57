package modbus

import (
	"encoding/binary"
	"fmt"
	"math"
	"strconv"
	"strings"

	"fieldgate/bridges"
)

// Table is one of the four tables of a device.
type Table string

// The tables.
const (
	Coil          Table = "coil"
	DiscreteInput Table = "discrete_input"
	Holding       Table = "holding"
	Input         Table = "input"
)

func (t Table) bits() bool { return t == Coil || t == DiscreteInput }

// Order is how the bytes of a value lie in its registers; A is the highest byte of
// a 32-bit value. For 64 bits ABCD stands for the highest word first, CDAB for the lowest
// word first, BADC and DCBA for the same with the bytes of each word exchanged.
type Order string

// The orders.
const (
	ABCD Order = "ABCD"
	CDAB Order = "CDAB"
	BADC Order = "BADC"
	DCBA Order = "DCBA"
)

// Type is how the registers of a point are read.
type Type string

// The types. 8-bit ones are the register's low byte.
const (
	TypeBool    Type = "bool" // a bit; of a whole register: not zero
	TypeInt8    Type = "int8"
	TypeInt16   Type = "int16"
	TypeInt32   Type = "int32"
	TypeInt64   Type = "int64"
	TypeUint8   Type = "uint8"
	TypeUint16  Type = "uint16"
	TypeUint32  Type = "uint32"
	TypeUint64  Type = "uint64"
	TypeFloat32 Type = "float32"
	TypeFloat64 Type = "float64"
)

func typeNames() []string {
	names := []string{}
	for _, t := range []Type{
		TypeBool, TypeInt8, TypeInt16, TypeInt32, TypeInt64,
		TypeUint8, TypeUint16, TypeUint32, TypeUint64, TypeFloat32, TypeFloat64,
	} {
		names = append(names, string(t))
	}
	return names
}

// registers is how many registers the type takes.
func (t Type) registers() int {
	switch t {
	case TypeInt32, TypeUint32, TypeFloat32:
		return 2
	case TypeInt64, TypeUint64, TypeFloat64:
		return 4
	}
	return 1
}

func (t Type) integer() bool {
	return strings.HasPrefix(string(t), "int") || strings.HasPrefix(string(t), "uint")
}

// size is the quantity that the point takes in its table.
func (p *Point) size() int {
	if p.isBit() {
		return 1
	}
	return p.Type.registers()
}

// number puts the bytes of registers, as they came, into one number.
func (p *Point) number(b []byte) uint64 {
	var n uint64
	words := len(b) / 2
	for i := range words {
		at := i
		if p.Order == CDAB || p.Order == DCBA {
			at = words - 1 - i
		}
		word := binary.BigEndian.Uint16(b[2*at:])
		if p.Order == BADC || p.Order == DCBA {
			word = word<<8 | word>>8
		}
		n = n<<16 | uint64(word)
	}
	return n
}

// registerBytes is the inverse of number.
func (p *Point) registerBytes(n uint64) []byte {
	words := p.size()
	b := make([]byte, 2*words)
	for i := range words {
		at := words - 1 - i
		if p.Order == CDAB || p.Order == DCBA {
			at = i
		}
		word := uint16(n >> (16 * i))
		if p.Order == BADC || p.Order == DCBA {
			word = word<<8 | word>>8
		}
		binary.BigEndian.PutUint16(b[2*at:], word)
	}
	return b
}

// decode gives the value of the point's registers; none when they hold no number.
func (p *Point) decode(b []byte) bridges.Value {
	n := p.number(b)
	switch {
	case p.Bit != nil:
		return bridges.Bool(n>>*p.Bit&1 == 1)
	case p.Type == TypeBool:
		return bridges.Bool(n != 0)
	case p.Type == TypeFloat32 && p.exact() && p.decimals < 0:
		return bridges.Float32(math.Float32frombits(uint32(n)))
	case p.Type == TypeFloat32:
		return p.scaled(float64(math.Float32frombits(uint32(n))))
	case p.Type == TypeFloat64:
		return p.scaled(math.Float64frombits(n))
	case p.signed():
		i := p.extend(n)
		if p.exact() {
			return bridges.Int(i)
		}
		return p.scaled(float64(i))
	}
	if p.Type == TypeUint8 {
		n &= 0xFF
	}
	if p.exact() {
		return bridges.Uint(n)
	}
	return p.scaled(float64(n))
}

func (p *Point) signed() bool { return strings.HasPrefix(string(p.Type), "int") }

// width is the number of bits of an integer or float.
func (p *Point) width() int {
	if p.Type == TypeInt8 || p.Type == TypeUint8 {
		return 8
	}
	return 16 * p.Type.registers()
}

func (p *Point) extend(n uint64) int64 {
	unused := 64 - p.width()
	return int64(n<<unused) >> unused
}

func (p *Point) scaled(f float64) bridges.Value {
	return bridges.Float(round(f*p.Scale+p.Offset, p.decimals))
}

const maxDecimals = 15

// round gives the float that is nearest to the decimal number.
func round(f float64, decimals int) float64 {
	if decimals < 0 {
		return f
	}
	shift := math.Pow10(decimals)
	if r := math.Round(f * shift); math.Abs(r) < 1<<53 {
		return r / shift
	}
	return f
}

// decimals counts the decimals of a number as a person would write it.
func decimals(f float64) int {
	text := strconv.FormatFloat(f, 'f', -1, 64)
	if i := strings.IndexByte(text, '.'); i >= 0 {
		return len(text) - i - 1
	}
	return 0
}

// What a value to write can be refused for; Code of a result.
const (
	codeNotANumber = "not_a_number"
	codeOutOfRange = "out_of_range"
)

// refusal says why a value is not written.
type refusal struct{ code, detail string }

func (r *refusal) Error() string { return r.detail }

func refuse(code, format string, args ...any) *refusal {
	return &refusal{code: code, detail: fmt.Sprintf(format, args...)}
}

// encodeBit reads a value for a single bit: true, false, 1 or 0.
func encodeBit(v bridges.Value) (bool, *refusal) {
	if on, ok := v.AsBool(); ok {
		return on, nil
	}
	f, ok := v.Number()
	switch {
	case !ok:
		return false, refuse(codeNotANumber, "must be true, false, 1 or 0")
	case f != 0 && f != 1:
		return false, refuse(codeOutOfRange, "must be true, false, 1 or 0")
	}
	return f == 1, nil
}

// encode gives the registers for a value, within the limits of the point and of its type.
func (p *Point) encode(v bridges.Value) ([]byte, *refusal) {
	if p.Type == TypeBool {
		on, wrong := encodeBit(v)
		if wrong != nil || !on {
			return p.registerBytes(0), wrong
		}
		return p.registerBytes(1), nil
	}
	if _, isBool := v.AsBool(); isBool {
		return nil, refuse(codeNotANumber, "must be a number, not true or false")
	}
	f, ok := v.Number()
	if !ok {
		return nil, refuse(codeNotANumber, "must be a number")
	}
	if wrong := p.Write.limit(f); wrong != nil {
		return nil, wrong
	}
	switch {
	case p.Type == TypeFloat32:
		raw := float32((f - p.Offset) / p.Scale)
		if math.IsInf(float64(raw), 0) {
			return nil, refuse(codeOutOfRange, "does not fit into float32")
		}
		return p.registerBytes(uint64(math.Float32bits(raw))), nil
	case p.Type == TypeFloat64:
		return p.registerBytes(math.Float64bits((f - p.Offset) / p.Scale)), nil
	}
	n, wrong := p.encodeInteger(v, f)
	if wrong != nil {
		return nil, wrong
	}
	return p.registerBytes(n), nil
}

// encodeInteger keeps an unscaled integer exact; what would lose more than float
// noise by rounding is refused.
func (p *Point) encodeInteger(v bridges.Value, f float64) (uint64, *refusal) {
	tooWide := refuse(codeOutOfRange, "does not fit into %s", p.Type)
	low, high := int64(math.MinInt64)>>(64-p.width()), uint64(math.MaxUint64)>>(64-p.width())
	if p.signed() {
		high >>= 1
	} else {
		low = 0
	}
	if !p.exact() || !v.IsInt() {
		raw := (f - p.Offset) / p.Scale
		whole := math.Round(raw)
		if math.Abs(raw-whole) > 1e-6*math.Max(1, math.Abs(raw)) {
			return 0, refuse(codeOutOfRange, "must be a multiple of %s", strconv.FormatFloat(math.Abs(p.Scale), 'f', -1, 64))
		}
		if whole < float64(low) || whole >= float64(high)+1 {
			return 0, tooWide
		}
		if whole < 0 {
			return uint64(int64(whole)) & (math.MaxUint64 >> (64 - p.width())), nil
		}
		return uint64(whole), nil
	}
	if i, ok := v.Int64(); ok && i < 0 {
		if i < low {
			return 0, tooWide
		}
		return uint64(i) & (math.MaxUint64 >> (64 - p.width())), nil
	}
	if u, ok := v.Uint64(); ok && u <= high {
		return u, nil
	}
	return 0, tooWide
}

// limit checks a value against min, max and step.
func (w *Write) limit(f float64) *refusal {
	text := func(f float64) string { return strconv.FormatFloat(f, 'f', -1, 64) }
	switch {
	case w.Min != nil && w.Max != nil && (f < *w.Min || f > *w.Max):
		return refuse(codeOutOfRange, "must be %s to %s", text(*w.Min), text(*w.Max))
	case w.Min != nil && f < *w.Min:
		return refuse(codeOutOfRange, "must be at least %s", text(*w.Min))
	case w.Max != nil && f > *w.Max:
		return refuse(codeOutOfRange, "must be at most %s", text(*w.Max))
	}
	if w.Step == nil {
		return nil
	}
	from := 0.0
	if w.Min != nil {
		from = *w.Min
	}
	steps := (f - from) / *w.Step
	if math.Abs(steps-math.Round(steps)) > 1e-6*math.Max(1, math.Abs(steps)) {
		return refuse(codeOutOfRange, "must be %s plus a multiple of %s", text(from), text(*w.Step))
	}
	return nil
}
