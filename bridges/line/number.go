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

// number gives the digits of a number as devices print it: spaces around it and
// between sign and digits ("+  12.34") are allowed; spaces between digits are not,
// for they may be two numbers. With a decimal comma there must be no point.
func number(text, decimal string) (digits string, ok bool) {
	text = strings.TrimSpace(text)
	sign := ""
	switch {
	case strings.HasPrefix(text, "-"):
		sign, text = "-", text[1:]
	case strings.HasPrefix(text, "+"):
		text = text[1:]
	}
	text = strings.TrimLeft(text, " \t\u00a0")
	if decimal == "," {
		if strings.Contains(text, ".") {
			return "", false
		}
		text = strings.Replace(text, ",", ".", 1)
	}
	return sign + text, isDecimal(text)
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

// value reads a group's text as the point's type; ok is false when it is none.
func (p *Point) value(text, decimal string) (v bridges.Value, ok bool) {
	switch p.Type {
	case "string":
		return bridges.Text(strings.TrimSpace(text)), true
	case "bool":
		return boolean(text)
	}
	digits, ok := number(text, decimal)
	if !ok {
		return bridges.Value{}, false
	}
	if p.Type == "float64" {
		f, err := strconv.ParseFloat(digits, 64)
		if err != nil {
			return bridges.Value{}, false
		}
		return p.scaled(f), true
	}
	if i, err := strconv.ParseInt(digits, 10, 64); err == nil {
		if p.isPlain() {
			return bridges.Int(i), true
		}
		return p.scaled(float64(i)), true
	}
	u, err := strconv.ParseUint(digits, 10, 64)
	if err != nil {
		return bridges.Value{}, false
	}
	if p.isPlain() {
		return bridges.Uint(u), true
	}
	return p.scaled(float64(u)), true
}

func (p *Point) isPlain() bool { return p.Scale == 1 && p.Offset == 0 }

// scaled applies scale, offset and precision. Without a precision, 15 significant
// digits keep the noise of binary fractions out of the payload.
func (p *Point) scaled(f float64) bridges.Value {
	if !p.isPlain() {
		f = f*p.Scale + p.Offset
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

func boolean(text string) (bridges.Value, bool) {
	switch strings.ToLower(strings.TrimSpace(text)) {
	case "1", "true", "on", "yes", "high", "closed":
		return bridges.Bool(true), true
	case "0", "false", "off", "no", "low", "open":
		return bridges.Bool(false), true
	}
	return bridges.Value{}, false
}
