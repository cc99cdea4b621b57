package broker

import (
	"encoding/binary"
	"slices"
	"strconv"
	"strings"
	"time"

	"fieldgate/broker/mqtt"
	"fieldgate/broker/packet"
	"fieldgate/broker/session"
)

// bequest is a will that is kept until it is published or forgotten. The spool
// holds it as a session of its own, whose record is the will: what was due when the
// power went is published at the next start.
type bequest struct {
	sid      session.ID
	clientID string
	user     string // who left it; empty for an anonymous client
	message  *mqtt.Message
	delay    time.Duration // from the end of the connection, no longer than the session lives on
	due      time.Time     // set when the connection has ended
}

// willPrefix begins the client identifiers of the records that are wills.
const willPrefix = "$will/"

// What begins a stored will; session.Meta begins with another byte.
const (
	willFormat     = 0x58
	willFormatBare = 0x57 // without a user name, as it was written before there were access rules
)

func (q *bequest) record() *session.Record {
	b := []byte{willFormat}
	b = binary.AppendUvarint(b, uint64(len(q.clientID)))
	b = append(b, q.clientID...)
	b = binary.AppendUvarint(b, uint64(len(q.user)))
	b = append(b, q.user...)
	b = binary.AppendUvarint(b, uint64(q.delay))
	m := q.message
	p := packet.Publish{
		Topic: []byte(m.Topic), Payload: m.Payload, QoS: m.QoS, Retain: m.Retain, Props: m.Props, PacketID: 1,
		Expiry: uint32(m.Expiry / time.Second), HasExpiry: m.Expiry > 0,
	}
	return &session.Record{ID: q.sid, ClientID: willPrefix + strconv.FormatUint(uint64(q.sid), 10), Meta: p.Append(b, mqtt.V5)}
}

// decodeWill reads what record has written; nil for anything else.
func decodeWill(r session.Record) *bequest {
	if len(r.Meta) == 0 || r.Meta[0] != willFormat && r.Meta[0] != willFormatBare {
		return nil
	}
	q := &bequest{sid: r.ID}
	names := []*string{&q.clientID, &q.user}
	if r.Meta[0] == willFormatBare {
		names = names[:1]
	}
	rest := r.Meta[1:]
	for _, name := range names {
		length, n := binary.Uvarint(rest)
		if n <= 0 || length > uint64(len(rest)-n) {
			return nil
		}
		*name, rest = string(rest[n:n+int(length)]), rest[n+int(length):]
	}
	delay, n := binary.Uvarint(rest)
	if n <= 0 || delay > uint64(session.Never) {
		return nil
	}
	q.delay = time.Duration(delay)
	var p packet.Publish
	if p.Decode(rest[n:], mqtt.V5) != nil {
		return nil
	}
	q.message = &mqtt.Message{
		Topic: string(p.Topic), Payload: p.Payload, QoS: p.QoS, Retain: p.Retain, Props: p.Props,
		Expiry: expiryOf(p.Expiry, p.HasExpiry), Origin: q.clientID,
	}
	return q
}

// keepWill takes the will of a client that connects.
func (c *conn) keepWill(w *packet.Will) {
	if strings.HasPrefix(w.Topic, "$") { // those are not open to clients
		return
	}
	b := c.b
	q := &bequest{clientID: c.client.id, user: c.username(), message: &mqtt.Message{
		Topic:   w.Topic,
		Payload: slices.Clone(w.Payload), // the packet goes, the will stays
		QoS:     min(w.QoS, b.cfg.maxQoS()),
		Retain:  w.Retain && b.cfg.RetainAvailable,
		Props:   slices.Clone(w.Props),
		Expiry:  expiryOf(w.Expiry, w.HasExpiry),
		Origin:  c.client.id,
	}}
	q.message.Retain = q.message.Retain && isShallow(w.Topic)
	if c.modern != nil {
		q.delay = min(c.modern.delay, c.modern.expiry)
	}
	b.mu.Lock()
	b.lastSID++
	q.sid = b.lastSID
	b.mu.Unlock()
	b.spool.Apply(session.Change{Session: q.sid, Put: q.record()}, nil)
	c.will = q
}

