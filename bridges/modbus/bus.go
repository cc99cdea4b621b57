package modbus

import (
	"time"

	"github.com/goburrow/modbus"

	"fieldgate/bridges"
)

// counts are a bridge's counters since it started.
type counts struct {
	requests, answers, timeouts, crcErrors, frameErrors, exceptions, retries, writes, opened int64
	foreign                                                                                  int64 // bytes that belonged to no answer
}

func (c counts) snapshot() map[string]int64 {
	return map[string]int64{
		"requests": c.requests, "answers": c.answers, "timeouts": c.timeouts, "crc_errors": c.crcErrors, "frame_errors": c.frameErrors,
		"exceptions": c.exceptions, "retries": c.retries, "writes": c.writes, "opened": c.opened, "foreign_bytes": c.foreign,
	}
}

func (c *counts) failed(f *failure) {
	switch {
	case f.exception != 0:
		c.exceptions++
	case f.code == bridges.ErrTimeout:
		c.timeouts++
	case f.code == codeCRC:
		c.crcErrors++
	case f.code == codeFrame:
		c.frameErrors++
	}
}

// bus is an open link with the units on it. One goroutine uses it, except for wire's Interrupt and Close.
type bus struct {
	wire      wire
	transport transport
	tcp       bool
	counts    *counts
	clients   map[byte]modbus.Client
	at        time.Time // of the last answer's last byte
}

func newBus(w wire, s *Settings, c *counts) *bus {
	b := &bus{wire: w, counts: c, clients: map[byte]modbus.Client{}}
	if s.Link.TCP != nil {
		b.tcp, b.transport = true, newMBAP(w, s, c)
	} else {
		b.transport = newRTU(w, s, c)
	}
	return b
}

// Send is goburrow's Transporter.
func (b *bus) Send(request []byte) ([]byte, error) {
	b.counts.requests++
	answer, at, err := b.transport.exchange(request)
	if err != nil {
		return nil, err
	}
	b.at = at
	return answer, nil
}

// unit gives goburrow's client for a unit: its packager, our transport.
func (b *bus) unit(unit int) modbus.Client {
	id := byte(unit)
	c, ok := b.clients[id]
	if !ok {
		if b.tcp {
			h := &modbus.TCPClientHandler{}
			h.SlaveId = id
			c = modbus.NewClient2(h, b)
		} else {
			h := &modbus.RTUClientHandler{}
			h.SlaveId = id
			c = modbus.NewClient2(h, b)
		}
		b.clients[id] = c
	}
	return c
}

// read reads a span; the answer has just the bytes that were asked for. Errors: *failure.
func (b *bus) read(unit int, s *span) ([]byte, time.Time, *failure) {
	c := b.unit(unit)
	address, quantity := uint16(s.address), uint16(s.quantity)
	var answer []byte
	var err error
	switch s.table {
	case Coil:
		answer, err = c.ReadCoils(address, quantity)
	case DiscreteInput:
		answer, err = c.ReadDiscreteInputs(address, quantity)
	case Holding:
		answer, err = c.ReadHoldingRegisters(address, quantity)
	default:
		answer, err = c.ReadInputRegisters(address, quantity)
	}
	if err == nil && len(answer) != s.answerBytes() {
		err = newFailure(codeFrame, "the answer has %d bytes of data where %d were asked for", len(answer), s.answerBytes())
	}
	return answer, b.at, b.result(err)
}

func (b *bus) result(err error) *failure {
	if err == nil {
		b.counts.answers++
		return nil
	}
	f := failureOf(err)
	b.counts.failed(f)
	return f
}

// writeCoil writes a single coil with function code 5, or 15 when function says so.
func (b *bus) writeCoil(unit int, p *Point, on bool) *failure {
	b.counts.writes++
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
	return b.result(err)
}

// writeRegisters writes a point's registers: one with function code 6, more with 16, or as function says.
func (b *bus) writeRegisters(unit int, p *Point, registers []byte) *failure {
	b.counts.writes++
	c, address := b.unit(unit), uint16(p.Address)
	var err error
	if len(registers) == 2 && p.Write.Function != modbus.FuncCodeWriteMultipleRegisters {
		_, err = c.WriteSingleRegister(address, uint16(registers[0])<<8|uint16(registers[1]))
	} else {
		_, err = c.WriteMultipleRegisters(address, uint16(len(registers)/2), registers)
	}
	return b.result(err)
}
