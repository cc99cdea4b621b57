package modbus

import (
	"bytes"
	"encoding/binary"
	"errors"

	"fieldgate/bridges"
)

// echo tells whether a line gives back what is sent, as adapters with two wires do whose receiver stays on.
type echo byte

const (
	echoUnknown echo = iota
	echoNone
	echoHeard
)

// withoutEcho leaves out the request where the line may have given it back: the answer to a write of one register looks just like it.
func (t *rtu) withoutEcho(out []byte) []byte {
	if t.echo == echoNone || t.cut {
		return t.buf
	}
	if at := bytes.Index(t.buf, out); at >= 0 {
		return t.buf[at+len(out):]
	}
	return t.buf
}

// learnEcho sees from what a read brought whether the line echoes: no answer to it looks like the request.
func (t *rtu) learnEcho(request, out []byte) {
	switch {
	case !counted(request[1]) || t.cut:
	case bytes.Contains(t.buf, out):
		t.echo = echoHeard
	case len(t.buf) == 0 || t.echo == echoUnknown && t.framing.scan(request, t.buf).frame != nil:
		t.echo = echoNone
	}
}

// lookForEcho reads a register, which one does not matter, before the first request whose echo would look like its answer.
func (t *rtu) lookForEcho(request []byte) error {
	if t.echo != echoUnknown || !mirrored(request[1]) || request[0] == broadcast {
		return nil
	}
	const readHolding = 3
	read := []byte{request[0], readHolding, 0, 0, 0, 1}
	_, _, err := t.converse(binary.LittleEndian.AppendUint16(read, crc(read)))
	if f, ok := errors.AsType[*failure](err); ok && f.code == bridges.ErrLink {
		return err
	}
	return nil
}
