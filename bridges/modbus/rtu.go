package modbus

import (
	"bytes"
	"encoding/binary"
	"errors"
	"time"

	"fieldgate/bridges"
	"fieldgate/bridges/internal/port"
)

// rtu speaks RTU or ASCII on a serial line, or RTU on a connection to a serial server.
//
// The answer to a request that timed out may still come. Nothing in a serial frame
// tells it from the answer to the next request of the same shape, so such a
// request waits until the old answer can't come any more: it is owed. A slave, or a
// gateway before it, that hung for longer may then answer all that it was asked at once. So the first answer
// of that shape is not believed: it is dropped with all that follows it, and asked for again.
type rtu struct {
	wire    wire
	framing framing
	timeout time.Duration
	pause   time.Duration
	char    time.Duration // time of one character on the wire, 0 when there is no bit rate
	timed   bool          // the bit rate is a real one: nothing comes faster
	server  bool          // the wire is a connection to a serial server
	ledger  *ledger
	debts   *debts
	nap     func(time.Duration) // sleeps more precisely than a Read with a deadline
	hush    time.Duration       // how quiet a dirty line has to be, when longer than usual

	last    time.Time // when something was sent or heard last
	dirty   bool      // the line may still be talking
	echo    echo      // whether the line gives back what is sent
	cut     bool      // the beginning of buf, an echo included, was dropped
	useless int       // failures in a row
	buf     []byte
	chunk   [512]byte
}

// debts are the answers that may still come, by shape, and until when. They
// outlive a connection: a serial server gives to the next one what the line brings.
type debts struct {
	until  map[shape]time.Time
	doubts map[shape]bool // a request timed out, and no answer was believed since
}

func newDebts() *debts { return &debts{until: map[shape]time.Time{}, doubts: map[shape]bool{}} }

const (
	lateAtLeast = 450 * time.Millisecond // how long after the timeout an answer may come
	doubtGap    = 30 * time.Millisecond  // silence after which nothing follows an answer that is not believed
	quietLimit  = time.Second            // how long a line may go on talking before we give up
	graceGap    = 30 * time.Millisecond  // silence that ends a damaged answer
	maxHeard    = 4 * maxASCII           // bytes of noise that are kept while an answer is awaited
	longestNap  = 4 * time.Millisecond   // covers the silences from 9600 bit/s on
	turnaround  = 100 * time.Millisecond // what the units may take to obey a broadcast [Modbus over serial line V1.02 2.4.1]
	maxUseless  = 6                      // failures in a row after which a serial server is connected anew
)

func newRTU(w wire, s *Settings, l *ledger, d *debts) *rtu {
	t := &rtu{wire: w, framing: binaryFraming{}, timeout: s.Timeout, pause: s.Pause, ledger: l, debts: d, nap: port.Nap, server: true}
	if serial := s.Link.Serial; serial != nil {
		t.char, t.timed, t.server = serial.char(), w.Timed(), false
		if serial.ASCII {
			t.framing = asciiFraming{}
		}
	}
	return t
}

// char is the time that a character takes on the wire.
func (s *Serial) char() time.Duration {
	return time.Duration(s.format.CharBits()) * time.Second / time.Duration(s.Baud)
}

// silence is the gap between two frames: 3.5 characters, 1.75 ms from 19200 bit/s on [Modbus over serial line V1.02 2.5.1.1].
func silence(char time.Duration) time.Duration {
	const fast = 1750 * time.Microsecond
	return max(char*7/2, fast)
}

func (t *rtu) silence() time.Duration { return silence(t.char) }

func (t *rtu) late() time.Duration { return max(t.timeout, lateAtLeast) }

func (t *rtu) full() bool { return false }

func (t *rtu) post(request []byte, done func([]byte, time.Time, error)) { done(t.exchange(request)) }

func (t *rtu) attend(until time.Time) error {
	n, err := t.wire.Listen(t.chunk[:], until)
	if err == nil {
		t.foreign(t.chunk[:n])
		t.last, t.dirty = time.Now(), true
		return nil
	}
	return notLost(err)
}

// notLost leaves out the errors of a wire that say only that nothing came.
func notLost(err error) error {
	if errors.Is(err, port.ErrTimeout) || errors.Is(err, port.ErrInterrupted) {
		return nil
	}
	return err
}

// foreign counts and shows what was heard and is no answer.
func (t *rtu) foreign(b []byte) {
	t.show(b)
	t.count(b)
}

