package modbus

import (
	"encoding/binary"
	"errors"
	"time"

	"fieldgate/bridges"
	"fieldgate/bridges/internal/port"
)

// mbap speaks Modbus/TCP. Transaction identifiers are its own, one sequence for
// all units, so that a late answer is known as what it is and dropped.
type mbap struct {
	wire    wire
	timeout time.Duration
	pause   time.Duration
	counts  *counts

	transaction uint16
	last        time.Time
	silent      int // requests without an answer in a row
	buf         []byte
	chunk       [512]byte
}

const (
	mbapHeader = 7   // bytes: transaction, protocol, length, unit identifier
	maxMBAP    = 260 // bytes [Modbus messaging on TCP/IP V1.0b 4.2]
	// After so many timeouts in a row the connection is opened again: it may hang in the
	// device while the device itself works.
	maxSilent = 3
)

func newMBAP(w wire, s *Settings, c *counts) *mbap {
	return &mbap{wire: w, timeout: s.Timeout, pause: s.Pause, counts: c}
}

// heard keeps what came while nothing was asked: a late answer, whose transaction
// is over, or the beginning of one.
func (t *mbap) heard(b []byte, _ time.Time) {
	t.buf = append(t.buf, b...)
	for {
		frame, err := t.cut()
		if err != nil {
			t.buf = t.buf[:mbapHeader] // enough for the next exchange to see that this is no Modbus/TCP
			return
		}
		if frame == nil {
			return
		}
		t.counts.foreign += int64(len(frame))
	}
}

func (t *mbap) exchange(request []byte) ([]byte, time.Time, error) {
	for until := t.last.Add(t.pause); time.Now().Before(until); {
		n, err := t.wire.Read(t.chunk[:], until)
		if err != nil && !errors.Is(err, port.ErrTimeout) {
			return nil, time.Time{}, gone(err)
		}
		t.heard(t.chunk[:n], time.Now())
	}
	t.transaction++
	asked := binary.BigEndian.Uint16(request)
	binary.BigEndian.PutUint16(request, t.transaction)
	deadline := time.Now().Add(t.timeout)
	if err := t.wire.Write(request, deadline); err != nil {
		return nil, time.Time{}, gone(err)
	}
	answer, at, err := t.await(request, deadline)
	binary.BigEndian.PutUint16(request, asked)
	if err != nil {
		return nil, time.Time{}, err
	}
	binary.BigEndian.PutUint16(answer, asked)
	t.silent = 0
	t.last = at
	return answer, at, nil
}

func (t *mbap) await(request []byte, deadline time.Time) ([]byte, time.Time, error) {
	at := time.Now()
	for {
		frame, err := t.cut()
		if err != nil {
			return nil, time.Time{}, gone(err)
		}
		if frame != nil {
			if t.answers(request, frame) {
				return frame, at, nil
			}
			t.counts.foreign += int64(len(frame))
			continue
		}
		n, err := t.wire.Read(t.chunk[:], deadline)
		if errors.Is(err, port.ErrTimeout) {
			return nil, time.Time{}, t.missing()
		}
		if err != nil {
			return nil, time.Time{}, gone(err)
		}
		at = time.Now()
		t.buf = append(t.buf, t.chunk[:n]...)
		if at.After(deadline) { // we were held up; what came is late all the same
			return nil, time.Time{}, t.missing()
		}
	}
}

func (t *mbap) missing() *failure {
	t.silent++
	return newFailure(bridges.ErrTimeout, "no answer within %v", t.timeout)
}

// cut takes one whole frame from what came, nil when there is none yet. What is no
// Modbus/TCP is an error: there is no way to find the next frame.
func (t *mbap) cut() ([]byte, error) {
	if len(t.buf) < mbapHeader {
		return nil, nil
	}
	length := int(binary.BigEndian.Uint16(t.buf[4:])) // of unit identifier and PDU
	if t.buf[2] != 0 || t.buf[3] != 0 || length < 2 || length > maxMBAP-6 {
		return nil, errors.New("what came is no Modbus/TCP")
	}
	if len(t.buf) < 6+length {
		return nil, nil
	}
	frame := append([]byte(nil), t.buf[:6+length]...)
	t.buf = append(t.buf[:0], t.buf[6+length:]...)
	return frame, nil
}

// answers tells whether the frame is the answer to the request: its transaction,
// unit, function code and length, for a write the same address and value. Unit identifiers of 0 and
// 255 stand for the device itself, and some answer with the other one.
func (t *mbap) answers(request, frame []byte) bool {
	if binary.BigEndian.Uint16(frame) != t.transaction || !sameUnit(request[6], frame[6]) || len(frame) < mbapHeader+2 {
		return false
	}
	frame[6] = request[6]
	pdu, asked := frame[mbapHeader:], request[mbapHeader:]
	if pdu[0] == asked[0]|0x80 {
		return len(pdu) == 2
	}
	// The PDU's checks are those of RTU, whose ADU has one byte before and two behind it.
	want := answerLength(append([]byte{request[6]}, append(asked[:len(asked):len(asked)], 0, 0)...))
	if len(pdu)+3 != want {
		return false
	}
	_, fits := candidate(request[6:], frame[6:], want)
	return fits
}

func sameUnit(asked, got byte) bool {
	return asked == got || (asked == 0 || asked == 255) && (got == 0 || got == 255)
}

func (t *mbap) retryAfter(*failure) time.Duration { return 0 }

func (t *mbap) stale() bool { return t.silent >= maxSilent }
