package modbus

import (
	"math"
	"unicode"

	"fieldgate/bridges"
)

// reading is one way to understand registers, for a person who does not know which is right.
type reading struct {
	Address   int           `json:"address"`
	Type      Type          `json:"type"`
	Order     Order         `json:"order"`
	Registers int           `json:"registers"`
	Value     bridges.Value `json:"value"`
	Text      string        `json:"text"`
	Likely    bool          `json:"likely"`
}

// mostStarts is the longest answer of which every register is taken for the beginning of a value.
const mostStarts = 16

// allDecodes reads registers in every type and order.
func allDecodes(address int, data []byte) []reading {
	list := []reading{}
	words := len(data) / 2
	starts := words
	if words > mostStarts {
		starts = 1
	}
	for start := range starts {
		rest := data[2*start:]
		for _, t := range []Type{
			TypeUint16, TypeInt16, TypeFloat16, TypeBCD16,
			TypeUint32, TypeInt32, TypeFloat32, TypeBCD32,
			TypeUint64, TypeInt64, TypeFloat64,
		} {
			if n := t.registers(); 2*n <= len(rest) {
				list = append(list, inOrders(address+start, t, rest[:2*n])...)
			}
		}
		if start == 0 {
			list = append(list, inOrders(address, TypeString, rest)...)
		}
	}
	return list
}

// inOrders reads the registers of one value in the orders that differ.
func inOrders(address int, t Type, data []byte) []reading {
	orders := []Order{ABCD, CDAB, BADC, DCBA}
	if len(data) == 2 || t == TypeString {
		orders = []Order{ABCD, BADC}
	}
	list := make([]reading, 0, len(orders))
	for _, order := range orders {
		p := &Point{Type: t, Order: order, Scale: 1, Length: len(data) / 2, Table: Holding, decimals: -1}
		v := p.decode(data)
		list = append(list, reading{
			Address: address, Type: t, Order: order, Registers: len(data) / 2, Value: v, Text: v.String(), Likely: likely(t, order, v),
		})
	}
	return list
}

// likely tells whether a device may well mean this: a number of a usual size, a text that can be read.
func likely(t Type, order Order, v bridges.Value) bool {
	if t == TypeString {
		return readable(v)
	}
	f, ok := v.Number()
	if !ok || f == 0 {
		return false
	}
	size := math.Abs(f)
	switch t {
	case TypeFloat32, TypeFloat64:
		return size >= 1e-3 && size < 1e8
	case TypeUint16, TypeInt16:
		return order == ABCD && size <= 1e4
	case TypeUint32, TypeInt32:
		return size < 1e8
	case TypeUint64, TypeInt64:
		return size < 1e12
	}
	return false
}

// readable tells whether a text is more than two printable characters.
func readable(v bridges.Value) bool {
	text, _ := v.AsText()
	n := 0
	for _, r := range text {
		if r > unicode.MaxASCII || !unicode.IsPrint(r) {
			return false
		}
		n++
	}
	return n > 2
}
