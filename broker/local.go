package broker

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"fieldgate/broker/mqtt"
	"fieldgate/broker/session"
	"fieldgate/internal/fault"
)

// ErrClosed says that an in-process session was closed or ended.
var ErrClosed = errors.New("the session is closed")

// Local is an in-process session that somebody is attached to. All methods may be
// called at the same time; deliveries come in order to one caller of Next.
type Local struct {
	cl     *client
	wake   chan struct{} // one place: there may be something
	closed chan struct{}
	once   sync.Once
	next   sync.Mutex // held by Next
}

// Attach opens the in-process session a.ClientID, which must begin with $. A
// durable one goes on where it stood: everything that was not acknowledged comes
// again, in order, with Dup. Its subscriptions become a.Subscriptions; those that
// are new to it get retained messages. It returns when all that is committed, and
// fails with a fault, with ctx, or with the spool's error.
func (b *Broker) Attach(ctx context.Context, a mqtt.Attachment) (*Local, error) {
	if err := checkAttachment(a); err != nil {
		return nil, err
	}
	l := &Local{wake: make(chan struct{}, 1), closed: make(chan struct{})}
	cl, change, err := b.attachLocal(l, a)
	if err != nil {
		return nil, err
	}
	if err := b.changeLocal(ctx, cl, change); err != nil {
		_ = l.Close() // it never fails
		if change.Put != nil && ctx.Err() == nil {
			b.forget(cl) // the spool does not know it
			_ = b.endSession(cl, ctx.Done())()
		}
		return nil, err
	}
	l.notify()
	return l, nil
}

func checkAttachment(a mqtt.Attachment) error {
	if len(a.ClientID) < 2 || !strings.HasPrefix(a.ClientID, "$") {
		return fault.New(fault.Invalid, "the client identifier of an in-process session must begin with $")
	}
	for _, sub := range a.Subscriptions {
		if _, _, _, err := mqtt.ParseShared(sub.Filter); err != nil {
			return fault.New(fault.Invalid, "topic filter %.60q %v", sub.Filter, err)
		}
		if sub.QoS > mqtt.ExactlyOnce {
			return fault.New(fault.Invalid, "topic filter %.60q: QoS must be 0, 1 or 2", sub.Filter)
		}
	}
	return nil
}

// attachLocal finds or makes the session and gives what is to be stored of it.
func (b *Broker) attachLocal(l *Local, a mqtt.Attachment) (*client, session.Change, error) {
	var change session.Change
	b.mu.Lock()
	defer b.mu.Unlock()
	cl := b.clients[a.ClientID]
	if cl != nil && cl.isDurable() != a.Durable {
		return nil, change, fault.New(fault.Conflict, "session %s exists and is not of that kind", a.ClientID)
	}
	if cl == nil {
		cl = b.newClient(a.ClientID, a.Durable)
		cl.meta.Expiry = session.Never
		change.Put = cl.record()
		b.clients[a.ClientID] = cl
	}
	cl.mu.Lock()
	defer cl.mu.Unlock()
	if cl.local != nil {
		return nil, change, fault.New(fault.Conflict, "session %s is attached already", a.ClientID)
	}
	l.cl, cl.local = cl, l
	cl.attended.Store(true)
	cl.cursor, cl.backlog = 0, true
	if a.MaxMessages > 0 {
		cl.queue.MaxMessages = int(min(a.MaxMessages, ramMessages))
	}
	if a.MaxBytes > 0 {
		cl.queue.MaxBytes = int(min(a.MaxBytes, ramBytes))
	}
	if a.Durable {
		b.spool.SetLimits(cl.sid, b.localLimits(a))
	}
	change.Session = cl.sid
	change.Subscribe, change.Unsubscribe = difference(cl.subs, a.Subscriptions)
	return cl, change, nil
}

// localLimits are those that the attachment asks for, and the broker's own where it does not.
func (b *Broker) localLimits(a mqtt.Attachment) session.Limits {
	l := b.limits()
	if a.MaxMessages > 0 {
		l.Messages = a.MaxMessages
	}
	if a.MaxBytes > 0 {
		l.Bytes = a.MaxBytes
	}
	l.Age, l.Reject = a.MaxAge, a.Reject
	if l.Reject {
		b.mayRefuse.Store(true)
	}
	return l
}

