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

// parting is the end of a subscription.
type parting struct {
	filter, inner string    // inner is without $share/NAME/
	at            time.Time // zero while it has not ended
}

func partingOf(filter string, at time.Time) parting {
	_, inner, _, _ := mqtt.ParseShared(filter) // it was checked when it was subscribed to
	return parting{filter, inner, at}
}

// isSharing tells whether the session is owed, or may be, messages of shared subscriptions; mu is held.
func (cl *client) isSharing() bool { return cl.shares > 0 || len(cl.parting) > 0 }

// isIdle tells whether the session is owed nothing; mu is held.
func (cl *client) isIdle() bool {
	return cl.window.Len() == 0 && cl.queue.Len() == 0 && (!cl.isDurable() || !cl.backlog && cl.cursor >= cl.newest)
}

// part remembers subscriptions that have just ended: should the session end before it is owed nothing any more,
// what came through a shared one goes to its other members, and what came through another one does not. mu is held.
func (cl *client) part(filters []string) {
	now := time.Now()
	for _, filter := range filters {
		cl.rejoin(filter)
		cl.parting = append(cl.parting, partingOf(filter, now))
	}
	if over := len(cl.parting) - partingMost; over > 0 {
		cl.parting = slices.Delete(cl.parting, 0, over)
	}
}

// partingMost is how many subscriptions that ended are remembered, of one session.
const partingMost = 1000

// rejoin forgets the end of a subscription that there is again; mu is held.
func (cl *client) rejoin(filter string) {
	cl.parting = slices.DeleteFunc(cl.parting, func(p parting) bool { return p.filter == filter })
}

// brought tells whether the message may have come through the subscription.
func (p *parting) brought(m *mqtt.Message) bool {
	return (p.at.IsZero() || !m.Accepted.After(p.at)) && mqtt.Match(p.inner, m.Topic)
}

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
// other members, of those that it left before, too. All of them are out of the tree
// already. Which message came through which subscription is not kept: those count
// that no subscription of its own matches.
func (b *Broker) rehome(cl *client, filters []string) {
	var shared, own []parting
	for _, p := range cl.subscribed(filters) {
		if isShared(p.filter) {
			shared = append(shared, p)
		} else {
			own = append(own, p)
		}
	}
	if len(shared) == 0 {
		return
	}
	w := b.batch()
	defer w.done()
	for m := range cl.undelivered() {
		if slices.ContainsFunc(own, func(p parting) bool { return p.brought(m) }) {
			continue
		}
		for _, p := range shared {
			if p.brought(m) {
				w.giveToGroup(m, p.filter)
			}
		}
	}
}

// subscribed gives the subscriptions to the filters, and those that ended before.
func (cl *client) subscribed(filters []string) []parting {
	cl.mu.Lock()
	defer cl.mu.Unlock()
	all := slices.Clone(cl.parting)
	for _, filter := range filters {
		all = append(all, partingOf(filter, time.Time{}))
	}
	return all
}

// undelivered gives the messages that a session that ends did not get, in order.
func (cl *client) undelivered() func(yield func(*mqtt.Message) bool) {
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
		cl.settle()
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

// settlePatience is how long the end of a session waits for the commit of what it is owed.
const settlePatience = time.Second

// settle waits, for a moment, until all that a durable session is owed is committed: what is not yet hides
// deliveries of QoS 2, and those behind them.
func (cl *client) settle() {
	if !cl.isDurable() {
		return
	}
	committed := make(chan struct{})
	cl.b.spool.Apply(session.Change{Session: cl.sid}, func(error) { close(committed) }) // the spool says itself that it is ill
	waitAtMost(settlePatience, committed)
}

// giveToGroup gives a message to a member of the shared subscription.
func (w *batch) giveToGroup(m *mqtt.Message, filter string) {
	if hasExpired(m, w.now) {
		w.count.expired++
		return
	}
	again := *m // it gets an ID of its own
	w.setMessage(&again)
	w.owed, w.owedTo, w.rest = w.owed[:0], w.owedTo[:0], w.rest[:0]
	found := w.cache.Match(w.pub.Topic)
	group, inner, _, _ := mqtt.ParseShared(filter)
	for i := range found.Shared {
		g := &found.Shared[i]
		if g.Name != group || g.Filter != inner {
			continue
		}
		if member := pick(g); member != nil {
			w.deliverShared(member)
		}
	}
	if len(w.owed) > 0 {
		w.store(session.Entry{Message: &again}, nil)
	} else {
		w.giveRest()
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
