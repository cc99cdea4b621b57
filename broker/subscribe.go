package broker

import (
	"cmp"
	"sync"

	"fieldgate/broker/access"
	"fieldgate/broker/mqtt"
	"fieldgate/broker/packet"
	"fieldgate/broker/session"
)

// maxLevels is how many levels a topic filter, or the name of a retained topic, may
// have; more are refused.
const maxLevels = 128

func isShallow[T string | []byte](topic T) bool {
	if len(topic) < maxLevels {
		return true
	}
	slashes := 0
	for i := range len(topic) {
		if topic[i] == '/' {
			slashes++
		}
	}
	return slashes < maxLevels
}

func (c *conn) handleSubscribe(w *batch, raw []byte) error {
	var p packet.Subscribe
	if err := p.Decode(raw, c.version); err != nil {
		return err
	}
	cl := c.client
	answered := packet.Suback{PacketID: p.PacketID}
	var taken []mqtt.Subscription
	var isNew []bool
	for _, sub := range p.Subscriptions {
		if reason := cl.maySubscribe(sub.Filter); reason.Failed() {
			c.tell(&c.refusedOne, "subscription refused", "topic_filter", sub.Filter, "reason", reason.String())
			answered.Reasons = append(answered.Reasons, reason)
			continue
		}
		sub.QoS = min(sub.QoS, c.b.cfg.maxQoS())
		answered.Reasons = append(answered.Reasons, mqtt.ReasonCode(sub.QoS))
		taken = append(taken, sub)
		isNew = append(isNew, cl.subscribe(sub))
	}
	suback := answer{kind: packet.SUBACK, raw: answered.Append(nil, c.version)}
	chosen := func(error) {}
	if cl.isDurable() && len(taken) > 0 {
		chosen = afterBoth(c.answerLater(suback))
		c.b.spool.Apply(session.Change{Session: cl.sid, Subscribe: taken}, chosen)
	} else {
		c.answerNow(w, suback)
	}
	defer chosen(nil)
	for i, sub := range taken {
		if err := c.sendRetained(w, sub, isNew[i]); err != nil {
			return err
		}
	}
	return nil
}

// afterBoth calls safe with the second of two calls, and with the failure if one has failed. A SUBACK waits so for
// the retained messages too: what is published to a client that has read it comes once, as new [v3.1.1 MQTT-3.3.1-9].
func afterBoth(safe func(error)) func(error) {
	var mu sync.Mutex
	var calls int
	var failure error
	return func(err error) {
		mu.Lock()
		calls++
		failure = cmp.Or(failure, err)
		is := calls == 2
		mu.Unlock()
		if is {
			safe(failure)
		}
	}
}

// maySubscribe tells whether a filter may be subscribed to, and why not.
func (cl *client) maySubscribe(filter string) mqtt.ReasonCode {
	_, inner, _, err := mqtt.ParseShared(filter)
	switch {
	case err != nil || !isShallow(filter):
		return mqtt.TopicFilterInvalid
	case !cl.rights.Load().MaySubscribe(inner):
		return mqtt.NotAuthorized
	case cl.isFull(filter):
		return mqtt.QuotaExceeded
	}
	return mqtt.Success
}

// isFull tells whether the session has as many subscriptions as it may, and not this one.
func (cl *client) isFull(filter string) bool {
	cl.mu.Lock()
	defer cl.mu.Unlock()
	_, has := cl.subs[filter]
	return !has && len(cl.subs) >= cl.b.cfg.MaxSubscriptions
}

// subscribe adds the subscription, or replaces the one to the same filter.
func (cl *client) subscribe(sub mqtt.Subscription) (isNew bool) {
	cl.mu.Lock()
	if cl.subs == nil {
		cl.subs = map[string]mqtt.Subscription{}
	}
	if _, has := cl.subs[sub.Filter]; !has && isShared(sub.Filter) {
		cl.shares++
	}
	cl.subs[sub.Filter] = sub
	cl.mu.Unlock()
	isNew = cl.b.tree.Subscribe(cl, sub)
	if !isShared(sub.Filter) {
		cl.b.retaining.wait()
	}
	return isNew
}

