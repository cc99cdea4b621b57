package session

import "fieldgate/broker/mqtt"

// Queue holds deliveries in RAM, in order, for a session that has no spool. Its
// zero value has no room; it is not safe for use by several goroutines.
type Queue struct {
	MaxMessages int
	MaxBytes    int
	DropOldest  bool // when full; else the new one is refused

	items []mqtt.Delivery // from head on
	head  int
	bytes int
}

// Cost is what a delivery counts in a queue, in bytes: topic, payload and what belongs to them.
func Cost(m *mqtt.Message) int { return len(m.Topic) + len(m.Payload) + len(m.Props) + 64 }

// Push puts the delivery at the end and tells how many were lost for it: the
// oldest ones, or the new one itself.
func (q *Queue) Push(d mqtt.Delivery) (lost int) {
	cost := Cost(d.Message)
	if cost > q.MaxBytes || q.MaxMessages < 1 {
		return 1
	}
	for q.Len() > 0 && q.DropOldest && q.over(cost) {
		q.Pop()
		lost++
	}
	if q.over(cost) {
		return lost + 1
	}
	if q.head > len(q.items)/2 && len(q.items) == cap(q.items) { // move up before growing
		n := copy(q.items, q.items[q.head:])
		clear(q.items[n:])
		q.items, q.head = q.items[:n], 0
	}
	q.items = append(q.items, d)
	q.bytes += cost
	return lost
}

func (q *Queue) over(cost int) bool {
	return q.Len() >= q.MaxMessages || q.bytes+cost > q.MaxBytes
}

// Pop takes the oldest delivery; false when there is none.
func (q *Queue) Pop() (mqtt.Delivery, bool) {
	if q.Len() == 0 {
		return mqtt.Delivery{}, false
	}
	d := q.items[q.head]
	q.items[q.head] = mqtt.Delivery{}
	q.head++
	q.bytes -= Cost(d.Message)
	if q.Len() == 0 {
		q.items, q.head = q.items[:0], 0
		if cap(q.items) > 64 {
			q.items = nil
		}
	}
	return d, true
}

// Len tells how many deliveries wait.
func (q *Queue) Len() int { return len(q.items) - q.head }

// Bytes tells what they cost.
func (q *Queue) Bytes() int { return q.bytes }

// Oldest gives the oldest message, nil for none.
func (q *Queue) Oldest() *mqtt.Message {
	if q.Len() == 0 {
		return nil
	}
	return q.items[q.head].Message
}
