package uplink

import (
	"context"
	"slices"
	"sync"
	"time"

	"fieldgate/bridges"
	"fieldgate/broker/mqtt"
)

// maxInflight is how many messages the cloud may leave unacknowledged. AWS IoT
// and HiveMQ take 100; a 5.0 server that wants fewer says so in CONNACK.
const maxInflight = 100

// window holds the messages that were taken from the queue and that the cloud has
// not acknowledged. It outlives a connection: the next one sends them again, in
// their order, with their packet identifiers.
type window struct {
	queue bridges.Source
	// A message that the cloud does not take now is sent again after a pause that doubles between these.
	firstPause, lastPause time.Duration

	mu       sync.Mutex
	inflight []flight // in the order of the queue
	written  int      // inflight[:written] went out on this connection
	limit    int
	full     int // what limit grows to
	lastID   uint16
	aside    int       // messages that stay in the queue and are sent no more
	hold     time.Time // nothing is sent before
	look     func()    // ends a look into the queue, nil while there is none

	room chan struct{} // capacity 1: set when the window is no longer full
}

type flight struct {
	delivery mqtt.Delivery
	packetID uint16
	again    bool // went out on an earlier connection
	refusals int  // how often the cloud said: not now
}

// maxAside bounds the messages that are set aside. With more of them the uplink waits: nothing is lost.
const maxAside = 100

func newWindow(queue bridges.Source, firstPause, lastPause time.Duration) *window {
	return &window{queue: queue, firstPause: firstPause, lastPause: lastPause, limit: maxInflight, full: maxInflight, room: make(chan struct{}, 1)}
}

// rewind prepares the window for a new connection. known tells whether the cloud still has the
// session: only then is a message that goes out again a duplicate to it. careful begins with one message, and with more once it is acknowledged.
func (w *window) rewind(limit int, known, careful bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i := range w.inflight {
		w.inflight[i].again = known && (w.inflight[i].again || i < w.written)
	}
	w.written, w.limit, w.full, w.hold = 0, limit, limit, time.Time{}
	if careful {
		w.limit = 1
	}
}

// next gives what is to be written now: what the last connection left, then what the queue has.
// It waits while the window is full or the queue is empty. QoS 0 deliveries have no packet
// identifier and are not kept.
func (w *window) next(ctx context.Context) ([]flight, error) {
	for {
		if pause := w.pause(); pause > 0 {
			if !sleep(ctx, pause) {
				return nil, ctx.Err()
			}
			continue
		}
		if again := w.unwritten(); len(again) > 0 {
			return again, nil
		}
		space := w.space()
		if space == 0 {
			select {
			case <-w.room:
				continue
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		}
		look, done := w.looking(ctx)
		deliveries, err := w.queue.Next(look, space)
		interrupted := look.Err() != nil && ctx.Err() == nil
		done()
		if err != nil && interrupted {
			continue
		}
		if err != nil {
			return nil, err
		}
		return w.take(deliveries), nil
	}
}

// pause is how long nothing is to be sent.
func (w *window) pause() time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	return time.Until(w.hold)
}

// looking gives a context that ends with ctx, with done, and when there is something to send that is not in the queue.
func (w *window) looking(ctx context.Context) (look context.Context, done func()) {
	look, cancel := context.WithCancel(ctx)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.look = cancel
	if w.written < min(len(w.inflight), w.limit) {
		cancel()
	}
	return look, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.look = nil
		cancel()
	}
}

// unwritten gives up to a window of messages that this connection has still to send.
func (w *window) unwritten() []flight {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.written >= min(len(w.inflight), w.limit) {
		return nil
	}
	again := slices.Clone(w.inflight[w.written:min(len(w.inflight), w.limit)])
	w.written += len(again)
	return again
}

func (w *window) space() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return max(0, w.limit-len(w.inflight))
}

func (w *window) take(deliveries []mqtt.Delivery) []flight {
	w.mu.Lock()
	defer w.mu.Unlock()
	flights := make([]flight, len(deliveries))
	for i, d := range deliveries {
		flights[i] = flight{delivery: d}
		if d.QoS == mqtt.AtMostOnce {
			continue
		}
		flights[i].packetID = w.freeID()
		w.inflight = slices.Insert(w.inflight, w.written, flights[i]) // before what is to be sent again
		w.written++
	}
	return flights
}

// freeID gives a packet identifier that is not in flight; the window is far smaller than their number.
func (w *window) freeID() uint16 {
	for {
		w.lastID++
		if w.lastID != 0 && w.index(w.lastID) < 0 {
			return w.lastID
		}
	}
}

func (w *window) index(packetID uint16) int {
	return slices.IndexFunc(w.inflight, func(f flight) bool { return f.packetID == packetID })
}

// acknowledge takes the message out of the window and out of the queue. It tells
// whether there was one.
func (w *window) acknowledge(packetID uint16) bool {
	w.mu.Lock()
	i := w.index(packetID)
	if i < 0 {
		w.mu.Unlock()
		return false
	}
	id := w.inflight[i].delivery.Message.ID
	w.inflight = slices.Delete(w.inflight, i, i+1)
	if i < w.written {
		w.written--
	}
	w.limit = min(2*w.limit, w.full)
	w.mu.Unlock()
	w.queue.Ack(id)
	signal(w.room)
	return true
}

// postpone puts a message that the cloud does not take now behind those that are under way, to be sent
// again after a pause in which nothing else is sent. It tells how often that happened to it, 0 for a message that is not in flight.
func (w *window) postpone(packetID uint16) (refusals int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	i := w.index(packetID)
	if i < 0 || i >= w.written {
		return 0
	}
	f := w.inflight[i]
	f.refusals++
	f.again = false // the cloud is done with it
	w.inflight = slices.Delete(w.inflight, i, i+1)
	w.written--
	w.inflight = slices.Insert(w.inflight, w.written, f)
	w.hold = time.Now().Add(min(w.firstPause<<min(f.refusals-1, 10), w.lastPause))
	w.moved()
	return f.refusals
}

// moved lets next look again; mu is held.
func (w *window) moved() {
	if w.look != nil {
		w.look()
	}
	signal(w.room)
}

// setAside takes a message out of the window and leaves it in the queue, where it stays in sight until
// somebody drops it, or it is tried again when the queue is attached anew. false when too many are aside.
func (w *window) setAside(id mqtt.MsgID) (m *mqtt.Message, ok bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	i := slices.IndexFunc(w.inflight, func(f flight) bool { return f.delivery.Message.ID == id })
	if i < 0 || w.aside >= maxAside {
		return nil, false
	}
	m = w.inflight[i].delivery.Message
	w.inflight = slices.Delete(w.inflight, i, i+1)
	if i < w.written {
		w.written--
	}
	w.aside++
	w.moved()
	return m, true
}

// asides counts the messages that are set aside.
func (w *window) asides() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.aside
}

// outstanding tells how many messages of this connection are not acknowledged, and which is the first.
func (w *window) outstanding() (n int, first mqtt.MsgID) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.written == 0 {
		return 0, 0
	}
	return w.written, w.inflight[0].delivery.Message.ID
}

// idOf gives the message that has a packet identifier, 0 for none.
func (w *window) idOf(packetID uint16) mqtt.MsgID {
	w.mu.Lock()
	defer w.mu.Unlock()
	if i := w.index(packetID); i >= 0 {
		return w.inflight[i].delivery.Message.ID
	}
	return 0
}
