package broker_test

import (
	"cmp"
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"fieldgate/broker"
	"fieldgate/broker/mqtt"
	"fieldgate/broker/packet"
	"fieldgate/broker/session/sessiontest"
)

// TestConversations_FollowTheModel lets three clients of random versions do random things, right and wrong,
// over reconnects and restarts of the broker, and compares every packet that comes with a model of the sessions.
// One broker lives through each conversation; the spool is in memory, the time synthetic.
func TestConversations_FollowTheModel(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		var failed any
		synctest.Test(t, func(t *testing.T) {
			defer func() { failed = recover() }() // rapid wants its panics in its own goroutine
			w := newWorld(t, r)
			defer w.close()
			w.connect(r)
			r.Repeat(map[string]func(*rapid.T){
				"connect":       w.connect,
				"come back":     w.connect, // what happens more often than the rest
				"publish 2":     w.publish,
				"publish 3":     w.publish,
				"acknowledge 2": w.acknowledge,
				"acknowledge 3": w.acknowledge,
				"subscribe 2":   w.subscribe,
				"disconnect":    w.disconnect,
				"drop":          w.drop,
				"subscribe":     w.subscribe,
				"unsubscribe":   w.unsubscribe,
				"publish":       w.publish,
				"repeat":        w.repeat,
				"release":       w.release,
				"acknowledge":   w.acknowledge,
				"refuse":        w.refuse,
				"invalid":       w.invalid,
				"stranger":      w.stranger,
				"wait":          w.wait,
				"restart":       w.restart,
			})
		})
		if fmt.Sprintf("%T", failed) == "rapid.invalidData" {
			panic(failed) // rapid tells failures apart by the line: this one is none
		}
		if failed != nil {
			panic(failed)
		}
	})
}

// world is the broker, its clients, and what the specification says about them.
type world struct {
	t        *testing.T
	spool    *sessiontest.Memory
	b        *testBroker
	clients  map[string]*modelClient
	retained map[string]modelMessage
	number   int
}

// modelMessage is a message; its payload is unlike that of any other, or empty.
type modelMessage struct {
	topic, payload string
	qos            mqtt.QoS
	origin         string
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
}

// modelClient is a client with its session, and its connection when it has one.
type modelClient struct {
	id      string
	version mqtt.Version
	peer    *peer // nil without a connection
	will    *modelMessage
	exists  bool // the session
	durable bool
	expires bool // within 1000 s
	window  int  // deliveries that may fly
	subs    map[string]mqtt.Subscription
	owed    []*owed
	zero    []expectedZero
	opened  map[uint16]modelMessage // QoS 2 messages sent without their PUBREL, by packet identifier
	counted map[uint16]bool         // those of this connection
	quota   int                     // how much of our receive maximum they take; every PUBCOMP gives one back [v5 4.9]
	heard   int                     // deliveries seen
	lastPID uint16
}

// expectedZero is a message of QoS 0 that is to come, or may.
type expectedZero struct {
	modelMessage
	retain, optional bool
}

func newWorld(t *testing.T, r *rapid.T) *world {
	w := &world{t: t, spool: sessiontest.NewMemory(), clients: map[string]*modelClient{}, retained: map[string]modelMessage{}}
	for _, id := range []string{"a", "b", "c"} {
		version := rapid.SampledFrom([]mqtt.Version{mqtt.V311, mqtt.V5}).Draw(r, "version of "+id)
		w.clients[id] = &modelClient{id: id, version: version}
	}
	w.start()
	return w
}

// modelInflight is the window towards clients of 3.1.1.
const modelInflight = 3

func (w *world) start() {
	w.b = start(w.t, w.spool, func(c *broker.Config) { c.MaxInflight = modelInflight })
	synctest.Wait()
}

func (w *world) close() {
	w.b.stop()
	for _, c := range w.clients {
		c.hangUp()
	}
	w.spool.Close()
	synctest.Wait()
}

func (c *modelClient) hangUp() {
	if c.peer != nil {
		c.peer.nc.Close()
		<-c.peer.gone
		c.peer = nil
	}
}

func (c *modelClient) forget() {
	c.exists, c.subs, c.owed, c.opened = false, nil, nil, nil
}

// any picks one of the clients of which something holds; when there is none the step is another one.
func (w *world) any(r *rapid.T, holds func(*modelClient) bool) *modelClient {
	var names []string
	for _, id := range slices.Sorted(maps.Keys(w.clients)) {
		if holds(w.clients[id]) {
			names = append(names, id)
		}
	}
	if len(names) == 0 {
		r.Skip("nobody is like that")
	}
	return w.clients[rapid.SampledFrom(names).Draw(r, "client")]
}

