package line

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"fieldgate/bridges"
)

// Checksum says how the far side proves that a frame is whole. Positions count the
// bytes of the frame with its marks; negative ones count from its end, -1 is the last byte.
type Checksum struct {
	Type   string `json:"type"`
	Format string `json:"format"` // binary, hex, decimal (3 or 5 digits); how it is written
	Order  string `json:"order"`  // big, little: of two binary bytes, or of two pairs of hex digits
	At     *int   `json:"at"`     // where it begins; default: the last bytes of the frame
	From   *int   `json:"from"`   // first byte that it covers; default: the first behind the start mark
	To     *int   `json:"to"`     // first byte that it does not cover any more; default: where it begins
}

// SetDefaults fills in the format; the order follows the type.
func (c *Checksum) SetDefaults() { c.Format = "binary" }

// The types of checksums. lrc is the two's complement of sum8; the CRCs differ in
// polynomial, start value and bit order.
var checksumTypes = []string{
	"none", "nmea", "xor", "sum8", "lrc", "sum16", "crc16_modbus", "crc16_ccitt", "crc16_xmodem", "crc16_kermit",
}

func (c *Checksum) check(f *bridges.Faults, at string) {
	f.OneOf(at+"/type", c.Type, checksumTypes...)
	f.OneOf(at+"/format", c.Format, "binary", "hex", "decimal")
	if c.Order == "" {
		c.Order = "big"
		if c.Type == "crc16_modbus" || c.Type == "crc16_kermit" {
			c.Order = "little"
		}
	}
	f.OneOf(at+"/order", c.Order, "big", "little")
	for _, p := range []struct {
		field string
		n     *int
	}{{"/at", c.At}, {"/from", c.From}, {"/to", c.To}} {
		if p.n != nil {
			bridges.CheckRange(f, at+p.field, *p.n, -maxFrame, maxFrame)
			if c.Type == "nmea" {
				f.Add(at+p.field, bridges.Invalid, "has no meaning for nmea, where the characters $, ! and * say it")
			}
		}
	}
}

// wide tells whether the sum has two bytes.
func (c *Checksum) wide() bool { return c.Type == "sum16" || strings.HasPrefix(c.Type, "crc16") }

// size is how many bytes of the frame the checksum takes.
func (c *Checksum) size() int {
	n := 1
	if c.wide() {
		n = 2
	}
	switch c.Format {
	case "hex":
		n *= 2
	case "decimal":
		n = 2*n + 1
	}
	return n
}

// verify tells whether the checksum of the frame is right, and gives the body
// without it when it stands at the body's end.
func (c *Checksum) verify(f Frame) (body []byte, ok bool) {
	switch c.Type {
	case "none", "":
		return f.Body(), true
	case "nmea":
		return verifyNMEA(f.Body())
	}
	size := c.size()
	at := place(c.At, len(f.Bytes), len(f.Bytes)-size)
	from := place(c.From, len(f.Bytes), f.Head)
	to := place(c.To, len(f.Bytes), at)
	if at < 0 || at+size > len(f.Bytes) || from < 0 || from > to || to > len(f.Bytes) {
		return nil, false
	}
	got, ok := c.read(f.Bytes[at : at+size])
	if !ok || got != c.sum(f.Bytes[from:to]) {
		return nil, false
	}
	end := len(f.Bytes) - f.Tail
	if at+size == end && at >= f.Head {
		end = at
	}
	return f.Bytes[f.Head:end], true
}

// place gives a position in a frame of that length.
func place(p *int, length, other int) int {
	switch {
	case p == nil:
		return other
	case *p < 0:
		return length + *p
	}
	return *p
}

// read reads the checksum as it stands in the frame.
func (c *Checksum) read(text []byte) (uint16, bool) {
	switch c.Format {
	case "decimal":
		if !isDigits(string(text)) {
			return 0, false
		}
		n, err := strconv.ParseUint(string(text), 10, 16)
		return uint16(n), err == nil
	case "hex":
		raw := make([]byte, len(text)/2)
		if _, err := hex.Decode(raw, text); err != nil {
			return 0, false
		}
		text = raw
	}
	switch {
	case len(text) == 1:
		return uint16(text[0]), true
	case c.Order == "little":
		return binary.LittleEndian.Uint16(text), true
	}
	return binary.BigEndian.Uint16(text), true
}

// write writes the checksum as it stands in a frame.
func (c *Checksum) write(sum uint16) []byte {
	if c.Format == "decimal" {
		return fmt.Appendf(nil, "%0*d", c.size(), sum)
	}
	raw := []byte{byte(sum)}
	if c.wide() {
		raw = binary.BigEndian.AppendUint16(nil, sum)
		if c.Order == "little" {
			slices.Reverse(raw)
		}
	}
	if c.Format == "hex" {
		return []byte(strings.ToUpper(hex.EncodeToString(raw)))
	}
	return raw
}

// appendTo appends to a request the checksum of what stands there: behind the
// first byte for nmea, from From on otherwise.
func (c *Checksum) appendTo(request []byte, head int) []byte {
	if c.Type == "nmea" {
		sum := xor(strings.TrimSuffix(strings.TrimLeft(string(request), "$!"), "*"))
		return fmt.Appendf(request, "%02X", sum)
	}
	from := min(max(0, place(c.From, len(request), head)), len(request))
	return append(request, c.write(c.sum(request[from:]))...)
}

func (c *Checksum) sum(data []byte) uint16 {
	switch c.Type {
	case "xor":
		return uint16(xor(data))
	case "sum8":
		return add(data) & 0xff
	case "lrc":
		return -add(data) & 0xff
	case "sum16":
		return add(data)
	case "crc16_modbus":
		return crcReflected(0xffff, 0xa001, data)
	case "crc16_kermit":
		return crcReflected(0, 0x8408, data)
	case "crc16_ccitt":
		return crcStraight(0xffff, 0x1021, data)
	case "crc16_xmodem":
		return crcStraight(0, 0x1021, data)
	}
	return 0
}

func xor[T string | []byte](data T) byte {
	var x byte
	for i := range len(data) {
		x ^= data[i]
	}
	return x
}

func add(data []byte) uint16 {
	var n uint16
	for _, c := range data {
		n += uint16(c)
	}
	return n
}

// crcReflected takes the lowest bit first.
func crcReflected(crc, polynomial uint16, data []byte) uint16 {
	for _, c := range data {
		crc ^= uint16(c)
		for range 8 {
			crc = crc>>1 ^ polynomial*(crc&1)
		}
	}
	return crc
}

// crcStraight takes the highest bit first.
func crcStraight(crc, polynomial uint16, data []byte) uint16 {
	for _, c := range data {
		crc ^= uint16(c) << 8
		for range 8 {
			crc = crc<<1 ^ polynomial*(crc>>15)
		}
	}
	return crc
}

// verifyNMEA checks "$...*47" or "!...*47" and gives what stands between. Spaces
// and line ends around it do not count.
func verifyNMEA(line []byte) (body []byte, ok bool) {
	text := strings.Trim(string(line), " \r\n\x00")
	if len(text) < 4 || text[0] != '$' && text[0] != '!' || text[len(text)-3] != '*' {
		return nil, false
	}
	want, err := strconv.ParseUint(text[len(text)-2:], 16, 8)
	body = []byte(text[1 : len(text)-3])
	return body, err == nil && byte(want) == xor(body) && !slices.ContainsFunc(body, func(c byte) bool { return c < ' ' || c == '$' || c == '*' })
}
