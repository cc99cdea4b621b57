package modbus

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"

	"fieldgate/bridges"
)

// writeAnswer is what a write by hand gave.
type writeAnswer struct {
	outcome
	Function  int        `json:"function"`  // function code that was sent
	Verified  bool       `json:"verified"`  // it was read back, and is what was written
	Registers []register `json:"registers"` // that function code 23 read behind the write
}

// handWrite is the question of a write by hand: a value with its type, or what it is made of.
type handWrite struct {
	place
	Type      Type           `json:"type"`
	Order     Order          `json:"order"`
	Length    int            `json:"length"` // registers, of a string or raw
	Value     *bridges.Value `json:"value"`
	Registers []int          `json:"registers"`
	Coils     []bool         `json:"coils"`
	Function  int            `json:"function"` // 5, 6, 15, 16, 23; 0 takes the one that fits
	Verify    bool           `json:"verify"`
	// What function code 23 reads behind the write: holding registers.
	ReadAddress  int `json:"read_address"` // 0-based
	ReadQuantity int `json:"read_quantity"`

	data     []byte // registers, or bits packed
	quantity int
}

// Limits of one write [Modbus Application Protocol V1.1b3 6.11, 6.12].
const (
	maxWriteCoils     = 1968
	maxWriteRegisters = 123
	maxWriteAndRead   = 121 // registers to write, of function code 23
)

func writeByHand(question json.RawMessage, l Link) (work, error) {
	q := handWrite{Order: ABCD}
	var f bridges.Faults
	q.Unit = 1
	f.Decode(question, &q)
	if q.Table == 0 && (len(q.Coils) > 0 || q.Function == 5 || q.Function == 15) {
		q.Table = Coil
	}
	q.check(&f, l, 1)
	q.content(&f)
	q.checkFunction(&f)
	if err := f.Err(); err != nil {
		return nil, err
	}
	return q.do, nil
}

// content makes the bytes to write.
func (q *handWrite) content(f *bridges.Faults) {
	given := 0
	for _, has := range []bool{q.Value != nil && !q.Value.IsNone(), len(q.Registers) > 0, len(q.Coils) > 0} {
		if has {
			given++
		}
	}
	switch {
	case given != 1:
		f.Add("/value", bridges.Required, "exactly one of value, registers and coils is needed")
		return
	case q.Table != Coil && q.Table != Holding:
		f.Add("/table", bridges.Invalid, "the table %s can't be written; only coil and holding can", q.Table)
		return
	case q.Table == Coil && len(q.Registers) > 0:
		f.Add("/registers", bridges.Invalid, "coils are written with value or coils")
		return
	case q.Table == Holding && len(q.Coils) > 0:
		f.Add("/coils", bridges.Invalid, "registers are written with value or registers")
		return
	}
	switch {
	case q.Value != nil:
		q.encode(f)
	case len(q.Registers) > 0:
		q.quantity = len(q.Registers)
		for _, n := range q.Registers {
			if n < -1<<15 || n > 1<<16-1 {
				f.Add("/registers", bridges.OutOfRange, "must be 0 to 65535 each")
			}
			q.data = binary.BigEndian.AppendUint16(q.data, uint16(n))
		}
	default:
		q.quantity, q.data = len(q.Coils), packed(q.Coils)
	}
	most := maxWriteRegisters
	if q.Table == Coil {
		most = maxWriteCoils
	}
	if q.quantity > most || q.address+q.quantity > 1<<16 {
		f.Add("/address", bridges.OutOfRange, "at most %d at once, and none behind 65535", most)
	}
}

// encode makes registers or a coil of a value.
func (q *handWrite) encode(f *bridges.Faults) {
	p := &Point{ID: "value", Table: q.Table, Location: Address{set: true, number: int32(q.address), wire: true}, Type: q.Type, Order: q.Order, Length: q.Length, Scale: 1, Write: &Write{}}
	p.check(f, "", &Device{MaxRead: maxWriteRegisters, Order: ABCD})
	if f.Err() != nil {
		return
	}
	q.quantity = p.size()
	if q.Table == Coil {
		on, wrong := p.encodeBit(*q.Value)
		if wrong != nil {
			f.Add("/value", bridges.Code(wrong.code), "%s", wrong.detail)
		}
		q.data = packed([]bool{on})
		return
	}
	data, wrong := p.encode(*q.Value)
	if wrong != nil {
		f.Add("/value", bridges.Code(wrong.code), "%s", wrong.detail)
	}
	q.data = data
}

