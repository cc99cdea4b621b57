package sim

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"
)

// ServeRTU answers requests on a serial line, as the slaves with these unit
// identifiers, until ctx is done (nil) or the line fails. It closes rw when it ends.
// Broadcasts (unit 0) are obeyed by all and answered by none.
func ServeRTU(ctx context.Context, rw io.ReadWriteCloser, units map[byte]Device) error {
	stop := context.AfterFunc(ctx, func() { _ = rw.Close() })
	defer stop()
	defer rw.Close()
	var line requests
	buf := make([]byte, 512)
	for {
		n, err := rw.Read(buf)
		if err != nil {
			if ctx.Err() != nil || errors.Is(err, os.ErrClosed) || errors.Is(err, io.EOF) {
				return nil
			}
			return fmt.Errorf("serve Modbus RTU: %w", err)
		}
		for _, adu := range line.push(buf[:n], time.Now()) {
			response := answerRTU(units, adu)
			if response == nil {
				continue
			}
			if _, err := rw.Write(response); err != nil && ctx.Err() == nil {
				return fmt.Errorf("serve Modbus RTU: %w", err)
			}
		}
	}
}

// answerRTU gives the response ADU, nil when a slave would stay silent.
func answerRTU(units map[byte]Device, adu []byte) []byte {
	unit, pdu := adu[0], adu[1:len(adu)-2]
	if unit == 0 {
		for _, d := range units {
			answer(d, pdu)
		}
		return nil
	}
	d, ours := units[unit]
	if !ours {
		return nil
	}
	return withCRC(append([]byte{unit}, answer(d, pdu)...))
}

// requests cuts what comes over a line into whole requests.
type requests struct {
	buf  []byte
	last time.Time
}

// A request's bytes follow each other; a rest after this long begins no request.
const requestGap = 100 * time.Millisecond

func (r *requests) push(b []byte, now time.Time) [][]byte {
	if now.Sub(r.last) > requestGap {
		r.buf = r.buf[:0]
	}
	r.last = now
	r.buf = append(r.buf, b...)
	var whole [][]byte
	for len(r.buf) > 0 {
		n, known := requestLength(r.buf)
		if !known || n > len(r.buf) && n <= maxADU {
			break
		}
		if n <= maxADU && crcRight(r.buf[:n]) {
			whole = append(whole, append([]byte(nil), r.buf[:n]...))
			r.buf = r.buf[n:]
			continue
		}
		r.buf = r.buf[1:]
	}
	return whole
}

const maxADU = 256 // bytes

// requestLength is the length of the whole request ADU that begins the buffer; known is false while more bytes must tell.
func requestLength(b []byte) (n int, known bool) {
	if len(b) < 2 {
		return 0, false
	}
	switch b[1] {
	case 1, 2, 3, 4, 5, 6:
		return 8, true
	case 15, 16:
		if len(b) < 7 {
			return 0, false
		}
		return 9 + int(b[6]), true
	case 7, 11, 12, 17:
		return 4, true
	case 22:
		return 10, true
	case 43:
		return 7, true
	}
	return 8, true
}

func withCRC(b []byte) []byte {
	c := crc(b)
	return append(b, byte(c), byte(c>>8))
}

func crcRight(adu []byte) bool {
	n := len(adu) - 2
	c := crc(adu[:n])
	return adu[n] == byte(c) && adu[n+1] == byte(c>>8)
}

// crc is the CRC-16 of Modbus over serial line V1.02, 6.2.2.
func crc(b []byte) uint16 {
	c := uint16(0xFFFF)
	for _, x := range b {
		c ^= uint16(x)
		for range 8 {
			if c&1 == 1 {
				c = c>>1 ^ 0xA001
			} else {
				c >>= 1
			}
		}
	}
	return c
}
