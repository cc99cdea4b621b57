package session

import (
	"cmp"
	"slices"

	"fieldgate/broker/mqtt"
)

// Stage is how far a delivery in flight has come.
type Stage byte

// The stages of a delivery. A QoS 1 delivery is only ever Sent.
const (
	Sent      Stage = iota // PUBLISH went out; PUBACK or PUBREC is due
	Releasing              // PUBREC came; PUBREL waits until that is safe
	Released               // PUBREL went out, or may go out again; PUBCOMP is due
	Completed              // PUBCOMP came; the packet identifier is free once that is safe
)

// Flight is one delivery of QoS 1 or 2 that the subscriber has not finished.
type Flight struct {
	ID    mqtt.MsgID // of the spool, or of NextID; gives the packet identifier
	QoS   mqtt.QoS
	Stage Stage
	done  bool
}

// Window is what is in flight to one subscriber, in the order of the IDs, which
// is the order in which it was sent and must be sent again [v3.1.1 MQTT-4.6.0-1].
// Its zero value has no room; see Resize. It is not safe for use by several
// goroutines.
type Window struct {
	flights []Flight // from head on; finished ones only behind one that is not
	head    int
	limit   int
	open    int        // take a place of the window
	live    int        // take a packet identifier: open, or completed
	last    mqtt.MsgID // given out by NextID
}

// Resize sets how many deliveries may be in flight; what is in flight beyond that stays.
func (w *Window) Resize(limit int) { w.limit = limit }

// Free tells how many deliveries may still be sent.
func (w *Window) Free() int { return max(0, w.limit-w.open) }

// Len tells how many deliveries are in flight.
func (w *Window) Len() int { return w.open }

// find gives the delivery with the packet identifier, nil when there is none. Acknowledgements usually come in
// order; else it looks for each ID that has the packet identifier, from the oldest in flight to the newest.
func (w *Window) find(pid uint16) *Flight {
	if w.live == 0 {
		return nil
	}
	first, last := &w.flights[w.head], w.flights[len(w.flights)-1].ID
	if first.ID.PacketID() == pid {
		return first
	}
	if (last-first.ID)/65535 > mqtt.MsgID(len(w.flights)-w.head) {
		return w.scan(pid)
	}
	ahead := (int(pid) - int(first.ID.PacketID()) + 65535) % 65535
	for id := first.ID + mqtt.MsgID(ahead); id <= last; id += 65535 {
		if f := w.search(id); f != nil {
			return f
		}
	}
	return nil
}

// scan is find that looks at everything.
func (w *Window) scan(pid uint16) *Flight {
	for i := w.head; i < len(w.flights); i++ {
		if f := &w.flights[i]; !f.done && f.ID.PacketID() == pid {
			return f
		}
	}
	return nil
}

// search gives the delivery with the ID, nil when there is none.
func (w *Window) search(id mqtt.MsgID) *Flight {
	flights := w.flights[w.head:]
	i, _ := slices.BinarySearchFunc(flights, id, func(f Flight, id mqtt.MsgID) int { return cmp.Compare(f.ID, id) })
	for ; i < len(flights) && flights[i].ID == id; i++ {
		if !flights[i].done {
			return &flights[i]
		}
	}
	return nil
}

// Find gives the delivery with the packet identifier.
func (w *Window) Find(pid uint16) (Flight, bool) {
	if f := w.find(pid); f != nil {
		return *f, true
	}
	return Flight{}, false
}

// Busy tells whether the packet identifier of the ID is in flight with another
// message; its delivery has to wait then.
func (w *Window) Busy(id mqtt.MsgID) bool {
	if w.live == 0 || id-w.flights[w.head].ID < 65535 {
		return false // two IDs share a packet identifier only when they are that far apart
	}
	return w.find(id.PacketID()) != nil
}

// NextID gives an ID whose packet identifier is free, for a session without a
// spool. There must be room in the window.
func (w *Window) NextID() mqtt.MsgID {
	for {
		w.last++
		if !w.Busy(w.last) {
			return w.last
		}
	}
}

// Send notes that a delivery goes out.
func (w *Window) Send(f Flight) {
	f.done = false
	w.open++
	w.live++
	if w.head > len(w.flights)/2 && len(w.flights) == cap(w.flights) { // move up before growing
		w.flights, w.head = w.flights[:copy(w.flights, w.flights[w.head:])], 0
	}
	at := len(w.flights)
	for at > w.head && w.flights[at-1].ID > f.ID { // only after Detach: behind what was released then
		at--
	}
	w.flights = slices.Insert(w.flights, at, f)
}

// Move notes that the delivery has gone from one stage to another; false when there is none that is so far.
func (w *Window) Move(pid uint16, from, to Stage) bool {
	f := w.find(pid)
	if f == nil || f.Stage != from {
		return false
	}
	f.Stage = to
	return true
}

// Complete gives the delivery's place in the window back and keeps its packet identifier; false when there is none.
func (w *Window) Complete(pid uint16) bool {
	f := w.find(pid)
	if f == nil || f.Stage == Completed {
		return false
	}
	f.Stage = Completed
	w.open--
	return true
}

// Finish takes the delivery out of the window; false when there is none.
func (w *Window) Finish(pid uint16) (Flight, bool) {
	f := w.find(pid)
	if f == nil {
		return Flight{}, false
	}
	finished := *f
	f.done = true
	if f.Stage != Completed {
		w.open--
	}
	w.live--
	w.trim()
	return finished, true
}

// trim drops finished deliveries from the front, and the memory with the last one.
func (w *Window) trim() {
	if w.live == 0 {
		w.flights, w.head = w.flights[:0], 0
		if cap(w.flights) > 64 {
			w.flights = nil
		}
		return
	}
	for w.flights[w.head].done {
		w.head++
	}
}

// Detach forgets the deliveries of which only the PUBLISH went out: the spool
// still owes them, and they will be sent again from there. What was released
// stays and is given in its order, to be released again.
func (w *Window) Detach() []Flight {
	kept := make([]Flight, 0, w.live)
	w.open = 0
	for f := range w.All {
		if f.Stage == Sent {
			continue
		}
		kept = append(kept, f)
		if f.Stage != Completed {
			w.open++
		}
	}
	w.flights, w.head, w.live = kept, 0, len(kept)
	return kept
}

// All gives what is in flight, oldest first.
func (w *Window) All(yield func(Flight) bool) {
	for _, f := range w.flights[w.head:] {
		if !f.done && !yield(f) {
			return
		}
	}
}
