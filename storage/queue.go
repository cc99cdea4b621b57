package storage

import (
	"slices"
	"sort"

	"fieldgate/broker/mqtt"
	"fieldgate/broker/session"
)

// queue is what one session is owed, over all segments. Protected by Spool.mu.
type queue struct {
	parts    []*part // by rising base of their segments
	n        int64
	bytes    int64 // of payload
	released map[mqtt.MsgID]struct{}

	limits session.Limits
	losses session.Losses // because of the limits
}

// owe adds the message, the newest of its segment, at the position.
func (q *queue) owe(id session.ID, g *segment, pos int) {
	p := g.parts[id]
	if p == nil {
		p = &part{seg: g, owner: id}
		g.parts[id] = p
		q.parts = append(q.parts, p)
	}
	p.owe(pos)
	q.n++
	q.bytes += int64(g.size(pos))
}

// from gives the place in parts of the first segment with an ID above after.
func (q *queue) from(after mqtt.MsgID) int {
	if n := len(q.parts); n > 0 && q.parts[0].seg.last() > after {
		return 0
	}
	return sort.Search(len(q.parts), func(i int) bool { return q.parts[i].seg.last() > after })
}

// find gives the part and position of a message that is owed, nil when it is not.
func (q *queue) find(id mqtt.MsgID) (*part, int) {
	i := q.from(id - 1)
	if i == len(q.parts) {
		return nil, 0
	}
	p := q.parts[i]
	pos := p.seg.find(id)
	if pos < 0 || !p.has(pos) {
		return nil, 0
	}
	return p, pos
}

// first gives the part and position of the oldest message, nil for an empty queue.
func (q *queue) first() (*part, int) {
	for _, p := range q.parts {
		if pos := p.next(0); pos >= 0 {
			return p, pos
		}
	}
	return nil, 0
}

// drop takes the part out of the queue and its segment.
func (q *queue) drop(p *part) {
	delete(p.seg.parts, p.owner)
	if i := slices.Index(q.parts, p); i >= 0 {
		q.parts = slices.Delete(q.parts, i, i+1)
	}
}
