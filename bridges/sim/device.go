// Package sim has simulated devices that speak on a wire like real ones: a Modbus
// slave over RTU and TCP, an energy meter, a relay board and a scale that sends
// text. `fieldgate demo`, `fieldgate sim` and tests use it. The slave's code is its
// own and shares nothing with the bridges, so that neither hides the other's
// mistakes. It must not know bridges.
package sim

import "encoding/binary"

// Table is one of the four tables of a Modbus device.
type Table byte

// The tables; each value is the function code that reads it.
const (
	Coils            Table = 1
	DiscreteInputs   Table = 2
	HoldingRegisters Table = 3
	InputRegisters   Table = 4
)

// Exception is a Modbus exception code; 0 is none.
type Exception byte

// The exception codes that simulated devices use.
const (
	OK              Exception = 0
	IllegalFunction Exception = 1
	IllegalAddress  Exception = 2
	IllegalValue    Exception = 3
	DeviceFailure   Exception = 4
	DeviceBusy      Exception = 6
)

// Device is what stands behind a unit identifier. A server calls it from one
// goroutine, several servers from several. Addresses are 0-based, quantities 1 to
// 2000 bits or 125 registers, and address + quantity never passes 65536.
type Device interface {
	ReadBits(table Table, address, quantity int) ([]bool, Exception)
	ReadRegisters(table Table, address, quantity int) ([]uint16, Exception)
	WriteBits(address int, values []bool) Exception
	WriteRegisters(address int, values []uint16) Exception
}

// answer gives the response PDU to a request PDU (function code and data).
func answer(d Device, request []byte) []byte {
	if len(request) == 0 {
		return nil
	}
	response, exception := serve(d, request[0], request[1:])
	if exception != OK {
		return []byte{request[0] | 0x80, byte(exception)}
	}
	return append([]byte{request[0]}, response...)
}

func serve(d Device, function byte, data []byte) ([]byte, Exception) {
	id, identified := d.(Identified)
	switch function {
	case 1, 2, 3, 4, 5, 6, 15, 16, 22:
	case 17:
		if identified && len(data) == 0 {
			return serverID(id), OK
		}
		return nil, IllegalFunction
	case 43:
		if identified {
			return deviceID(id, data)
		}
		return nil, IllegalFunction
	default:
		return nil, IllegalFunction
	}
	if len(data) < 4 {
		return nil, IllegalValue
	}
	address, second := int(binary.BigEndian.Uint16(data)), int(binary.BigEndian.Uint16(data[2:]))
	switch function {
	case 1, 2:
		return readBits(d, Table(function), address, second)
	case 3, 4:
		return readRegisters(d, Table(function), address, second)
	case 5:
		if second != 0 && second != 0xFF00 {
			return nil, IllegalValue
		}
		return data[:4], d.WriteBits(address, []bool{second != 0})
	case 6:
		return data[:4], d.WriteRegisters(address, []uint16{uint16(second)})
	case 22:
		if len(data) != 6 {
			return nil, IllegalValue
		}
		return data, maskWrite(d, address, uint16(second), binary.BigEndian.Uint16(data[4:]))
	case 15:
		return data[:4], writeBits(d, address, second, data[4:])
	default:
		return data[:4], writeRegisters(d, address, second, data[4:])
	}
}

func readBits(d Device, table Table, address, quantity int) ([]byte, Exception) {
	if e := span(address, quantity, 2000); e != OK {
		return nil, e
	}
	bits, e := d.ReadBits(table, address, quantity)
	if e != OK {
		return nil, e
	}
	out := make([]byte, 1+(quantity+7)/8)
	out[0] = byte(len(out) - 1)
	for i, on := range bits {
		if on {
			out[1+i/8] |= 1 << (i % 8)
		}
	}
	return out, OK
}

func readRegisters(d Device, table Table, address, quantity int) ([]byte, Exception) {
	if e := span(address, quantity, 125); e != OK {
		return nil, e
	}
	registers, e := d.ReadRegisters(table, address, quantity)
	if e != OK {
		return nil, e
	}
	out := []byte{byte(2 * quantity)}
	for _, r := range registers {
		out = binary.BigEndian.AppendUint16(out, r)
	}
	return out, OK
}

func writeBits(d Device, address, quantity int, data []byte) Exception {
	if e := span(address, quantity, 1968); e != OK {
		return e
	}
	if len(data) != 1+(quantity+7)/8 || int(data[0]) != len(data)-1 {
		return IllegalValue
	}
	bits := make([]bool, quantity)
	for i := range bits {
		bits[i] = data[1+i/8]>>(i%8)&1 == 1
	}
	return d.WriteBits(address, bits)
}

func writeRegisters(d Device, address, quantity int, data []byte) Exception {
	if e := span(address, quantity, 123); e != OK {
		return e
	}
	if len(data) != 1+2*quantity || int(data[0]) != len(data)-1 {
		return IllegalValue
	}
	registers := make([]uint16, quantity)
	for i := range registers {
		registers[i] = binary.BigEndian.Uint16(data[1+2*i:])
	}
	return d.WriteRegisters(address, registers)
}

func span(address, quantity, most int) Exception {
	switch {
	case quantity < 1 || quantity > most:
		return IllegalValue
	case address+quantity > 1<<16:
		return IllegalAddress
	}
	return OK
}
