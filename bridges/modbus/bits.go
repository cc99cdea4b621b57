package modbus

import (
	"bytes"
	"encoding/binary"
	"time"
)

const funcMaskWrite = 22

// part is what a point has of its register, as on the wire: a bit or a byte.
type part struct{ mask, value uint16 }

// part puts a value that is not wider than the point into its place.
func (p *Point) part(value uint64) part {
	mask := uint64(1)
	if p.Bit != nil {
		mask, value = mask<<*p.Bit, value<<*p.Bit
	} else {
		mask = mask<<p.width() - 1
	}
	return part{mask: binary.BigEndian.Uint16(p.registerBytes(mask)), value: binary.BigEndian.Uint16(p.registerBytes(value & mask))}
}

// isPart tells whether others have the rest of the point's register.
func (p *Point) isPart() bool { return p.Bit != nil || p.Type == TypeInt8 || p.Type == TypeUint8 }

// writePart changes a part of a register and leaves the rest as it is. The device
// does that itself with function code 22, so that nobody else's change gets lost; one that can't
// has its register read and written back, between which nothing else of ours uses the bus.
func (r *run) writePart(b *bus, d *deviceRun, p *Point, x part, expires time.Time) *failure {
	function := p.Write.Function
	if function == funcMaskWrite || function == 0 && !d.noMaskWrite {
		f := b.maskWrite(d.Unit, p, x)
		if f == nil || function == funcMaskWrite || f.exception != 0 && f.exception != 1 || !f.answered() && !f.mayPass() {
			return f
		}
		// Exception 1, or no answer at all, which is how some say that they don't know a function code.
		if f = r.readAndWrite(b, d, p, x, expires); f == nil {
			d.noMaskWrite = true
		}
		return f
	}
	return r.readAndWrite(b, d, p, x, expires)
}

// maskWrite sends function code 22: the register becomes itself AND and, with the bits
// of or where and has none [Modbus Application Protocol V1.1b3 6.16].
func (b *bus) maskWrite(unit int, p *Point, x part) *failure {
	b.ledger.wrote(byte(unit))
	request := binary.BigEndian.AppendUint16(nil, uint16(p.Address))
	request = binary.BigEndian.AppendUint16(request, ^x.mask)
	request = binary.BigEndian.AppendUint16(request, x.value)
	pdu, _, f := b.ask(unit, funcMaskWrite, request...)
	if f == nil && !bytes.Equal(pdu[1:], request) {
		return newFailure(codeFrame, "the answer does not repeat the request")
	}
	return f
}

func (r *run) readAndWrite(b *bus, d *deviceRun, p *Point, x part, expires time.Time) *failure {
	var register []byte
	f := r.again(expires, func() (f *failure) { register, _, f = b.read(d.Unit, ownSpan(p)); return f })
	if f != nil {
		return f
	}
	was := binary.BigEndian.Uint16(register)
	if is := was&^x.mask | x.value; is != was {
		register = binary.BigEndian.AppendUint16(nil, is)
		return r.again(expires, func() *failure { return b.writeRegisters(d.Unit, p, register) })
	}
	return nil
}
