package main_test

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"net"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"fieldgate/broker/mqtt"
	"fieldgate/broker/packet"
)

// peer is a client that does exactly what it is told, packet by packet; the judge of half-way states.
type peer struct {
	t       *testing.T
	id      string
	version mqtt.Version
	conn    net.Conn
	in      *bufio.Reader
}

// knockPeer connects; the answer is still to be read.
func knockPeer(t *testing.T, address string, hello packet.Connect) *peer {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	require.NoError(t, err)
	t.Cleanup(func() { conn.Close() })
	require.NoError(t, conn.SetDeadline(time.Now().Add(patience)))
	p := &peer{t: t, id: hello.ClientID, version: hello.Version, conn: conn, in: bufio.NewReader(conn)}
	p.write(hello.Append(nil))
	return p
}

// dialPeer connects and wants the session to be there or not.
func dialPeer(t *testing.T, address string, hello packet.Connect, present bool) *peer {
	t.Helper()
	p := knockPeer(t, address, hello)
	var ack packet.Connack
	require.NoError(t, ack.Decode(p.read(packet.CONNACK), p.version))
	require.Equal(t, mqtt.Success, ack.Reason)
	require.Equal(t, present, ack.SessionPresent, "session present of %s", p.id)
	return p
}

func (p *peer) write(raw []byte) {
	p.t.Helper()
	_, err := p.conn.Write(raw)
	require.NoError(p.t, err)
}

// any gives the next packet.
func (p *peer) any() []byte {
	p.t.Helper()
	raw, err := readRaw(p.in)
	require.NoError(p.t, err, "%s waits for a packet", p.id)
	return raw
}

// read gives the next packet, which must be of this type.
func (p *peer) read(kind packet.Type) []byte {
	p.t.Helper()
	raw := p.any()
	require.Equal(p.t, kind.String(), packet.TypeOf(raw[0]).String(), "%s got % x", p.id, raw)
	return raw
}

func (p *peer) readAck(kind packet.Type, pid uint16) packet.Ack {
	p.t.Helper()
	var a packet.Ack
	require.NoError(p.t, a.Decode(p.read(kind), p.version))
	require.Equal(p.t, pid, a.PacketID, "%s of %s", kind, p.id)
	return a
}

func (p *peer) readPublish() packet.Publish {
	p.t.Helper()
	var m packet.Publish
	require.NoError(p.t, m.Decode(p.read(packet.PUBLISH), p.version))
	return m
}

// nothing asks for an answer that comes behind everything else.
func (p *peer) nothing() {
	p.t.Helper()
	p.write(packet.AppendPingreq(nil))
	p.read(packet.PINGRESP)
}

func (p *peer) ack(kind packet.Type, pid uint16) { p.write(packet.AppendAck(nil, kind, pid)) }

func (p *peer) publish(topic, payload string, qos mqtt.QoS, pid uint16, retain, dup bool) {
	m := packet.Publish{Topic: []byte(topic), Payload: []byte(payload), QoS: qos, PacketID: pid, Retain: retain, Dup: dup}
	p.write(m.Append(nil, p.version))
}

// publishAll sends a QoS 2 message to its end.
func (p *peer) publishAll(topic, payload string, pid uint16, retain bool) {
	p.t.Helper()
	p.publish(topic, payload, mqtt.ExactlyOnce, pid, retain, false)
	p.readAck(packet.PUBREC, pid)
	p.ack(packet.PUBREL, pid)
	p.readAck(packet.PUBCOMP, pid)
}

func (p *peer) subscribe(subs ...mqtt.Subscription) {
	p.t.Helper()
	p.write((&packet.Subscribe{PacketID: 9, Subscriptions: subs}).Append(nil, p.version))
	p.read(packet.SUBACK)
}

// leave says goodbye and waits until the broker has heard it.
func (p *peer) leave() {
	p.t.Helper()
	p.write((&packet.Disconnect{}).Append(nil, p.version))
	_, err := p.in.ReadByte()
	require.Error(p.t, err, "%s got something after its DISCONNECT", p.id)
	p.conn.Close()
}

// hello asks for a session that lasts.
func hello(v mqtt.Version, id string) packet.Connect {
	c := packet.Connect{Version: v, ClientID: id, ReceiveMaximum: 65535, RequestProblem: true}
	if v == mqtt.V5 {
		c.SessionExpiry = 600
	}
	return c
}

