package broker_test

import (
	"fmt"
	"slices"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"fieldgate/broker/mqtt"
	"fieldgate/broker/packet"
)

// Which member of a shared subscription gets a message is the broker's choice. The model learns it when the
// message comes, and asks: to one member only; to another one when the session ends that had it, unless it was
// begun at QoS 2 [v5 MQTT-4.8.2-5]; and lost never.

const (
	sharedFilter = "$share/g/$s/x"
	sharedTopic  = "$s/x" // closed to clients, and no wildcard of the other subscriptions matches it
)

// sharedMessage is a message to a shared subscription.
type sharedMessage struct {
	modelMessage
	taken    bool // a session has it that is known
	done     bool // acknowledged, or to go to nobody else
	maybe    bool // the broker stopped since: it may have been sent without being seen
	doubtful bool // it may be lost, for nobody was there to take it over
}

// orphan is called when the session ends that has the delivery. One that left the group before a restart takes it
// along: that it goes to another member is a should [v5 4.8.2].
func (s *sharedMessage) orphan(d *owed, strayed bool) {
	s.taken = false
	s.doubtful = s.doubtful || strayed
	s.done = s.done || d.qos == mqtt.ExactlyOnce && d.pid != 0
}

// join makes a client a member.
func (w *world) join(r *rapid.T) {
	c := w.online(r)
	if c.version < mqtt.V5 {
		r.Skip("3.1.1 knows no shared subscriptions")
	}
	pid, qos := c.nextPID(), mqtt.QoS(rapid.IntRange(1, 2).Draw(r, "qos"))
	c.member, c.strayed = true, false
	s := mqtt.Subscription{Filter: sharedFilter, QoS: qos}
	w.send(c, (&packet.Subscribe{PacketID: pid, Subscriptions: []mqtt.Subscription{s}}).Append(nil, c.version))
	w.settle(r, []fields{{"": "SUBACK", "pid": fmt.Sprint(pid), "codes": fmt.Sprint(qos)}}, c)
}

// leave ends the membership; what the client has already it keeps.
func (w *world) leave(r *rapid.T) {
	c := w.any(r, func(c *modelClient) bool { return c.peer != nil && c.member })
	pid := c.nextPID()
	c.member, c.heir = false, true
	w.send(c, (&packet.Unsubscribe{PacketID: pid, Filters: []string{sharedFilter}}).Append(nil, c.version))
	w.settle(r, []fields{{"": "UNSUBACK", "pid": fmt.Sprint(pid), "codes": "0"}}, c)
}

// share publishes to the members, from inside.
func (w *world) share(r *rapid.T) {
	m := modelMessage{topic: sharedTopic, payload: w.unique(), qos: qosOf(r)}
	members, online := 0, false
	for _, c := range w.clients {
		if c.member && (c.peer != nil || c.durable) {
			members++
			c.heir = true
			online = online || c.peer != nil
		}
	}
	switch {
	case members == 0: // nobody wants it
	case m.qos == mqtt.AtMostOnce && online:
		w.shared = append(w.shared, &sharedMessage{modelMessage: m})
	case m.qos > mqtt.AtMostOnce:
		w.shared = append(w.shared, &sharedMessage{modelMessage: m})
	}
	require.NoError(w.t, w.b.Publish(w.t.Context(), &mqtt.Message{Topic: m.topic, Payload: []byte(m.payload), QoS: m.qos}, nil))
	w.quiet()
	w.settle(r, nil, nil)
}

// claim notes which session has got a shared message, and gives the delivery.
func (w *world) claim(r *rapid.T, c *modelClient, got fields) *owed {
	i := slices.IndexFunc(w.shared, func(s *sharedMessage) bool { return s.payload == got["payload"] })
	if i < 0 || w.shared[i].taken || w.shared[i].done || !c.heir && !c.member {
		r.Fatalf("%s got %v, which is for another member or for nobody", c.id, got)
	}
	s := w.shared[i]
	d := &owed{modelMessage: s.modelMessage, shared: s, maybe: s.maybe}
	if got["qos"] == "1" {
		d.qos = mqtt.AtLeastOnce // as the member subscribed
	}
	s.taken = true
	c.owed = append(c.owed, d)
	return d
}

// claimZero is the same at QoS 0.
func (w *world) claimZero(r *rapid.T, c *modelClient, got fields) {
	i := slices.IndexFunc(w.shared, func(s *sharedMessage) bool { return s.payload == got["payload"] && s.qos == 0 })
	if i < 0 || w.shared[i].done || !c.member {
		r.Fatalf("%s got %v, which is for another member or for nobody", c.id, got)
	}
	w.shared[i].done = true
}

// mourn is called when a session has ended: what it had is with the other members, if there are any.
func (w *world) mourn(ended *modelClient) {
	left := ended.strayed
	ended.member, ended.heir, ended.strayed = false, false, false
	others := slices.ContainsFunc(w.sorted(), func(c *modelClient) bool {
		if c.member && c.exists && (c.peer != nil || c.durable) {
			c.heir = true
			return true
		}
		return false
	})
	for _, s := range w.shared {
		if !s.taken && (left || !others || s.maybe && s.qos == mqtt.ExactlyOnce) {
			s.doubtful = true
		}
	}
}

// expectShared asks that each message is with a session: one that is away, or whose window is full.
func (w *world) expectShared(r *rapid.T) {
	hidden := slices.ContainsFunc(w.sorted(), func(c *modelClient) bool {
		return c.exists && (c.member || c.heir) && (c.peer == nil || len(c.flying()) >= c.window)
	})
	w.shared = slices.DeleteFunc(w.shared, func(s *sharedMessage) bool {
		if s.done || s.taken || s.doubtful {
			return s.done || s.doubtful && !s.taken && !hidden
		}
		if !hidden || s.qos == mqtt.AtMostOnce {
			r.Fatalf("nobody has the shared message %+v", s)
		}
		return false
	})
}
