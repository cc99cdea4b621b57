package modbus

import "encoding/binary"

const (
	maxADU       = 256 // bytes on a serial line [Modbus over serial line V1.02 2.5.1]
	exceptionADU = 5   // unit, function code, exception code, CRC
	shortestADU  = 4
)

// crcTable has the CRC of each byte [Modbus over serial line V1.02 6.2.2].
var crcTable = func() (table [256]uint16) {
	for i := range table {
		c := uint16(i)
		for range 8 {
			if c&1 == 1 {
				c = c>>1 ^ 0xA001
			} else {
				c >>= 1
			}
		}
		table[i] = c
	}
	return table
}()

func crc(b []byte) uint16 {
	c := uint16(0xFFFF)
	for _, x := range b {
		c = c>>8 ^ crcTable[byte(c)^x]
	}
	return c
}

// crcRight tells whether an ADU of at least 2 bytes ends with its CRC.
func crcRight(adu []byte) bool {
	n := len(adu) - 2
	return binary.LittleEndian.Uint16(adu[n:]) == crc(adu[:n])
}

// Function codes without a constant in goburrow's package.
const (
	funcReadExceptionStatus = 7
	funcDiagnostics         = 8
	funcEventCounter        = 11
	funcServerID            = 17
	funcReadWrite           = 23
	funcDevice              = 43 // with the MEI type 14
)

// unknownLength says that the answer's first bytes must tell how long it is.
const unknownLength = -1

// answerLength is the length of the whole RTU answer to a request of one of the
// function codes that we send, unknownLength when it depends on the answer, 0 for others.
func answerLength(request []byte) int {
	if len(request) < shortestADU {
		return 0
	}
	switch function := request[1]; function {
	case funcReadExceptionStatus:
		return 5
	case funcEventCounter:
		return 8
	case funcServerID, 24, funcDevice:
		return unknownLength
	case funcDiagnostics:
		return len(request)
	}
	if len(request) < 8 {
		return 0
	}
	switch quantity := int(binary.BigEndian.Uint16(request[4:])); request[1] {
	case 1, 2:
		return 5 + (quantity+7)/8
	case 3, 4, 23:
		return 5 + 2*quantity
	case 5, 6, 15, 16:
		return 8
	case 22:
		return 10
	}
	return 0
}

// lengthSaid is the length of the answer that p begins, of a function code whose
// answer tells it; unknownLength while p is too short, 0 when p can't be one.
func lengthSaid(p []byte) int {
	switch {
	case p[1] == funcServerID && len(p) >= 3:
		return 5 + int(p[2])
	case p[1] == 24 && len(p) >= 6:
		n, count := int(binary.BigEndian.Uint16(p[2:])), int(binary.BigEndian.Uint16(p[4:]))
		if n != 2+2*count || count > 31 {
			return 0
		}
		return 6 + n
	case p[1] == funcDevice && len(p) >= 8:
		n := 8
		for range int(p[7]) {
			if len(p) < n+2 {
				return unknownLength
			}
			if n += 2 + int(p[n+1]); n+2 > maxADU {
				return 0
			}
		}
		return n + 2
	}
	return unknownLength
}

// echoed is how many bytes of the request, from the address on, its answer repeats.
func echoed(function byte) int {
	switch function {
	case 5, 6, 15, 16:
		return 4
	case 22:
		return 6
	case funcDiagnostics, funcDevice:
		return 2
	}
	return 0
}

// counted tells whether the answer's third byte counts the data behind it.
func counted(function byte) bool { return function <= 4 || function == 23 }

// tellsItself tells whether the answer repeats what makes a request of this function code differ from others of it: it is a write.
func tellsItself(function byte) bool { return echoed(function) >= 4 }

// mirrored tells whether the answer looks just like the request.
func mirrored(function byte) bool {
	return function == 5 || function == 6 || function == 22 || function == funcDiagnostics
}

