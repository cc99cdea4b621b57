package broker_test

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"pgregory.net/rapid"

	"fieldgate/broker/mqtt"
	"fieldgate/broker/packet"
)

func topicOf(r *rapid.T) string {
	return rapid.SampledFrom([]string{"x", "y", "x/z"}).Draw(r, "topic")
}

func qosOf(r *rapid.T) mqtt.QoS { return rapid.SampledFrom([]mqtt.QoS{2, 1, 0, 2}).Draw(r, "qos") }

// connect opens a connection, and takes over one that is there.
func (w *world) connect(r *rapid.T) {
	w.connectAs(r, w.any(r, func(*modelClient) bool { return true }), rapid.SampledFrom([]bool{false, false, false, true}).Draw(r, "clean"))
}

func (w *world) connectAs(r *rapid.T, c *modelClient, clean bool) {
	hello := packet.Connect{Version: c.version, ClientID: c.id, CleanStart: clean, ReceiveMaximum: 65535, RequestProblem: true}
	durable, expiry, window := !clean, time.Duration(0), modelInflight
	if c.version == mqtt.V5 {
		window = rapid.SampledFrom([]int{1, 2, 1000}).Draw(r, "receive maximum")
		hello.ReceiveMaximum = uint16(window)
		hello.SessionExpiry = rapid.SampledFrom([]uint32{1000, 1000, 0}).Draw(r, "session expiry")
		hello.TopicAliasMax = rapid.SampledFrom([]uint16{0, 1, 3}).Draw(r, "topic aliases")
		durable, expiry = hello.SessionExpiry > 0, time.Duration(hello.SessionExpiry)*time.Second
	}
	will := w.drawWill(r, c, &hello)
	old := c.peer
	p := w.open(c.version)
	_, _ = p.nc.Write(hello.Append(nil))
	w.quiet()
	if old != nil {
		w.takenOver(r, c, clean)
	}
	present := c.exists && !clean
	if waiting := w.wills[c.id]; waiting != nil { // forgotten when the session goes on [v5 MQTT-3.1.3-9]
		delete(w.wills, c.id)
		if !present {
			w.route(waiting.modelMessage, false, true)
		}
	}
	if !present {
		c.forget()
		c.zero = nil
		c.exists, c.subs, c.opened = true, map[string]mqtt.Subscription{}, map[uint16]modelMessage{}
	}
	for i := range c.zero {
		c.zero[i].optional = true // its own will, published while it came
	}
	c.peer, c.durable, c.expiry, c.will, c.lastPID, c.window = p, durable, expiry, will, 0, window
	c.counted, c.quota = map[uint16]bool{}, 0
	c.aliases, c.given, c.aliasTo = map[int]string{}, map[string]string{}, int(hello.TopicAliasMax)
	for _, d := range c.owed {
		d.flies = d.released
	}
	raw := w.next(r, c)
	var ack packet.Connack
	if packet.TypeOf(raw[0]) != packet.CONNACK || ack.Decode(raw, c.version) != nil || ack.Reason != mqtt.Success || ack.SessionPresent != present {
		r.Fatalf("%s expects CONNACK with session present %v, got %v", c.id, present, render(raw, c.version))
	}
	w.settle(r, nil, c)
}

// takenOver ends the connection that another one takes the place of.
func (w *world) takenOver(r *rapid.T, c *modelClient, clean bool) {
	w.expectEnd(r, c, mqtt.SessionTakenOver)
	if !c.durable { // its session ended with the connection
		c.forget()
	}
	w.publishWill(c)
}

// drawWill gives a will, or none, and puts it into CONNECT.
func (w *world) drawWill(r *rapid.T, c *modelClient, hello *packet.Connect) *modelWill {
	if !rapid.Bool().Draw(r, "will") {
		return nil
	}
	will := &modelWill{modelMessage: modelMessage{topic: "w/" + c.id, payload: w.unique(), qos: qosOf(r), origin: c.id}}
	hello.HasWill = true
	hello.Will = packet.Will{Topic: will.topic, Payload: []byte(will.payload), QoS: will.qos}
	if c.version == mqtt.V5 {
		hello.Will.Delay = rapid.SampledFrom([]uint32{0, 30, 3000}).Draw(r, "will delay")
		will.delay = time.Duration(min(hello.Will.Delay, hello.SessionExpiry)) * time.Second
	}
	return will
}

