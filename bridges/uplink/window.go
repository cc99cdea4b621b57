package uplink

import (
	"context"
	"slices"
	"sync"

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

	mu       sync.Mutex
	inflight []flight // in the order of the queue
	written  int      // inflight[:written] went out on this connection
	limit    int
	lastID   uint16

	room chan struct{} // capacity 1: set when the window is no longer full
}

type flight struct {
	delivery mqtt.Delivery
	packetID uint16
	again    bool // went out on an earlier connection
}

func newWindow(queue bridges.Source) *window {
	return &window{queue: queue, limit: maxInflight, room: make(chan struct{}, 1)}
}

// rewind prepares the window for a new connection. known tells whether the cloud still has the
// session: only then is a message that goes out again a duplicate to it.
func (w *window) rewind(limit int, known bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i := range w.inflight {
		w.inflight[i].again = known && (w.inflight[i].again || i < w.written)
	}
	w.written, w.limit = 0, limit
}

// next gives what is to be written now: what the last connection left, then what the queue has.
// It waits while the window is full or the queue is empty. QoS 0 deliveries have no packet
// identifier and are not kept.
func (w *window) next(ctx context.Context) ([]flight, error) {
	for {
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
		deliveries, err := w.queue.Next(ctx, space)
		if err != nil {
			return nil, err
		}
		return w.take(deliveries), nil
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
		w.inflight = append(w.inflight, flights[i])
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
	w.mu.Unlock()
	w.queue.Ack(id)
	select {
	case w.room <- struct{}{}:
	default:
	}
	return true
}