// TestSystem_StateSurvives ends the gateway at random moments, under load, while QoS 2 messages are half way in
// each state, on both sides; what stands after the restart is what the text demands.
func TestSystem_StateSurvives(t *testing.T) {
	for _, version := range []mqtt.Version{mqtt.V311, mqtt.V5} {
		for name, signal := range map[string]syscall.Signal{"SIGTERM": syscall.SIGTERM, "SIGKILL": syscall.SIGKILL} {
			t.Run(fmt.Sprintf("%s, version %d", name, version), func(t *testing.T) {
				b := newBox(t)
				b.start()
				load := newPublisher(b.mqtt, "load", mqtt.AtLeastOnce)
				load.start()
				defer load.close()
				for range 3 {
					s := newStates(t, b, version)
					s.prepare()
					s.halfWay()
					pause := rand.N(30 * time.Millisecond)
					time.Sleep(pause)
					t.Logf("%s after %v", name, pause)
					s.ended = time.Now()
					b.kill(signal)
					b.start()
					s.checkWills()
					s.checkPublisher()
					s.checkSubscriber()
					s.checkRetained()
					s.end()
				}
			})
		}
	}
}

// states is one round; the clients are new in each.
type states struct {
	*testing.T
	b       *box
	version mqtt.Version
	round   string
	ended   time.Time // when the gateway was sent its signal

	pub, sub *peer
	pids     map[string]uint16 // of the subscriber's deliveries, by payload
}

func newStates(t *testing.T, b *box, v mqtt.Version) *states {
	return &states{T: t, b: b, version: v, round: fmt.Sprintf("%08x", rand.Uint32()), pids: map[string]uint16{}}
}

// name makes a client identifier or a topic of this round.
func (s *states) name(what string) string { return s.round + "/" + what }

func (s *states) hello(id string) packet.Connect { return hello(s.version, s.name(id)) }

func (s *states) dial(id string, present bool) *peer {
	s.Helper()
	return dialPeer(s.T, s.b.mqtt, s.hello(id), present)
}

// prepare makes the sessions, retained messages and wills, all acknowledged.
func (s *states) prepare() {
	for _, watcher := range []struct {
		id, filter string
		qos        mqtt.QoS
	}{{"watcher", "p/#", 2}, {"heir", "w/#", 1}} {
		w := s.dial(watcher.id, false)
		w.subscribe(mqtt.Subscription{Filter: s.name(watcher.filter), QoS: watcher.qos}, mqtt.Subscription{Filter: s.name("never"), QoS: 1})
		w.write((&packet.Unsubscribe{PacketID: 10, Filters: []string{s.name("never")}}).Append(nil, s.version))
		w.read(packet.UNSUBACK)
		w.leave()
	}
	clean := s.hello("clean")
	clean.CleanStart, clean.SessionExpiry = true, 0
	dialPeer(s.T, s.b.mqtt, clean, false).subscribe(mqtt.Subscription{Filter: "#", QoS: 2})

	s.sub = s.dial("sub", false)
	filter := mqtt.Subscription{Filter: s.name("s/#"), QoS: 2}
	if s.version == mqtt.V5 {
		filter.ID, filter.RetainAsPublished = 7, true
	}
	s.sub.subscribe(filter)
	s.pub = s.dial("pub", false)

	s.pub.publishAll(s.name("r/kept"), "old", 100, true)
	s.pub.publishAll(s.name("r/kept"), "new", 101, true)
	s.pub.publishAll(s.name("r/cleared"), "x", 102, true)
	s.pub.publishAll(s.name("r/cleared"), "", 103, true)
	s.pub.publishAll(s.name("never"), "x", 104, false)

	s.leaveWill("now", 0, 600)
	if s.version == mqtt.V5 {
		s.leaveWill("later", 3, 600)
		s.leaveWill("resumed", 1, 600)
		s.leaveWill("with the session", 600, 0)
	}
	s.leaveWill("goodbye", 0, 600).leave()
}

// leaveWill connects a client with a will; its delay and the session's expiry, in seconds, count in 5.0.
func (s *states) leaveWill(id string, delay, expiry uint32) *peer {
	c := s.hello(id)
	c.HasWill = true
	c.Will = packet.Will{Topic: s.name("w/" + id), Payload: []byte("gone"), QoS: 1, Retain: true}
	if s.version == mqtt.V5 {
		c.Will.Delay, c.SessionExpiry = delay, expiry
	}
	return dialPeer(s.T, s.b.mqtt, c, false)
}