func (c *modelClient) isOnline() bool { return c.peer != nil }

// online picks a client with a connection; when there is none, one connects.
func (w *world) online(r *rapid.T) *modelClient {
	if !slices.ContainsFunc(slices.Collect(maps.Values(w.clients)), (*modelClient).isOnline) {
		w.connect(r)
	}
	return w.any(r, (*modelClient).isOnline)
}

// flying are the deliveries that the client may go on with.
func (c *modelClient) flying() []*owed {
	return slices.DeleteFunc(slices.Clone(c.owed), func(d *owed) bool { return c.peer == nil || !d.flies })
}

func topicOf(r *rapid.T) string {
	return rapid.SampledFrom([]string{"x", "y", "x/z"}).Draw(r, "topic")
}

func qosOf(r *rapid.T) mqtt.QoS { return rapid.SampledFrom([]mqtt.QoS{2, 1, 0, 2}).Draw(r, "qos") }

func (w *world) unique() string {
	w.number++
	return fmt.Sprint("message ", w.number)
}

// send writes to the client's connection; what the broker makes of it has happened when it returns.
func (w *world) send(c *modelClient, raw []byte) {
	_, _ = c.peer.nc.Write(raw) // what comes of it tells whether it should have gone through
	synctest.Wait()
}

func (w *world) open(version mqtt.Version) *peer {
	here, there := net.Pipe()
	p := &peer{nc: here, version: version, got: make(chan []byte, 10000), gone: make(chan struct{})}
	w.b.ServeConn(there)
	go p.read()
	return p
}

// connect opens a connection, and takes over one that is there.
func (w *world) connect(r *rapid.T) {
	c := w.any(r, func(*modelClient) bool { return true })
	clean := rapid.SampledFrom([]bool{false, false, false, true}).Draw(r, "clean")
	hello := packet.Connect{Version: c.version, ClientID: c.id, CleanStart: clean, ReceiveMaximum: 65535, RequestProblem: true}
	durable := !clean
	window := modelInflight
	if c.version == mqtt.V5 {
		window = rapid.SampledFrom([]int{1, 2, 1000}).Draw(r, "receive maximum")
		hello.ReceiveMaximum = uint16(window)
		hello.SessionExpiry = rapid.SampledFrom([]uint32{1000, 1000, 0}).Draw(r, "session expiry")
		durable = hello.SessionExpiry > 0
	}
	var will *modelMessage
	if rapid.Bool().Draw(r, "will") {
		will = &modelMessage{topic: "w/" + c.id, payload: w.unique(), qos: qosOf(r), origin: c.id}
		hello.HasWill = true
		hello.Will = packet.Will{Topic: will.topic, Payload: []byte(will.payload), QoS: will.qos}
	}
	old := c.peer
	p := w.open(c.version)
	_, _ = p.nc.Write(hello.Append(nil))
	synctest.Wait()
	if old != nil {
		w.expectEnd(r, c, mqtt.SessionTakenOver)
		survives := c.durable && !clean
		if !survives && !c.durable { // its session ended with the connection
			c.forget()
		}
		w.publishWill(c)
	}
	present := c.exists && !clean
	if !present {
		c.forget()
		c.zero = nil
		c.exists, c.subs, c.opened = true, map[string]mqtt.Subscription{}, map[uint16]modelMessage{}
	}
	for i := range c.zero {
		c.zero[i].optional = true // its own will, published while it came
	}
	c.peer, c.durable, c.expires, c.will, c.lastPID, c.window = p, durable, c.version == mqtt.V5, will, 0, window
	c.counted, c.quota = map[uint16]bool{}, 0
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
	synctest.Wait()
	w.ended(r, c)
	w.settle(r, nil, nil)
}

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

func (w *world) publishWill(c *modelClient) {
	if c.will != nil {
		w.route(*c.will, false, true)
		c.will = nil
	}
}

