package main_test

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"fieldgate/broker/mqtt"
	"fieldgate/broker/packet"
)

// client is an MQTT 3.1.1 client with a persistent session that keeps what the specification wants it
// to keep through every loss of its connection, and nothing else. It connects again until it is stopped.
// Other clients hide their state; a judge of a broker has to be exact.
type client struct {
	address, id string
	onConnect   func(present bool)
	onPacket    func(raw []byte) // replies go through send

	mu   sync.Mutex
	conn net.Conn // nil while there is none
	stop chan struct{}
	done sync.WaitGroup
}

func (c *client) start() {
	c.stop = make(chan struct{})
	c.done.Go(func() {
		for {
			c.session()
			select {
			case <-c.stop:
				return
			case <-time.After(20 * time.Millisecond):
			}
		}
	})
}

func (c *client) close() {
	close(c.stop)
	c.mu.Lock()
	if c.conn != nil {
		c.conn.Close()
	}
	c.mu.Unlock()
	c.done.Wait()
}

// session lives through one connection.
func (c *client) session() {
	conn, err := net.DialTimeout("tcp", c.address, time.Second)
	if err != nil {
		return
	}
	defer conn.Close()
	hello := packet.Connect{Version: mqtt.V311, ClientID: c.id, KeepAlive: 60}
	if _, err := conn.Write(hello.Append(nil)); err != nil {
		return
	}
	r := bufio.NewReader(conn)
	raw, err := readRaw(r)
	if err != nil {
		return
	}
	var answer packet.Connack
	if packet.TypeOf(raw[0]) != packet.CONNACK || answer.Decode(raw, mqtt.V311) != nil || answer.Reason != mqtt.Success {
		return
	}
	c.mu.Lock()
	select {
	case <-c.stop:
		c.mu.Unlock()
		return
	default:
	}
	c.conn = conn
	c.mu.Unlock()
	defer func() {
		c.mu.Lock()
		c.conn = nil
		c.mu.Unlock()
	}()
	c.onConnect(answer.SessionPresent)
	for {
		raw, err := readRaw(r)
		if err != nil {
			return
		}
		c.onPacket(raw)
	}
}

// send writes to the connection if there is one; what is lost with it is the caller's state to repeat.
func (c *client) send(b []byte) {
	c.mu.Lock()
	conn := c.conn
	c.mu.Unlock()
	if conn != nil {
		_, _ = conn.Write(b)
	}
}

func readRaw(r *bufio.Reader) ([]byte, error) {
	first, err := r.ReadByte()
	if err != nil {
		return nil, err
	}
	length, err := binary.ReadUvarint(r)
	if err != nil || length > 1<<20 {
		return nil, io.ErrUnexpectedEOF
	}
	raw := binary.AppendUvarint([]byte{first}, length)
	had := len(raw)
	raw = append(raw, make([]byte, length)...)
	_, err = io.ReadFull(r, raw[had:])
	return raw, err
}

// publisher sends numbered messages of one QoS, at most a window of them unacknowledged, and repeats
// after each loss of the connection what was not acknowledged, in order.
type publisher struct {
	client
	topic   string
	qos     mqtt.QoS
	retain  bool
	window  int
	limit   int                              // of messages; 0 for none
	topicOf func(number int) string          // nil for topic
	tell    func(format string, args ...any) // what was sent and acknowledged

	mu           sync.Mutex
	next         int // number of the next new message
	inflight     []outgoing
	acknowledged []int // numbers, as their PUBACK or PUBREC came
	quiet        bool  // no new messages
}

type outgoing struct {
	number   int
	packetID uint16
	received bool // PUBREC came
}

const publisherWindow = 20

// count gives how many messages were acknowledged.
func (p *publisher) count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.acknowledged)
}

func newPublisher(address, topic string, qos mqtt.QoS) *publisher {
	p := &publisher{topic: topic, qos: qos, window: publisherWindow, tell: func(string, ...any) {}}
	p.client = client{address: address, id: "pub-" + topic, onConnect: p.connected, onPacket: p.packet}
	return p
}

func (p *publisher) connected(bool) {
	p.mu.Lock()
	var out []byte
	for _, o := range p.inflight {
		out = p.encode(out, o, true)
	}
	p.mu.Unlock()
	p.send(out)
	p.fill()
}

func (p *publisher) encode(dst []byte, o outgoing, dup bool) []byte {
	if o.received {
		return packet.AppendAck(dst, packet.PUBREL, o.packetID)
	}
	topic := p.topic
	if p.topicOf != nil {
		topic = p.topicOf(o.number)
	}
	m := packet.Publish{Topic: []byte(topic), Payload: fmt.Append(nil, o.number), QoS: p.qos, PacketID: o.packetID, Dup: dup, Retain: p.retain}
	return m.Append(dst, mqtt.V311)
}

// fill sends new messages while the window has room.
func (p *publisher) fill() {
	p.mu.Lock()
	var out []byte
	for !p.quiet && len(p.inflight) < p.window && (p.limit == 0 || p.next < p.limit) {
		o := outgoing{number: p.next, packetID: uint16(1 + p.next%65535)}
		p.next++
		p.inflight = append(p.inflight, o)
		p.tell("sent %s %d %d", p.topic, o.number, o.packetID)
		out = p.encode(out, o, false)
	}
	p.mu.Unlock()
	p.send(out)
}

