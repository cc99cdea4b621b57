package modbus

import (
	"errors"
	"time"

	"fieldgate/bridges"
	"fieldgate/bridges/internal/port"
)

// transport carries one request at a time and gives its answer.
type transport interface {
	// exchange sends a request ADU and gives the answer's ADU and the time of its last byte. Errors: *failure.
	exchange(request []byte) ([]byte, time.Time, error)
	// heard takes what came while nothing was asked.
	heard(b []byte, at time.Time)
	// retryAfter is how long the unit is left alone after a failure, so that nobody has to wait for its late answer.
	retryAfter(f *failure) time.Duration
	// stale tells that the link should be opened again although it seems to work.
	stale() bool
}

// rtu speaks RTU on a serial line, or on a connection to a serial server.
//
// The answer to a request that timed out may still come. Nothing in an RTU frame
// tells it from the answer to the next request of the same unit and function code, so such a
// request waits until the old answer can't come any more: it is owed.
type rtu struct {
	wire    wire
	timeout time.Duration
	pause   time.Duration
	char    time.Duration // time of one character on the wire, 0 when there is no bit rate
	counts  *counts

	last   time.Time // when something was sent or heard last
	dirty  bool      // the line may still be talking
	echoes bool      // the line gives back what is sent
	owed   map[owed]time.Time
	buf    []byte
	chunk  [512]byte
}

// owed is what an answer looks like that may still come.
type owed struct{ unit, function byte }

const (
	lateAtLeast = 500 * time.Millisecond // how long after the timeout an answer may come
	quietLimit  = time.Second            // how long a line may go on talking before we give up
	graceGap    = 30 * time.Millisecond  // silence that ends a damaged answer
	maxHeard    = 4 * maxADU             // bytes of noise that are kept while an answer is awaited
)

func newRTU(w wire, s *Settings, c *counts) *rtu {
	t := &rtu{wire: w, timeout: s.Timeout, pause: s.Pause, counts: c, owed: map[owed]time.Time{}}
	if l := s.Link.Serial; l != nil {
		t.char = time.Duration(l.format.CharBits()) * time.Second / time.Duration(l.Baud)
	}
	return t
}

// silence is the gap between two frames: 3.5 characters, 1.75 ms from 19200 bit/s on [Modbus over serial line V1.02 2.5.1.1].
func (t *rtu) silence() time.Duration {
	const fast = 1750 * time.Microsecond
	return max(t.char*7/2, fast)
}

func (t *rtu) late() time.Duration { return max(t.timeout, lateAtLeast) }

func (t *rtu) heard(b []byte, at time.Time) {
	t.last, t.dirty = at, true
	t.counts.foreign += int64(len(b))
}

func (t *rtu) exchange(request []byte) ([]byte, time.Time, error) {
	expected := owed{request[0], request[1]}
	if err := t.settle(expected); err != nil {
		return nil, time.Time{}, err
	}
	start := time.Now()
	sent := start.Add(time.Duration(len(request)) * t.char)
	if err := t.wire.Write(request, sent.Add(t.timeout)); err != nil {
		return nil, time.Time{}, gone(err)
	}
	t.last = sent
	answer, at, err := t.await(request, sent)
	if f, ok := errors.AsType[*failure](err); ok {
		t.dirty = true
		if f.code == bridges.ErrTimeout || f.code == codeFrame {
			t.owed[expected] = time.Now().Add(t.late())
		}
	}
	return answer, at, err
}

// settle waits until the line is free: no owed answer can come any more, nobody
// talks, and the silence between frames has passed. What comes meanwhile is dropped.
func (t *rtu) settle(expected owed) error {
	until := t.last.Add(t.silence() + t.pause)
	if late, ok := t.owed[expected]; ok {
		delete(t.owed, expected)
		if late.After(until) {
			until = late
		}
	}
	quiet := t.silence()
	if t.dirty {
		quiet = max(quiet, 5*time.Millisecond)
		until = later(until, time.Now().Add(quiet))
	}
	giveUp := later(until, time.Now()).Add(quietLimit)
	for time.Now().Before(until) {
		n, err := t.wire.Read(t.chunk[:], until)
		if errors.Is(err, port.ErrTimeout) {
			break
		}
		if err != nil {
			return gone(err)
		}
		now := time.Now()
		t.last = now
		t.counts.foreign += int64(n)
		until = later(until, now.Add(max(quiet, t.pause)))
		if now.After(giveUp) {
			return newFailure(codeFrame, "the line does not become quiet: something else sends on it")
		}
	}
	t.dirty = false
	return nil
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// await reads until the answer is there, or can't come any more.
func (t *rtu) await(request []byte, sent time.Time) ([]byte, time.Time, error) {
	want := answerLength(request)
	deadline := sent.Add(t.timeout)
	last := deadline.Add(maxADU*t.char + 250*time.Millisecond) // a frame that has begun may go on until then
	t.buf = t.buf[:0]
	var f finding
	for {
		n, err := t.wire.Read(t.chunk[:], deadline)
		if errors.Is(err, port.ErrTimeout) {
			return nil, time.Time{}, t.missing(f, want)
		}
		if err != nil {
			return nil, time.Time{}, gone(err)
		}
		now := time.Now()
		t.last = now
		if now.After(deadline) { // we were held up; what came is late all the same
			return nil, time.Time{}, t.missing(f, want)
		}
		if t.buf = append(t.buf, t.chunk[:n]...); len(t.buf) > maxHeard {
			t.buf = append(t.buf[:0], t.buf[len(t.buf)-2*maxADU:]...)
		}
		in := t.withoutEcho(request)
		f = scan(request, in)
		if f.frame != nil {
			t.learnEcho(request)
			t.dirty = f.foreign || f.rest > 0
			t.counts.foreign += int64(len(t.buf) - len(f.frame))
			return append([]byte(nil), f.frame...), now, nil
		}
		switch {
		case f.unending:
			rest := time.Duration(want)*t.char + graceGap
			deadline = earlier(later(deadline, now.Add(rest)), last)
		case f.corrupt:
			deadline = earlier(deadline, now.Add(max(2*t.silence(), graceGap)))
		}
	}
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// missing says what came in place of the answer.
func (t *rtu) missing(f finding, want int) *failure {
	switch {
	case f.corrupt:
		return newFailure(codeCRC, "the answer was damaged on the line (%d bytes with a wrong CRC)", want)
	case len(t.buf) > 0:
		return newFailure(codeFrame, "%d bytes came that are no answer to the request", len(t.buf))
	}
	return newFailure(bridges.ErrTimeout, "no answer within %v", t.timeout)
}

// withoutEcho leaves out the request where the line is known to give it back: the
// answer to a write of one register looks just like its request.
func (t *rtu) withoutEcho(request []byte) []byte {
	if t.echoes && hasPrefix(t.buf, request) {
		return t.buf[min(len(request), len(t.buf)):]
	}
	return t.buf
}

// learnEcho sees from a read whether the line echoes.
func (t *rtu) learnEcho(request []byte) {
	if request[1] <= 4 {
		t.echoes = len(t.buf) >= len(request) && hasPrefix(t.buf, request)
	}
}

// hasPrefix tells whether buf begins with as much of prefix as it has bytes.
func hasPrefix(buf, prefix []byte) bool {
	n := min(len(buf), len(prefix))
	return string(buf[:n]) == string(prefix[:n])
}

func (t *rtu) retryAfter(f *failure) time.Duration {
	if f.code == bridges.ErrTimeout || f.code == codeFrame {
		return t.late()
	}
	return 0
}

func (t *rtu) stale() bool { return false }
