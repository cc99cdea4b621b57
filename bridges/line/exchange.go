package line

import (
	"context"
	"time"

	"fieldgate/bridges"
)

// exchange is a request and the wait for its answer.
type exchange struct {
	request []byte
	wait    time.Duration
	once    bool // it must not be sent again: what seems to be its answer is taken for it
	// match tells whether a proven frame is the answer; it may keep what it finds, and
	// is asked for late answers too, when what it keeps is not looked at any more.
	match func(f Frame, body []byte) bool

	sent, end   time.Time // of the request, of the wait
	answered    time.Time // zero: not
	disbelieved bool      // what came may be the answer to another request, and nothing after it
	result      string    // what was made of the answer, while somebody looks
	damaged     bool      // a frame with a wrong checksum came in its place
	other       []byte    // the last frame that was no answer
}

// code says why there was no answer.
func (x *exchange) code() string {
	switch {
	case x.damaged:
		return codeChecksum
	case x.other != nil:
		return bridges.ErrParse
	}
	return bridges.ErrTimeout
}

const codeChecksum = "checksum"

// owed is how long after its time an answer may still come and be taken for
// another's: nothing is asked until then.
func owed(wait time.Duration) time.Duration { return max(wait, 500*time.Millisecond) }

// send drops what is under way and sends the request.
func (r *run) send(ctx context.Context, l *listener, request []byte) error {
	const moment = time.Millisecond
	if r.polledOnly && l.begun { // nobody sends by itself: what is here belongs to no answer
		if err := l.once(ctx, time.Now().Add(moment)); err != nil {
			return err
		}
	}
	if r.polledOnly {
		l.begun = true
		l.framer.Reset()
	}
	limit := time.Second + time.Duration(len(request))*r.bridge.settings.Link.byteTime()
	if err := l.wire.Write(request, time.Now().Add(limit)); err != nil {
		return err
	}
	r.bridge.show(shown{direction: bridges.FrameRequest, data: request, at: time.Now()})
	return nil
}

// ask sends a request and gives the time of its answer, the zero time when none came. What may be the answer to an
// earlier request is dropped; when none follows it, the request is sent again. The error is that of a lost link.
func (r *run) ask(ctx context.Context, l *listener, x *exchange) (time.Time, error) {
	for {
		if err := r.askOnce(ctx, l, x); err != nil || !x.disbelieved || x.damaged || ctx.Err() != nil {
			return x.answered, err
		}
		x.disbelieved = false
	}
}

func (r *run) askOnce(ctx context.Context, l *listener, x *exchange) error {
	if err := r.send(ctx, l, x.request); err != nil {
		return err
	}
	r.counters.requests++
	r.exchange = x
	defer func() { r.exchange = nil }()
	x.sent = time.Now()
	x.end = x.sent.Add(x.wait + time.Duration(len(x.request))*r.bridge.settings.Link.byteTime())
	for x.answered.IsZero() && !x.damaged && ctx.Err() == nil {
		now := time.Now()
		if !now.Before(x.end) {
			if !x.disbelieved {
				r.counters.timeouts++
				r.owed, r.owedUntil = x, now.Add(owed(x.wait))
				r.showLost(x, now)
			}
			return nil
		}
		if err := l.once(ctx, x.end); err != nil {
			return err
		}
	}
	if !x.answered.IsZero() {
		r.counters.answers++
	}
	return nil
}

// settled tells whether the next request may be sent: no answer is owed any more.
func (r *run) settled(now time.Time) bool {
	if r.owed != nil && !now.Before(r.owedUntil) {
		r.doubt, r.owed = r.owed, nil
	}
	return r.owed == nil
}

// frame takes a proven frame: a late answer, the answer that is waited for, or what a device sends by itself.
func (r *run) frame(ctx context.Context, f Frame, body []byte, at time.Time) {
	switch x := r.exchange; {
	case r.owed != nil && r.owed.match(f, body):
		r.owed = nil
		r.counters.late++
		r.showFrame(f, at, bridges.FrameOther, bridges.ProblemLate, "the request that it answers was given up")
		return
	case x != nil && x.answered.IsZero():
		if x.match(f, body) {
			if r.doubts(x, f, body, at) {
				r.counters.late++
				r.showFrame(f, at, bridges.FrameOther, bridges.ProblemLate, "it may be the answer to a request before, which was given up")
				return
			}
			x.answered, x.disbelieved = at, false
			r.bridge.show(shown{direction: bridges.FrameAnswer, data: f.Bytes, end: f.Delimiter, at: at, took: at.Sub(x.sent), words: x.result})
			return
		}
		if string(trimEnds(f.Bytes)) == string(trimEnds(x.request)) {
			r.counters.echoes++
			r.showFrame(f, at, bridges.FrameOther, "", "echo of the request")
			return
		}
		if r.polledOnly {
			x.other = append(x.other[:0], body...)
		}
	}
	r.line(ctx, f, body, at)
}

// doubts tells, once, that an answer may as well be that to another request, which was given up.
func (r *run) doubts(x *exchange, f Frame, body []byte, at time.Time) bool {
	const follows = 500 * time.Millisecond // the own answer, when there is one
	if r.doubt == nil || x.once || string(r.doubt.request) == string(x.request) || !r.doubt.match(f, body) {
		return false
	}
	r.doubt, x.disbelieved = nil, true
	x.end = at.Add(min(x.wait, follows))
	return true
}

// damaged takes a frame with a wrong checksum: waiting on is of no use.
func (r *run) damaged(f Frame, at time.Time) {
	r.showFrame(f, at, bridges.FrameOther, bridges.ProblemCRC, "the checksum is wrong")
	if x := r.exchange; x != nil && r.polledOnly {
		x.damaged = true
	}
}

// byteTime is how long a character takes on the line; 0 over TCP.
func (l Link) byteTime() time.Duration {
	if l.Serial == nil {
		return 0
	}
	const mostBits = 12
	return mostBits * time.Second / time.Duration(l.Serial.Baud)
}
