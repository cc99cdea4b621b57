package modbus

import (
	"bytes"
	"encoding/binary"
)

const funcMaskWrite = 22

// writeBit changes one bit of a register and leaves the others as they are. The device
// does that itself with function code 22, so that nobody else's change gets lost; one that can't
// has its register read and written back, between which nothing else of ours uses the bus.
func (r *run) writeBit(b *bus, d *deviceRun, p *Point, on bool) *failure {
	function := p.Write.Function
	if function == funcMaskWrite || function == 0 && !d.noMaskWrite {
		f := b.maskWrite(d.Unit, p, on)
		if f == nil || function == funcMaskWrite || f.exception != 0 && f.exception != 1 || !f.answered() && !f.mayPass() {
			return f
		}
		// Exception 1, or no answer at all, which is how some say that they don't know a function code.
		if f = r.readAndWrite(b, d, p, on); f == nil {
			d.noMaskWrite = true
		}
		return f
	}
	return r.readAndWrite(b, d, p, on)
}

// maskWrite sends function code 22: the register becomes itself AND and, with the bits
// of or where and has none [Modbus Application Protocol V1.1b3 6.16].
func (b *bus) maskWrite(unit int, p *Point, on bool) *failure {
	b.ledger.wrote(byte(unit))
	bit := binary.BigEndian.Uint16(p.registerBytes(1 << *p.Bit))
	request := binary.BigEndian.AppendUint16(nil, uint16(p.Address))
	request = binary.BigEndian.AppendUint16(request, ^bit)
	if !on {
		bit = 0
	}
	request = binary.BigEndian.AppendUint16(request, bit)
	pdu, _, f := b.ask(unit, funcMaskWrite, request...)
	if f == nil && !bytes.Equal(pdu[1:], request) {
		return newFailure(codeFrame, "the answer does not repeat the request")
	}
	return f
}

func (r *run) readAndWrite(b *bus, d *deviceRun, p *Point, on bool) *failure {
	var register []byte
	f := r.again(func() (f *failure) { register, _, f = b.read(d.Unit, ownSpan(p)); return f })
	if f != nil {
		return f
	}
	n := p.number(register) &^ (1 << *p.Bit)
	if on {
		n |= 1 << *p.Bit
	}
	changed := p.registerBytes(n)
	if bytes.Equal(changed, register) {
		return nil
	}
	return r.again(func() *failure { return b.writeRegisters(d.Unit, p, changed) })
}
