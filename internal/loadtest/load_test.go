package loadtest_test

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"fieldgate/broker/mqtt"
	"fieldgate/broker/packet"
)

// load is publishers, subscribers and what is known of the messages between them. A payload begins with the
// publisher's number in 4 bytes and the message's in 8.
type load struct {
	speaks mqtt.Version // 0 for 3.1.1
	qos    mqtt.QoS
	size   int // bytes of a payload
	window int // messages of one publisher on their way
	fan    int // copies that must arrive of each message
	pubs   []*publisher
	subs   []*subscriber
	came   atomic.Int64 // copies
}

// publisher keeps at most the window on the way, so that no broker has to drop anything: of QoS 0 what has
// not arrived, of the others what is not acknowledged.
type publisher struct {
	*link
	load    *load
	number  uint32
	topic   func(seq uint64) string
	retain  bool
	sent    atomic.Uint64
	done    atomic.Uint64 // acknowledged for good
	arrived atomic.Uint64 // copies
	safe    *marks        // what the broker has promised; of the reader, until it has ended
	wake    chan struct{}
}

func (l *load) publish(address, id string, topic func(uint64) string) (*publisher, error) {
	c, err := dialAs(cmp.Or(l.speaks, mqtt.V311), address, id, true)
	if err != nil {
		return nil, err
	}
	p := &publisher{link: c, load: l, number: uint32(len(l.pubs)), topic: topic, wake: make(chan struct{}, 1), safe: &marks{}}
	c.onSafe = func(pid uint16) { p.safe.add(p.sequenceOf(pid)) }
	c.onDone = func(uint16) { p.done.Add(1) }
	c.onRead = p.kick
	c.start()
	l.pubs = append(l.pubs, p)
	return p, nil
}

// always is a publisher's one topic.
func always(topic string) func(uint64) string { return func(uint64) string { return topic } }

// sequenceOf finds the newest message with the packet identifier.
func (p *publisher) sequenceOf(pid uint16) uint64 {
	last := p.sent.Load() - 1
	return last - (last+65535-uint64(pid-1))%65535
}

func (p *publisher) kick() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

func (p *publisher) underWay() int {
	if p.load.qos > 0 {
		return int(p.sent.Load() - p.done.Load())
	}
	return int(p.sent.Load() - p.arrived.Load()/uint64(p.load.fan))
}

// run publishes until the end, or most messages; quit ends it when nothing moves.
func (p *publisher) run(end time.Time, most uint64, quit <-chan struct{}) error {
	l := p.load
	need := 1
	if l.qos == 0 {
		need = max(l.window/4, 1)
	}
	payload := bytes.Repeat([]byte("x"), l.size)
	binary.LittleEndian.PutUint32(payload, p.number)
	var out []byte
	for time.Now().Before(end) {
		seq := p.sent.Load()
		left := most - seq
		if left == 0 {
			return nil
		}
		free := l.window - p.underWay()
		if free < need && uint64(max(free, 0)) < left {
			select {
			case <-p.wake:
				continue
			case <-p.closed:
				return fmt.Errorf("publisher %d lost its connection", p.number)
			case <-quit:
				return nil
			}
		}
		out = out[:0]
		n := min(uint64(free), left, uint64(48000/(l.size+64)+1))
		for i := range n {
			out = p.append(out, payload, seq+i)
		}
		p.sent.Add(n)
		if err := p.write(out); err != nil {
			return err
		}
	}
	return nil
}

func (p *publisher) append(out, payload []byte, seq uint64) []byte {
	binary.LittleEndian.PutUint64(payload[4:], seq)
	m := packet.Publish{Topic: []byte(p.topic(seq)), Payload: payload, QoS: p.load.qos, Retain: p.retain}
	if m.QoS > 0 {
		m.PacketID = uint16(seq%65535) + 1
	}
	return m.Append(out, p.version)
}

// sequence is the number of a message of its publisher.
func sequence(payload []byte) uint64 { return binary.LittleEndian.Uint64(payload[4:]) }

// subscriber judges what comes; its counts are its reader's until that has ended.
type subscriber struct {
	*link
	load   *load
	tracks []track // by publisher
	from   uint32  // the publisher of the last messages
	row    uint64  // how many they are
	count  atomic.Int64
	first  time.Time
	last   time.Time
}

