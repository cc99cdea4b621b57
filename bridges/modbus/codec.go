package modbus

import (
	"encoding/binary"
	"encoding/hex"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"

	"fieldgate/bridges"
)

// Why a point has no value although its registers were read; Error of a reading, beside codeNotANumber.
const (
	codeNoValue = "no_value" // the registers hold one of the invalid values
	codeNoScale = "no_scale" // the point that holds the power of ten has no value
)

// state is what a point remembers of its last decode. Only the run's goroutine touches it.
type state struct {
	why   string // it has no value: a code for the reading
	text  *madeText
	power int8 // of ten, when another point is scaled by this one
	known bool // power is
	none  bool // its registers hold no value, which was told
}

// madeText is a text and what it was made of.
type madeText struct {
	raw  []byte
	text bridges.Value
}

// size is the quantity that the point takes in its table.
func (p *Point) size() int {
	switch n := p.Type.registers(); {
	case p.isBit():
		return 1
	case n > 0:
		return n
	}
	return max(p.Length, 1)
}

// number puts the bytes of up to four registers, as they came, into one number.
func (p *Point) number(b []byte) uint64 {
	var n uint64
	words := len(b) / 2
	for i := range words {
		at := i
		if p.Order == CDAB || p.Order == DCBA {
			at = words - 1 - i
		}
		word := binary.BigEndian.Uint16(b[2*at:])
		if p.swapped() {
			word = word<<8 | word>>8
		}
		n = n<<16 | uint64(word)
	}
	return n
}

// swapped tells whether the bytes of each register are exchanged.
func (p *Point) swapped() bool { return p.Order == BADC || p.Order == DCBA }

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
		if p.swapped() {
			word = word<<8 | word>>8
		}
		binary.BigEndian.PutUint16(b[2*at:], word)
	}
	return b
}

// decode gives the value of the point's registers. When it is none, state.why says
// why. Nothing is allocated, but for a text that is another than before.
func (p *Point) decode(b []byte) bridges.Value {
	p.state.why = codeNotANumber
	switch p.Type {
	case TypeString, TypeRaw:
		return p.decodeText(b)
	case TypeBits:
		return p.decodeBits(b)
	}
	n := p.number(b)
	switch {
	case p.Bit != nil:
		return p.boolean(n>>*p.Bit&1 == 1)
	case p.Type == TypeBool:
		return p.boolean(n != 0)
	case p.Type.float():
		return p.decodeFloat(n)
	}
	return p.decodeInteger(n)
}

// boolean gives a bit, or its label.
func (p *Point) boolean(on bool) bridges.Value {
	if len(p.Enum) > 0 {
		n := int64(0)
		if on {
			n = 1
		}
		if label, ok := p.Enum.Label(n); ok {
			return bridges.Text(label)
		}
	}
	return bridges.Bool(on)
}

func (p *Point) decodeFloat(n uint64) bridges.Value {
	var f float64
	switch p.Type {
	case TypeFloat16:
		f = float16(uint16(n))
	case TypeFloat32:
		single := math.Float32frombits(uint32(n))
		f = float64(single)
		if p.from == nil && p.exact() && p.decimals < 0 && !p.Invalid.HasNumber(f) {
			return bridges.Float32(single)
		}
	default:
		f = math.Float64frombits(n)
	}
	if p.Invalid.HasNumber(f) {
		return p.without(codeNoValue)
	}
	return p.scaled(f)
}

// decodeInteger keeps an unscaled integer exact.
func (p *Point) decodeInteger(n uint64) bridges.Value {
	n &= math.MaxUint64 >> (64 - p.width())
	if p.Invalid.HasRaw(n, p.width()) {
		p.state.known = false
		return p.without(codeNoValue)
	}
	if p.Type.bcd() {
		decimal, ok := fromBCD(n)
		if !ok {
			return bridges.Value{}
		}
		n = decimal
	}
	i := int64(n)
	if p.signed() {
		i = p.extend(n)
	}
	p.state.power, p.state.known = int8(i), i >= -maxPower && i <= maxPower && (p.signed() || n <= maxPower)
	if len(p.Enum) > 0 {
		if label, ok := p.Enum.Label(i); ok {
			return bridges.Text(label)
		}
	}
	switch {
	case p.from == nil && p.exact() && p.signed():
		return bridges.Int(i)
	case p.from == nil && p.exact():
		return bridges.Uint(n)
	case p.signed():
		return p.scaled(float64(i))
	}
	return p.scaled(float64(n))
}

