package bridges

import (
	"math"
	"strconv"
	"strings"
	"unicode/utf8"

	"fieldgate/internal/fault"
)

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
	float32Value
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

// Float32 makes a number of single precision; it is written with the digits that
// single precision has (230.1, not 230.10000610351562). NaN and the infinities make none.
func Float32(f float32) Value {
	if v := Float(float64(f)); v.IsNone() {
		return v
	}
	return Value{kind: float32Value, bits: uint64(math.Float32bits(f))}
}

// Text makes a text.
func Text(s string) Value { return Value{kind: textValue, text: s} }

// IsNone tells whether there is no value.
func (v Value) IsNone() bool { return v.kind == noValue }

// AsBool gives the bool; ok is false for other values.
func (v Value) AsBool() (value, ok bool) { return v.bits == 1, v.kind == boolValue }

// AsText gives the text; ok is false for other values.
func (v Value) AsText() (text string, ok bool) { return v.text, v.kind == textValue }

// IsInt tells whether the value is an exact integer.
func (v Value) IsInt() bool { return v.kind == intValue || v.kind == uintValue }

// Int64 gives an integer exactly; ok is false for what is no integer or beyond int64.
func (v Value) Int64() (i int64, ok bool) {
	return int64(v.bits), v.kind == intValue || v.kind == uintValue && v.bits <= math.MaxInt64
}

// Uint64 gives an integer exactly; ok is false for what is no integer, negative or beyond uint64.
func (v Value) Uint64() (u uint64, ok bool) {
	return v.bits, v.kind == uintValue || v.kind == intValue && int64(v.bits) >= 0
}

// Number gives the value as a float, rounded when an integer has more than 53
// bits; ok is false for what is no number. true is 1 and false is 0.
func (v Value) Number() (f float64, ok bool) {
	switch v.kind {
	case boolValue, uintValue:
		return float64(v.bits), true
	case intValue:
		return float64(int64(v.bits)), true
	case floatValue:
		return math.Float64frombits(v.bits), true
	case float32Value:
		return float64(math.Float32frombits(uint32(v.bits))), true
	}
	return 0, false
}

// Rounded gives a float with that many decimals, 0 to 15; other values come back as they are.
func (v Value) Rounded(decimals int) Value {
	if v.kind != floatValue && v.kind != float32Value {
		return v
	}
	f, _ := v.Number()
	var room [400]byte
	digits := strconv.AppendFloat(room[:0], f, 'f', min(max(decimals, 0), 15), 64)
	rounded, err := strconv.ParseFloat(string(digits), 64)
	if err != nil {
		return v
	}
	return Float(rounded + 0) // + 0 makes 0 of -0
}

// Equal tells whether both are the same value: integers and floats by their
// number, exactly, all else by its kind too.
func (v Value) Equal(w Value) bool {
	switch {
	case v.IsInt() && w.IsInt():
		return v.bits == w.bits && (v.kind == w.kind || int64(v.bits) >= 0)
	case v.isFloat() && w.isFloat():
		a, _ := v.Number()
		b, _ := w.Number()
		return a == b
	case v.isFloat() && w.IsInt():
		return w.Equal(v)
	case v.IsInt() && w.isFloat():
		a, _ := v.Number()
		b, _ := w.Number()
		return a == b && v.exact(a)
	}
	return v == w
}

func (v Value) isFloat() bool { return v.kind == floatValue || v.kind == float32Value }

// exact tells whether the float is the integer v without rounding.
func (v Value) exact(f float64) bool {
	if v.kind == intValue {
		return f < 1<<63 && int64(f) == int64(v.bits)
	}
	return f < 1<<64 && uint64(f) == v.bits
}

// String gives the value for a person and for plain payloads: as in JSON, a text
// without quotes, nothing for none.
func (v Value) String() string {
	switch v.kind {
	case noValue:
		return ""
	case textValue:
		return v.text
	}
	return string(v.AppendJSON(nil))
}

// AppendJSON appends the value as JSON, null for none. Integers are exact; a
// float has the fewest digits that read back as the same number, without an
// exponent from 1e-9 to 1e21.
func (v Value) AppendJSON(b []byte) []byte {
	switch v.kind {
	case boolValue:
		return strconv.AppendBool(b, v.bits == 1)
	case intValue:
		return strconv.AppendInt(b, int64(v.bits), 10)
	case uintValue:
		return strconv.AppendUint(b, v.bits, 10)
	case floatValue:
		return appendFloat(b, math.Float64frombits(v.bits), 64)
	case float32Value:
		return appendFloat(b, float64(math.Float32frombits(uint32(v.bits))), 32)
	case textValue:
		return appendText(b, v.text)
	}
	return append(b, "null"...)
}

// MarshalJSON is AppendJSON for encoding/json.
func (v Value) MarshalJSON() ([]byte, error) { return v.AppendJSON(nil), nil }

// UnmarshalJSON reads null, a bool, a number or a text. A whole number stays an
// exact integer when it fits into 64 bits.
func (v *Value) UnmarshalJSON(data []byte) error {
	read, err := ParseValue(data)
	if err != nil {
		return err
	}
	*v = read
	return nil
}

// ParseValue reads a value from JSON as UnmarshalJSON does.
func ParseValue(data []byte) (Value, error) {
	n, err := parseTree(data)
	if err != nil {
		return Value{}, err
	}
	switch n.kind {
	case nullNode:
		return Value{}, nil
	case boolNode:
		return Bool(n.raw[0] == 't'), nil
	case textNode:
		return Text(unquote(n.raw)), nil
	case numberNode:
		return parseNumber(string(n.raw))
	}
	return Value{}, fault.New(fault.Invalid, "must be a number, true, false or text, not %s", n.kind.words())
}

func parseNumber(number string) (Value, error) {
	if !strings.ContainsAny(number, ".eE") {
		if i, err := strconv.ParseInt(number, 10, 64); err == nil {
			return Int(i), nil
		}
		if u, err := strconv.ParseUint(number, 10, 64); err == nil {
			return Uint(u), nil
		}
	}
	f, err := strconv.ParseFloat(number, 64)
	if err != nil {
		return Value{}, fault.New(fault.OutOfRange, "is too large a number")
	}
	return Float(f), nil
}

func appendFloat(b []byte, f float64, bits int) []byte {
	if f == 0 {
		return append(b, '0') // -0 too: no reader of a meter wants it
	}
	if size := math.Abs(f); size >= 1e-9 && size < 1e21 {
		return strconv.AppendFloat(b, f, 'f', -1, bits)
	}
	return strconv.AppendFloat(b, f, 'e', -1, bits)
}

// appendText appends a JSON string; bytes that are no UTF-8 become U+FFFD.
func appendText(b []byte, s string) []byte {
	const hex = "0123456789abcdef"
	b = append(b, '"')
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= ' ' && c != '"' && c != '\\' && c < utf8.RuneSelf {
			i++
			continue
		}
		if c < utf8.RuneSelf {
			b = append(b, s[start:i]...)
			switch c {
			case '"', '\\':
				b = append(b, '\\', c)
			case '\n':
				b = append(b, '\\', 'n')
			case '\r':
				b = append(b, '\\', 'r')
			case '\t':
				b = append(b, '\\', 't')
			default:
				b = append(b, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
			}
			i++
			start = i
			continue
		}
		r, size := utf8.DecodeRuneInString(s[i:])
		if r == utf8.RuneError && size == 1 {
			b = append(b, s[start:i]...)
			b = append(b, "\ufffd"...)
			start = i + size
		}
		i += size
	}
	b = append(b, s[start:]...)
	return append(b, '"')
}