func packed(bits []bool) []byte {
	b := make([]byte, (len(bits)+7)/8)
	for i, on := range bits {
		if on {
			b[i/8] |= 1 << (i % 8)
		}
	}
	return b
}

// checkFunction takes the function code that fits.
func (q *handWrite) checkFunction(f *bridges.Faults) {
	single, several := 6, 16
	if q.Table == Coil {
		single, several = 5, 15
	}
	switch q.Function {
	case 0:
		q.Function = several
		if q.quantity == 1 {
			q.Function = single
		}
	case several:
	case funcReadWrite:
		q.checkReadBehind(f)
	case single:
		if q.quantity > 1 {
			f.Add("/function", bridges.Invalid, "%d writes one only; several need %d", single, several)
		}
	default:
		f.Add("/function", bridges.Invalid, "must be %d or %d for the table %s", single, several, q.Table)
	}
}

// checkReadBehind is for function code 23 [Modbus Application Protocol V1.1b3 6.17].
func (q *handWrite) checkReadBehind(f *bridges.Faults) {
	if q.Table == Coil {
		f.Add("/function", bridges.Invalid, "23 writes and reads holding registers, no coils")
	}
	if q.quantity > maxWriteAndRead {
		f.Add("/function", bridges.Invalid, "23 writes at most %d registers", maxWriteAndRead)
	}
	bridges.CheckRange(f, "/read_quantity", q.ReadQuantity, 1, maxRegisters)
	bridges.CheckRange(f, "/read_address", q.ReadAddress, 0, 1<<16-max(1, q.ReadQuantity))
}

// pdu is the data of the request's PDU.
func (q *handWrite) pdu() []byte {
	var b []byte
	if q.Function == funcReadWrite {
		b = binary.BigEndian.AppendUint16(b, uint16(q.ReadAddress))
		b = binary.BigEndian.AppendUint16(b, uint16(q.ReadQuantity))
	}
	b = binary.BigEndian.AppendUint16(b, uint16(q.address))
	switch q.Function {
	case 5:
		return append(b, -q.data[0]&0xFF, 0) // 0xFF00 for on
	case 6:
		return append(b, q.data...)
	}
	b = binary.BigEndian.AppendUint16(b, uint16(q.quantity))
	return append(append(b, byte(len(q.data))), q.data...)
}

func (q *handWrite) do(ctx context.Context, on field) bridges.HandAnswer {
	a := &writeAnswer{Function: q.Function, Registers: []register{}}
	a.Unit, a.Table, a.Address, a.Quantity, a.Raw = q.Unit, q.Table, q.address, q.quantity, hex.EncodeToString(q.data)
	link := on.settings().Link
	r := on.ask(ctx, q.Timeout, q.Unit, byte(q.Function), q.pdu())
	if r.f == nil && q.Function == funcReadWrite {
		var data []byte
		if data, r.f = (&span{table: Holding, quantity: q.ReadQuantity}).data(r.pdu); r.f == nil {
			a.Registers = registersOf(q.ReadAddress, data)
		}
	}
	if a.take(r, link); r.f != nil || !q.Verify {
		return a
	}
	s := &span{table: q.Table, address: q.address, quantity: q.quantity}
	back := on.ask(ctx, q.Timeout, q.Unit, q.Table.functionCode(), s.request())
	var holds []byte
	if back.f == nil {
		holds, back.f = s.data(back.pdu)
	}
	switch {
	case back.f != nil:
		a.OK, a.Code, a.Exception = false, back.f.code, int(back.f.exception)
		a.Error = "it was written, but can't be read back: " + back.f.words
	case !bytes.Equal(holds, q.data):
		a.OK, a.Code, a.Error = false, codeVerify, "the device holds "+hex.EncodeToString(holds)+" after "+a.Raw+" was written"
	default:
		a.Verified = true
	}
	return a
}