func (w *world) disconnect(r *rapid.T) {
	c := w.online(r)
	w.send(c, (&packet.Disconnect{}).Append(nil, c.version))
	c.will = nil
	w.ended(r, c)
	w.settle(r, nil, nil)
}

func (w *world) drop(r *rapid.T) {
	c := w.online(r)
	c.peer.nc.Close()
	w.quiet()
	w.ended(r, c)
	w.settle(r, nil, nil)
}

func (w *world) subscribe(r *rapid.T) {
	c := w.online(r)
	s := mqtt.Subscription{Filter: rapid.SampledFrom([]string{"#", "x", "y", "x/z", "+", "x/#", "+/z", "w/+", "#"}).Draw(r, "filter"), QoS: qosOf(r)}
	if c.version == mqtt.V5 {
		s.NoLocal = rapid.Bool().Draw(r, "no local")
		s.ID = rapid.SampledFrom([]uint32{0, 0, 1, 268435455}).Draw(r, "subscription identifier")
	}
	pid := c.nextPID()
	want := fields{"": "SUBACK", "pid": fmt.Sprint(pid), "codes": fmt.Sprint(s.QoS)}
	if w.unreadable[s.Filter] {
		want["codes"] = map[mqtt.Version]string{mqtt.V311: "128", mqtt.V5: "135"}[c.version]
	} else {
		c.subs[s.Filter] = s
		w.retainedFor(c, s)
	}
	w.send(c, (&packet.Subscribe{PacketID: pid, Subscriptions: []mqtt.Subscription{s}}).Append(nil, c.version))
	w.settle(r, []fields{want}, c)
}

// retainedFor gives a client the retained messages of a new subscription.
func (w *world) retainedFor(c *modelClient, s mqtt.Subscription) {
	for _, topic := range slices.Sorted(maps.Keys(w.retained)) {
		m := w.retained[topic]
		if !wants(s.Filter, topic) || s.NoLocal && m.origin == c.id || w.unreadable[topic] || m.hasExpired() {
			continue
		}
		m.qos = min(m.qos, s.QoS)
		if s.ID != 0 {
			m.ids = idList([]uint32{s.ID})
		}
		if m.qos > 0 {
			c.owed = append(c.owed, &owed{modelMessage: m, retain: true})
		} else {
			c.zero = append(c.zero, expectedZero{m, true, false})
		}
	}
}

func (w *world) unsubscribe(r *rapid.T) {
	c := w.online(r)
	filter := rapid.SampledFrom([]string{"x", "y", "#", "+", "x/#"}).Draw(r, "filter")
	_, had := c.subs[filter]
	delete(c.subs, filter)
	pid := c.nextPID()
	w.send(c, (&packet.Unsubscribe{PacketID: pid, Filters: []string{filter}}).Append(nil, c.version))
	want := fields{"": "UNSUBACK", "pid": fmt.Sprint(pid)}
	if c.version == mqtt.V5 {
		if want["codes"] = "0"; !had {
			want["codes"] = "17"
		}
	}
	w.settle(r, []fields{want}, c)
}

func (w *world) publish(r *rapid.T) {
	c := w.online(r)
	m := modelMessage{topic: topicOf(r), payload: w.unique(), qos: qosOf(r), origin: c.id}
	if m.qos > 0 && c.isFull() {
		w.exceed(r, c, m)
		return
	}
	retain := rapid.Bool().Draw(r, "retain")
	if retain && rapid.Bool().Draw(r, "clear") {
		m.payload = ""
	}
	p := packet.Publish{Topic: []byte(m.topic), Payload: []byte(m.payload), QoS: m.qos, Retain: retain}
	if c.version == mqtt.V5 {
		w.draw5(r, c, &m, &p)
	}
	denied := w.unwritable[m.topic]
	m.denied = denied
	if retain && !denied {
		w.retained[m.topic] = m
	}
	if retain && m.payload == "" && !denied {
		delete(w.retained, m.topic)
	}
	want := []fields{}
	if m.qos > 0 {
		p.PacketID = c.nextPID()
		want = []fields{{"": map[mqtt.QoS]string{1: "PUBACK", 2: "PUBREC"}[m.qos], "pid": fmt.Sprint(p.PacketID)}}
		if denied && c.version == mqtt.V5 {
			want[0]["reason"] = "0x87"
		}
	}
	if m.qos == mqtt.ExactlyOnce && (!denied || c.version == mqtt.V311) { // 3.1.1 has no word for it [MQTT-3.3.5-2]
		c.opened[p.PacketID] = m
		c.counted[p.PacketID] = true
		c.quota++
	}
	if !denied {
		w.route(m, false, false)
	}
	w.send(c, p.Append(nil, c.version))
	w.settle(r, want, c)
}