// finding is what scan found.
type finding struct {
	frame    []byte // the answer, nil when there is none (yet)
	rest     int    // bytes after it
	foreign  bool   // bytes stood before it, or stand there instead of it
	corrupt  bool   // the answer is there, with a wrong CRC
	unending bool   // what stands there may still grow into the answer
}

// scan looks for the answer to an RTU request, from every offset of what came. An
// answer has the request's unit and function code, the length that the request asks for, for a write the same
// address and value, and the right CRC; all else is foreign.
func scan(request, buf []byte) (f finding) {
	want := answerLength(request)
	for offset := range buf {
		p := buf[offset:]
		n, fits := candidate(request, p, want)
		switch {
		case !fits:
			f.foreign = true
		case n == unknownLength || len(p) < n:
			f.unending = true
		case crcRight(p[:n]):
			f.frame, f.rest, f.unending = p[:n], len(p)-n, false
			return f
		default:
			f.corrupt = f.corrupt || p[1] == request[1]
			f.foreign = true
		}
	}
	return f
}

// candidate tells whether p may begin the answer, and how long that would be:
// unknownLength while its first bytes do not tell.
func candidate(request, p []byte, want int) (length int, fits bool) {
	if p[0] != request[0] {
		return 0, false
	}
	if len(p) < 2 {
		return exceptionADU, true
	}
	if p[1] == request[1]|0x80 {
		return exceptionADU, true
	}
	if p[1] != request[1] || want == 0 {
		return 0, false
	}
	if counted(request[1]) {
		return want, len(p) < 3 || int(p[2]) == want-5
	}
	for i := 2; i < min(len(p), 2+echoed(request[1])); i++ {
		if p[i] != request[i] {
			return 0, false
		}
	}
	if want == unknownLength {
		want = lengthSaid(p)
	}
	return want, want != 0
}

// shape is what tells answers from each other: two requests of one shape can't
// know whose answer comes.
type shape string

// shapeOf is the shape of the answer to an RTU request: the unit, the function code, and the length of a read or
// what a write repeats.
func shapeOf(request []byte) shape {
	if counted(request[1]) {
		n := answerLength(request)
		return shape([]byte{request[0], request[1], byte(n >> 8), byte(n)})
	}
	return shape(request[:min(len(request)-2, 2+echoed(request[1]))])
}

// sameFunction tells whether answers of both shapes come from one unit for one
// function code, so that an exception may belong to either.
func (s shape) sameFunction(other shape) bool { return s[:2] == other[:2] }

// countFrames counts the whole frames, of whomever, in what came over the line.
func countFrames(buf []byte) (n int) {
	for len(buf) > 0 {
		length, adu := nextFrame(buf)
		if adu != nil {
			n++
		}
		buf = buf[length:]
	}
	return n
}

// nextFrame gives the frame, of whomever, that buf begins with, or the length of the noise before the next one and nil.
func nextFrame(buf []byte) (n int, adu []byte) {
	if length := wholeFrame(buf); length > 0 {
		return length, buf[:length]
	}
	for at := 1; at < len(buf); at++ {
		if wholeFrame(buf[at:]) > 0 {
			return at, nil
		}
	}
	return len(buf), nil
}

// wholeFrame is the length of the frame that buf begins with, 0 for none.
func wholeFrame(buf []byte) int {
	const mostFunction = 0x2B
	if len(buf) < shortestADU || buf[0] > 247 || buf[1]&^0x80 > mostFunction {
		return 0
	}
	return frameLength(buf[:min(len(buf), maxADU)])
}

// frameLength is the length of the shortest frame with a right CRC that p begins with, 0 for none.
func frameLength(p []byte) int {
	c := uint16(0xFFFF)
	for i, x := range p {
		// A CRC over a frame with its CRC is 0.
		if c = c>>8 ^ crcTable[byte(c)^x]; c == 0 && i+1 >= shortestADU {
			return i + 1
		}
	}
	return 0
}
