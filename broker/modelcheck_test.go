package broker_test

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"fieldgate/broker/mqtt"
	"fieldgate/broker/packet"
)

// quiet waits until the broker has done all that it can.
func (w *world) quiet() { synctest.Wait() }

// ended does to the model what the end of a connection means.
func (w *world) ended(r *rapid.T, c *modelClient) {
	select {
	case <-c.peer.gone:
	default:
		r.Fatalf("the connection of %s is still open", c.id)
	}
	if len(c.peer.got) > 0 {
		r.Fatalf("%s got %v before the end", c.id, render(<-c.peer.got, c.version))
	}
	c.peer = nil
	w.left(c)
}

// left does to the model what it means that a connection ended.
func (w *world) left(c *modelClient) {
	c.left = time.Now()
	if !c.durable {
		c.forget()
	}
	w.publishWill(c)
}

// expectEnd takes what the broker says at the end: DISCONNECT to 5.0, nothing to 3.1.1. The client has the old
// connection still; deliveries may have come before.
func (w *world) expectEnd(r *rapid.T, c *modelClient, reason mqtt.ReasonCode) {
	select {
	case <-c.peer.gone:
	default:
		r.Fatalf("the connection of %s is still open", c.id)
	}
	if c.version == mqtt.V5 {
		raw := w.next(r, c)
		var d packet.Disconnect
		if packet.TypeOf(raw[0]) != packet.DISCONNECT || d.Decode(raw, mqtt.V5) != nil || !d.Reason.Failed() || reason != 0 && d.Reason != reason {
			r.Fatalf("%s expects DISCONNECT with reason %#x, got %v", c.id, byte(reason), render(raw, c.version))
		}
	}
	if len(c.peer.got) > 0 {
		r.Fatalf("%s got %v before the end", c.id, render(<-c.peer.got, c.version))
	}
	c.peer = nil
}

func (w *world) next(r *rapid.T, c *modelClient) []byte {
	select {
	case raw := <-c.peer.got:
		return raw
	default:
		r.Fatalf("nothing came to %s", c.id)
		return nil
	}
}

// settle takes all that came to all clients and compares it with the model: the answers for one client, then
// deliveries. After its CONNACK a client gets everything that it is owed again.
func (w *world) settle(r *rapid.T, answers []fields, who *modelClient) {
	for _, id := range slices.Sorted(maps.Keys(w.clients)) {
		c := w.clients[id]
		if c.peer == nil {
			c.zero = slices.DeleteFunc(c.zero, func(z expectedZero) bool { return z.optional })
			continue
		}
		var want []fields
		if c == who {
			want = slices.Clone(answers)
		}
		w.settleClient(r, c, want, c == who && answers == nil)
	}
	w.expectShared(r)
}

func (w *world) settleClient(r *rapid.T, c *modelClient, want []fields, resumed bool) {
	var releases []string
	for _, d := range c.owed {
		if resumed && d.released {
			releases = append(releases, fmt.Sprint(d.pid))
		}
	}
	lastOrder := 0
	for len(c.peer.got) > 0 {
		got := render(<-c.peer.got, c.version)
		delete(got, "reason_string")
		switch {
		case got[""] == "PUBLISH":
			w.delivered(r, c, got, &lastOrder)
		case got[""] == "PUBREL" && len(releases) > 0 && got["pid"] == releases[0]:
			releases = releases[1:]
		case len(want) > 0:
			if got["reason"] == "0x10" { // no matching subscribers
				delete(got, "reason")
			}
			if !maps.Equal(got, want[0]) {
				r.Fatalf("%s expects %v, got %v", c.id, want[0], got)
			}
			want = want[1:]
		default:
			r.Fatalf("%s got %v, which nobody owes it", c.id, got)
		}
	}
	select {
	case <-c.peer.gone:
		r.Fatalf("the broker closed the connection of %s", c.id)
	default:
	}
	if len(want) > 0 || len(releases) > 0 {
		r.Fatalf("%s misses answers %v, PUBREL %v", c.id, want, releases)
	}
	w.expectFull(r, c)
	for _, z := range c.zero {
		if !z.optional {
			r.Fatalf("%s misses %+v", c.id, z)
		}
	}
	c.zero = nil
}

// expectFull asks that as much flies as the window takes: what then still waits, though it does not, is what may
// not be sent any more, and is gone.
func (w *world) expectFull(r *rapid.T, c *modelClient) {
	fly := len(c.flying())
	if fly >= c.window {
		return
	}
	c.owed = slices.DeleteFunc(c.owed, func(d *owed) bool {
		if d.flies {
			return false
		}
		if !w.mayBeGone(d) {
			r.Fatalf("%s misses %+v; %d of %d fly", c.id, d, fly, c.window)
		}
		return true
	})
}

// mayBeGone tells whether a delivery need not come: it expired before it was sent, or a rule denied it.
func (w *world) mayBeGone(d *owed) bool {
	return d.doubtful || w.isDenied(d) || d.hasExpired() && (d.pid == 0 || d.maybe)
}

// isForbidden tells whether a delivery must not come.
func (w *world) isForbidden(d *owed) bool {
	return !d.maybe && (w.isDenied(d) || d.hasExpired() && d.pid == 0)
}

// isDenied tells whether a rule forbids that the delivery is sent. What was begun at QoS 2 comes to its end.
func (w *world) isDenied(d *owed) bool {
	return w.unreadable[d.topic] && !(d.qos == mqtt.ExactlyOnce && d.pid != 0)
}