// route gives a message to all sessions that want it. When it is a will, who is just coming or going may miss QoS 0.
func (w *world) route(m modelMessage, retain, will bool) {
	for _, c := range w.clients {
		if !c.exists {
			continue
		}
		best, matched := mqtt.QoS(0), false
		for _, s := range c.subs {
			if wants(s.Filter, m.topic) {
				// The highest QoS of all that match [v5 MQTT-3.3.4-2], one with no local too, when another wants it.
				best, matched = max(best, s.QoS), matched || !s.NoLocal || m.origin != c.id
			}
		}
		if !matched {
			continue
		}
		sent := m
		sent.qos = min(best, m.qos)
		if sent.qos > 0 {
			c.owed = append(c.owed, &owed{modelMessage: sent, retain: retain})
		} else if c.peer != nil || will {
			c.zero = append(c.zero, expectedZero{sent, retain, will})
		}
	}
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

func (w *world) subscribe(r *rapid.T) {
	c := w.online(r)
	s := mqtt.Subscription{Filter: rapid.SampledFrom([]string{"#", "x", "y", "x/z", "+", "x/#", "+/z", "w/+", "#"}).Draw(r, "filter"), QoS: qosOf(r)}
	if c.version == mqtt.V5 {
		s.NoLocal = rapid.Bool().Draw(r, "no local")
	}
	c.subs[s.Filter] = s
	for _, m := range w.retained {
		if !wants(s.Filter, m.topic) {
			continue
		}
		m.qos = min(m.qos, s.QoS)
		switch {
		case s.NoLocal && m.origin == c.id:
		case m.qos > 0:
			c.owed = append(c.owed, &owed{modelMessage: m, retain: true})
		default:
			c.zero = append(c.zero, expectedZero{m, true, false})
		}
	}
	pid := c.nextPID()
	w.send(c, (&packet.Subscribe{PacketID: pid, Subscriptions: []mqtt.Subscription{s}}).Append(nil, c.version))
	w.settle(r, []fields{{"": "SUBACK", "pid": fmt.Sprint(pid), "codes": fmt.Sprint(s.QoS)}}, c)
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

// nextPID gives a packet identifier that is free.
func (c *modelClient) nextPID() uint16 {
	for {
		c.lastPID++
		if _, used := c.opened[c.lastPID]; !used {
			return c.lastPID
		}
	}
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
	if retain {
		w.retained[m.topic] = m
	}
	if m.payload == "" {
		delete(w.retained, m.topic)
	}
	p := packet.Publish{Topic: []byte(m.topic), Payload: []byte(m.payload), QoS: m.qos, Retain: retain}
	want := []fields{}
	if m.qos > 0 {
		p.PacketID = c.nextPID()
		want = []fields{{"": map[mqtt.QoS]string{1: "PUBACK", 2: "PUBREC"}[m.qos], "pid": fmt.Sprint(p.PacketID)}}
	}
	if m.qos == mqtt.ExactlyOnce {
		c.opened[p.PacketID] = m
		c.counted[p.PacketID] = true
		c.quota++
	}
	w.route(m, false, false)
	w.send(c, p.Append(nil, c.version))
	w.settle(r, want, c)
}

// isFull tells whether a 5.0 client may not send another message of QoS 1 or 2.
func (c *modelClient) isFull() bool { return c.version == mqtt.V5 && c.quota >= modelInflight }

// exceed sends a message beyond the receive maximum [v5 MQTT-3.3.4-9]: it is not accepted.
func (w *world) exceed(r *rapid.T, c *modelClient, m modelMessage) {
	p := packet.Publish{Topic: []byte(m.topic), Payload: []byte(m.payload), QoS: m.qos, PacketID: c.nextPID()}
	w.send(c, p.Append(nil, c.version))
	w.expectEnd(r, c, mqtt.ReceiveMaximumExceeded)
	if !c.durable {
		c.forget()
	}
	w.publishWill(c)
	w.settle(r, nil, nil)
}

// repeat sends a QoS 2 message again that the broker has: it is answered, and goes nowhere.
func (w *world) repeat(r *rapid.T) {
	c := w.any(r, func(c *modelClient) bool { return c.peer != nil && len(c.opened) > 0 })
	pid := rapid.SampledFrom(slices.Sorted(maps.Keys(c.opened))).Draw(r, "packet identifier")
	if c.version == mqtt.V5 && (c.counted[pid] || c.isFull()) {
		r.Skip("5.0 repeats only on a new connection, within the receive maximum") // [v5 MQTT-4.4.0-1]
	}
	c.counted[pid] = true
	c.quota++
	m := c.opened[pid]
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

// acknowledge goes one step on with any delivery, in any order.
func (w *world) acknowledge(r *rapid.T) {
	c := w.any(r, func(c *modelClient) bool { return len(c.flying()) > 0 })
	flying := c.flying()
	d := flying[rapid.IntRange(0, len(flying)-1).Draw(r, "delivery")]
	i := slices.Index(c.owed, d)
	pid := fmt.Sprint(d.pid)
	switch {
	case d.qos == mqtt.AtLeastOnce:
		c.owed = slices.Delete(c.owed, i, i+1)
		w.send(c, packet.AppendAck(nil, packet.PUBACK, d.pid))
		w.settle(r, nil, nil)
	case !d.released:
		d.released = true
		w.send(c, packet.AppendAck(nil, packet.PUBREC, d.pid))
		w.settle(r, []fields{{"": "PUBREL", "pid": pid}}, c)
	default:
		c.owed = slices.Delete(c.owed, i, i+1)
		w.send(c, packet.AppendAck(nil, packet.PUBCOMP, d.pid))
		w.settle(r, nil, nil)
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
	c.owed = slices.Delete(c.owed, i, i+1)
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
	if !c.durable {
		c.forget()
	}
	w.publishWill(c)
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
	synctest.Wait()
	if len(p.got) > 0 {
		r.Fatalf("a stranger got %x", <-p.got)
	}
	w.settle(r, nil, nil)
}

// wait lets time go by: nothing, or the end of the sessions that expire.
func (w *world) wait(r *rapid.T) {
	long := rapid.Bool().Draw(r, "long")
	if !long {
		time.Sleep(time.Second)
	} else {
		time.Sleep(5000 * time.Second)
		for _, c := range w.clients {
			if c.peer == nil && c.expires {
				c.forget()
			}
		}
	}
	synctest.Wait()
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
	connected := map[*modelClient]bool{}
	for _, c := range w.clients {
		connected[c] = c.peer != nil
		c.hangUp()
		c.zero = nil
		if !c.durable {
			c.forget()
		}
	}
	for _, c := range w.clients {
		w.publishWill(c)
	}
	for _, c := range w.clients {
		c.zero = nil
		for _, d := range c.owed {
			d.maybe = d.maybe || connected[c]
		}
	}
	w.start()
	w.settle(r, nil, nil)
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
}

func (w *world) settleClient(r *rapid.T, c *modelClient, want []fields, resumed bool) {
	var due []*owed // deliveries that are to come, as far as the window takes them
	var releases []string
	free := c.window
	for _, d := range c.owed {
		if resumed && d.released {
			releases = append(releases, fmt.Sprint(d.pid))
		}
		if d.flies {
			free--
		} else {
			due = append(due, d)
		}
	}
	stays := len(due) - max(0, min(free, len(due)))
	lastOrder := 0
	for len(c.peer.got) > 0 {
		got := render(<-c.peer.got, c.version)
		delete(got, "reason_string")
		switch {
		case got[""] == "PUBLISH":
			w.delivered(r, c, got, &due, &lastOrder)
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
	if len(want) > 0 || len(due) != stays || len(releases) > 0 {
		r.Fatalf("%s misses answers %v, PUBREL %v; %d deliveries wait, %d should, first %+v", c.id, want, releases, len(due), stays, slices.Concat(due, []*owed{nil})[0])
	}
	for _, z := range c.zero {
		if !z.optional {
			r.Fatalf("%s misses %+v", c.id, z)
		}
	}
	c.zero = nil
}

// delivered compares a PUBLISH with what is due: in order within its topic [v5 MQTT-4.6.0-6]; what was sent
// before in the order of then, with DUP and its packet identifier [v5 MQTT-4.6.0-1].
func (w *world) delivered(r *rapid.T, c *modelClient, got fields, due *[]*owed, lastOrder *int) {
	if got["qos"] == "" {
		i := slices.IndexFunc(c.zero, func(z expectedZero) bool {
			return z.topic == got["topic"] && z.payload == got["payload"] && bit(z.retain) == got["retain"]
		})
		if i < 0 {
			r.Fatalf("%s got %v, which nobody owes it; it expects %+v", c.id, got, c.zero)
		}
		c.zero = slices.Delete(c.zero, i, i+1)
		return
	}
	i := slices.IndexFunc(*due, func(d *owed) bool { return d.topic == got["topic"] })
	if i < 0 {
		r.Fatalf("%s got %v, which nobody owes it", c.id, got)
	}
	d := (*due)[i]
	*due = slices.Delete(*due, i, i+1)
	same := d.payload == got["payload"] && fmt.Sprint(d.qos) == got["qos"] && bit(d.retain) == got["retain"]
	if !same {
		r.Fatalf("%s expects %+v, got %v", c.id, d, got)
	}
	var pid int
	fmt.Sscan(got["pid"], &pid)
	d.flies = true
	if d.pid != 0 {
		if got["dup"] != "1" || pid != int(d.pid) || d.order < *lastOrder {
			r.Fatalf("%s got %v again; before it was %d with packet identifier %d", c.id, got, d.order, d.pid)
		}
		*lastOrder = d.order
		return
	}
	if slices.ContainsFunc(*due, func(o *owed) bool { return o.pid != 0 }) {
		r.Fatalf("%s got %v before what it is to get again", c.id, got)
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

// orderOf puts what was not sent yet behind what was.
func orderOf(d *owed) int {
	if d.pid == 0 {
		return 1 << 30
	}
	return d.order
}