// maxPower is the largest power of ten that scales a point, positive or negative [SunSpec Information Model Specification 4.2.8: sunssf].
const maxPower = 10

func (p *Point) without(why string) bridges.Value {
	p.state.why = why
	return bridges.Value{}
}

func (p *Point) signed() bool { return p.Type.signed() }

// width is the number of bits of an integer or float.
func (p *Point) width() int {
	if p.Type == TypeInt8 || p.Type == TypeUint8 {
		return 8
	}
	return 16 * p.size()
}

func (p *Point) extend(n uint64) int64 {
	unused := 64 - p.width()
	return int64(n<<unused) >> unused
}

// scaled applies scale, the power of ten of another point, and offset.
func (p *Point) scaled(f float64) bridges.Value {
	if p.from == nil {
		return bridges.Float(round(f*p.Scale+p.Offset, int(p.decimals)))
	}
	if !p.from.state.known {
		return p.without(codeNoScale)
	}
	power, digits := int(p.from.state.power), int(p.decimals)
	if digits < 0 && p.Type.integer() {
		digits = min(max(decimals(p.Scale)-power, decimals(p.Offset), 0), maxDecimals)
	}
	if power < 0 {
		f /= math.Pow10(-power) // exact where a product with 10^-n is not
	} else {
		f *= math.Pow10(power)
	}
	return bridges.Float(round(f*p.Scale+p.Offset, digits))
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
	var room [400]byte
	text := strconv.AppendFloat(room[:0], f, 'f', -1, 64)
	for i, c := range text {
		if c == '.' {
			return len(text) - i - 1
		}
	}
	return 0
}

// fromBCD reads decimal digits of 4 bits each.
func fromBCD(n uint64) (decimal uint64, ok bool) {
	for shift := 60; shift >= 0; shift -= 4 {
		digit := n >> shift & 0xF
		if digit > 9 {
			return 0, false
		}
		decimal = decimal*10 + digit
	}
	return decimal, true
}

// float16 gives the value of a half-precision float [IEEE 754-2008 binary16].
func float16(h uint16) float64 {
	sign := 1.0
	if h>>15 == 1 {
		sign = -1
	}
	exponent, fraction := int(h>>10&0x1F), float64(h&0x3FF)
	switch exponent {
	case 0:
		return sign * math.Ldexp(fraction, -24)
	case 0x1F:
		if fraction != 0 {
			return math.NaN()
		}
		return math.Inf(int(sign))
	}
	return sign * math.Ldexp(1024+fraction, exponent-25)
}

// decodeText gives characters or hexadecimal digits; what did not change is not made anew.
func (p *Point) decodeText(b []byte) bridges.Value {
	made := p.state.text
	if !made.isOf(b) {
		made = p.made(b, p.makeText(b))
	}
	if text, _ := made.text.AsText(); p.Invalid.HasText(text) {
		return p.without(codeNoValue)
	}
	return made.text
}

// isOf tells whether the text was made of these registers; m may be nil.
func (m *madeText) isOf(b []byte) bool { return m != nil && string(m.raw) == string(b) }

// made keeps the text that was made of the registers.
func (p *Point) made(b []byte, text string) *madeText {
	if p.state.text == nil {
		p.state.text = &madeText{}
	}
	m := p.state.text
	m.raw, m.text = append(m.raw[:0], b...), bridges.Text(text)
	return m
}

func (p *Point) makeText(b []byte) string {
	if p.Type == TypeRaw {
		return hex.EncodeToString(b)
	}
	text := make([]byte, 0, len(b))
	for i := range b {
		c := b[i]
		if p.swapped() {
			c = b[i^1]
		}
		if c == 0 {
			break
		}
		text = append(text, c)
	}
	if utf8.Valid(text) {
		return strings.TrimSpace(string(text))
	}
	latin := make([]rune, len(text))
	for i, c := range text {
		latin[i] = rune(c)
	}
	return strings.TrimSpace(string(latin))
}

// decodeBits names the bits that are set, lowest first, with commas between them; one without a name is "bit 5".
func (p *Point) decodeBits(b []byte) bridges.Value {
	if p.state.text.isOf(b) {
		return p.state.text.text
	}
	n := p.number(b)
	if p.Invalid.HasRaw(n, p.width()) {
		return p.without(codeNoValue)
	}
	var names []string
	for bit := range p.width() {
		if n>>bit&1 == 0 {
			continue
		}
		name, ok := p.Enum.Label(int64(bit))
		if !ok {
			name = "bit " + strconv.Itoa(bit)
		}
		names = append(names, name)
	}
	return p.made(b, strings.Join(names, ", ")).text
}
