package modbus

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
)

// framing is how an ADU looks on a serial line. ADUs are those of RTU everywhere
// else: unit identifier, PDU, CRC.
type framing interface {
	// wire gives what goes over the line for the ADU.
	wire(adu []byte) []byte
	// scan looks for the answer to the request ADU.
	scan(request, buf []byte) finding
	// chars is the number of characters of an ADU of n bytes.
	chars(n int) int
	// frames counts the whole frames, of whomever.
	frames(buf []byte) int
	// next gives the length of the frame that buf begins with, and its ADU; or of the noise before the next one, and nil.
	next(buf []byte) (n int, adu []byte)
}

// binaryFraming is that of RTU.
type binaryFraming struct{}

func (binaryFraming) wire(adu []byte) []byte           { return adu }
func (binaryFraming) scan(request, buf []byte) finding { return scan(request, buf) }
func (binaryFraming) chars(n int) int                  { return n }
func (binaryFraming) frames(buf []byte) int            { return countFrames(buf) }
func (binaryFraming) next(buf []byte) (int, []byte)    { return nextFrame(buf) }

// asciiFraming is a colon, two hex digits for each byte, an LRC, CR and LF [Modbus over serial line V1.02 2.5.2].
type asciiFraming struct{}

const (
	asciiBegin = ':'
	asciiEnd   = "\r\n"
	maxASCII   = 513 // characters
)

// lrc is the longitudinal redundancy check [Modbus over serial line V1.02 6.2.1].
func lrc(b []byte) byte {
	var sum byte
	for _, x := range b {
		sum += x
	}
	return -sum
}

func (asciiFraming) wire(adu []byte) []byte {
	body := adu[:len(adu)-2]
	out := make([]byte, 0, asciiFraming{}.chars(len(adu)))
	out = append(out, asciiBegin)
	for _, x := range append(bytes.Clone(body), lrc(body)) {
		const digits = "0123456789ABCDEF"
		out = append(out, digits[x>>4], digits[x&15])
	}
	return append(out, asciiEnd...)
}

// chars: the CRC's two bytes become the LRC's two digits.
func (asciiFraming) chars(n int) int { return 2*(n-2) + 5 }

func (asciiFraming) frames(buf []byte) int { return bytes.Count(buf, []byte(asciiEnd)) }

func (asciiFraming) next(buf []byte) (n int, adu []byte) {
	if begin := bytes.IndexByte(buf, asciiBegin); begin != 0 {
		if begin < 0 {
			begin = len(buf)
		}
		return begin, nil
	}
	end := bytes.Index(buf, []byte(asciiEnd))
	if again := bytes.IndexByte(buf[1:], asciiBegin); again >= 0 && (end < 0 || again+1 < end) {
		return again + 1, nil
	}
	if end < 0 {
		return len(buf), nil
	}
	if adu, whole := asciiADU(buf[1:end]); whole {
		return end + len(asciiEnd), adu
	}
	return end + len(asciiEnd), nil
}

// scan: a colon begins a frame anew, whatever stood before it.
func (asciiFraming) scan(request, buf []byte) (f finding) {
	for {
		begin := bytes.IndexByte(buf, asciiBegin)
		if begin < 0 {
			f.foreign = f.foreign || len(buf) > 0
			return f
		}
		f.foreign = f.foreign || begin > 0
		buf = buf[begin:]
		end := bytes.Index(buf, []byte(asciiEnd))
		if again := bytes.IndexByte(buf[1:], asciiBegin); again >= 0 && (end < 0 || again+1 < end) {
			f.foreign, f.corrupt = true, true
			buf = buf[again+1:]
			continue
		}
		if end < 0 {
			f.unending = len(buf) <= maxASCII
			f.foreign = f.foreign || !f.unending
			return f
		}
		adu, whole := asciiADU(buf[1:end])
		buf = buf[end+len(asciiEnd):]
		if !whole {
			f.foreign, f.corrupt = true, true
			continue
		}
		if n, fits := candidate(request, adu, answerLength(request)); fits && n == len(adu) {
			f.frame, f.rest, f.unending = adu, len(buf), false
			return f
		}
		f.foreign = true
	}
}

// asciiADU makes an ADU with a CRC of the digits between colon and CR; whole is false when they or the LRC are wrong.
func asciiADU(digits []byte) (adu []byte, whole bool) {
	b := make([]byte, hex.DecodedLen(len(digits)))
	if _, err := hex.Decode(b, digits); err != nil || len(b) < 3 || len(b) > maxADU {
		return nil, false
	}
	body := b[:len(b)-1]
	if lrc(body) != b[len(b)-1] {
		return nil, false
	}
	return binary.LittleEndian.AppendUint16(body, crc(body)), true
}
