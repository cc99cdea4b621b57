package broker

import (
	"maps"
	"slices"
	"strings"
	"time"

	"fieldgate/broker/mqtt"
	"fieldgate/broker/session"
)

// isShared tells whether the filter is one of a shared subscription.
func isShared(filter string) bool { return strings.HasPrefix(filter, "$share/") }

// flying remembers the message of a QoS 1 delivery that flies to a member of a
// shared subscription without a spool, in case the member leaves; mu is held. A
// QoS 2 delivery that was begun must go to nobody else [v5 MQTT-4.8.2-5].
func (cl *client) flying(id mqtt.MsgID, qos mqtt.QoS, m *mqtt.Message) {
	if qos != mqtt.AtLeastOnce {
		return
	}
	if cl.flown == nil {
		cl.flown = map[mqtt.MsgID]*mqtt.Message{}
	}
	cl.flown[id] = m
}

// rehome gives what a session leaves behind of its shared subscriptions to their
// other members. Its subscriptions are out of the tree already. Which message came
// through which subscription is not kept: those count that no subscription of its
// own matches.
func (b *Broker) rehome(cl *client, filters []string) {
	var shared, own []string
	for _, filter := range filters {
		if isShared(filter) {
			shared = append(shared, filter)
		} else {
			own = append(own, filter)
		}
	}
	if len(shared) == 0 {
		return
	}
	w := b.batch()
	defer w.done()
	for m := range cl.left(w) {
		if slices.ContainsFunc(own, func(filter string) bool { return mqtt.Match(filter, m.Topic) }) {
			continue
		}
		for _, filter := range shared {
			group, inner, _, _ := mqtt.ParseShared(filter) // it was checked when it was subscribed to
			if mqtt.Match(inner, m.Topic) {
				w.giveToGroup(m, group, inner)
			}
		}
	}
}

// left gives the messages that a session that ends did not get, in order.
func (cl *client) left(w *batch) func(yield func(*mqtt.Message) bool) {
	return func(yield func(*mqtt.Message) bool) {
		cl.mu.Lock()
		var list []*mqtt.Message
		for _, id := range slices.Sorted(maps.Keys(cl.flown)) {
			list = append(list, cl.flown[id])
		}
		for d, ok := cl.queue.Pop(); ok; d, ok = cl.queue.Pop() {
			list = append(list, d.Message)
		}
		cl.sentTo = max(cl.sentTo, cl.cursor)
		cl.mu.Unlock()
		for _, m := range list {
			if !yield(m) {
				return
			}
		}
		for after := mqtt.MsgID(0); cl.isDurable(); {
			page, err := cl.b.spool.Page(cl.sid, after, pageMessages, pageBytes)
			if err != nil {
				cl.b.log.Error("the queue of a session can't be read", "client_id", cl.id, "err", err)
			}
			if len(page) == 0 {
				return
			}
			for _, q := range page {
				after = q.Message.ID
				cl.mu.Lock()
				begun := cl.wasSent(after)
				cl.mu.Unlock()
				if q.QoS == mqtt.ExactlyOnce && begun {
					continue
				}
				if !yield(q.Message) {
					return
				}
			}
		}
	}
}

// giveToGroup gives a message to a member of the shared subscription.
func (w *batch) giveToGroup(m *mqtt.Message, group, filter string) {
	if hasExpired(m, w.now) {
		w.count.expired++
		return
	}
	again := *m // it gets an ID of its own
	w.setMessage(&again)
	w.owed, w.owedTo = w.owed[:0], w.owedTo[:0]
	found := w.cache.Match(w.pub.Topic)
	for i := range found.Shared {
		g := &found.Shared[i]
		if g.Name != group || g.Filter != filter {
			continue
		}
		if member := pick(g); member != nil {
			w.deliverShared(member)
		}
	}
	if len(w.owed) > 0 {
		w.store(session.Entry{Message: &again}, nil)
	}
}

// purgeRetained removes retained messages that have expired [v5 3.3.2.3.3].
func (b *Broker) purgeRetained(now time.Time) {
	if !b.retainedExpire.Load() {
		return
	}
	for m := range b.retained.Match("#") {
		if !hasExpired(m, now) {
			continue
		}
		b.retainOrder.Lock()
		if b.retained.Get(m.Topic) == m {
			gone := &mqtt.Message{Topic: m.Topic, Retain: true, Accepted: now}
			b.spool.Append(session.Entry{Message: gone, Retain: true}, nil)
			b.retained.Set(gone)
			b.stats.messagesExpired.Add(1)
		}
		b.retainOrder.Unlock()
	}
}
