package modbus

import "strings"

// Table is one of the four tables of a device.
type Table string

// The tables.
const (
	Coil          Table = "coil"
	DiscreteInput Table = "discrete_input"
	Holding       Table = "holding"
	Input         Table = "input"
)

func (t Table) bits() bool { return t == Coil || t == DiscreteInput }

// Order is how the bytes of a value lie in its registers; A is the highest byte of
// a 32-bit value. For 64 bits ABCD stands for the highest word first, CDAB for the lowest
// word first, BADC and DCBA for the same with the bytes of each word exchanged.
type Order string

// The orders.
const (
	ABCD Order = "ABCD"
	CDAB Order = "CDAB"
	BADC Order = "BADC"
	DCBA Order = "DCBA"
)

// Type is how the registers of a point are read.
type Type string

// The types. 8-bit ones are the register's low byte, the high one in the orders BADC and DCBA.
const (
	TypeBool    Type = "bool" // a bit; of a whole register: not zero
	TypeInt8    Type = "int8"
	TypeInt16   Type = "int16"
	TypeInt32   Type = "int32"
	TypeInt64   Type = "int64"
	TypeUint8   Type = "uint8"
	TypeUint16  Type = "uint16"
	TypeUint32  Type = "uint32"
	TypeUint64  Type = "uint64"
	TypeFloat16 Type = "float16"
	TypeFloat32 Type = "float32"
	TypeFloat64 Type = "float64"
	TypeBCD16   Type = "bcd16"  // 4 decimal digits
	TypeBCD32   Type = "bcd32"  // 8 decimal digits
	TypeString  Type = "string" // two characters a register, up to the first NUL
	TypeRaw     Type = "raw"    // hexadecimal digits of the bytes as they came
	TypeBits    Type = "bits"   // the names of the bits that are set, from enum
)

func typeNames() []string {
	names := []string{}
	for _, t := range []Type{
		TypeBool, TypeInt8, TypeInt16, TypeInt32, TypeInt64,
		TypeUint8, TypeUint16, TypeUint32, TypeUint64, TypeFloat16, TypeFloat32, TypeFloat64,
		TypeBCD16, TypeBCD32, TypeString, TypeRaw, TypeBits,
	} {
		names = append(names, string(t))
	}
	return names
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
func (t Type) integer() bool {
	return strings.HasPrefix(string(t), "int") || strings.HasPrefix(string(t), "uint") || t.bcd()
}

func (t Type) bcd() bool { return t == TypeBCD16 || t == TypeBCD32 }

func (t Type) float() bool { return strings.HasPrefix(string(t), "float") }

// number tells whether scale and offset mean something.
func (t Type) number() bool { return t.integer() || t.float() }