// draw5 makes use of what 5.0 has: an expiry, a topic alias.
func (w *world) draw5(r *rapid.T, c *modelClient, m *modelMessage, p *packet.Publish) {
	if expiry := rapid.SampledFrom([]uint32{0, 0, 30, 3000}).Draw(r, "expiry"); expiry > 0 {
		p.Expiry, p.HasExpiry = expiry, true
		m.expires = time.Now().Add(time.Duration(expiry) * time.Second)
	}
	alias := rapid.IntRange(0, 2).Draw(r, "alias")
	if alias == 0 {
		return
	}
	p.TopicAlias = uint16(alias)
	if c.aliases[alias] == m.topic {
		p.Topic = nil
	}
	c.aliases[alias] = m.topic
}

// exceed sends a message beyond the receive maximum [v5 MQTT-3.3.4-9]: it is not accepted.
func (w *world) exceed(r *rapid.T, c *modelClient, m modelMessage) {
	p := packet.Publish{Topic: []byte(m.topic), Payload: []byte(m.payload), QoS: m.qos, PacketID: c.nextPID()}
	w.send(c, p.Append(nil, c.version))
	w.expectEnd(r, c, mqtt.ReceiveMaximumExceeded)
	w.left(c)
	w.settle(r, nil, nil)
}

// repeat sends a QoS 2 message again that the broker has: it is answered, and goes nowhere.
func (w *world) repeat(r *rapid.T) {
	c := w.any(r, func(c *modelClient) bool { return c.peer != nil && len(c.opened) > 0 })
	pid := rapid.SampledFrom(slices.Sorted(maps.Keys(c.opened))).Draw(r, "packet identifier")
	if c.version == mqtt.V5 && (c.counted[pid] || c.isFull()) {
		r.Skip("5.0 repeats only on a new connection, within the receive maximum") // [v5 MQTT-4.4.0-1]
	}
	m := c.opened[pid]
	if m.denied {
		r.Skip("one that went nowhere may go somewhere when it comes again")
	}
	c.counted[pid] = true
	c.quota++
	p := packet.Publish{Topic: []byte(m.topic), Payload: []byte(m.payload), QoS: 2, PacketID: pid, Dup: true}
	w.send(c, p.Append(nil, c.version))
	w.settle(r, []fields{{"": "PUBREC", "pid": fmt.Sprint(pid)}}, c)
}

func (w *world) release(r *rapid.T) {
	c := w.any(r, func(c *modelClient) bool { return c.peer != nil && len(c.opened) > 0 })
	pid := rapid.SampledFrom(slices.Sorted(maps.Keys(c.opened))).Draw(r, "packet identifier")
	delete(c.opened, pid)
	delete(c.counted, pid)
	c.quota = max(0, c.quota-1)
	w.send(c, packet.AppendAck(nil, packet.PUBREL, pid))
	w.settle(r, []fields{{"": "PUBCOMP", "pid": fmt.Sprint(pid)}}, c)
}

// acknowledge goes on with any of the deliveries that fly.
func (w *world) acknowledge(r *rapid.T) {
	c := w.any(r, func(c *modelClient) bool { return len(c.flying()) > 0 })
	flying := c.flying()
	w.goOn(r, c, flying[rapid.IntRange(0, len(flying)-1).Draw(r, "delivery")])
}

