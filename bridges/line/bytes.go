package line

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Bytes is a sequence of bytes in the settings. As text it knows the escapes
// \r \n \t \0 \e \\ \xHH, and the characters U+0080 to U+00FF stand for the byte of
// their number (YAML's "\xAA" is one of these); "hex: AA 55" gives the bytes as digits.
type Bytes string

// UnmarshalText reads the form that a person writes.
func (b *Bytes) UnmarshalText(text []byte) error {
	s, err := readBytes(string(text))
	*b = Bytes(s)
	return err
}

// MarshalText writes what UnmarshalText reads.
func (b Bytes) MarshalText() ([]byte, error) {
	var out []byte
	for _, c := range []byte(b) {
		switch {
		case c == '\\':
			out = append(out, '\\', '\\')
		case c >= ' ' && c < 0x7f:
			out = append(out, c)
		default:
			out = fmt.Appendf(out, `\x%02X`, c)
		}
	}
	return out, nil
}

func readBytes(text string) (string, error) {
	if digits, ok := strings.CutPrefix(text, "hex:"); ok {
		b, err := hex.DecodeString(strings.Join(strings.Fields(digits), ""))
		if err != nil {
			return "", errors.New("after hex: must be pairs of the digits 0-9 and A-F, such as hex: AA 55 0D")
		}
		return string(b), nil
	}
	var out []byte
	for rest := text; rest != ""; {
		c, size, err := readByte(rest)
		if err != nil {
			return "", err
		}
		out = append(out, c)
		rest = rest[size:]
	}
	return string(out), nil
}

// readByte reads one byte from the beginning of a text that is not empty.
func readByte(text string) (c byte, size int, err error) {
	if r, size := utf8.DecodeRuneInString(text); r != '\\' {
		if r > 0xff {
			return 0, 0, fmt.Errorf(`has the character %q, which is no single byte; write its bytes as \xHH`, r)
		}
		return byte(r), size, nil
	}
	if len(text) < 2 {
		return 0, 0, errors.New(`ends with a lone backslash; write \\ for one`)
	}
	if i := strings.IndexByte(`rnt0e\`, text[1]); i >= 0 {
		return "\r\n\t\x00\x1b\\"[i], 2, nil
	}
	if text[1] == 'x' && len(text) >= 4 {
		if n, err := strconv.ParseUint(text[2:4], 16, 8); err == nil {
			return byte(n), 4, nil
		}
	}
	return 0, 0, fmt.Errorf(`has an escape that is unknown: %s; known are \r \n \t \0 \e \\ and \xHH`, text[:min(2, len(text))])
}

// controlName gives the name of a control character, as manuals print it.
func controlName(c byte) string {
	const names = "NUL SOH STX ETX EOT ENQ ACK BEL BS TAB LF VT FF CR SO SI DLE DC1 DC2 DC3 DC4 NAK SYN ETB CAN EM SUB ESC FS GS RS US"
	switch {
	case c < ' ':
		return "<" + strings.Fields(names)[c] + ">"
	case c == 0x7f:
		return "<DEL>"
	}
	return ""
}

// Visible shows bytes to a person: control characters by their names (<STX>, <CR>),
// text as it is, all else as <hex>; cut after most bytes.
func Visible(data []byte, most int) string {
	cut := max(0, len(data)-most)
	var b strings.Builder
	for i, r := range decodeText(data[:len(data)-cut]) {
		switch {
		case r < 0x80 && controlName(byte(r)) != "":
			b.WriteString(controlName(byte(r)))
		case strconv.IsGraphic(r) && r != '\ufffd':
			b.WriteRune(r)
		case r <= 0xff:
			fmt.Fprintf(&b, "<%02X>", r)
		default:
			fmt.Fprintf(&b, "<%02X>", data[i])
		}
	}
	if cut > 0 {
		fmt.Fprintf(&b, " and %d bytes more", cut)
	}
	return b.String()
}
