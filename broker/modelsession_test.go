package broker_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"fieldgate/broker/mqtt"
)

// modelMessage is a message; its payload is unlike that of any other, or empty.
type modelMessage struct {
	topic, payload string
	qos            mqtt.QoS
	origin         string
	expires        time.Time // zero for never
	ids            string    // subscription identifiers that come along, sorted
	denied         bool      // a rule denied it when it was published
}

// modelWill is a message with the time that it waits after the end of the connection.
type modelWill struct {
	modelMessage
	delay time.Duration
	due   time.Time // once the connection has ended
}

// owed is one delivery of QoS 1 or 2 that is not finished.
type owed struct {
	modelMessage
	retain   bool
	pid      uint16 // 0 until it was seen
	order    int    // of the first sending
	maybe    bool   // it may have been sent without being seen: the broker stopped
	released bool   // PUBREC was sent
	flies    bool   // it was sent on this connection, or is released
	doubtful bool   // a rule denied its topic meanwhile, so it may be gone
	shared   *sharedMessage
}

// modelClient is a client with its session, and its connection when it has one.
type modelClient struct {
	world   *world
	id      string
	version mqtt.Version
	peer    *peer // nil without a connection
	will    *modelWill
	exists  bool // the session
	durable bool
	expiry  time.Duration // of the session; 0 for longer than any test
	left    time.Time     // when its connection ended
	window  int           // deliveries that may fly
	subs    map[string]mqtt.Subscription
	owed    []*owed
	zero    []expectedZero
	opened  map[uint16]modelMessage // QoS 2 messages sent without their PUBREL, by packet identifier
	counted map[uint16]bool         // those of this connection
	quota   int                     // how much of our receive maximum they take; every PUBCOMP gives one back [v5 4.9]
	aliases map[int]string          // topic aliases that the client gave on this connection
	given   map[string]string       // topic aliases that it was given
	aliasTo int                     // how many it takes
	heard   int                     // deliveries seen
	lastPID uint16
	member  bool // of the shared subscription
	heir    bool // it is or was one, and may have shared messages that did not come yet
	strayed bool // it was one before the broker started
}

// expectedZero is a message of QoS 0 that is to come, or may.
type expectedZero struct {
	modelMessage
	retain, optional bool
}

// forget ends the session; what it has of shared subscriptions is for other members.
func (c *modelClient) forget() {
	for _, d := range c.owed {
		if d.shared != nil {
			d.shared.orphan(d, c.strayed)
		}
	}
	existed := c.exists
	c.exists, c.subs, c.owed, c.opened = false, nil, nil, nil
	if existed {
		c.world.mourn(c)
	}
}

// finish takes a delivery that has come to its end out of the session.
func (c *modelClient) finish(d *owed) {
	i := slices.Index(c.owed, d)
	c.owed = slices.Delete(c.owed, i, i+1)
	if d.shared != nil {
		d.shared.done = true
	}
}

func (c *modelClient) isOnline() bool { return c.peer != nil }

// flying are the deliveries that the client may go on with.
func (c *modelClient) flying() []*owed {
	return slices.DeleteFunc(slices.Clone(c.owed), func(d *owed) bool { return c.peer == nil || !d.flies })
}

// publishWill does with the will what the end of the connection demands: now, or after its delay, at the latest
// with the end of the session [v5 MQTT-3.1.2-8].
func (w *world) publishWill(c *modelClient) {
	will := c.will
	c.will = nil
	switch {
	case will == nil:
	case will.delay == 0 || !c.exists:
		w.route(will.modelMessage, false, true)
	default:
		will.due = time.Now().Add(will.delay)
		w.wills[c.id] = will
	}
}

// passTime ends what has its time: sessions, delays of wills.
func (w *world) passTime() {
	for _, c := range w.sorted() {
		if c.exists && c.peer == nil && c.expiry > 0 && !time.Now().Before(c.left.Add(c.expiry)) {
			c.forget()
		}
	}
	for _, id := range slices.Sorted(maps.Keys(w.wills)) {
		if will := w.wills[id]; !time.Now().Before(will.due) {
			delete(w.wills, id)
			w.route(will.modelMessage, false, true)
		}
	}
}

// hasExpired tells whether the message may not be sent for the first time any more.
func (m *modelMessage) hasExpired() bool {
	return !m.expires.IsZero() && !time.Now().Before(m.expires)
}

// route gives a message to all sessions that want it and may have it. When it is a will, who is just coming or
// going may miss QoS 0.
func (w *world) route(m modelMessage, retain, will bool) {
	for _, c := range w.sorted() {
		if !c.exists || w.unreadable[m.topic] {
			continue
		}
		best, matched := mqtt.QoS(0), false
		var ids []uint32
		for _, s := range c.subs {
			if wants(s.Filter, m.topic) {
				// The highest QoS and the identifiers of all that match [v5 MQTT-3.3.4-2, MQTT-3.3.4-4], one with
				// no local too, when another wants it.
				best, matched = max(best, s.QoS), matched || !s.NoLocal || m.origin != c.id
				if s.ID != 0 {
					ids = append(ids, s.ID)
				}
			}
		}
		if !matched {
			continue
		}
		sent := m
		sent.qos, sent.ids = min(best, m.qos), idList(ids)
		if sent.qos > 0 {
			c.owed = append(c.owed, &owed{modelMessage: sent, retain: retain})
		} else if c.peer != nil || will {
			c.zero = append(c.zero, expectedZero{sent, retain, will})
		}
	}
}

// idList writes subscription identifiers in the order of their numbers.
func idList(ids []uint32) string {
	slices.Sort(ids)
	words := make([]string, len(ids))
	for i, id := range ids {
		words[i] = fmt.Sprint(id)
	}
	return strings.Join(words, ",")
}

// wants is a second opinion about topic filters.
func wants(filter, topic string) bool {
	f, n := strings.Split(filter, "/"), strings.Split(topic, "/")
	for i, level := range f {
		if level == "#" {
			return true
		}
		if i >= len(n) || level != "+" && level != n[i] {
			return false
		}
	}
	return len(f) == len(n)
}

// nextPID gives a packet identifier that is free.
func (c *modelClient) nextPID() uint16 {
	for {
		c.lastPID++
		if _, used := c.opened[c.lastPID]; !used {
			return c.lastPID
		}
	}
}

// isFull tells whether a 5.0 client may not send another message of QoS 1 or 2.
func (c *modelClient) isFull() bool { return c.version == mqtt.V5 && c.quota >= modelInflight }

// orderOf puts what was not sent yet behind what was.
func orderOf(d *owed) int {
	if d.pid == 0 {
		return 1 << 30
	}
	return d.order
}
