package broker

import (
	"sync"
	"time"

	"fieldgate/broker/access"
	"fieldgate/broker/mqtt"
	"fieldgate/broker/packet"
	"fieldgate/broker/route"
	"fieldgate/broker/session"
)

// cacheBytes is how much a batch remembers of who gets which topic.
const cacheBytes = 256 << 10

// batch is what one goroutine needs while it works through what one read, one
// message from inside or one commit brought: the receivers that got something
// and are to be flushed at the end, and room to work in. A goroutine that waits
// holds none.
type batch struct {
	b      *Broker
	now    time.Time             // looked at once a batch
	cache  *route.Cache[*client] // only who may read
	rights uint64                // of the broker's rightsChanged, when cache was empty
	dirty  []*conn               // got bytes
	pulls  []*client             // are owed something
	pub    publication
	count  counts

	owed   []session.Owed         // of pub
	owedTo []*client              // the same sessions
	rest   []route.Match[*client] // receivers of pub that get it when the spool has taken it
	topic  []byte                 // of pub, when it came from inside
	name   []byte                 // of a message that is encoded for one client
	topics [][]byte               // that cache was told of
	gone   []mqtt.MsgID           // what the spool owes one client that must not get it any more
	taken  int                    // receivers of pub
	unsent int                    // bytes that were appended since dirty was empty

	passage passage // of pub, when it is retained; see fence
}

// lookAhead tells the cache of the topics of the next publications in data, and gives how many bytes
// hold them.
func (w *batch) lookAhead(data []byte) (used int) {
	w.topics = w.topics[:0]
	for len(w.topics) < route.AheadMost {
		n, err := packet.Length(data[used:], 0)
		if err != nil || n == 0 || used+n > len(data) {
			used = len(data) // whatever is left is nothing to look ahead for
			break
		}
		if raw := data[used : used+n]; packet.TypeOf(raw[0]) == packet.PUBLISH {
			w.topics = append(w.topics, packet.TopicOf(raw))
		}
		used += n
	}
	w.cache.Ahead(w.topics)
	clear(w.topics)
	return used
}

// counts are added to the broker's totals at the end of a batch.
type counts struct {
	messagesReceived, messagesSent int64 // control packets
	publishReceived, publishSent   int64
	publishBytesIn, publishBytes   int64 // payloads
	dropped, expired               int64
}

// batches holds those that nobody needs now.
type batches struct{ pool sync.Pool }

func (b *Broker) batch() *batch {
	w, ok := b.batches.pool.Get().(*batch)
	if !ok {
		w = &batch{b: b, cache: b.tree.NewCache(cacheBytes)}
		w.cache.Only(func(topic string, cl *client) bool { return cl.rights.Load().May(access.Read, topic) })
	}
	if now := b.rightsChanged.Load(); now != w.rights {
		w.cache.Forget()
		w.rights = now
	}
	w.now = time.Now()
	return w
}

// done flushes and gives the batch back.
func (w *batch) done() {
	w.flush()
	w.pub.reset()
	w.cache.Ahead(nil)
	w.b.batches.pool.Put(w)
}

// flush lets everybody whom the batch touched have what is theirs: first the
// owed deliveries are fetched, then each connection gets one write.
func (w *batch) flush() {
	for i := 0; i < len(w.pulls); i++ { // both lists may grow meanwhile
		w.pulls[i].refill(w)
		w.pulls[i] = nil
	}
	for i := 0; i < len(w.dirty); i++ {
		w.dirty[i].out.flush()
		w.dirty[i] = nil
	}
	w.pulls, w.dirty, w.unsent = trimmed(w.pulls), trimmed(w.dirty), 0
	w.b.stats.add(&w.count)
	w.count = counts{}
}

// flushMost is how many bytes one batch lets wait before it flushes in its midst: a
// large message has many copies.
const flushMost = 4 << 20

// flushEarly flushes when much is waiting.
func (w *batch) flushEarly() {
	if w.unsent < flushMost {
		return
	}
	for i, c := range w.dirty {
		c.out.flush()
		w.dirty[i] = nil
	}
	w.dirty, w.unsent = w.dirty[:0], 0
}