// show shows what is no answer, frame by frame: a late one, somebody else's, noise.
func (t *rtu) show(b []byte) {
	if !t.ledger.tap.Open() {
		return
	}
	for len(b) > 0 {
		n, adu := t.framing.next(b)
		problem, words := bridges.ProblemForeign, "a frame of somebody else"
		switch {
		case adu == nil:
			words = "noise"
		case t.debts.awaits(adu):
			problem, words = bridges.ProblemLate, "the request that it answers was given up"
		}
		t.ledger.showOther(adu, b[:n], problem, words)
		b = b[n:]
	}
}

// awaits tells whether the ADU may be the answer to a request that timed out.
func (d *debts) awaits(adu []byte) bool {
	for s := range d.doubts {
		if s[0] == adu[0] && s[1] == adu[1]&0x7F {
			return true
		}
	}
	return false
}

func (t *rtu) count(b []byte) {
	t.ledger.foreign += int64(len(b))
	t.ledger.foreignFrames += int64(t.framing.frames(b))
}

func (t *rtu) exchange(request []byte) ([]byte, time.Time, error) {
	begin := time.Now()
	if err := t.lookForEcho(request); err != nil {
		return nil, time.Time{}, err
	}
	answer, at, err := t.converse(request)
	if ours := shapeOf(request); err == nil && t.debts.doubts[ours] {
		delete(t.debts.doubts, ours)
		if !tellsItself(request[1]) {
			t.dirty, t.hush = true, doubtGap
			answer, at, err = t.converse(request)
		}
	}
	if err == nil {
		t.useless = 0
	} else {
		t.useless++
	}
	now := time.Now()
	t.ledger.use.add(now, now.Sub(begin))
	return answer, at, err
}

func (t *rtu) converse(request []byte) ([]byte, time.Time, error) {
	expected := shapeOf(request)
	if err := t.settle(expected); err != nil {
		return nil, time.Time{}, err
	}
	out := t.framing.wire(request)
	sent := time.Now().Add(time.Duration(len(out)) * t.char)
	if err := t.wire.Write(out, sent.Add(t.timeout)); err != nil {
		return nil, time.Time{}, gone(err)
	}
	t.ledger.showRequest(request, out)
	if t.last = sent; request[0] == broadcast {
		t.last = sent.Add(turnaround)
		return obeyed(request), sent, nil
	}
	answer, at, err := t.await(request, out, sent)
	if err == nil && t.ledger.tap.Open() {
		t.ledger.showAnswer(request, answer, t.framing.wire(answer), at, at.Sub(sent), t.disbelief(request))
	}
	if f, ok := errors.AsType[*failure](err); ok {
		t.learnEcho(request, out)
		now := time.Now()
		t.ledger.showAnswer(request, nil, t.buf, now, now.Sub(sent), f)
		t.dirty = true
		if f.code == bridges.ErrTimeout || f.code == codeFrame || f.code == bridges.ErrLink && t.server {
			t.debts.until[expected] = time.Now().Add(t.late())
			t.debts.doubts[expected] = true
		}
	}
	return answer, at, err
}

// disbelief says why the answer to the request will not be used; nil when it will.
func (t *rtu) disbelief(request []byte) *failure {
	if !t.debts.doubts[shapeOf(request)] || tellsItself(request[1]) {
		return nil
	}
	return newFailure(bridges.ProblemLate, "it may be the answer to the request before, which timed out: asked once more")
}

// broadcast is the unit identifier that all units obey and none answers.
const broadcast = 0

// obeyed is the answer that a unit would give to a write. [Modbus over serial line V1.02 2.1]
func obeyed(request []byte) []byte {
	n := min(2+echoed(request[1]), len(request)-2)
	answer := append([]byte(nil), request[:n]...)
	return binary.LittleEndian.AppendUint16(answer, crc(answer))
}

// settle waits until the line is free: no owed answer can come any more, nobody
// talks, and the silence between frames has passed. What comes meanwhile is dropped.
func (t *rtu) settle(expected shape) error {
	until := t.last.Add(t.silence() + t.pause)
	if late, ok := t.debts.until[expected]; ok {
		delete(t.debts.until, expected)
		until = later(until, late)
	}
	quiet := t.silence()
	if t.dirty {
		quiet = max(quiet, 5*time.Millisecond, t.hush)
		until = later(until, time.Now().Add(quiet))
	}
	giveUp := later(until, time.Now()).Add(quietLimit)
	for {
		n, err := t.hear(until)
		if err != nil {
			return gone(err)
		}
		if n == 0 {
			t.dirty, t.hush = false, 0
			return nil
		}
		now := time.Now()
		t.last = now
		t.foreign(t.chunk[:n])
		until = later(until, now.Add(max(quiet, t.pause)))
		if now.After(giveUp) {
			return newFailure(codeFrame, "the line does not become quiet: something else sends on it")
		}
	}
}

