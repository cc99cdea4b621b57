package modbus

import "time"

// transport carries requests and gives their answers. One goroutine uses it.
type transport interface {
	// exchange sends a request ADU and waits for its answer: the ADU and the time of its last byte. Errors: *failure.
	exchange(request []byte) ([]byte, time.Time, error)
	// post is exchange for a caller that does not wait: it gives the answer to done, before it
	// returns on a link that carries one request at a time, else from attend or exchange.
	post(request []byte, done func(answer []byte, at time.Time, err error))
	// full tells that no other request fits beside those that are under way.
	full() bool
	// attend waits until something came, until the time, or an Interrupt of the wire. The error is that of a lost link.
	attend(until time.Time) error
	// retryAfter is how long the unit is left alone after a failure, so that nobody has to wait for its late answer.
	retryAfter(f *failure) time.Duration
	// stale tells that the link should be opened again although it seems to work.
	stale() bool
}

// maxSilent is after how many requests without an answer in a row a connection is opened again:
// it may hang in the device, or between, while the device itself works.
const maxSilent = 3

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}
