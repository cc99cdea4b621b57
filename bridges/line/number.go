package line

import (
	"strconv"
	"strings"
	"unicode/utf8"

	"fieldgate/bridges"
)

// decodeText gives a line as text: UTF-8, or Latin-1 when it is none, as many
// devices send their degree sign.
func decodeText(line []byte) string {
	if utf8.Valid(line) {
		return string(line)
	}
	runes := make([]rune, len(line))
	for i, b := range line {
		runes[i] = rune(b)
	}
	return string(runes)
}

// The codes of a value that is none, beside those of every kind.
const (
	codeOverload   = "overload"     // the device says that the value is out of its range
	codeEmpty      = "empty"        // the field is there, but nothing stands in it
	codeUnit       = "unit"         // the number has a unit that the settings do not know
	codeInvalid    = "invalid"      // one of the point's invalid values
	codeEnum       = "unknown"      // no label for it
	codeNoFix      = "no_fix"       // the receiver does not vouch for it
	codeNotANumber = "not_a_number" // NaN, infinity, or no BCD
)

// Numerals says how a device writes numbers.
type Numerals struct {
	Decimal   string // "." or ","
	Thousands string // between groups of three digits; empty for none
}

// Digits gives the digits of a number as devices print it: spaces around it and
// between sign and digits ("+  12.34") are allowed; spaces between digits are not,
// for they may be two numbers, unless they are the thousands separator.
func (n Numerals) Digits(text string) (digits string, ok bool) {
	text = strings.TrimSpace(text)
	sign := ""
	switch {
	case strings.HasPrefix(text, "-"):
		sign, text = "-", text[1:]
	case strings.HasPrefix(text, "\u2212"):
		sign, text = "-", text[len("\u2212"):]
	case strings.HasPrefix(text, "+"):
		text = text[1:]
	}
	text = strings.TrimLeft(text, " \t\u00a0")
	whole, fraction, has := strings.Cut(text, n.Decimal)
	if n.Thousands != "" {
		if whole, ok = ungroup(whole, n.Thousands); !ok {
			return "", false
		}
	}
	if n.Decimal != "." && strings.Contains(whole+fraction, ".") {
		return "", false
	}
	if text = whole; has {
		text += "." + fraction
	}
	return sign + text, isDecimal(text)
}

// ungroup takes the separators out of 1,234,567; they must stand between groups of three.
func ungroup(whole, separator string) (string, bool) {
	groups := strings.Split(whole, separator)
	for i, g := range groups {
		if len(groups) > 1 && (!isDigits(g) || len(g) > 3 || i > 0 && len(g) != 3) {
			return "", false
		}
	}
	return strings.Join(groups, ""), true
}

// isOverload tells whether a text in place of a number says that the value is out
// of range: OL, O.L, ------, ^^^^^, or one of the others.
func isOverload(text string, others []string) bool {
	text = strings.ToUpper(strings.TrimSpace(text))
	for _, o := range others {
		if strings.EqualFold(text, o) {
			return true
		}
	}
	switch strings.NewReplacer(".", "", " ", "").Replace(strings.TrimLeft(text, "+- ")) {
	case "OL", "0L", "UL", "OVER", "OVERLOAD", "OVLD", "OFL", "UNDER":
		return true
	}
	marks := strings.ReplaceAll(text, ".", "")
	return len(marks) > 1 && strings.Trim(marks, marks[:1]) == "" && strings.Contains("-_^=*?", marks[:1])
}

// isDecimal tells whether the text is digits with at most one point and an exponent.
func isDecimal(text string) bool {
	mantissa, exponent, has := text, "", false
	if i := strings.IndexAny(text, "eE"); i >= 0 {
		mantissa, exponent, has = text[:i], text[i+1:], true
	}
	if has && !isDigits(strings.TrimLeft(exponent[:min(1, len(exponent))], "+-")+exponent[min(1, len(exponent)):]) {
		return false
	}
	whole, fraction, _ := strings.Cut(mantissa, ".")
	return isDigits(whole + fraction)
}

func isDigits(text string) bool {
	for _, c := range []byte(text) {
		if c < '0' || c > '9' {
			return false
		}
	}
	return text != ""
}

// read gives the point's value in a frame, or a code that says why there is none.
func (p *Point) read(cells []cell, form *Parse) (bridges.Value, string) {
	c := cells[p.index]
	if c.code != "" {
		return bridges.Value{}, c.code
	}
	if p.isInvalid(c) {
		return bridges.Value{}, codeInvalid
	}
	if p.Enum != nil {
		label, ok := p.Enum[c.key()]
		if !ok {
			return bridges.Value{}, codeEnum
		}
		return bridges.Text(label), ""
	}
	if !c.value.IsNone() {
		return p.convert(c)
	}
	switch p.Type {
	case "string", "raw":
		return bridges.Text(strings.TrimSpace(c.text)), ""
	case "bool":
		return boolean(c.text)
	}
	return p.number(c.text, cells, form)
}