// goOn sends the next packet of a delivery.
func (w *world) goOn(r *rapid.T, c *modelClient, d *owed) {
	switch {
	case d.qos == mqtt.AtLeastOnce:
		c.finish(d)
		w.send(c, packet.AppendAck(nil, packet.PUBACK, d.pid))
		w.settle(r, nil, nil)
	case !d.released:
		d.released = true
		w.send(c, packet.AppendAck(nil, packet.PUBREC, d.pid))
		w.settle(r, []fields{{"": "PUBREL", "pid": fmt.Sprint(d.pid)}}, c)
	default:
		c.finish(d)
		w.send(c, packet.AppendAck(nil, packet.PUBCOMP, d.pid))
		w.settle(r, nil, nil)
	}
}

// drain is the end of a conversation: every session that there is gets all that it is owed.
func (w *world) drain(r *rapid.T) {
	for _, c := range w.sorted() {
		if c.exists {
			w.connectAs(r, c, false)
		}
	}
	for again := true; again; {
		again = false
		for _, c := range w.sorted() {
			if flying := c.flying(); len(flying) > 0 {
				again = true
				w.goOn(r, c, flying[0])
			}
		}
	}
	for _, c := range w.sorted() {
		if len(c.owed) > 0 {
			r.Fatalf("%s never got %+v", c.id, c.owed[0])
		}
	}
}

// refuse ends a QoS 2 delivery with a reason code of 5.0.
func (w *world) refuse(r *rapid.T) {
	c := w.online(r)
	i := slices.IndexFunc(c.owed, func(d *owed) bool { return d.qos == mqtt.ExactlyOnce && d.flies && !d.released })
	if i < 0 || c.version < mqtt.V5 {
		r.Skip("nothing to refuse")
	}
	pid := c.owed[i].pid
	c.finish(c.owed[i])
	w.send(c, (&packet.Ack{Type: packet.PUBREC, PacketID: pid, Reason: mqtt.QuotaExceeded}).Append(nil, c.version))
	w.settle(r, nil, nil)
}

// wrong are packets that no client may send once it is connected.
func wrong(v mqtt.Version) [][]byte {
	all := [][]byte{
		{0x00, 0x00},                         // no such type
		{0x10, 0x00},                         // second CONNECT, and empty
		{0x20, 0x02, 0, 0},                   // CONNACK
		{0x36, 0x05, 0, 1, 'x', 0, 1},        // QoS 3
		{0x38, 0x03, 0, 1, 'x'},              // DUP with QoS 0
		{0x30, 0x03, 0, 1, '#'},              // wildcard in a topic name
		{0x30, 0x04, 0, 2, 0xc0, 0x80},       // no UTF-8
		{0x30, 0x03, 0, 1, 0},                // U+0000
		{0x30, 0x03, 0, 9, 'x'},              // longer than the packet
		{0x32, 0x05, 0, 1, 'x', 0, 0},        // packet identifier 0
		{0x30, 0xff, 0xff, 0xff, 0xff, 0x01}, // remaining length of 5 bytes
		{0x60, 0x02, 0, 1},                   // PUBREL with wrong flags
		{0x41, 0x02, 0, 1},                   // PUBACK with wrong flags
		{0x80, 0x06, 0, 1, 0, 1, 'x', 0},     // SUBSCRIBE with wrong flags
		{0x82, 0x02, 0, 1},                   // SUBSCRIBE without a filter
		{0xa2, 0x02, 0, 1},                   // UNSUBSCRIBE without a filter
		{0xc1, 0x00},                         // PINGREQ with wrong flags
		{0xd0, 0x00},                         // PINGRESP
		{0x90, 0x03, 0, 1, 0},                // SUBACK
		(&packet.Connect{Version: v, ClientID: "b"}).Append(nil),
		(&packet.Subscribe{PacketID: 1, Subscriptions: []mqtt.Subscription{{Filter: "x", QoS: 3}}}).Append(nil, v),
		(&packet.Subscribe{PacketID: 1, Subscriptions: []mqtt.Subscription{{Filter: "x#", QoS: 1}}}).Append(nil, v),
		(&packet.Subscribe{Subscriptions: []mqtt.Subscription{{Filter: "x"}}}).Append(nil, v),
	}
	if v == mqtt.V5 {
		all = append(all,
			[]byte{0x30, 0x07, 0, 1, 'x', 3, 0x23, 0, 0},       // topic alias 0
			[]byte{0x30, 0x08, 0, 1, 'x', 4, 0x01, 0, 0x01, 0}, // a property twice
			[]byte{0x30, 0x06, 0, 1, 'x', 2, 0x7f, 0},          // no such property
			[]byte{0x30, 0x03, 0, 0, 0},                        // no topic, no alias
			[]byte{0x82, 0x08, 0, 1, 2, 0x0b, 0, 0, 1, 'x'},    // subscription identifier 0
			[]byte{0xf0, 0x00},                                 // AUTH without a method
			[]byte{0xe0, 0x06, 0, 4, 0x11, 0, 0, 0},            // DISCONNECT that ends early
		)
	}
	return all
}

