package modbus

import (
	"slices"

	"fieldgate/bridges"
)

// Table is one of the four tables of a device, 0 for none.
type Table uint8

// The tables.
const (
	Coil Table = 1 + iota
	DiscreteInput
	Holding
	Input
)

func tableNames() []string { return []string{"", "coil", "discrete_input", "holding", "input"} }

// String is the name in settings.
func (t Table) String() string { return tableNames()[t] }

// MarshalText gives the name.
func (t Table) MarshalText() ([]byte, error) { return []byte(t.String()), nil }

// UnmarshalText reads a name.
func (t *Table) UnmarshalText(text []byte) error { return setNamed(t, string(text), tableNames()) }

func (t Table) bits() bool { return t == Coil || t == DiscreteInput }

// Order is how the bytes of a value lie in its registers, 0 for none; A is the highest byte of
// a 32-bit value. For 64 bits ABCD stands for the highest word first, CDAB for the lowest
// word first, BADC and DCBA for the same with the bytes of each word exchanged.
type Order uint8

// The orders.
const (
	ABCD Order = 1 + iota
	CDAB
	BADC
	DCBA
)

func orderNames() []string { return []string{"", "ABCD", "CDAB", "BADC", "DCBA"} }

// String is the name in settings.
func (o Order) String() string { return orderNames()[o] }

// MarshalText gives the name.
func (o Order) MarshalText() ([]byte, error) { return []byte(o.String()), nil }

// UnmarshalText reads a name.
func (o *Order) UnmarshalText(text []byte) error { return setNamed(o, string(text), orderNames()) }

// Type is how the registers of a point are read, 0 for none.
type Type uint8

// The types. 8-bit ones are the register's low byte, the high one in the orders BADC and DCBA.
const (
	TypeBool Type = 1 + iota // a bit; of a whole register: not zero
	TypeInt8
	TypeInt16
	TypeInt32
	TypeInt64
	TypeUint8
	TypeUint16
	TypeUint32
	TypeUint64
	TypeFloat16
	TypeFloat32
	TypeFloat64
	TypeBCD16  // 4 decimal digits
	TypeBCD32  // 8 decimal digits
	TypeString // two characters a register, up to the first NUL
	TypeRaw    // hexadecimal digits of the bytes as they came
	TypeBits   // the names of the bits that are set, from enum
)

func typeNames() []string {
	return []string{
		"", "bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64",
		"float16", "float32", "float64", "bcd16", "bcd32", "string", "raw", "bits",
	}
}

// String is the name in settings.
func (t Type) String() string { return typeNames()[t] }

// MarshalText gives the name.
func (t Type) MarshalText() ([]byte, error) { return []byte(t.String()), nil }

// UnmarshalText reads a name.
func (t *Type) UnmarshalText(text []byte) error { return setNamed(t, string(text), typeNames()) }

// setNamed finds the place of a name; the first one is empty and stands for none.
func setNamed[N ~uint8](n *N, name string, names []string) error {
	i := slices.Index(names, name)
	if i < 0 {
		var f bridges.Faults
		f.OneOf("", name, names[1:]...)
		return f.Err()
	}
	*n = N(i)
	return nil
}

// registers is how many registers the type takes; 0 where Length says it.
func (t Type) registers() int {
	switch t {
	case TypeInt32, TypeUint32, TypeFloat32, TypeBCD32:
		return 2
	case TypeInt64, TypeUint64, TypeFloat64:
		return 4
	case TypeString, TypeRaw, TypeBits:
		return 0
	}
	return 1
}

// integer tells whether the values are whole numbers before they are scaled.
func (t Type) integer() bool { return t >= TypeInt8 && t <= TypeUint64 || t.bcd() }

func (t Type) signed() bool { return t >= TypeInt8 && t <= TypeInt64 }

func (t Type) bcd() bool { return t == TypeBCD16 || t == TypeBCD32 }

func (t Type) float() bool { return t >= TypeFloat16 && t <= TypeFloat64 }

// number tells whether scale and offset mean something.
func (t Type) number() bool { return t.integer() || t.float() }