// difference tells what makes have into want.
func difference(have map[string]mqtt.Subscription, want []mqtt.Subscription) (subscribe []mqtt.Subscription, unsubscribe []string) {
	for filter := range have {
		if !slices.ContainsFunc(want, func(s mqtt.Subscription) bool { return s.Filter == filter }) {
			unsubscribe = append(unsubscribe, filter)
		}
	}
	for _, sub := range want {
		if old, has := have[sub.Filter]; !has || old != sub {
			subscribe = append(subscribe, sub)
		}
	}
	return subscribe, unsubscribe
}

// changeLocal makes the subscriptions what was asked for, here and in the spool. It fails with ErrClosed when
// the session was ended meanwhile.
func (b *Broker) changeLocal(ctx context.Context, cl *client, change session.Change) error {
	fresh, wait, err := cl.change(change, ctx.Done())
	if err != nil {
		return err
	}
	if len(fresh) > 0 {
		b.retaining.wait()
		w := b.batch()
		for _, sub := range fresh {
			for m := range b.retained.Match(sub.Filter) {
				cl.giveRetained(w, retainedFor(sub, m))
			}
		}
		w.done()
	}
	return orContext(ctx, wait())
}

// change makes the subscriptions of an in-process session what was asked for, and gives those that want retained
// messages and what waits for the commit.
func (cl *client) change(change session.Change, giveUp <-chan struct{}) (fresh []mqtt.Subscription, wait func() error, err error) {
	cl.ending.Lock()
	defer cl.ending.Unlock()
	if cl.isOver() {
		return nil, nil, ErrClosed
	}
	if len(change.Unsubscribe) > 0 {
		cl.unsubscribe(change.Unsubscribe)
	}
	for _, sub := range change.Subscribe {
		if cl.subscribe(sub) && wantsRetained(sub, true) {
			fresh = append(fresh, sub)
		}
	}
	if !cl.isDurable() || change.Put == nil && len(change.Subscribe)+len(change.Unsubscribe) == 0 {
		return fresh, func() error { return nil }, nil
	}
	return fresh, cl.b.apply(change, giveUp), nil
}

