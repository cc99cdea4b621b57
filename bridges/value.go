package bridges

import "math"

// Value is a decoded value without an allocation: nothing, a bool, an exact
// integer, a float or a text.
type Value struct {
	kind valueKind
	bits uint64
	text string
}

type valueKind byte

const (
	noValue valueKind = iota
	boolValue
	intValue
	uintValue
	floatValue
	textValue
)

// Bool makes a value of a coil or a bit.
func Bool(b bool) Value {
	v := Value{kind: boolValue}
	if b {
		v.bits = 1
	}
	return v
}

// Int makes a signed integer.
func Int(i int64) Value { return Value{kind: intValue, bits: uint64(i)} }

// Uint makes an unsigned integer.
func Uint(u uint64) Value { return Value{kind: uintValue, bits: u} }

// Float makes a number; NaN and the infinities make none, for JSON has no word for them.
func Float(f float64) Value {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return Value{}
	}
	return Value{kind: floatValue, bits: math.Float64bits(f)}
}

// Text makes a text.
func Text(s string) Value { return Value{kind: textValue, text: s} }

// IsNone tells whether there is no value.
func (v Value) IsNone() bool { return v.kind == noValue }
