package uplink

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"fieldgate/bridges"
	"fieldgate/broker/mqtt"
	"fieldgate/broker/packet"
)

const (
	// maxBuffered bounds what waits for the socket, in bytes, before the queue is asked for more.
	maxBuffered  = 256 << 10
	writeTimeout = 30 * time.Second
	// countersEvery is how often a working link reports its counters.
	countersEvery = time.Second
)

// link is one connection to the cloud: a reader, a feeder that takes messages
// from the queue, and a writer. The first that fails ends the others.
type link struct {
	u         *uplink
	conn      net.Conn
	host      bridges.Host
	window    *window
	keepAlive time.Duration
	maxSend   int  // bytes of a packet, 0 for no limit
	careful   bool // nothing is sent before the cloud has shown that it keeps a connection without messages

	acked  atomic.Bool // something was acknowledged
	began  time.Time
	sentAt atomic.Int64  // when the last message was handed to the writer, in nanoseconds after began
	unkept atomic.Int64  // when our broker first could not keep what came, in nanoseconds after began
	pong   chan struct{} // capacity 1: PINGRESP came

	mu  sync.Mutex
	out []byte // encoded packets for the writer

	wake    chan struct{} // capacity 1: there is something to write
	drained chan struct{} // capacity 1: the writer has taken all
}

func newLink(u *uplink, conn net.Conn, host bridges.Host, w *window, accepted *packet.Connack) *link {
	l := &link{
		u: u, conn: conn, host: host, window: w,
		keepAlive: u.cfg.KeepAlive,
		maxSend:   int(accepted.MaxPacketSize),
		careful:   u.suspicion.careful(),
		began:     time.Now(),
		pong:      make(chan struct{}, 1),
		wake:      make(chan struct{}, 1),
		drained:   make(chan struct{}, 1),
	}
	if accepted.ServerKeepAlive != nil && *accepted.ServerKeepAlive > 0 {
		l.keepAlive = time.Duration(*accepted.ServerKeepAlive) * time.Second
	}
	limit := maxInflight
	if m := int(accepted.ReceiveMaximum); m > 0 {
		limit = min(limit, m)
	}
	w.rewind(limit, accepted.SessionPresent, l.careful)
	return l
}

// run carries messages until the connection fails or ctx is done. It closes the connection.
func (l *link) run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	l.subscribe()
	g.Go(func() error { return l.read(ctx) })
	g.Go(func() error { return l.feed(ctx) })
	g.Go(func() error { return l.write(ctx) })
	g.Go(func() error { return l.report(ctx) })
	// The writer notices ctx, says goodbye and closes the connection, which ends the reader; a write
	// that hangs on a full socket gets a second.
	stop := context.AfterFunc(ctx, func() { l.conn.SetWriteDeadline(time.Now().Add(goodbyeTimeout)) })
	defer stop()
	return g.Wait()
}

