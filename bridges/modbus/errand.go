package modbus

import "sync"

// class is how urgent something on the bus is. Writes come before all of these, from the
// queue of commands, and polls after them.
type class int

// The classes, the most urgent first.
const (
	readBack class = iota // what a write made of a point
	manual                // what a person asked for
	classes
)

// errands wait for the bus, by class and in order. The zero value is ready; all
// methods may be called at the same time.
type errands struct {
	mu        sync.Mutex // protects what follows
	lists     [classes][]errand
	interrupt func() // wakes the bus, nil while the link is down
	arrived   chan struct{}
	closed    bool
}

// errand is something to do on the bus; b is nil and f says why when it is not done.
type errand func(b *bus, f *failure)

const maxErrands = 100 // of a class

// push queues the errand, which is called once in any case.
func (e *errands) push(c class, do errand) {
	if f := e.add(c, do); f != nil {
		do(nil, f)
	}
}

func (e *errands) add(c class, do errand) *failure {
	e.mu.Lock()
	defer e.mu.Unlock()
	switch {
	case e.closed:
		return newFailure(codeUnavailable, "the bridge does not run")
	case len(e.lists[c]) >= maxErrands:
		return newFailure(codeTooMany, "too many requests wait for the bus")
	}
	e.lists[c] = append(e.lists[c], do)
	if e.interrupt != nil {
		e.interrupt()
	}
	if e.arrived != nil {
		close(e.arrived)
		e.arrived = nil
	}
	return nil
}

// pop gives the most urgent errand, nil when there is none.
func (e *errands) pop() errand {
	e.mu.Lock()
	defer e.mu.Unlock()
	for c := range e.lists {
		if len(e.lists[c]) > 0 {
			do := e.lists[c][0]
			e.lists[c] = e.lists[c][1:]
			return do
		}
	}
	return nil
}

// refuse ends what waits.
func (e *errands) refuse(f *failure) {
	for do := e.pop(); do != nil; do = e.pop() {
		do(nil, f)
	}
}

// news gives a channel that is closed at the next push, at once when something waits.
func (e *errands) news() <-chan struct{} {
	e.mu.Lock()
	defer e.mu.Unlock()
	ready := make(chan struct{})
	for _, list := range e.lists {
		if len(list) > 0 {
			close(ready)
			return ready
		}
	}
	if e.arrived == nil {
		e.arrived = ready
	}
	return e.arrived
}

func (e *errands) setInterrupt(f func()) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.interrupt = f
}

func (e *errands) close() {
	e.mu.Lock()
	e.closed = true
	e.mu.Unlock()
	e.refuse(newFailure(codeUnavailable, "the bridge has stopped"))
}
