package modbus

import (
	"encoding/binary"
	"errors"
	"slices"
	"time"

	"fieldgate/bridges"
	"fieldgate/bridges/internal/port"
)

// mbap speaks Modbus/TCP. Transaction identifiers are its own, one sequence for
// all units, so that several requests may be under way, and a late answer is known as what it is and dropped.
type mbap struct {
	wire    wire
	timeout time.Duration
	pause   time.Duration
	most    int // requests under way at once
	ledger  *ledger

	transaction uint16
	waiting     []*transaction // by deadline
	last        time.Time      // of the last answer
	began       time.Time      // when requests are under way: since then, as far as it is not counted as busy yet
	silent      int            // requests without an answer in a row
	buf         []byte
	chunk       [2048]byte
}

// transaction is a request that is under way.
type transaction struct {
	id       uint16
	own      uint16 // the identifier that the request came with
	request  []byte
	deadline time.Time
	sent     time.Time
	done     func(answer []byte, at time.Time, err error)
}

const (
	mbapHeader = 7   // bytes: transaction, protocol, length, unit identifier
	maxMBAP    = 260 // bytes [Modbus messaging on TCP/IP V1.0b 4.2]
)

func newMBAP(w wire, s *Settings, l *ledger) *mbap {
	return &mbap{wire: w, timeout: s.Timeout, pause: s.Pause, most: max(1, s.Link.TCP.Outstanding), ledger: l}
}

func (t *mbap) full() bool { return len(t.waiting) >= t.most }

// exchange lets the unit's other requests end first, so that an answer that was
// given before a write is not taken for the state after it.
func (t *mbap) exchange(request []byte) (answer []byte, at time.Time, err error) {
	for t.busyWith(request[6]) {
		if err := t.step(t.wire.Read, time.Now().Add(t.timeout)); err != nil {
			return nil, time.Time{}, gone(err)
		}
	}
	finished := false
	t.post(request, func(a []byte, when time.Time, e error) { answer, at, err, finished = a, when, e, true })
	for !finished {
		if err := t.step(t.wire.Read, time.Now().Add(t.timeout)); err != nil {
			return nil, time.Time{}, gone(err)
		}
	}
	return answer, at, err
}

func (t *mbap) busyWith(unit byte) bool {
	return slices.ContainsFunc(t.waiting, func(x *transaction) bool { return x.request[6] == unit })
}

func (t *mbap) post(request []byte, done func([]byte, time.Time, error)) {
	for until := t.last.Add(t.pause); time.Now().Before(until); {
		if err := t.step(t.wire.Read, until); err != nil {
			done(nil, time.Time{}, gone(err))
			return
		}
	}
	t.transaction++
	x := &transaction{id: t.transaction, own: binary.BigEndian.Uint16(request), request: request, done: done}
	binary.BigEndian.PutUint16(request, x.id)
	now := time.Now()
	x.sent, x.deadline = now, now.Add(t.timeout)
	if len(t.waiting) == 0 {
		t.began = now
	}
	if err := t.wire.Write(request, x.deadline); err != nil {
		done(nil, time.Time{}, gone(err))
		return
	}
	t.waiting = append(t.waiting, x)
	if t.ledger.tap.Open() {
		t.ledger.showRequest(withoutHeader(request), request)
	}
}

func (t *mbap) attend(until time.Time) error { return t.step(t.wire.Listen, until) }

// step takes in what comes until the time, at most one piece, and ends the
// requests that it answers or whose time is over.
func (t *mbap) step(read func([]byte, time.Time) (int, error), until time.Time) error {
	if len(t.waiting) > 0 {
		until = earlier(until, t.waiting[0].deadline)
	}
	n, err := read(t.chunk[:], until)
	now := time.Now()
	t.account(now)
	if err := notLost(err); err != nil {
		return err
	}
	t.buf = append(t.buf, t.chunk[:n]...)
	if err := t.take(now); err != nil {
		return err
	}
	// What was there in time is certain by its identifier, even when we were held up.
	if errors.Is(err, port.ErrTimeout) {
		t.expire(now)
	}
	return nil
}

// account counts the time since the last call as busy, if anything was under way.
func (t *mbap) account(now time.Time) {
	if len(t.waiting) > 0 {
		t.ledger.use.add(now, now.Sub(t.began))
		t.began = now
	}
}

// take ends the requests whose answers are in buf.
func (t *mbap) take(now time.Time) error {
	for {
		frame, err := t.cut()
		if err != nil {
			t.ledger.showOther(nil, t.buf, codeFrame, err.Error())
		}
		if frame == nil || err != nil {
			return err
		}
		i := slices.IndexFunc(t.waiting, func(x *transaction) bool { return x.answeredBy(frame) })
		if i < 0 {
			t.ledger.foreign += int64(len(frame))
			t.ledger.foreignFrames++
			t.ledger.showOther(withoutHeader(frame), frame, bridges.ProblemLate, "no request with this transaction waits for it")
			continue
		}
		x := t.waiting[i]
		t.waiting = slices.Delete(t.waiting, i, i+1)
		t.silent, t.last = 0, now
		if t.ledger.tap.Open() {
			t.ledger.showAnswer(withoutHeader(x.request), withoutHeader(frame), frame, now, now.Sub(x.sent), nil)
		}
		binary.BigEndian.PutUint16(x.request, x.own)
		binary.BigEndian.PutUint16(frame, x.own)
		x.done(frame, now, nil)
	}
}

func (t *mbap) expire(now time.Time) {
	for len(t.waiting) > 0 && !t.waiting[0].deadline.After(now) {
		x := t.waiting[0]
		t.waiting = t.waiting[1:]
		t.silent++
		f := newFailure(bridges.ErrTimeout, "no answer within %v", t.timeout)
		if t.ledger.tap.Open() {
			t.ledger.showAnswer(withoutHeader(x.request), nil, nil, now, now.Sub(x.sent), f)
		}
		x.done(nil, now, f)
	}
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

// answeredBy tells whether the frame is the answer to the request: its transaction,
// unit, function code and length, for a write the same address and value. Unit identifiers of 0 and
// 255 stand for the device itself, and some answer with the other one.
func (x *transaction) answeredBy(frame []byte) bool {
	if binary.BigEndian.Uint16(frame) != x.id || !sameUnit(x.request[6], frame[6]) || len(frame) < mbapHeader+2 {
		return false
	}
	frame[6] = x.request[6]
	pdu := frame[mbapHeader:]
	if pdu[0] == x.request[mbapHeader]|0x80 {
		return len(pdu) == 2
	}
	// The PDU's checks are those of RTU, whose ADU has one byte before and two behind it.
	asked, got := withoutHeader(x.request), withoutHeader(frame)
	n, fits := candidate(asked, got, answerLength(asked))
	return fits && n == len(got)
}

// withoutHeader gives unit identifier and PDU, and room for a CRC.
func withoutHeader(adu []byte) []byte {
	return append(adu[mbapHeader-1:len(adu):len(adu)], 0, 0)
}

func sameUnit(asked, got byte) bool {
	return asked == got || (asked == 0 || asked == 255) && (got == 0 || got == 255)
}

func (t *mbap) retryAfter(f *failure) time.Duration { return f.patience() }

func (t *mbap) stale() bool { return t.silent >= maxSilent }