// key is what enum and invalid are asked for.
func (c cell) key() string {
	if c.value.IsNone() {
		return strings.TrimSpace(c.text)
	}
	return c.value.String()
}

func (p *Point) isInvalid(c cell) bool {
	for _, none := range p.Invalid {
		if text, ok := none.AsText(); ok && c.key() == text {
			return true
		}
		if want, ok := none.Number(); ok && !c.here {
			continue
		} else if got, err := strconv.ParseFloat(c.key(), 64); ok && err == nil && got == want {
			return true
		}
	}
	return false
}

// convert gives a value that came decoded in the point's type.
func (p *Point) convert(c cell) (bridges.Value, string) {
	switch p.Type {
	case "string", "raw":
		return bridges.Text(c.value.String()), ""
	case "bool":
		return boolean(c.value.String())
	}
	n, ok := c.value.Number()
	if _, isBool := c.value.AsBool(); !ok || isBool && p.Bit == nil {
		return bridges.Value{}, bridges.ErrParse
	}
	switch {
	case p.Bit != nil, c.value.IsInt() && p.isPlain() && p.Type != "float64":
		return c.value, ""
	case p.Type == "int64" && !c.value.IsInt():
		return bridges.Value{}, bridges.ErrParse
	case p.isPlain() && p.Precision == nil && !c.value.IsInt():
		return c.value, "" // keeps the digits of single precision
	}
	return p.scaled(n, 1), ""
}

// number reads a number with its unit.
func (p *Point) number(text string, cells []cell, form *Parse) (bridges.Value, string) {
	text = strings.TrimSpace(text)
	if text == "" {
		return bridges.Value{}, codeEmpty
	}
	factor := 1.0
	switch {
	case p.unitIndex >= 0:
		u := cells[p.unitIndex]
		f, ok := p.Units[u.key()]
		if !u.here || !ok {
			return bridges.Value{}, codeUnit
		}
		factor = f
	case len(p.Units) > 0:
		rest, f, ok := cutUnit(text, p.Units)
		if !ok {
			if isOverload(text, form.Overload) {
				return bridges.Value{}, codeOverload
			}
			return bridges.Value{}, codeUnit
		}
		text, factor = rest, f
	case p.Unit != "":
		text = strings.TrimSuffix(text, p.Unit)
	}
	digits, ok := Numerals{form.Decimal, form.Thousands}.Digits(text)
	switch {
	case !ok && isOverload(text, form.Overload):
		return bridges.Value{}, codeOverload
	case !ok:
		return bridges.Value{}, bridges.ErrParse
	case p.Type == "int64" && factor == 1:
		return p.integer(digits)
	}
	f, err := strconv.ParseFloat(digits, 64)
	if err != nil {
		return bridges.Value{}, bridges.ErrParse
	}
	return p.scaled(f, factor), ""
}

// cutUnit takes the longest unit off the end of a number.
func cutUnit(text string, units map[string]float64) (rest string, factor float64, ok bool) {
	longest := -1
	for unit, f := range units {
		if cut, has := strings.CutSuffix(text, unit); has && len(unit) > longest {
			rest, factor, ok, longest = cut, f, true, len(unit)
		}
	}
	return strings.TrimSpace(rest), factor, ok
}

func (p *Point) integer(digits string) (bridges.Value, string) {
	if i, err := strconv.ParseInt(digits, 10, 64); err == nil {
		if p.isPlain() {
			return bridges.Int(i), ""
		}
		return p.scaled(float64(i), 1), ""
	}
	u, err := strconv.ParseUint(digits, 10, 64)
	if err != nil {
		return bridges.Value{}, bridges.ErrParse
	}
	if p.isPlain() {
		return bridges.Uint(u), ""
	}
	return p.scaled(float64(u), 1), ""
}

func (p *Point) isPlain() bool { return p.Scale == 1 && p.Offset == 0 }

// scaled applies the unit's factor, scale, offset and precision. Without a precision, 15 significant
// digits keep the noise of binary fractions out of the payload.
func (p *Point) scaled(f, factor float64) bridges.Value {
	if !p.isPlain() || factor != 1 {
		f = f*factor*p.Scale + p.Offset
		if p.Precision == nil {
			if tidy, err := strconv.ParseFloat(strconv.FormatFloat(f, 'g', 15, 64), 64); err == nil {
				f = tidy
			}
		}
	}
	v := bridges.Float(f)
	if p.Precision != nil {
		v = v.Rounded(*p.Precision)
	}
	return v
}

func boolean(text string) (bridges.Value, string) {
	switch strings.ToLower(strings.TrimSpace(text)) {
	case "1", "true", "on", "yes", "high", "closed":
		return bridges.Bool(true), ""
	case "0", "false", "off", "no", "low", "open":
		return bridges.Bool(false), ""
	}
	return bridges.Value{}, bridges.ErrParse
}