func (p *publisher) packet(raw []byte) {
	var a packet.Ack
	if a.Decode(raw, mqtt.V311) != nil {
		return
	}
	p.mu.Lock()
	i := slices.IndexFunc(p.inflight, func(o outgoing) bool { return o.packetID == a.PacketID })
	if i < 0 {
		p.mu.Unlock()
		return
	}
	var reply []byte
	switch a.Type {
	case packet.PUBACK:
		p.tell("safe %s %d", p.topic, p.inflight[i].number)
		p.acknowledged = append(p.acknowledged, p.inflight[i].number)
		p.inflight = slices.Delete(p.inflight, i, i+1)
	case packet.PUBREC:
		if !p.inflight[i].received {
			p.inflight[i].received = true
			p.tell("safe %s %d", p.topic, p.inflight[i].number)
			p.acknowledged = append(p.acknowledged, p.inflight[i].number)
		}
		reply = packet.AppendAck(nil, packet.PUBREL, a.PacketID)
	case packet.PUBCOMP:
		p.tell("done %s %d", p.topic, p.inflight[i].number)
		p.inflight = slices.Delete(p.inflight, i, i+1)
	}
	p.mu.Unlock()
	p.send(reply)
	p.fill()
}

// finish sends nothing new; idle tells whether everything is acknowledged.
func (p *publisher) finish() { p.mu.Lock(); p.quiet = true; p.mu.Unlock() }

// resume takes back finish.
func (p *publisher) resume() {
	p.mu.Lock()
	p.quiet = false
	p.mu.Unlock()
	p.fill()
}

func (p *publisher) idle() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.inflight) == 0 && (p.quiet || p.limit > 0 && p.next == p.limit)
}

func (p *publisher) acks() []int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.acknowledged)
}

// subscriber keeps every number that it got, in order; of QoS 2 each packet identifier once until its PUBREL.
type subscriber struct {
	client
	filter string
	qos    mqtt.QoS

	mu      sync.Mutex
	numbers []int
	held    map[uint16]bool     // QoS 2 received, PUBREL not yet
	history map[uint16][]string // of each packet identifier, for the report of a failure
	conns   int
	absent  bool          // some CONNACK said that there was no session
	ready   chan struct{} // closed at the first SUBACK
	once    sync.Once
	tell    func(format string, args ...any) // what came, before it is acknowledged
}

func newSubscriber(address, filter string, qos mqtt.QoS) *subscriber {
	s := &subscriber{filter: filter, qos: qos, held: map[uint16]bool{}, history: map[uint16][]string{}, ready: make(chan struct{}), tell: func(string, ...any) {}}
	s.client = client{address: address, id: "sub-" + filter, onConnect: s.connected, onPacket: s.packet}
	return s
}

func (s *subscriber) connected(present bool) {
	s.mu.Lock()
	s.conns++
	s.absent = s.absent || !present
	s.mu.Unlock()
	if !present {
		sub := packet.Subscribe{PacketID: 1, Subscriptions: []mqtt.Subscription{{Filter: s.filter, QoS: s.qos}}}
		s.send(sub.Append(nil, mqtt.V311))
	}
}

func (s *subscriber) packet(raw []byte) {
	switch packet.TypeOf(raw[0]) {
	case packet.SUBACK:
		s.tell("subscribed %s", s.id)
		s.once.Do(func() { close(s.ready) })
	case packet.PUBLISH:
		var p packet.Publish
		if p.Decode(raw, mqtt.V311) != nil {
			return
		}
		var n int
		fmt.Sscan(string(p.Payload), &n)
		s.mu.Lock()
		s.note(p.PacketID, "PUBLISH of %d, dup %v, held %v", n, p.Dup, s.held[p.PacketID])
		if p.QoS != mqtt.ExactlyOnce || !s.held[p.PacketID] {
			s.numbers = append(s.numbers, n)
			s.tell("got %s %d %d", s.id, n, p.PacketID)
		}
		answer := packet.PUBACK
		if p.QoS == mqtt.ExactlyOnce {
			s.held[p.PacketID] = true
			answer = packet.PUBREC
		}
		s.mu.Unlock()
		s.send(packet.AppendAck(nil, answer, p.PacketID))
	case packet.PUBREL:
		var a packet.Ack
		if a.Decode(raw, mqtt.V311) != nil {
			return
		}
		s.mu.Lock()
		s.note(a.PacketID, "PUBREL, held %v", s.held[a.PacketID])
		delete(s.held, a.PacketID)
		s.tell("released %s %d", s.id, a.PacketID)
		s.mu.Unlock()
		s.send(packet.AppendAck(nil, packet.PUBCOMP, a.PacketID))
	}
}

func (s *subscriber) note(packetID uint16, format string, args ...any) {
	s.history[packetID] = append(s.history[packetID], fmt.Sprintf("connection %d: ", s.conns)+fmt.Sprintf(format, args...))
}

// story tells what came with the packet identifiers that carried the numbers.
func (s *subscriber) story(numbers []int) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var b strings.Builder
	for id, notes := range s.history {
		for _, n := range numbers {
			if slices.ContainsFunc(notes, func(note string) bool { return strings.Contains(note, fmt.Sprintf("PUBLISH of %d,", n)) }) {
				fmt.Fprintf(&b, "packet identifier %d\n\t%s\n", id, strings.Join(notes, "\n\t"))
			}
		}
	}
	return b.String()
}

func (s *subscriber) got() []int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.numbers)
}