// hear gives how much has come to chunk, 0 when the line was silent until the time. The last of it is slept through, and what came is
// looked at then: a Read with a deadline is not punctual enough.
func (t *rtu) hear(until time.Time) (int, error) {
	for time.Until(until) > longestNap {
		n, err := t.wire.Read(t.chunk[:], until.Add(-longestNap))
		if !errors.Is(err, port.ErrTimeout) {
			return n, err
		}
	}
	if left := time.Until(until); left > 0 {
		t.nap(left)
	}
	return t.wire.Waiting(t.chunk[:])
}

// await reads until the answer is there, or can't come any more.
func (t *rtu) await(request, out []byte, sent time.Time) ([]byte, time.Time, error) {
	want := answerLength(request)
	if want <= 0 {
		want = maxADU
	}
	deadline := sent.Add(t.timeout)
	last := deadline.Add(maxADU*t.char + 250*time.Millisecond) // a frame that has begun may go on until then
	t.buf, t.cut = t.buf[:0], false
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
			t.drop(len(t.buf) - maxHeard/2)
		}
		f = t.find(request, out, sent, now)
		if f.frame != nil {
			t.dirty = f.foreign || f.rest > 0
			return append([]byte(nil), f.frame...), now, nil
		}
		switch {
		case f.unending:
			rest := time.Duration(t.framing.chars(want))*t.char + graceGap
			deadline = earlier(later(deadline, now.Add(rest)), last)
		case f.corrupt:
			deadline = earlier(deadline, now.Add(max(2*t.silence(), graceGap)))
		}
	}
}

// find looks for the answer in what came. What looks like it and can't be is dropped.
func (t *rtu) find(request, out []byte, sent, now time.Time) finding {
	if t.echo != echoNone && !t.cut && len(t.buf) < len(out) && bytes.HasPrefix(out, t.buf) {
		return finding{unending: true} // it may be an echo
	}
	for {
		in := t.withoutEcho(out)
		f := t.framing.scan(request, in)
		if f.frame == nil {
			return f
		}
		used := t.framing.chars(len(f.frame))
		begin := len(in) - f.rest - used
		switch {
		case t.timed && now.Before(sent.Add(time.Duration(used)*t.char*9/10-time.Millisecond)):
			t.ledger.early++
			t.ledger.showOther(f.frame, in[begin:begin+used], bridges.ProblemEarly, "it came faster than the line can carry it, so it answers another request")
		case t.disputed(request, f.frame):
			t.ledger.showOther(f.frame, in[begin:begin+used], bridges.ProblemLate, "it may be the exception to another request, which timed out")
		default:
			t.learnEcho(request, out)
			t.show(in[:begin])
			t.show(in[begin+used:])
			if strange := len(in) - used; strange > 0 {
				t.ledger.foreign += int64(strange)
				t.ledger.foreignFrames += int64(max(0, t.framing.frames(in)-1))
			}
			return f
		}
		t.show(in[:begin])
		t.forget(len(t.buf) - f.rest)
	}
}

// disputed tells whether an exception may belong to an earlier request, of another
// shape, that timed out: nothing in it tells.
func (t *rtu) disputed(request, answer []byte) bool {
	if answer[1] == request[1] {
		return false
	}
	now, ours := time.Now(), shapeOf(request)
	for other, until := range t.debts.until {
		if until.Before(now) {
			delete(t.debts.until, other)
		} else if other != ours && other.sameFunction(ours) {
			return true
		}
	}
	return false
}

// drop shows and forgets the first n bytes that came.
func (t *rtu) drop(n int) {
	t.show(t.buf[:n])
	t.forget(n)
}

// forget drops the first n bytes that came.
func (t *rtu) forget(n int) {
	t.count(t.buf[:n])
	t.buf = append(t.buf[:0], t.buf[n:]...)
	t.cut, t.dirty = true, true
}

// missing says what came in place of the answer.
func (t *rtu) missing(f finding, want int) *failure {
	t.count(t.buf)
	switch {
	case f.corrupt:
		return newFailure(codeCRC, "the answer was damaged on the line (%d bytes with a wrong CRC)", want)
	case len(t.buf) > 0:
		return newFailure(codeFrame, "%d bytes came that are no answer to the request", len(t.buf))
	}
	return newFailure(bridges.ErrTimeout, "no answer within %v", t.timeout)
}

func (t *rtu) retryAfter(f *failure) time.Duration {
	switch {
	case f.code == bridges.ErrTimeout, f.code == codeFrame:
		return t.late()
	}
	return f.patience()
}

// stale: a serial server that only gives nonsense or nothing is connected anew.
func (t *rtu) stale() bool { return t.server && t.useless >= maxUseless }
