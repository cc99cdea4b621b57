package broker

import (
	"cmp"
	"strings"
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
	answered := packet.Suback{PacketID: p.PacketID}
	taken, wanting := c.subscribeAll(p.Subscriptions, &answered)
	suback := answer{kind: packet.SUBACK, raw: answered.Append(nil, c.version), cost: len(raw)}
	chosen := func(error) {}
	if c.client.isDurable() && len(taken) > 0 {
		chosen = afterBoth(c.answerLater(suback))
		c.b.spool.Apply(session.Change{Session: c.client.sid, Subscribe: taken}, chosen)
	} else {
		c.answerNow(w, suback)
	}
	defer chosen(nil)
	if len(wanting) > 0 {
		c.b.retaining.wait()
	}
	for _, sub := range wanting {
		if err := c.sendRetained(w, sub); err != nil {
			return err
		}
	}
	return nil
}

// subscribeAll adds the subscriptions that the client may have. It gives them, and those of them that want
// retained messages.
func (c *conn) subscribeAll(asked []mqtt.Subscription, answered *packet.Suback) (taken, wanting []mqtt.Subscription) {
	cl, limit := c.client, c.b.cfg.MaxSubscriptions
	for _, sub := range asked {
		reason := mqtt.QuotaExceeded // the same filter again and again would be no more subscriptions, and much work
		if len(taken) < limit {
			reason = cl.maySubscribe(sub.Filter)
		}
		if reason.Failed() {
			c.tell(&c.refusedOne, "subscription refused", "topic_filter", sub.Filter, "reason", reason.String())
			answered.Reasons = append(answered.Reasons, reason)
			continue
		}
		sub.QoS = min(sub.QoS, c.b.cfg.maxQoS())
		answered.Reasons = append(answered.Reasons, mqtt.ReasonCode(sub.QoS))
		taken = append(taken, sub)
		if isNew := cl.subscribe(sub); wantsRetained(sub, isNew) {
			wanting = append(wanting, sub)
		}
	}
	return taken, wanting
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

// What the topic filters of one session may cost together, in bytes: the longest one that there is, and levelCost
// times a few for each that MaxSubscriptions allows.
const (
	levelCost  = 160 // of one level in the tree
	filterMean = 1 << 10
	filterMost = maxLevels*levelCost + 65535
)

// filterCost is what a topic filter counts.
func filterCost(filter string) int { return len(filter) + levelCost*(1+strings.Count(filter, "/")) }

// isFull tells whether the session has as many subscriptions as it may, and not this one.
func (cl *client) isFull(filter string) bool {
	cl.mu.Lock()
	defer cl.mu.Unlock()
	if _, has := cl.subs[filter]; has {
		return false
	}
	most := cl.b.cfg.MaxSubscriptions
	return len(cl.subs) >= most || cl.costs+filterCost(filter) > filterMost+most*filterMean
}

// subscribe adds the subscription, or replaces the one to the same filter.
func (cl *client) subscribe(sub mqtt.Subscription) (isNew bool) {
	cl.mu.Lock()
	if cl.subs == nil {
		cl.subs = map[string]mqtt.Subscription{}
	}
	if _, has := cl.subs[sub.Filter]; !has {
		cl.costs += filterCost(sub.Filter)
		if isShared(sub.Filter) {
			cl.shares++
		}
		cl.rejoin(sub.Filter)
	}
	cl.subs[sub.Filter] = sub
	cl.mu.Unlock()
	return cl.b.tree.Subscribe(cl, sub)
}

// unsubscribe ends subscriptions, tells of each whether there was one, and gives the filters of those.
func (cl *client) unsubscribe(filters []string) (reasons []mqtt.ReasonCode, ended []string) {
	reasons = make([]mqtt.ReasonCode, len(filters))
	cl.mu.Lock()
	if cl.isIdle() {
		cl.parting = nil
	}
	sharing := cl.isSharing()
	for i, filter := range filters {
		if _, has := cl.subs[filter]; !has {
			reasons[i] = mqtt.NoSubscriptionExisted
			continue
		}
		ended = append(ended, filter)
		cl.costs -= filterCost(filter)
		if isShared(filter) {
			cl.shares--
		}
		delete(cl.subs, filter)
	}
	cl.mu.Unlock()
	cl.b.tree.RemoveAll(cl, ended...)
	if sharing {
		cl.mu.Lock()
		cl.part(ended) // now that nothing more comes through them
		cl.mu.Unlock()
	}
	return reasons, ended
}

func (c *conn) handleUnsubscribe(w *batch, raw []byte) error {
	var p packet.Unsubscribe
	if err := p.Decode(raw, c.version); err != nil {
		return err
	}
	cl := c.client
	reasons, ended := cl.unsubscribe(p.Filters)
	answered := packet.Unsuback{PacketID: p.PacketID, Reasons: reasons}
	unsuback := answer{kind: packet.UNSUBACK, raw: answered.Append(nil, c.version), cost: len(raw)}
	if !cl.isDurable() || len(ended) == 0 {
		c.answerNow(w, unsuback)
		return nil
	}
	safe := c.answerLater(unsuback)
	c.b.spool.Apply(session.Change{Session: cl.sid, Unsubscribe: ended}, safe)
	return nil
}

// sendRetained sends the retained messages that match a subscription
// [v3.1.1 MQTT-3.3.1-6]. It waits for this client to take them.
func (c *conn) sendRetained(w *batch, sub mqtt.Subscription) error {
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
