package sessiontest

import (
	"maps"
	"slices"
	"time"

	"fieldgate/broker/mqtt"
	"fieldgate/broker/session"
)

// state is everything that a spool knows, once.
type state struct {
	last     mqtt.MsgID
	sessions map[session.ID]*owner
	limits   map[session.ID]session.Limits
	retained map[string]*mqtt.Message
}

// owner is one session and what belongs to it.
type owner struct {
	record   session.Record
	subs     map[string]mqtt.Subscription
	queue    []session.Queued // by rising ID
	received map[uint16]bool
	released map[mqtt.MsgID]bool

	losses session.Losses
}

func newState() *state {
	return &state{sessions: map[session.ID]*owner{}, limits: map[session.ID]session.Limits{}, retained: map[string]*mqtt.Message{}}
}

func (s *state) clone() *state {
	c := &state{last: s.last, sessions: make(map[session.ID]*owner, len(s.sessions)), limits: map[session.ID]session.Limits{}, retained: maps.Clone(s.retained)}
	for id, o := range s.sessions {
		c.sessions[id] = &owner{
			record:   o.record,
			subs:     maps.Clone(o.subs),
			queue:    slices.Clone(o.queue),
			received: maps.Clone(o.received),
			released: maps.Clone(o.released),
			losses:   o.losses,
		}
	}
	return c
}

func (s *state) append(e session.Entry) {
	m := e.Message
	for _, owed := range e.Owed {
		o := s.sessions[owed.Session]
		if o == nil || !o.makeRoom(s.limits[owed.Session], m) {
			continue
		}
		o.queue = append(o.queue, session.Queued{Message: m, QoS: owed.QoS, Retain: owed.Retain, SubscriptionIDs: owed.SubscriptionIDs})
	}
	if o := s.sessions[e.From]; o != nil {
		o.received[e.PacketID] = true
	}
	switch {
	case e.Retain && len(m.Payload) == 0:
		delete(s.retained, m.Topic)
	case e.Retain:
		s.retained[m.Topic] = m
	}
}

// refuses tells whether a session that the entry is owed to is full and refuses it.
func (s *state) refuses(e session.Entry) (refuses bool) {
	for _, owed := range e.Owed {
		if o, l := s.sessions[owed.Session], s.limits[owed.Session]; o != nil && l.Reject && o.isOver(l, e.Message) {
			if !e.Tentative {
				o.losses.Refused++
			}
			refuses = true
		}
	}
	return refuses
}

// isOver tells whether the queue is beyond the limits with m added; m may be nil.
func (o *owner) isOver(l session.Limits, m *mqtt.Message) bool {
	messages, bytes := int64(len(o.queue)), o.bytes()
	if m != nil {
		messages, bytes = messages+1, bytes+int64(len(m.Payload))
	}
	return l.Messages > 0 && messages > l.Messages || l.Bytes > 0 && bytes > l.Bytes
}

func (o *owner) bytes() (n int64) {
	for _, q := range o.queue {
		n += int64(len(q.Message.Payload))
	}
	return n
}

// makeRoom drops the oldest messages until m fits, which may be nil; false when it never does.
func (o *owner) makeRoom(l session.Limits, m *mqtt.Message) bool {
	for o.isOver(l, m) {
		o.losses.Dropped++
		if len(o.queue) == 0 {
			return false
		}
		o.queue = slices.Delete(o.queue, 0, 1)
	}
	return true
}

// dropOutdated takes what has waited for too long out of the queues.
func (s *state) dropOutdated(now time.Time) {
	for id, o := range s.sessions {
		age := s.limits[id].Age
		for age > 0 && len(o.queue) > 0 && now.Sub(o.queue[0].Message.Accepted) > age {
			o.queue = slices.Delete(o.queue, 0, 1)
			o.losses.Outdated++
		}
	}
}