// orContext gives the error of ctx for any other one when ctx is done.
func orContext(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

// notify lets Next look. It never blocks.
func (l *Local) notify() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// Next waits for deliveries and gives 1 to limit of them, in order. A durable
// session gives each once until it is attached again, acknowledged or not. It
// fails with ErrClosed, with ctx, or when the spool can't be read.
func (l *Local) Next(ctx context.Context, limit int) ([]mqtt.Delivery, error) {
	l.next.Lock()
	defer l.next.Unlock()
	for {
		select {
		case <-l.closed:
			return nil, ErrClosed
		default:
		}
		got, err := l.take(limit)
		if err != nil || len(got) > 0 {
			return got, err
		}
		select {
		case <-l.wake:
		case <-l.closed:
			return nil, ErrClosed
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// take gives what there is now.
func (l *Local) take(limit int) ([]mqtt.Delivery, error) {
	for {
		got, more, err := l.takeSome(limit)
		if err != nil || len(got) > 0 || !more {
			return got, err
		}
	}
}

// takeSome is take for one look into the spool; more tells to look again, because
// all that it found had expired.
func (l *Local) takeSome(limit int) (got []mqtt.Delivery, more bool, err error) {
	cl, now := l.cl, time.Now()
	cl.mu.Lock()
	got = cl.popQueue(limit, now)
	after, looks := cl.cursor, cl.isDurable() && len(got) < limit && (cl.cursor < cl.newest || cl.backlog)
	cl.backlog = false
	cl.mu.Unlock()
	if !looks {
		return got, false, nil
	}
	page, err := cl.b.spool.Page(cl.sid, after, min(limit-len(got), pageMessages), pageBytes)
	var gone []mqtt.MsgID
	defer func() { l.Ack(gone...) }() // without the lock
	cl.mu.Lock()
	defer cl.mu.Unlock()
	if err != nil || len(page) > 0 {
		cl.backlog = true // until a page comes empty
	}
	if err != nil {
		return got, false, err
	}
	if cl.local != l { // closed meanwhile: where the cursor stands is somebody else's
		return got, false, nil
	}
	for i := range page {
		id := page[i].Message.ID
		if !cl.mayBegin(id) {
			return got, false, nil
		}
		cl.cursor = id
		if hasExpired(page[i].Message, now) && !cl.wasSent(id) { // what was begun comes to its end
			cl.b.stats.messagesExpired.Add(1)
			gone = append(gone, id)
			continue
		}
		got = append(got, cl.deliveryOf(&page[i]))
	}
	return got, len(page) > 0, nil
}

// popQueue takes at most limit deliveries from the queue in RAM; mu is held.
func (cl *client) popQueue(limit int, now time.Time) (got []mqtt.Delivery) {
	for len(got) < limit {
		d, ok := cl.queue.Pop()
		if !ok {
			break
		}
		if hasExpired(d.Message, now) {
			cl.b.stats.messagesExpired.Add(1)
			continue
		}
		got = append(got, d)
	}
	return got
}

// deliveryOf is what somebody in process gets of what the spool owes; mu is held.
func (cl *client) deliveryOf(q *session.Queued) mqtt.Delivery {
	id := q.Message.ID
	return mqtt.Delivery{
		Message: q.Message, PacketID: id.PacketID(), QoS: q.QoS, Retain: q.Retain, Dup: cl.wasSent(id), SubscriptionIDs: q.SubscriptionIDs,
	}
}

// Ack says that deliveries of QoS 1 and 2 are done for good: they leave the queue
// and never come again.
func (l *Local) Ack(ids ...mqtt.MsgID) {
	if !l.cl.isDurable() {
		return
	}
	for _, id := range ids {
		if id != 0 {
			l.cl.b.spool.Acked(l.cl.sid, id)
		}
	}
}

// Usage tells what the session's queue holds.
func (l *Local) Usage() mqtt.Usage { return l.cl.usage() }

func (cl *client) usage() mqtt.Usage {
	if cl.isDurable() {
		return cl.b.spool.Usage(cl.sid)
	}
	cl.mu.Lock()
	defer cl.mu.Unlock()
	u := mqtt.Usage{Messages: int64(cl.queue.Len() + cl.window.Len()), Bytes: int64(cl.queue.Bytes())}
	if m := cl.queue.Oldest(); m != nil {
		u.Oldest = m.Accepted
	}
	return u
}

// Close detaches; a durable session goes on gathering, any other ends. It gives nil.
func (l *Local) Close() error {
	l.once.Do(func() {
		close(l.closed)
		l.cl.detachLocal(l)
	})
	return nil
}

func (cl *client) detachLocal(l *Local) {
	b := cl.b
	b.mu.Lock() // until it is out of the registry: nobody must attach to a session that ends
	cl.mu.Lock()
	if cl.local == l {
		cl.local = nil
		cl.attended.Store(false)
		cl.sentTo, cl.cursor = max(cl.sentTo, cl.cursor), 0
		cl.closeMark()
		cl.offline = time.Now()
	}
	cl.mu.Unlock()
	ends := !cl.isDurable() && b.clients[cl.id] == cl
	if ends {
		delete(b.clients, cl.id)
	}
	b.mu.Unlock()
	if ends {
		_ = b.endSession(cl, nil)() // a session in RAM ends without an error
	}
}

// Forget ends the durable in-process session with its queue, and closes it when
// somebody is attached; nil when there is none. It returns when that is committed.
func (b *Broker) Forget(ctx context.Context, clientID string) error {
	if !strings.HasPrefix(clientID, "$") {
		return fault.New(fault.Invalid, "the client identifier of an in-process session must begin with $")
	}
	b.mu.Lock()
	cl := b.clients[clientID]
	delete(b.clients, clientID)
	b.mu.Unlock()
	if cl == nil {
		return nil
	}
	cl.mu.Lock()
	l := cl.local
	cl.mu.Unlock()
	if l != nil {
		_ = l.Close() // it never fails
	}
	return orContext(ctx, b.endSession(cl, ctx.Done())())
}
