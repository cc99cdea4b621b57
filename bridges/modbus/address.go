package modbus

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"fieldgate/bridges"
)

// Address is a point's address as it stands in the settings: a number as on the wire, from 0;
// hexadecimal as a text ("0x9C41"); or in the notation of manuals, whose first digit
// names the table and whose count begins with 1: 400001 or "4x1" for the first holding register. Numbers
// that can be read both ways (40001) are refused.
type Address struct {
	number int32
	set    bool
	wire   bool // it is hexadecimal, so certainly as on the wire
	digit  byte // of "4x1", 0 without; number is then 0-based
}

// UnmarshalJSON reads a number or a text.
func (a *Address) UnmarshalJSON(data []byte) error {
	v, err := bridges.ParseValue(data)
	if err != nil {
		return err
	}
	if n, ok := v.Int64(); ok {
		if n < 0 || n > manualLimit {
			return bridges.Fault(bridges.OutOfRange, "must be 0 to 65535")
		}
		*a = Address{set: true, number: int32(n)}
		return nil
	}
	if f, ok := v.Number(); ok && f == math.Trunc(f) && f >= 0 && f <= manualLimit {
		*a = Address{set: true, number: int32(f)}
		return nil
	}
	text, ok := v.AsText()
	if !ok {
		return bridges.Fault(bridges.Invalid, `must be a whole number, or a text such as "0x9C41" or "4x1"`)
	}
	return a.parse(strings.ToLower(strings.TrimSpace(text)))
}

const manualLimit = 465536 // the last holding register in the notation of manuals

func (a *Address) parse(text string) error {
	wrong := bridges.Fault(bridges.Invalid, `must be a whole number, or a text such as "0x9C41" or "4x1"`)
	if digits, isHex := strings.CutPrefix(text, "0x"); isHex {
		n, err := strconv.ParseUint(digits, 16, 16)
		if err != nil {
			return wrong
		}
		*a = Address{set: true, number: int32(n), wire: true}
		return nil
	}
	if len(text) > 2 && text[1] == 'x' {
		n, err := strconv.ParseUint(text[2:], 10, 32)
		if err != nil || tableOf(text[0]) == 0 || n < 1 || n > 1<<16 {
			return wrong
		}
		*a = Address{set: true, number: int32(n) - 1, digit: text[0]}
		return nil
	}
	n, err := strconv.ParseUint(text, 10, 32)
	if err != nil || n > manualLimit {
		return wrong
	}
	*a = Address{set: true, number: int32(n)}
	if len(text) >= 5 && text[0] == '0' { // 00001, 000001: only manuals write leading zeros
		if n < 1 {
			return wrong
		}
		*a = Address{set: true, number: int32(n) - 1, digit: '0'}
	}
	return nil
}

// tableOf gives the table that the first digit of the notation of manuals names.
func tableOf(digit byte) Table {
	switch digit {
	case '0':
		return Coil
	case '1':
		return DiscreteInput
	case '3':
		return Input
	case '4':
		return Holding
	}
	return 0
}

// Notations of Device.Addresses.
const (
	asOnWire  = "wire"
	asManuals = "manual"
)

// resolve gives the address as on the wire. table is the point's, or what the notation
// names when the point has none; notation is the device's.
func (a Address) resolve(table Table, notation string) (int, Table, error) {
	number := int(a.number)
	named, offset := tableOf(a.digit), number
	if named == 0 && !a.wire {
		named, offset = inManuals(number)
	}
	ambiguous := named != 0 && a.digit == 0 && number < 1<<16 && notation != asManuals
	switch {
	case a.wire || notation == asOnWire && a.digit == 0 && number < 1<<16:
		return number, table, nil
	case named == 0 && notation == asManuals && number >= 1: // "register 105" of a manual that counts from 1
		return number - 1, table, nil
	case named == 0:
		if number >= 1<<16 {
			return 0, table, fmt.Errorf("must be 0 to 65535")
		}
		return number, table, nil
	case ambiguous && (table == 0 || table == named):
		return 0, table, fmt.Errorf(`%d is either the address %d on the wire: write "0x%X" in quotes; or %s of a manual, which is the address %d of the table %s: write %d`,
			number, number, number, registerWords(named, offset+1), offset, named, offset)
	case ambiguous: // of another table: only the wire is left
		return number, table, nil
	case table != 0 && table != named:
		return 0, table, fmt.Errorf("names the table %s, but the point's table is %s", named, table)
	}
	return offset, named, nil
}

func registerWords(t Table, n int) string {
	words := map[Table]string{Coil: "coil", DiscreteInput: "discrete input", Holding: "holding register", Input: "input register"}[t]
	return fmt.Sprintf("%s %d", words, n)
}

// inManuals reads 40001 to 49999 and 400001 to 465536, and the same for the other tables.
func inManuals(n int) (table Table, address int) {
	for digit, size := range map[byte]int{'1': 1, '3': 3, '4': 4} {
		five, six := size*10_000, size*100_000
		switch {
		case n > five && n < five+10_000:
			return tableOf(digit), n - five - 1
		case n > six && n <= six+1<<16:
			return tableOf(digit), n - six - 1
		}
	}
	return 0, n
}
