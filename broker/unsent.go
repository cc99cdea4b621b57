package broker

import "sync/atomic"

// unsent is what all connections whose socket is full let wait, in bytes. While it
// is far from its budget each of them may use outLimit; then their shares shrink.
type unsent struct {
	budget int64
	bytes  atomic.Int64
	conns  atomic.Int64
}

// outLeast is what any connection may let wait, however many there are.
const outLeast = 4 << 10

// share tells how many bytes one connection whose socket is full may let wait.
func (u *unsent) share() int {
	left := u.budget - u.bytes.Load()
	if left >= 2*outLimit {
		return outLimit
	}
	own := u.budget / (4 * max(1, u.conns.Load()))
	return int(min(outLimit, max(left/2, own, outLeast)))
}

// limit tells how many bytes may wait; mu is held.
func (o *outbox) limit() int {
	if !o.busy {
		return outLimit
	}
	return o.unsent.share()
}

// count keeps the sum of what waits for full sockets; mu is held.
func (o *outbox) count() {
	now := 0
	if o.busy && !o.closed {
		now = o.size()
	}
	if now == o.counted {
		return
	}
	switch {
	case o.counted == 0:
		o.unsent.conns.Add(1)
	case now == 0:
		o.unsent.conns.Add(-1)
	}
	o.unsent.bytes.Add(int64(now - o.counted))
	o.counted = now
}