// leaveWill does with the will what the end of the connection demands: it is
// forgotten after a goodbye [v3.1.1 MQTT-3.1.2-10] [v5 MQTT-3.1.2-10], published
// otherwise [v3.1.1 MQTT-3.1.2-8] [v5 MQTT-3.1.2-8], after its delay when it has one.
func (c *conn) leaveWill(why *ending) {
	q, b := c.will, c.b
	switch {
	case q == nil:
		return
	case why.clean:
		b.forgetWill(q)
		return
	}
	if c.modern != nil {
		q.delay = min(c.modern.delay, c.modern.expiry) // DISCONNECT may have changed it
	}
	if q.delay > 0 {
		b.mu.Lock()
		q.due = time.Now().Add(q.delay)
		b.wills[q.clientID] = q
		b.mu.Unlock()
		return
	}
	b.publishWill(q)
}

// endWill ends the waiting of a client's will: it is published when its session
// ends, and forgotten when its session goes on [v5 MQTT-3.1.3-9].
func (b *Broker) endWill(clientID string, publish bool) {
	b.mu.Lock()
	q := b.wills[clientID]
	delete(b.wills, clientID)
	b.mu.Unlock()
	switch {
	case q == nil:
	case publish:
		b.publishWill(q)
	default:
		b.forgetWill(q)
	}
}

// publishDueWills publishes the wills whose delay is over and tells how long the
// next one has to wait, at most the given time.
func (b *Broker) publishDueWills(now time.Time, most time.Duration) time.Duration {
	var due []*bequest
	b.mu.Lock()
	for id, q := range b.wills {
		left := q.due.Sub(now)
		if left <= 0 {
			delete(b.wills, id)
			due = append(due, q)
			continue
		}
		most = min(most, left)
	}
	b.mu.Unlock()
	for _, q := range due {
		b.publishWill(q)
	}
	return most
}

// publishWill publishes the will, unless its topic has been denied to its user meanwhile.
func (b *Broker) publishWill(q *bequest) {
	if !b.mayLeave(q.user, q.clientID, q.message.Topic) {
		b.log.Warn("will denied by the access rules", "client_id", q.clientID, "topic", q.message.Topic, "username", q.user)
		b.forgetWill(q)
		return
	}
	if wanted := q.message.Props.ResponseTopic(); wanted != "" {
		q.message.Unanswered = !b.mayLeave(q.user, q.clientID, wanted)
	}
	if m := q.message; m.Retain && len(m.Payload) > 0 && !b.mayRetain([]byte(m.Topic), len(m.Payload)+len(m.Props)) {
		b.log.Warn("will is not retained: max_retained_messages or max_retained_bytes is reached", "client_id", q.clientID, "topic", m.Topic)
		m.Retain = false
	}
	w := b.batch()
	defer w.done()
	b.publish(w, q.message, false, func(err error) {
		if err != nil {
			b.log.Error("the will can't be kept", "client_id", q.clientID, "err", err)
		}
	})
	b.forgetWill(q) // behind the message: a crash between them publishes it once more
}

func (b *Broker) forgetWill(q *bequest) {
	gone := make(chan struct{})
	b.mu.Lock()
	defer b.mu.Unlock()
	b.spool.Apply(session.Change{Session: q.sid, End: true}, func(error) { close(gone) }) // the spool says itself that it is ill
	b.willGone = gone
}

// waitForWills waits, for a moment, until the wills that were published or
// forgotten are so for good: the spool commits in order, so the last one tells.
func (b *Broker) waitForWills() {
	b.mu.Lock()
	gone := b.willGone
	b.mu.Unlock()
	if gone != nil {
		waitAtMost(stopPatience, gone)
	}
}

// inheritWills makes the wills that the spool held those that wait: with the
// process all connections have ended.
func (b *Broker) inheritWills(wills []*bequest) {
	now := time.Now()
	for _, q := range wills {
		q.due = now
		if b.clients[q.clientID] != nil {
			q.due = now.Add(q.delay)
		}
		b.wills[q.clientID] = q
	}
}
