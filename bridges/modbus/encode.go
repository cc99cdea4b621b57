package modbus

import (
	"encoding/hex"
	"fmt"
	"math"
	"strconv"

	"fieldgate/bridges"
)

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

// encodeBit reads a value for a single bit: true, false, 1, 0 or a label.
func (p *Point) encodeBit(v bridges.Value) (bool, *refusal) {
	if on, ok := v.AsBool(); ok {
		return on, nil
	}
	v, wrong := p.unlabelled(v)
	if wrong != nil {
		return false, wrong
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

// unlabelled gives the number that a label stands for; other values come back as they are.
func (p *Point) unlabelled(v bridges.Value) (bridges.Value, *refusal) {
	text, isText := v.AsText()
	if !isText || len(p.Enum) == 0 {
		return v, nil
	}
	n, known := p.Enum.Number(text)
	if !known {
		return v, refuse(codeOutOfRange, "must be one of: %s", p.Enum.List())
	}
	return bridges.Int(n), nil
}

// encode gives the registers for a value, within the limits of the point and of its type.
func (p *Point) encode(v bridges.Value) ([]byte, *refusal) {
	switch p.Type {
	case TypeString, TypeRaw:
		return p.encodeText(v)
	case TypeBool:
		on, wrong := p.encodeBit(v)
		if wrong != nil || !on {
			return p.registerBytes(0), wrong
		}
		return p.registerBytes(1), nil
	}
	if _, isBool := v.AsBool(); isBool {
		return nil, refuse(codeNotANumber, "must be a number, not true or false")
	}
	v, wrong := p.unlabelled(v)
	if wrong != nil {
		return nil, wrong
	}
	f, ok := v.Number()
	if !ok {
		return nil, refuse(codeNotANumber, "must be a number")
	}
	if wrong := p.Write.limit(f); wrong != nil {
		return nil, wrong
	}
	raw, wrong := p.unscaled(f)
	if wrong != nil {
		return nil, wrong
	}
	if p.Type.float() {
		return p.encodeFloat(raw)
	}
	n, wrong := p.encodeInteger(v, raw)
	if wrong != nil {
		return nil, wrong
	}
	return p.registerBytes(n), nil
}

// unscaled is the inverse of scaled.
func (p *Point) unscaled(f float64) (float64, *refusal) {
	raw := (f - p.Offset) / p.Scale
	if p.from == nil {
		return raw, nil
	}
	if !p.from.state.known {
		return 0, refuse(codeNoScale, "the power of ten, which the point %s holds, is not known yet", p.from.ID)
	}
	power := int(p.from.state.power)
	if power < 0 {
		return raw * math.Pow10(-power), nil
	}
	return raw / math.Pow10(power), nil
}

func (p *Point) encodeFloat(raw float64) ([]byte, *refusal) {
	tooWide := refuse(codeOutOfRange, "does not fit into %s", p.Type)
	switch p.Type {
	case TypeFloat16:
		half := toFloat16(raw)
		if math.IsInf(float16(half), 0) {
			return nil, tooWide
		}
		return p.registerBytes(uint64(half)), nil
	case TypeFloat32:
		single := float32(raw)
		if math.IsInf(float64(single), 0) {
			return nil, tooWide
		}
		return p.registerBytes(uint64(math.Float32bits(single))), nil
	}
	return p.registerBytes(math.Float64bits(raw)), nil
}

// toFloat16 gives the nearest half-precision float, an infinity beyond them.
func toFloat16(f float64) uint16 {
	var sign uint16
	if math.Signbit(f) {
		sign, f = 1<<15, -f
	}
	switch {
	case f >= 65520:
		return sign | 0x7C00
	case f < math.Ldexp(1, -14):
		return sign | uint16(math.RoundToEven(math.Ldexp(f, 24)))
	}
	fraction, exponent := math.Frexp(f) // f = fraction * 2^exponent, fraction from 0.5 to 1
	mantissa := math.RoundToEven(math.Ldexp(fraction, 11))
	return sign | uint16((exponent+13)<<10) + uint16(mantissa) // the mantissa's highest bit carries into the exponent
}

// encodeText fills a string with NULs to its length; raw needs all its digits.
func (p *Point) encodeText(v bridges.Value) ([]byte, *refusal) {
	text, ok := v.AsText()
	if !ok {
		return nil, refuse(codeNotANumber, "must be a text")
	}
	b := make([]byte, 2*p.size())
	if p.Type == TypeRaw {
		digits, err := hex.DecodeString(text)
		if err != nil || len(digits) != len(b) {
			return nil, refuse(codeOutOfRange, "must be %d hexadecimal digits", 2*len(b))
		}
		return digits, nil
	}
	if len(text) > len(b) {
		return nil, refuse(codeOutOfRange, "must have at most %d bytes", len(b))
	}
	copy(b, text)
	if p.swapped() {
		for i := 0; i < len(b); i += 2 {
			b[i], b[i+1] = b[i+1], b[i]
		}
	}
	return b, nil
}

// encodeInteger keeps an unscaled integer exact; what would lose more than float
// noise by rounding is refused. raw is the value without scale and offset.
func (p *Point) encodeInteger(v bridges.Value, raw float64) (uint64, *refusal) {
	tooWide := refuse(codeOutOfRange, "does not fit into %s", p.Type)
	low, high := p.limits()
	var n uint64
	if p.exact() && p.from == nil && v.IsInt() {
		i, fits := v.Int64()
		u, positive := v.Uint64()
		switch {
		case fits && i < 0 && i >= low:
			n = uint64(i)
		case positive && u <= high:
			n = u
		default:
			return 0, tooWide
		}
	} else {
		whole := math.Round(raw)
		if math.Abs(raw-whole) > 1e-6*math.Max(1, math.Abs(raw)) {
			return 0, refuse(codeOutOfRange, "must be a multiple of %s", p.resolution())
		}
		if whole < float64(low) || whole >= float64(high)+1 {
			return 0, tooWide
		}
		n = uint64(whole)
		if whole < 0 {
			n = uint64(int64(whole))
		}
	}
	if p.Type.bcd() {
		return toBCD(n), nil
	}
	return n & (math.MaxUint64 >> (64 - p.width())), nil
}

// limits are the lowest and the highest integer of the type.
func (p *Point) limits() (low int64, high uint64) {
	switch {
	case p.Type == TypeBCD16:
		return 0, 9999
	case p.Type == TypeBCD32:
		return 0, 99_999_999
	case p.signed():
		return math.MinInt64 >> (64 - p.width()), math.MaxInt64 >> (64 - p.width())
	}
	return 0, math.MaxUint64 >> (64 - p.width())
}

// resolution is the smallest step of an integer point, for a person.
func (p *Point) resolution() string {
	step := math.Abs(p.Scale)
	if p.from != nil {
		step *= math.Pow10(int(p.from.state.power))
	}
	return strconv.FormatFloat(step, 'g', 6, 64)
}

func toBCD(decimal uint64) uint64 {
	var n uint64
	for shift := 0; decimal > 0; shift += 4 {
		n |= decimal % 10 << shift
		decimal /= 10
	}
	return n
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