// trimmed empties a list, and lets go of a large one.
func trimmed[T any](list []T) []T {
	if cap(list) > 1024 {
		return nil
	}
	return list[:0]
}

// mark remembers to flush c; c.out.mu is held.
func (w *batch) mark(c *conn) {
	if c.out.busy {
		c.out.count()
	}
	if !c.out.dirty {
		c.out.dirty = true
		w.dirty = append(w.dirty, c)
	}
}

// publication is one accepted message on its way to its receivers.
type publication struct {
	packet.Publish
	name       string        // the topic, as the receivers may keep it; empty while nobody needed it
	version    mqtt.Version  // of raw
	raw        []byte        // the packet as it came, nil when there was none
	origin     string        // client identifier of the publisher
	unanswered bool          // the publisher may not publish to the response topic
	message    *mqtt.Message // made when somebody keeps it
	frames     [2][3]frame   // encoded for 3.x and 5.0, by QoS
}

// frame is an encoded PUBLISH without DUP and RETAIN, to be copied into out buffers.
type frame struct {
	bytes []byte
	room  []byte // kept from one publication to the next
	load  int    // bytes of the payload
	pidAt int    // where the packet identifier stands, 0 for QoS 0
}

// reset makes p ready for the next publication.
func (p *publication) reset() {
	for v := range p.frames {
		for q := range p.frames[v] {
			p.frames[v][q].bytes = nil
		}
	}
	p.Publish = packet.Publish{}
	p.name, p.raw, p.origin, p.message, p.unanswered = "", nil, "", nil, false
}

// frame gives the packet for receivers of the version, encoded once.
func (p *publication) frame(v mqtt.Version, qos mqtt.QoS) *frame {
	row := 0
	if v >= mqtt.V5 {
		row = 1
	}
	f := &p.frames[row][qos]
	if f.bytes != nil {
		return f
	}
	if p.raw != nil && qos == p.QoS && p.isAsReceived(v) {
		f.bytes = p.raw // the same bytes but for the flags and the packet identifier
	} else {
		out := p.Publish
		out.QoS, out.PacketID, out.Dup, out.Retain, out.TopicAlias = qos, 1, false, false, 0
		f.room = out.Append(f.room[:0], v)
		f.bytes = f.room
		if cap(f.room) > outKeep {
			f.room = nil
		}
	}
	f.pidAt, f.load = 0, len(p.Payload)
	if qos > mqtt.AtMostOnce {
		f.pidAt = packet.PacketIDOffset(f.bytes)
	}
	return f
}

// isAsReceived tells whether the packet that came says the same to a receiver of
// the version, but for its flags and packet identifier. One of 3.x may have a
// remaining length of more bytes than it needs: not every receiver takes that.
func (p *publication) isAsReceived(v mqtt.Version) bool {
	if v < mqtt.V5 || p.version < mqtt.V5 {
		return v < mqtt.V5 && p.version < mqtt.V5 && len(p.raw) == p.Size(v)
	}
	return p.TopicAlias == 0
}

// smallMessage is a message with its bytes, for the many that are short.
type smallMessage struct {
	message mqtt.Message
	bytes   [smallBytes]byte
}

const smallBytes = 128

// keep gives the message in a form that may be kept and shared.
func (p *publication) keep(now time.Time) *mqtt.Message {
	if p.message != nil {
		return p.message
	}
	if p.name == "" {
		p.name = string(p.Topic)
	}
	// One allocation for the message and its bytes, or two.
	var m *mqtt.Message
	var bytes []byte
	if size := len(p.Payload) + len(p.Props); size <= smallBytes {
		small := &smallMessage{}
		m, bytes = &small.message, small.bytes[:0]
	} else {
		m, bytes = &mqtt.Message{}, make([]byte, 0, size)
	}
	*m = mqtt.Message{Topic: p.name, QoS: p.QoS, Retain: p.Retain, Accepted: now, Origin: p.origin, Unanswered: p.unanswered}
	bytes = append(append(bytes, p.Payload...), p.Props...)
	m.Payload = bytes[:len(p.Payload):len(p.Payload)]
	if len(p.Props) > 0 {
		m.Props = bytes[len(p.Payload):]
	}
	m.Expiry = expiryOf(p.Expiry, p.HasExpiry)
	p.message = m
	return m
}