// halfWay brings QoS 2 messages into each state. What is sent last may or may not be heard.
func (s *states) halfWay() {
	s.pub.publish(s.name("s/x"), "sent at QoS 1", mqtt.AtLeastOnce, 199, false, false)
	s.pub.readAck(packet.PUBACK, 199)
	plain := s.sub.readPublish()
	require.False(s, plain.Dup)
	s.pids[string(plain.Payload)] = plain.PacketID
	for i, payload := range []string{"published", "received", "released", "completed", "done"} {
		s.pub.publishAll(s.name("s/x"), payload, uint16(200+i), false)
		m := s.sub.readPublish()
		require.Equal(s, payload, string(m.Payload))
		require.False(s, m.Dup)
		s.pids[payload] = m.PacketID
	}
	for _, payload := range []string{"released", "completed", "done"} {
		s.sub.ack(packet.PUBREC, s.pids[payload])
		s.sub.readAck(packet.PUBREL, s.pids[payload])
	}
	s.sub.ack(packet.PUBCOMP, s.pids["done"])
	s.sub.nothing() // which was answered: the broker has heard all

	s.pub.publish(s.name("p/2"), "received", mqtt.ExactlyOnce, 2, false, false)
	s.pub.readAck(packet.PUBREC, 2)
	s.pub.publish(s.name("p/3"), "released", mqtt.ExactlyOnce, 3, false, false)
	s.pub.readAck(packet.PUBREC, 3)
	s.pub.publishAll(s.name("p/4"), "completed", 4, false)

	s.pub.publish(s.name("p/1"), "published", mqtt.ExactlyOnce, 1, false, false)
	s.pub.ack(packet.PUBREL, 3)
	s.pub.publish(s.name("r/torn"), "whole", mqtt.AtLeastOnce, 105, true, false)
	s.sub.ack(packet.PUBREC, s.pids["received"])
	s.sub.ack(packet.PUBCOMP, s.pids["completed"])
}

// checkPublisher repeats what was not finished, in order; the watcher has each message once.
func (s *states) checkPublisher() {
	s.pub.conn.Close()
	s.pub = s.dial("pub", true)
	s.pub.publish(s.name("p/1"), "published", mqtt.ExactlyOnce, 1, false, true)
	s.pub.ack(packet.PUBREL, 2)
	s.pub.ack(packet.PUBREL, 3)
	s.pub.readAck(packet.PUBREC, 1)
	require.Equal(s, mqtt.Success, s.pub.readAck(packet.PUBCOMP, 2).Reason, "the broker forgot what it had acknowledged")
	s.pub.readAck(packet.PUBCOMP, 3) // in 5.0 with 0x92 when it was completed before
	s.pub.ack(packet.PUBREL, 1)
	s.pub.readAck(packet.PUBCOMP, 1)
	s.pub.nothing()

	w := s.dial("watcher", true)
	var got []string
	for range 4 {
		m := w.readPublish()
		require.False(s, m.Dup, "%s was never sent to who was away", m.Payload)
		got = append(got, string(m.Payload))
		w.ack(packet.PUBREC, m.PacketID)
		w.readAckAmong(packet.PUBREL, m.PacketID)
		w.ack(packet.PUBCOMP, m.PacketID)
	}
	w.nothing()
	require.ElementsMatch(s, []string{"received", "released", "completed", "published"}, got)
	require.Equal(s, []string{"received", "released", "completed"}, without(got, "published"), "in the order of their acceptance")
	w.leave()
}

// readAckAmong is readAck with deliveries before it put back.
func (p *peer) readAckAmong(kind packet.Type, pid uint16) {
	p.t.Helper()
	var early []byte
	for {
		raw := p.any()
		var a packet.Ack
		if packet.TypeOf(raw[0]) == kind && a.Decode(raw, p.version) == nil && a.PacketID == pid {
			break
		}
		early = append(early, raw...)
	}
	if len(early) > 0 {
		rest, _ := p.in.Peek(p.in.Buffered())
		p.in = bufio.NewReader(&putBack{first: append(early, rest...), then: p.conn})
	}
}

// putBack reads the first bytes, then the connection.
type putBack struct {
	first []byte
	then  net.Conn
}

func (r *putBack) Read(b []byte) (int, error) {
	if len(r.first) > 0 {
		n := copy(b, r.first)
		r.first = r.first[n:]
		return n, nil
	}
	return r.then.Read(b)
}

func without(list []string, word string) []string {
	var rest []string
	for _, s := range list {
		if s != word {
			rest = append(rest, s)
		}
	}
	return rest
}