// delivered compares a PUBLISH with what is due: in order within its topic [v5 MQTT-4.6.0-6]; what was sent
// before in the order of then, with DUP and its packet identifier [v5 MQTT-4.6.0-1].
func (w *world) delivered(r *rapid.T, c *modelClient, got fields, lastOrder *int) {
	c.resolveAlias(r, got)
	isShared := got["topic"] == sharedTopic
	switch {
	case got["qos"] == "" && isShared:
		w.claimZero(r, c, got)
		return
	case got["qos"] == "":
		w.deliveredZero(r, c, got)
		return
	case isShared && !slices.ContainsFunc(c.owed, func(d *owed) bool { return d.payload == got["payload"] }):
		w.claim(r, c, got)
	}
	var due []*owed
	for _, d := range c.owed {
		if !d.flies {
			due = append(due, d)
		}
	}
	i := w.match(due, got)
	if i < 0 {
		r.Fatalf("%s got %v, which nobody owes it", c.id, got)
	}
	d := due[i]
	due = slices.Delete(due, i, i+1)
	same := d.payload == got["payload"] && fmt.Sprint(d.qos) == got["qos"] && bit(d.retain) == got["retain"] && d.ids == sortedIDs(got["ids"])
	if !same || !d.hasLeft(got["expiry"], c.version) {
		r.Fatalf("%s expects %+v, got %v", c.id, d, got)
	}
	var pid int
	fmt.Sscan(got["pid"], &pid)
	d.flies, d.doubtful = true, false
	if len(c.flying()) > c.window && !d.released {
		r.Fatalf("%s got %v beyond its window of %d", c.id, got, c.window)
	}
	if d.pid != 0 {
		if got["dup"] != "1" || pid != int(d.pid) || d.order < *lastOrder {
			r.Fatalf("%s got %v again; before it was %d with packet identifier %d", c.id, got, d.order, d.pid)
		}
		*lastOrder = d.order
		return
	}
	if i := slices.IndexFunc(due, func(o *owed) bool { return o.pid != 0 && !w.mayBeGone(o) }); i >= 0 {
		r.Fatalf("%s got %v before what it is to get again: %+v", c.id, got, due[i])
	}
	if got["dup"] == "1" && !d.maybe || pid == 0 {
		r.Fatalf("%s got %v for the first time", c.id, got)
	}
	if slices.ContainsFunc(c.owed, func(o *owed) bool { return o.pid == uint16(pid) }) {
		r.Fatalf("%s got %v, whose packet identifier is in use", c.id, got)
	}
	c.heard++
	d.pid, d.order = uint16(pid), c.heard
	d.maybe = false
	slices.SortStableFunc(c.owed, func(a, b *owed) int { return cmp.Compare(orderOf(a), orderOf(b)) })
}

// match gives the place of the delivery that has come: the first of its topic, among those that had to come; else
// one that did not have to.
func (w *world) match(due []*owed, got fields) int {
	first := slices.IndexFunc(due, func(d *owed) bool {
		return d.topic == got["topic"] && !w.mayBeGone(d) && (d.topic != sharedTopic || d.looksLike(got))
	})
	if first >= 0 && due[first].looksLike(got) {
		return first
	}
	other := slices.IndexFunc(due, func(d *owed) bool {
		return w.mayBeGone(d) && !w.isForbidden(d) && d.topic == got["topic"] && d.looksLike(got)
	})
	if other >= 0 {
		return other
	}
	return first
}

// looksLike tells whether the packet may be this delivery; clearing messages have no payload that tells them apart.
func (d *owed) looksLike(got fields) bool {
	return d.payload == got["payload"] && bit(d.retain) == got["retain"] && fmt.Sprint(d.qos) == got["qos"] &&
		(d.pid == 0 || fmt.Sprint(d.pid) == got["pid"])
}

func (w *world) deliveredZero(r *rapid.T, c *modelClient, got fields) {
	i := slices.IndexFunc(c.zero, func(z expectedZero) bool {
		return z.topic == got["topic"] && z.payload == got["payload"] && bit(z.retain) == got["retain"] &&
			z.ids == sortedIDs(got["ids"]) && z.hasLeft(got["expiry"], c.version)
	})
	if i < 0 {
		r.Fatalf("%s got %v, which nobody owes it; it expects %+v", c.id, got, c.zero)
	}
	c.zero = slices.Delete(c.zero, i, i+1)
}

// resolveAlias puts the topic back that an alias stands for [v5 MQTT-3.3.2-7, MQTT-3.1.2-26].
func (c *modelClient) resolveAlias(r *rapid.T, got fields) {
	alias := got["alias"]
	if alias == "" {
		return
	}
	delete(got, "alias")
	if n, err := strconv.Atoi(alias); err != nil || n < 1 || n > c.aliasTo {
		r.Fatalf("%s got topic alias %s of %d", c.id, alias, c.aliasTo)
	}
	switch {
	case got["topic"] != "":
		c.given[alias] = got["topic"]
	case c.given[alias] == "":
		r.Fatalf("%s got topic alias %s, which it was never given", c.id, alias)
	default:
		got["topic"] = c.given[alias]
	}
}

// hasLeft compares the expiry that came with what is left of it, in seconds.
func (m *modelMessage) hasLeft(expiry string, version mqtt.Version) bool {
	if m.expires.IsZero() || version < mqtt.V5 {
		return expiry == ""
	}
	seconds, err := strconv.Atoi(expiry)
	left := max(0, time.Until(m.expires))
	return err == nil && time.Duration(seconds)*time.Second-left < time.Second && left-time.Duration(seconds)*time.Second < time.Second
}

// sortedIDs puts subscription identifiers in the order of their numbers.
func sortedIDs(ids string) string {
	if ids == "" {
		return ""
	}
	var list []uint32
	for _, word := range strings.Split(ids, ",") {
		n, _ := strconv.ParseUint(word, 10, 32) // render wrote them
		list = append(list, uint32(n))
	}
	return idList(list)
}
