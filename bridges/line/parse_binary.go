package line

import (
	"encoding/binary"
	"errors"
	"math"
	"slices"
	"strconv"
	"strings"

	"fieldgate/bridges"
)

// binaryParser takes values from their places in a frame.
type binaryParser struct {
	fields []binaryField
	least  int // bytes that a frame must have
}

type binaryField struct {
	at, size int
	typ      string
	order    string
	bit      *int
}

// widths are the sizes of the binary types in bytes; 0 is what length says.
var widths = map[string]int{
	"bool": 1, "int8": 1, "uint8": 1, "int16": 2, "uint16": 2, "int32": 4, "uint32": 4, "int64": 8, "uint64": 8,
	"float32": 4, "float64": 8, "bcd8": 1, "bcd16": 2, "bcd32": 4, "string": 0, "raw": 0,
}

func (b *binaryParser) bind(field string, p *Point) (int, error) {
	if p == nil {
		n, err := strconv.Atoi(field)
		if err != nil || n < 0 || n >= maxFrame {
			return 0, errors.New("must be the position of the byte that holds the address, from 0")
		}
		return b.add(binaryField{at: n, size: 1, typ: "uint8", order: "ABCD"}), nil
	}
	size := widths[p.Type]
	if size == 0 {
		size = p.Length
	}
	return b.add(binaryField{at: *p.At, size: size, typ: p.Type, order: p.Order, bit: p.Bit}), nil
}

func (b *binaryParser) add(f binaryField) int {
	b.fields = append(b.fields, f)
	b.least = max(b.least, f.at+f.size)
	return len(b.fields) - 1
}

func (b *binaryParser) parse(body []byte, cells []cell) bool {
	if len(body) < b.least {
		return false
	}
	for i, f := range b.fields {
		v := f.value(body[f.at : f.at+f.size])
		cells[i] = cell{here: true, value: v}
		if v.IsNone() {
			cells[i].code = codeNotANumber
		}
	}
	return true
}

// value decodes the bytes; none for NaN, infinity and what is no BCD.
func (f binaryField) value(data []byte) bridges.Value {
	switch f.typ {
	case "string":
		return bridges.Text(strings.TrimRight(decodeText(data), " \x00"))
	case "raw":
		const hex = "0123456789abcdef"
		var b strings.Builder
		for _, c := range data {
			b.WriteByte(hex[c>>4])
			b.WriteByte(hex[c&15])
		}
		return bridges.Text(b.String())
	}
	var room [8]byte
	straight := room[8-len(data):]
	reorder(straight, data, f.order)
	u := binary.BigEndian.Uint64(room[:])
	if f.bit != nil {
		return bridges.Bool(u>>*f.bit&1 == 1)
	}
	switch f.typ {
	case "bool":
		return bridges.Bool(u != 0)
	case "float32":
		return bridges.Float32(math.Float32frombits(uint32(u)))
	case "float64":
		return bridges.Float(math.Float64frombits(u))
	case "bcd8", "bcd16", "bcd32":
		return bcd(u)
	case "int8", "int16", "int32", "int64":
		shift := 64 - 8*len(data)
		return bridges.Int(int64(u<<shift) >> shift)
	}
	return bridges.Uint(u)
}

// reorder writes the bytes highest first: words of two bytes stand in the order
// ABCD (as they are) or CDAB, and BADC and DCBA exchange the bytes of each word.
func reorder(to, from []byte, order string) {
	copy(to, from)
	if order == "DCBA" || order == "CDAB" {
		slices.Reverse(to)
	}
	if order == "CDAB" || order == "BADC" {
		for i := 0; i+1 < len(to); i += 2 {
			to[i], to[i+1] = to[i+1], to[i]
		}
	}
}

func bcd(u uint64) bridges.Value {
	n, unit := int64(0), int64(1)
	for ; u > 0; u >>= 4 {
		if u&15 > 9 {
			return bridges.Value{}
		}
		n += int64(u&15) * unit
		unit *= 10
	}
	return bridges.Int(n)
}