// checkSubscriber: what was only published comes again with DUP and its packet identifier, what was received
// is released again, what was completed may be released once more, all in their order, and what is done is gone.
func (s *states) checkSubscriber() {
	s.sub.conn.Close()
	s.sub = s.dial("sub", true)
	var published, released []string
	names := map[uint16]string{}
	for name, pid := range s.pids {
		names[pid] = name
	}
	s.sub.write(packet.AppendPingreq(nil))
	pinged := false
	for complete := false; !complete || !pinged; {
		raw := s.sub.any()
		switch packet.TypeOf(raw[0]) {
		case packet.PUBLISH:
			var m packet.Publish
			require.NoError(s, m.Decode(raw, s.version))
			require.Equal(s, names[m.PacketID], string(m.Payload), "packet identifier %d", m.PacketID)
			require.True(s, m.Dup)
			if s.version == mqtt.V5 {
				require.Equal(s, []uint32{7}, m.SubscriptionIDs)
			}
			published = append(published, string(m.Payload))
		case packet.PUBREL:
			var a packet.Ack
			require.NoError(s, a.Decode(raw, s.version))
			released = append(released, names[a.PacketID])
		case packet.PINGRESP:
			pinged = true
		default:
			require.Fail(s, "unexpected packet", "% x", raw)
		}
		complete = len(published) >= 2 && len(published)+len(without(released, "completed")) >= 4
	}
	require.Contains(s, [][]string{{"sent at QoS 1", "published"}, {"sent at QoS 1", "published", "received"}}, published)
	heard := []string{"released"}
	if len(published) == 2 {
		heard = []string{"received", "released"}
	}
	require.Contains(s, [][]string{heard, append(heard[:len(heard):len(heard)], "completed")}, released)
	s.sub.ack(packet.PUBACK, s.pids[published[0]])
	for _, name := range published[1:] {
		s.sub.ack(packet.PUBREC, s.pids[name])
		s.sub.readAck(packet.PUBREL, s.pids[name])
		s.sub.ack(packet.PUBCOMP, s.pids[name])
	}
	for _, name := range released {
		s.sub.ack(packet.PUBCOMP, s.pids[name])
	}
	s.sub.nothing()

	s.pub.publish(s.name("s/new"), "subscribed still", mqtt.AtLeastOnce, 300, true, false)
	m := s.sub.readPublish()
	require.Equal(s, "subscribed still", string(m.Payload))
	require.Equal(s, s.version == mqtt.V5, m.Retain, "retain as published")
	s.sub.ack(packet.PUBACK, m.PacketID)
	s.pub.readAck(packet.PUBACK, 300)
}

// checkWills: every connection ended without a goodbye but one; a delayed will waits, unless its client is back.
func (s *states) checkWills() {
	want := []string{"now"}
	if s.version == mqtt.V5 {
		s.dial("resumed", true).leave()
		want = []string{"now", "with the session", "later"}
	}
	heir := s.dial("heir", true)
	var got []string
	for range want {
		m := heir.readPublish()
		heir.ack(packet.PUBACK, m.PacketID)
		got = append(got, string(m.Topic)[len(s.name("w/")):])
		if got[len(got)-1] == "later" {
			require.GreaterOrEqual(s, time.Since(s.ended), 3*time.Second, "the delayed will came early")
		}
	}
	heir.nothing()
	require.ElementsMatch(s, want, got)
	require.Equal(s, want[len(want)-1], got[len(got)-1])
	heir.leave()
	clean := s.hello("clean")
	dialPeer(s.T, s.b.mqtt, clean, false).leave()
}

func (s *states) checkRetained() {
	c := s.dial("reader", false)
	subs := []mqtt.Subscription{{Filter: s.name("r/#")}, {Filter: s.name("w/#")}}
	c.write((&packet.Subscribe{PacketID: 9, Subscriptions: subs}).Append(nil, s.version))
	got := map[string]string{}
	c.write(packet.AppendPingreq(nil))
	for answers := 0; answers < 2; {
		raw := c.any()
		if packet.TypeOf(raw[0]) != packet.PUBLISH { // SUBACK comes before or behind the messages, PINGRESP behind them
			answers++
			continue
		}
		var m packet.Publish
		require.NoError(s, m.Decode(raw, s.version))
		require.True(s, m.Retain)
		got[string(m.Topic)[len(s.name("")):]] = string(m.Payload)
	}
	delete(got, "r/torn") // not acknowledged when the gateway ended
	want := map[string]string{"r/kept": "new", "w/now": "gone"}
	if s.version == mqtt.V5 {
		want["w/later"], want["w/with the session"] = "gone", "gone"
	}
	require.Equal(s, want, got)
	c.leave()
}

func (s *states) end() {
	s.pub.leave()
	s.sub.leave()
}