func (w *world) invalid(r *rapid.T) {
	c := w.online(r)
	w.send(c, rapid.SampledFrom(wrong(c.version)).Draw(r, "packet"))
	w.expectEnd(r, c, 0)
	w.left(c)
	w.settle(r, nil, nil)
}

// stranger is a connection that does not begin with a proper CONNECT; nobody notices it.
func (w *world) stranger(r *rapid.T) {
	raw := rapid.OneOf(
		rapid.SampledFrom(wrong(mqtt.V5)[11:]),
		rapid.SliceOfN(rapid.Byte(), 1, 40).Filter(func(b []byte) bool { return b[0] != 0x10 }),
	).Draw(r, "bytes")
	if raw[0] == 0x10 {
		raw[0] = 0x30
	}
	p := w.open(mqtt.V311)
	_, _ = p.nc.Write(raw)
	p.nc.Close()
	<-p.gone
	w.quiet()
	if len(p.got) > 0 {
		r.Fatalf("a stranger got %x", <-p.got)
	}
	w.settle(r, nil, nil)
}

// wait lets time go by; sums of these are never one of the expiries and delays.
func (w *world) wait(r *rapid.T) {
	time.Sleep(rapid.SampledFrom([]time.Duration{1100 * time.Millisecond, 60100 * time.Millisecond, 5000100 * time.Millisecond}).Draw(r, "time"))
	w.quiet()
	w.passTime()
	w.settle(r, nil, nil)
}

// rule denies a topic to everybody, or allows it again: at once [docs/access.md].
func (w *world) rule(r *rapid.T) {
	toggle := func(topics *map[string]bool, topic string) {
		if *topics == nil {
			*topics = map[string]bool{}
		}
		if (*topics)[topic] {
			delete(*topics, topic)
		} else {
			(*topics)[topic] = true
		}
	}
	if rapid.Bool().Draw(r, "write") {
		toggle(&w.unwritable, topicOf(r))
	} else {
		topic := topicOf(r)
		toggle(&w.unreadable, topic)
		for _, c := range w.clients {
			for _, d := range c.owed {
				d.doubtful = d.doubtful || d.topic == topic && !d.flies
			}
		}
	}
	w.obey()
	w.settle(r, nil, nil)
}

// restart stops the broker, or lets it die, and starts it again.
func (w *world) restart(r *rapid.T) {
	if rapid.Bool().Draw(r, "crash") {
		next := w.spool.Copy()
		w.b.stop()
		w.spool.Close()
		w.spool = next
	} else {
		w.b.stop()
		w.spool = w.spool.Reopen()
	}
	for _, s := range w.shared { // the sessions that end have left nobody in charge
		s.maybe = true
		s.doubtful = s.doubtful || slices.ContainsFunc(w.sorted(), func(c *modelClient) bool { return (c.member || c.heir) && !c.durable })
	}
	connected := map[*modelClient]bool{}
	for _, c := range w.sorted() {
		c.strayed = c.heir && !c.member
		connected[c] = c.peer != nil
		if c.peer != nil {
			c.left = time.Now()
		}
		c.hangUp()
		c.zero = nil
		if !c.durable {
			c.forget()
		}
	}
	w.passTime()
	for _, c := range w.sorted() {
		w.publishWill(c)
	}
	for id, will := range w.wills { // their delay begins anew
		will.due = time.Now()
		if w.clients[id].exists {
			will.due = will.due.Add(will.delay)
		}
	}
	for _, c := range w.clients {
		c.zero = nil
		for _, d := range c.owed {
			d.maybe = d.maybe || connected[c]
		}
	}
	w.start()
	w.passTime()
	w.settle(r, nil, nil)
}