// receive makes c a subscriber; it must be called before c.start, with all publishers to come counted.
func (l *load) receive(c *link, publishers int) *subscriber {
	s := &subscriber{link: c, load: l, tracks: make([]track, publishers)}
	c.onPublish = func(_, payload []byte, _ uint16) {
		from, seq := binary.LittleEndian.Uint32(payload), sequence(payload)
		if from != s.from {
			s.tell()
			s.from = from
		}
		s.row++
		s.tracks[from].see(seq)
	}
	c.onRead = s.tell
	l.subs = append(l.subs, s)
	return s
}

// tell lets the publisher know how much has arrived.
func (s *subscriber) tell() {
	if s.row == 0 {
		return
	}
	if s.last = time.Now(); s.first.IsZero() {
		s.first = s.last
	}
	s.count.Add(int64(s.row))
	s.load.came.Add(int64(s.row))
	if s.load.qos == 0 {
		p := s.load.pubs[s.from]
		p.arrived.Add(s.row)
		p.kick()
	}
	s.row = 0
}

// run lets all publishers publish for as long, at most so many messages each, and waits for their acknowledgements.
func (l *load) run(length time.Duration, each uint64) error {
	end := time.Now().Add(length)
	quit := make(chan struct{})
	errs := make(chan error, len(l.pubs))
	var wg sync.WaitGroup
	for _, p := range l.pubs {
		wg.Go(func() { errs <- p.run(end, each, quit) })
	}
	watchdog := time.AfterFunc(length+patience, func() { close(quit) })
	wg.Wait()
	watchdog.Stop()
	for range l.pubs {
		if err := <-errs; err != nil {
			return err
		}
	}
	if l.qos > 0 {
		moves(func() uint64 { return l.sent() - l.done() })
	}
	return nil
}

// arrive waits until all copies have come, or nothing comes any more.
func (l *load) arrive() {
	want := l.sent() * uint64(l.fan)
	moves(func() uint64 { return max(want, uint64(l.came.Load())) - uint64(l.came.Load()) })
}

// moves waits until what is left is nothing, or has not changed for three seconds.
func moves(left func() uint64) {
	last, since := left(), time.Now()
	for last > 0 && time.Since(since) < 3*time.Second {
		time.Sleep(time.Millisecond)
		if now := left(); now != last {
			last, since = now, time.Now()
		}
	}
}

func (l *load) sent() (n uint64) {
	for _, p := range l.pubs {
		n += p.sent.Load()
	}
	return n
}

func (l *load) done() (n uint64) {
	for _, p := range l.pubs {
		n += p.done.Load()
	}
	return n
}

// close ends all connections; after it the counts stand still.
func (l *load) close() {
	var wg sync.WaitGroup
	for _, p := range l.pubs {
		wg.Go(p.leave)
	}
	for _, s := range l.subs {
		wg.Go(s.leave)
	}
	wg.Wait()
}

// verdict is what was lost, doubled and out of order; close must have been called.
func (l *load) verdict() verdict {
	v := verdict{lost: int64(l.sent()) * int64(l.fan)}
	for _, s := range l.subs {
		for i := range s.tracks {
			v.add(&s.tracks[i])
		}
	}
	return v
}

// verdict counts what must not be.
type verdict struct{ lost, doubled, reordered int64 }

func (v *verdict) add(t *track) {
	v.lost -= t.distinct
	v.doubled += t.doubled
	v.reordered += t.reordered
}

// String is empty when all is well.
func (v verdict) String() string {
	if v == (verdict{}) {
		return ""
	}
	return fmt.Sprintf("%d lost, %d doubled, %d out of order", v.lost, v.doubled, v.reordered)
}

// track follows one publisher's messages at one subscriber.
type track struct {
	seen                         marks
	next                         uint64 // behind the highest that came
	distinct, doubled, reordered int64
}

func (t *track) see(seq uint64) {
	if !t.seen.add(seq) {
		t.doubled++
		return
	}
	t.distinct++
	if seq < t.next {
		t.reordered++
		return
	}
	t.next = seq + 1
}

// marks is a set of message numbers.
type marks struct{ bits []uint64 }

// add tells whether the number is new.
func (m *marks) add(seq uint64) bool {
	word, bit := seq/64, uint64(1)<<(seq%64)
	for uint64(len(m.bits)) <= word {
		m.bits = append(m.bits, make([]uint64, 256+len(m.bits)/4)...)
	}
	fresh := m.bits[word]&bit == 0
	m.bits[word] |= bit
	return fresh
}

func (m *marks) has(seq uint64) bool {
	return seq/64 < uint64(len(m.bits)) && m.bits[seq/64]&(1<<(seq%64)) != 0
}
