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

// answerLength is the length of the whole answer to a request of one of the
// function codes that we send, 0 for others.
func answerLength(request []byte) int {
	if len(request) < 8 {
		return 0
	}
	switch quantity := int(binary.BigEndian.Uint16(request[4:])); request[1] {
	case 1, 2:
		return 5 + (quantity+7)/8
	case 3, 4:
		return 5 + 2*quantity
	case 5, 6, 15, 16:
		return 8
	}
	return 0
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
		case len(p) < n:
			f.unending = true
		case crcRight(p[:n]):
			f.frame, f.rest, f.unending = p[:n], len(p)-n, false
			return f
		default:
			f.corrupt = f.corrupt || n == want
			f.foreign = true
		}
	}
	return f
}

// candidate tells whether p may begin the answer, and how long that would be.
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
	if request[1] <= 4 {
		return want, len(p) < 3 || int(p[2]) == want-5
	}
	for i := 2; i < min(len(p), 6); i++ {
		if p[i] != request[i] {
			return 0, false
		}
	}
	return want, true
}
