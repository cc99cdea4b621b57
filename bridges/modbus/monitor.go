package modbus

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"time"

	"fieldgate/bridges"
)

// What is shown of a link to whoever looks. ADUs are those of RTU: unit identifier, PDU, two bytes more. Nothing
// is made of a frame while nobody looks.

// SetTap shows what goes over the link to t.
func (b *bridge) SetTap(t *bridges.Tap) { b.tap = t }

var _ bridges.Tapped = (*bridge)(nil)

// showRequest shows what was sent.
func (l *ledger) showRequest(adu, wire []byte) {
	if !l.tap.Open() {
		return
	}
	f := bridges.Frame{Time: time.Now().UTC(), Direction: bridges.FrameRequest, Unit: int(adu[0]), Hex: hex.EncodeToString(wire)}
	f.Function = int(adu[1])
	f.Name = functionName(adu[1])
	describeRequest(&f, adu[:len(adu)-2])
	l.tap.Tell(f)
}

// showAnswer shows the answer to a request, or what came in its place.
func (l *ledger) showAnswer(request, adu, wire []byte, at time.Time, took time.Duration, fail *failure) {
	if !l.tap.Open() {
		return
	}
	f := bridges.Frame{Time: at.UTC(), Direction: bridges.FrameAnswer, Unit: int(request[0]), Hex: hex.EncodeToString(wire), MS: milliseconds(max(0, took))} // an adapter may answer for a line on which the request is not over
	f.Function = int(request[1])
	f.Name = functionName(request[1])
	describeRequest(&f, request[:len(request)-2])
	f.Values = nil
	switch {
	case fail != nil:
		f.Problem, f.Words = fail.code, fail.words
	case adu[1]&0x80 != 0:
		f.Exception = int(adu[2])
		f.Words = fmt.Sprintf("exception %d: %s", adu[2], exceptionWords(adu[2]))
	default:
		f.Values = valuesOf(adu[1:len(adu)-2], f.Quantity)
	}
	l.tap.Tell(f)
}

// showOther shows what nobody asked for now; adu is nil for what is no frame.
func (l *ledger) showOther(adu, wire []byte, problem, words string) {
	if len(wire) == 0 || !l.tap.Open() {
		return
	}
	f := bridges.Frame{Time: time.Now().UTC(), Direction: bridges.FrameOther, Hex: hex.EncodeToString(wire), Problem: problem, Words: words}
	if adu != nil {
		f.Unit, f.Function, f.Name = int(adu[0]), int(adu[1]&0x7F), functionName(adu[1]&0x7F)
	}
	l.tap.Tell(f)
}

// describeRequest reads address, quantity and what is to be written out of unit identifier and PDU.
func describeRequest(f *bridges.Frame, p []byte) {
	if len(p) < 6 {
		return
	}
	f.Address = int(binary.BigEndian.Uint16(p[2:]))
	second := int(binary.BigEndian.Uint16(p[4:]))
	switch p[1] {
	case 1, 2, 3, 4:
		f.Quantity = second
	case 5, 6:
		f.Quantity, f.Values = 1, []int{second}
	case 15, 16:
		f.Quantity = second
		if len(p) > 7 {
			f.Values = words(p[7:], p[1] == 15, second)
		}
	case 22:
		f.Quantity = 1
	case 23:
		f.Quantity = second
	default:
		f.Address = 0
	}
}

// valuesOf reads the registers or bits out of an answer's PDU.
func valuesOf(pdu []byte, quantity int) []int {
	switch pdu[0] {
	case 1, 2, 3, 4, 23:
		if len(pdu) > 2 {
			return words(pdu[2:], pdu[0] <= 2, quantity)
		}
	case 5, 6:
		if len(pdu) == 5 {
			return []int{int(binary.BigEndian.Uint16(pdu[3:]))}
		}
	}
	return nil
}

func words(data []byte, bits bool, quantity int) []int {
	var list []int
	if bits {
		for i := range min(quantity, 8*len(data)) {
			list = append(list, int(data[i/8]>>(i%8)&1))
		}
		return list
	}
	for ; len(data) >= 2; data = data[2:] {
		list = append(list, int(binary.BigEndian.Uint16(data)))
	}
	return list
}

// functionName says what a function code does [Modbus Application Protocol V1.1b3 6].
func functionName(function byte) string {
	switch function {
	case 1:
		return "read coils"
	case 2:
		return "read discrete inputs"
	case 3:
		return "read holding registers"
	case 4:
		return "read input registers"
	case 5:
		return "write single coil"
	case 6:
		return "write single register"
	case funcReadExceptionStatus:
		return "read exception status"
	case funcDiagnostics:
		return "diagnostics"
	case funcEventCounter:
		return "get comm event counter"
	case 15:
		return "write multiple coils"
	case 16:
		return "write multiple registers"
	case funcServerID:
		return "report server id"
	case 22:
		return "mask write register"
	case 23:
		return "read/write multiple registers"
	case 24:
		return "read fifo queue"
	case funcDevice:
		return "read device identification"
	}
	return "unknown"
}