// put appends encoded packets for the writer; it never blocks.
func (l *link) put(encode func(dst []byte) []byte) {
	l.mu.Lock()
	l.out = encode(l.out)
	l.mu.Unlock()
	signal(l.wake)
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// subscribe asks for what comes down. It does so on every connection, for the filters may have changed.
func (l *link) subscribe() {
	if len(l.u.cfg.In) == 0 {
		return
	}
	s := packet.Subscribe{PacketID: subscribeID}
	for _, in := range l.u.cfg.In {
		s.Subscriptions = append(s.Subscriptions, mqtt.Subscription{Filter: in.Filter, QoS: in.QoS})
	}
	l.put(func(dst []byte) []byte { return s.Append(dst, l.u.cfg.Version) })
}

// subscribeID is the packet identifier of SUBSCRIBE. Those of messages begin with 1 and a window of
// them is never 65,535 long, but they come round; one that is in use by a PUBLISH is still told apart
// by the type of its acknowledgement.
const subscribeID = 65535

// write sends what the others put; it pings well within the keep alive, whatever else is sent, so
// that a silent cloud is told from a dead one.
func (l *link) write(ctx context.Context) error {
	defer l.conn.Close()
	ping := time.NewTicker(l.keepAlive * 3 / 4)
	defer ping.Stop()
	var spare []byte
	for {
		select {
		case <-ctx.Done():
			return goodbye(l.conn, l.u.cfg.Version)
		case <-ping.C:
			l.put(packet.AppendPingreq)
		case <-l.wake:
		}
		l.mu.Lock()
		batch := l.out
		l.out = spare[:0]
		l.mu.Unlock()
		signal(l.drained)
		l.conn.SetWriteDeadline(time.Now().Add(writeTimeout))
		if ctx.Err() != nil {
			continue // run may have set its shorter deadline before ours
		}
		if _, err := l.conn.Write(batch); err != nil {
			return fmt.Errorf("write: %w", err)
		}
		if spare = batch; cap(spare) > maxBuffered {
			spare = nil
		}
	}
}

// feed moves messages from the queue to the writer.
func (l *link) feed(ctx context.Context) error {
	if l.careful {
		l.put(packet.AppendPingreq)
		select {
		case <-l.pong:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	for {
		flights, err := l.window.next(ctx)
		if err != nil {
			return err
		}
		for _, f := range flights {
			if err := l.send(ctx, f); err != nil {
				return err
			}
		}
	}
}

// send encodes one message. What the cloud can't take leaves the queue: it would block all behind it.
func (l *link) send(ctx context.Context, f flight) error {
	m := f.delivery.Message
	topic, ok := rename(l.u.out, m.Topic)
	if !ok {
		l.u.counters.unmapped.Add(1)
		l.window.acknowledge(f.packetID)
		return nil
	}
	p := packet.Publish{
		Topic: []byte(topic), Payload: m.Payload, QoS: f.delivery.QoS, Retain: f.delivery.Retain,
		PacketID: f.packetID, Dup: f.again, Props: m.Props,
	}
	if m.Expiry > 0 {
		left := m.Expiry - time.Since(m.Accepted)
		if left <= 0 {
			l.window.acknowledge(f.packetID)
			return nil
		}
		p.Expiry, p.HasExpiry = uint32(max(1, left/time.Second)), true
	}
	if size := p.Size(l.u.cfg.Version); size > packet.MaxSize || l.maxSend > 0 && size > l.maxSend {
		l.u.counters.refused.Add(1)
		l.u.log.Warn("message is larger than the cloud takes and was dropped", "topic", m.Topic, "bytes", len(m.Payload))
		l.window.acknowledge(f.packetID)
		return nil
	}
	if err := l.waitForWriter(ctx); err != nil {
		return err
	}
	l.put(func(dst []byte) []byte { return p.Append(dst, l.u.cfg.Version) })
	l.sentAt.Store(int64(time.Since(l.began)))
	l.u.counters.sent.Add(1)
	return nil
}

// waitForWriter waits while more than maxBuffered bytes wait for the socket.
func (l *link) waitForWriter(ctx context.Context) error {
	for {
		l.mu.Lock()
		n := len(l.out)
		l.mu.Unlock()
		if n < maxBuffered {
			return nil
		}
		select {
		case <-l.drained:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// read handles what the cloud sends. Any packet shows that it lives.
func (l *link) read(ctx context.Context) error {
	const usual = 4096
	buf := make([]byte, 0, usual)
	for {
		n, err := packet.Length(buf, maxPacket)
		if err != nil {
			return err
		}
		if n > 0 && n <= len(buf) {
			if err := l.handle(ctx, buf[:n]); err != nil {
				return err
			}
			if buf = buf[:copy(buf, buf[n:])]; len(buf) == 0 && cap(buf) > maxBuffered {
				buf = make([]byte, 0, usual) // a large packet is rare
			}
			continue
		}
		if len(buf) == cap(buf) {
			buf = append(buf, 0)[:len(buf)]
		}
		l.conn.SetReadDeadline(time.Now().Add(l.keepAlive * 3 / 2))
		k, err := l.conn.Read(buf[len(buf):cap(buf)])
		if err != nil {
			return fmt.Errorf("read: %w", err)
		}
		buf = buf[:len(buf)+k]
	}
}

func (l *link) handle(ctx context.Context, raw []byte) error {
	switch t := packet.TypeOf(raw[0]); t {
	case packet.PUBLISH:
		return l.received(ctx, raw)
	case packet.PUBACK:
		return l.acknowledged(raw)
	case packet.SUBACK:
		return l.subscribed(raw)
	case packet.PINGRESP:
		signal(l.pong)
		return packet.DecodeEmpty(raw, l.u.cfg.Version)
	case packet.DISCONNECT:
		var p packet.Disconnect
		if err := p.Decode(raw, l.u.cfg.Version); err != nil {
			return err
		}
		return &refused{p.Reason}
	default:
		return fmt.Errorf("unexpected packet type %d", t)
	}
}

func (l *link) acknowledged(raw []byte) error {
	var p packet.Ack
	if err := p.Decode(raw, l.u.cfg.Version); err != nil {
		return err
	}
	switch p.Reason {
	case mqtt.UnspecifiedError, mqtt.ImplementationSpecificError, mqtt.QuotaExceeded:
		l.postponed(p)
		return nil
	}
	l.acked.Store(true)
	if !l.window.acknowledge(p.PacketID) {
		return nil // a second PUBACK after a resend
	}
	if p.Reason >= 0x80 {
		l.u.counters.refused.Add(1)
		l.u.log.Warn("cloud refuses a message", "packet_id", p.PacketID, "reason", p.Reason.String())
		return nil
	}
	l.u.counters.acknowledged.Add(1)
	return nil
}

// postponed sends a message again later that the cloud refuses for a reason that may pass. One that is refused again and
// again is set aside; a quota is not the message's fault.
func (l *link) postponed(p packet.Ack) {
	l.acked.Store(true) // it lives, and speaks to us
	refusals := l.window.postpone(p.PacketID)
	if refusals == 0 {
		return
	}
	l.u.counters.postponed.Add(1)
	if refusals == 1 {
		l.u.log.Warn("cloud does not take a message now", "packet_id", p.PacketID, "reason", p.Reason.String())
	}
	if p.Reason != mqtt.QuotaExceeded && refusals >= maxRefusals {
		l.u.setAside(l.window, l.window.idOf(p.PacketID), p.Reason.String())
		l.host.SetState(bridges.Connected, l.u.complaints.words())
	}
}

func (l *link) subscribed(raw []byte) error {
	var p packet.Suback
	if err := p.Decode(raw, l.u.cfg.Version); err != nil {
		return err
	}
	for i, reason := range p.Reasons {
		if reason >= 0x80 && i < len(l.u.cfg.In) {
			filter := l.u.cfg.In[i].Filter
			l.u.complaints.deny(filter)
			l.host.SetState(bridges.Connected, l.u.complaints.words())
			l.u.log.Warn("cloud refuses a subscription", "topic_filter", filter)
		}
	}
	return nil
}

// received publishes a message of the cloud locally; the cloud gets its PUBACK once our own broker
// has the message safe. The RETAIN flag stays, so that a retained command is known as one.
func (l *link) received(ctx context.Context, raw []byte) error {
	var p packet.Publish
	if err := p.Decode(raw, l.u.cfg.Version); err != nil {
		return err
	}
	if p.QoS == mqtt.ExactlyOnce {
		return errors.New("the cloud sent QoS 2, which was not asked for")
	}
	l.u.counters.received.Add(1)
	var safe func(error)
	if id := p.PacketID; id != 0 {
		safe = func(err error) {
			if err != nil {
				l.unkept.CompareAndSwap(0, int64(max(1, time.Since(l.began))))
				return
			}
			l.put(func(dst []byte) []byte { return packet.AppendAck(dst, packet.PUBACK, id) })
		}
	}
	topic, ok := rename(l.u.in, string(p.Topic))
	if !ok {
		l.u.counters.unmapped.Add(1)
		if safe != nil {
			safe(nil)
		}
		return nil
	}
	m := &mqtt.Message{
		Topic: topic, Payload: append([]byte(nil), p.Payload...), QoS: p.QoS, Retain: p.Retain,
		Props: append(mqtt.Properties(nil), p.Props...), Expiry: time.Duration(p.Expiry) * time.Second,
		Origin: ClientID(l.u.cfg.ID),
	}
	return l.host.Publish(ctx, m, safe)
}

var errUnkept = errors.New("what the cloud sent could not be kept: it is to send it again")

// report shows the counters while they change. It ends a connection on which something could not be kept: the cloud
// sends that again on the next one only, and nothing more once it waits for enough acknowledgements.
func (l *link) report(ctx context.Context) error {
	tick := time.NewTicker(countersEvery)
	defer tick.Stop()
	for {
		l.host.SetCounters(l.u.counters.snapshot())
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
		if since := time.Duration(l.unkept.Load()); since > 0 && time.Since(l.began)-since >= l.u.lastPause {
			return errUnkept
		}
	}
}