// isDone tells whether nothing of the entry has to be kept any more.
func (s *state) isDone(e *session.Entry) bool {
	if e.Retain || s.sessions[e.From] != nil {
		return false
	}
	for _, owed := range e.Owed {
		if o := s.sessions[owed.Session]; o != nil {
			if _, found := o.find(e.Message.ID); found {
				return false
			}
		}
	}
	return true
}

// find gives the place of the first queued message whose ID is at least id.
func (o *owner) find(id mqtt.MsgID) (int, bool) {
	return slices.BinarySearchFunc(o.queue, id, func(q session.Queued, id mqtt.MsgID) int {
		switch {
		case q.Message.ID < id:
			return -1
		case q.Message.ID > id:
			return 1
		}
		return 0
	})
}

func (s *state) acked(sid session.ID, id mqtt.MsgID) {
	o := s.sessions[sid]
	if o == nil {
		return
	}
	delete(o.released, id)
	i, found := o.find(id)
	switch {
	case found && i == 0:
		o.queue[0] = session.Queued{}
		o.queue = o.queue[1:]
	case found:
		o.queue = slices.Delete(o.queue, i, i+1)
	}
}

func (s *state) change(c session.Change) {
	if c.End {
		delete(s.sessions, c.Session)
		delete(s.limits, c.Session)
	}
	if c.Put != nil {
		o := s.sessions[c.Put.ID]
		if o == nil {
			o = &owner{subs: map[string]mqtt.Subscription{}, received: map[uint16]bool{}, released: map[mqtt.MsgID]bool{}}
			s.sessions[c.Put.ID] = o
		}
		o.record = *c.Put
		o.record.Meta = slices.Clone(c.Put.Meta)
	}
	o := s.sessions[c.Session]
	if o == nil {
		return
	}
	for _, filter := range c.Unsubscribe {
		delete(o.subs, filter)
	}
	for _, sub := range c.Subscribe {
		o.subs[sub.Filter] = sub
	}
	for _, id := range c.Completed {
		s.acked(c.Session, id)
	}
	for _, id := range c.Released {
		o.released[id] = true
	}
	for _, pid := range c.Forget {
		delete(o.received, pid)
	}
}

func (s *state) page(sid session.ID, after mqtt.MsgID, maxMessages, maxBytes int, committed mqtt.MsgID) []session.Queued {
	o := s.sessions[sid]
	if o == nil {
		return nil
	}
	i, _ := o.find(after + 1)
	var page []session.Queued
	bytes := 0
	for _, q := range o.queue[i:] {
		bytes += len(q.Message.Payload)
		if len(page) == maxMessages || bytes > maxBytes && len(page) > 0 {
			break
		}
		if q.QoS == mqtt.ExactlyOnce && q.Message.ID > committed {
			break
		}
		page = append(page, q)
	}
	return page
}

func (s *state) usage(sid session.ID) mqtt.Usage {
	var u mqtt.Usage
	o := s.sessions[sid]
	if o == nil {
		return u
	}
	u.Dropped, u.Refused, u.Outdated = o.losses.Dropped, o.losses.Refused, o.losses.Outdated
	if len(o.queue) == 0 {
		return u
	}
	u.Messages = int64(len(o.queue))
	u.Oldest = o.queue[0].Message.Accepted
	u.Bytes = o.bytes()
	return u
}

func (s *state) visit(v session.Visitor) {
	for _, o := range s.sessions {
		if v.Session != nil {
			v.Session(o.record)
		}
	}
	for sid, o := range s.sessions {
		if v.Subscription != nil {
			for _, sub := range o.subs {
				v.Subscription(sid, sub)
			}
		}
		if v.Received != nil {
			for pid := range o.received {
				v.Received(sid, pid)
			}
		}
		if v.Released != nil {
			for _, id := range slices.Sorted(maps.Keys(o.released)) {
				v.Released(sid, id)
			}
		}
	}
	if v.Retained != nil {
		for _, m := range s.retained {
			v.Retained(m)
		}
	}
}
