package modbus

import (
	"time"

	"github.com/goburrow/modbus"
)

// bus is an open link with the units on it. One goroutine uses it, except for wire's Interrupt and Close.
type bus struct {
	wire      wire
	transport transport
	tcp       bool
	ledger    *ledger
	units     map[byte]*unitClient
	at        time.Time // of the last answer's last byte
}

// unitClient has what goburrow knows about talking to a unit.
type unitClient struct {
	modbus.Client
	packager modbus.Packager
}

func newBus(w wire, s *Settings, l *ledger, d *debts) *bus {
	b := &bus{wire: w, ledger: l, units: map[byte]*unitClient{}}
	if s.Link.TCP != nil {
		b.tcp, b.transport = true, newMBAP(w, s, l)
	} else {
		b.transport = newRTU(w, s, l, d)
	}
	return b
}

// Send is goburrow's Transporter.
func (b *bus) Send(request []byte) ([]byte, error) {
	b.ledger.request(b.unitOf(request))
	answer, at, err := b.transport.exchange(request)
	if err != nil {
		return nil, err
	}
	b.at = at
	return answer, nil
}

func (b *bus) unitOf(adu []byte) byte {
	if b.tcp {
		return adu[mbapHeader-1]
	}
	return adu[0]
}

// unit gives goburrow's client for a unit: its packager, our transport.
func (b *bus) unit(unit int) *unitClient {
	id := byte(unit)
	c, ok := b.units[id]
	if !ok {
		if b.tcp {
			h := &modbus.TCPClientHandler{}
			h.SlaveId = id
			c = &unitClient{Client: modbus.NewClient2(h, b), packager: h}
		} else {
			h := &modbus.RTUClientHandler{}
			h.SlaveId = id
			c = &unitClient{Client: modbus.NewClient2(h, b), packager: h}
		}
		b.units[id] = c
	}
	return c
}

// ask sends any request PDU to a unit, waits for the answer, and gives its PDU.
// An answer is one of the request's function code whose length fits. Errors: *failure.
func (b *bus) ask(unit int, function byte, data ...byte) ([]byte, time.Time, *failure) {
	c := b.unit(unit)
	request, err := c.packager.Encode(&modbus.ProtocolDataUnit{FunctionCode: function, Data: data})
	if err != nil {
		return nil, time.Time{}, b.result(unit, err)
	}
	answer, err := b.Send(request)
	if err != nil {
		return nil, time.Time{}, b.result(unit, err)
	}
	pdu, f := c.answer(request, answer)
	b.ledger.result(byte(unit), f)
	return pdu, b.at, f
}

// answer takes the PDU out of an answer.
func (c *unitClient) answer(request, answer []byte) ([]byte, *failure) {
	if err := c.packager.Verify(request, answer); err != nil {
		return nil, failureOf(err)
	}
	pdu, err := c.packager.Decode(answer)
	if err != nil {
		return nil, failureOf(err)
	}
	if pdu.FunctionCode&0x80 != 0 {
		e := &modbus.ModbusError{FunctionCode: pdu.FunctionCode}
		if len(pdu.Data) > 0 {
			e.ExceptionCode = pdu.Data[0]
		}
		return nil, failureOf(e)
	}
	return append([]byte{pdu.FunctionCode}, pdu.Data...), nil
}

// functionCode is the one that reads the table.
func (t Table) functionCode() byte {
	switch t {
	case Coil:
		return modbus.FuncCodeReadCoils
	case DiscreteInput:
		return modbus.FuncCodeReadDiscreteInputs
	case Holding:
		return modbus.FuncCodeReadHoldingRegisters
	}
	return modbus.FuncCodeReadInputRegisters
}

// data gives the bytes that were asked for out of the answer's PDU.
func (s *span) data(pdu []byte) ([]byte, *failure) {
	want := s.answerBytes()
	if len(pdu) != 2+want || int(pdu[1]) != want {
		return nil, newFailure(codeFrame, "the answer has %d bytes of data where %d were asked for", max(0, len(pdu)-2), want)
	}
	return pdu[2:], nil
}

func (s *span) request() []byte {
	return []byte{byte(s.address >> 8), byte(s.address), byte(s.quantity >> 8), byte(s.quantity)}
}

// read reads a span; the answer has just the bytes that were asked for. Errors: *failure.
func (b *bus) read(unit int, s *span) ([]byte, time.Time, *failure) {
	pdu, at, f := b.ask(unit, s.table.functionCode(), s.request()...)
	if f != nil {
		return nil, at, f
	}
	data, f := s.data(pdu)
	return data, at, f
}

// poll asks for a span and gives done what read would give: at once on a link that
// carries one request at a time, else while the bus attends.
func (b *bus) poll(unit int, s *span, done func(data []byte, at time.Time, f *failure)) {
	c := b.unit(unit)
	request, err := c.packager.Encode(&modbus.ProtocolDataUnit{FunctionCode: s.table.functionCode(), Data: s.request()})
	if err != nil {
		done(nil, time.Time{}, b.result(unit, err))
		return
	}
	b.ledger.request(byte(unit))
	b.transport.post(request, func(answer []byte, at time.Time, err error) {
		if err != nil {
			done(nil, at, b.result(unit, err))
			return
		}
		pdu, f := c.answer(request, answer)
		var data []byte
		if f == nil {
			data, f = s.data(pdu)
		}
		b.ledger.result(byte(unit), f)
		done(data, at, f)
	})
}

func (b *bus) result(unit int, err error) *failure {
	var f *failure
	if err != nil {
		f = failureOf(err)
	}
	b.ledger.result(byte(unit), f)
	return f
}

// writeCoil writes a single coil with function code 5, or 15 when function says so.
func (b *bus) writeCoil(unit int, p *Point, on bool) *failure {
	b.ledger.wrote(byte(unit))
	c, address := b.unit(unit), uint16(p.Address)
	var err error
	switch {
	case p.Write.Function == modbus.FuncCodeWriteMultipleCoils && on:
		_, err = c.WriteMultipleCoils(address, 1, []byte{1})
	case p.Write.Function == modbus.FuncCodeWriteMultipleCoils:
		_, err = c.WriteMultipleCoils(address, 1, []byte{0})
	case on:
		_, err = c.WriteSingleCoil(address, 0xFF00)
	default:
		_, err = c.WriteSingleCoil(address, 0)
	}
	return b.result(unit, err)
}

// writeRegisters writes a point's registers: one with function code 6, more with 16, or as function says.
func (b *bus) writeRegisters(unit int, p *Point, registers []byte) *failure {
	b.ledger.wrote(byte(unit))
	c, address := b.unit(unit), uint16(p.Address)
	var err error
	if len(registers) == 2 && p.Write.Function != modbus.FuncCodeWriteMultipleRegisters {
		_, err = c.WriteSingleRegister(address, uint16(registers[0])<<8|uint16(registers[1]))
	} else {
		_, err = c.WriteMultipleRegisters(address, uint16(len(registers)/2), registers)
	}
	return b.result(unit, err)
}