// unsubscribe ends subscriptions and tells of each whether there was one.
func (cl *client) unsubscribe(filters []string) []mqtt.ReasonCode {
	reasons := make([]mqtt.ReasonCode, len(filters))
	cl.mu.Lock()
	for i, filter := range filters {
		if _, has := cl.subs[filter]; !has {
			reasons[i] = mqtt.NoSubscriptionExisted
		} else if isShared(filter) {
			cl.shares--
		}
		delete(cl.subs, filter)
	}
	cl.mu.Unlock()
	cl.b.tree.RemoveAll(cl, filters...)
	return reasons
}

func (c *conn) handleUnsubscribe(w *batch, raw []byte) error {
	var p packet.Unsubscribe
	if err := p.Decode(raw, c.version); err != nil {
		return err
	}
	cl := c.client
	answered := packet.Unsuback{PacketID: p.PacketID, Reasons: cl.unsubscribe(p.Filters)}
	unsuback := answer{kind: packet.UNSUBACK, raw: answered.Append(nil, c.version)}
	if !cl.isDurable() {
		c.answerNow(w, unsuback)
		return nil
	}
	safe := c.answerLater(unsuback)
	c.b.spool.Apply(session.Change{Session: cl.sid, Unsubscribe: p.Filters}, safe)
	return nil
}

// sendRetained sends the retained messages that match a subscription
// [v3.1.1 MQTT-3.3.1-6]. It waits for this client to take them.
func (c *conn) sendRetained(w *batch, sub mqtt.Subscription, isNew bool) error {
	if !wantsRetained(sub, isNew) {
		return nil
	}
	for m := range c.b.retained.Match(sub.Filter) {
		if sub.NoLocal && m.Origin == c.client.id { // [v5 MQTT-3.8.3-3]
			continue
		}
		if !c.out.hasRoom() {
			w.flush()
			if err := c.waitForSocket(); err != nil {
				return err
			}
		}
		if !c.client.rights.Load().May(access.Read, m.Topic) {
			continue
		}
		d := retainedFor(sub, m)
		switch how := (delivery{retain: true, qos: d.QoS, ids: d.SubscriptionIDs}); {
		case !c.mayGet(w, m, &how):
		case d.QoS == mqtt.AtMostOnce:
			c.sendMessage(w, m, how)
		default:
			c.client.giveRetained(w, d)
		}
	}
	return nil
}

// retainedFor is how a retained message goes to a new subscription.
func retainedFor(sub mqtt.Subscription, m *mqtt.Message) mqtt.Delivery {
	d := mqtt.Delivery{Message: m, QoS: min(m.QoS, sub.QoS), Retain: true}
	if sub.ID != 0 {
		d.SubscriptionIDs = []uint32{sub.ID}
	}
	return d
}

func wantsRetained(sub mqtt.Subscription, isNew bool) bool {
	if isShared(sub.Filter) {
		return false
	}
	return sub.RetainHandling == 0 || sub.RetainHandling == 1 && isNew
}

// giveRetained owes the client a retained message of QoS 1 or 2, or of any QoS
// when it is in process.
func (cl *client) giveRetained(w *batch, d mqtt.Delivery) {
	if cl.isDurable() && d.QoS > mqtt.AtMostOnce {
		own := *d.Message // it gets an ID of its own, behind all that the client is owed
		w.owed = append(w.owed[:0], session.Owed{Session: cl.sid, QoS: d.QoS, Retain: true, SubscriptionIDs: d.SubscriptionIDs})
		w.owedTo = append(w.owedTo[:0], cl)
		w.store(session.Entry{Message: &own}, nil)
		return
	}
	cl.mu.Lock()
	defer cl.mu.Unlock()
	cl.enqueue(w, d)
	cl.drainQueue(w)
}
