package broker

import (
	"errors"
	"log/slog"
	"maps"
	"slices"
	"time"

	"fieldgate/broker/mqtt"
	"fieldgate/broker/packet"
	"fieldgate/broker/session"
)

// What a session without a spool may hold in RAM, whatever the configuration allows.
const (
	ramMessages = 100_000
	ramBytes    = 8 << 20
)

// newClient makes a session; b.mu is held.
func (b *Broker) newClient(id string, durable bool) *client {
	cl := &client{b: b, id: id, offline: time.Now()}
	cl.queue = session.Queue{
		MaxMessages: min(b.cfg.MaxQueuedMessages, ramMessages),
		MaxBytes:    int(min(b.cfg.MaxQueuedBytes, ramBytes)),
		DropOldest:  b.cfg.QueueFull == DropOldest,
	}
	if durable {
		b.lastSID++
		cl.sid = b.lastSID
		b.spool.SetLimits(cl.sid, b.limits())
	}
	return cl
}

// limits are those of a durable session.
func (b *Broker) limits() session.Limits {
	return session.Limits{Messages: int64(b.cfg.MaxQueuedMessages), Bytes: b.cfg.MaxQueuedBytes, Reject: b.cfg.QueueFull == Reject}
}

// load takes over what the spool holds.
func (b *Broker) load() error {
	byID := map[session.ID]*client{}
	var wills []*bequest
	next := mqtt.MsgID(0)
	err := b.spool.Load(session.Visitor{
		Next: func(id mqtt.MsgID) { next = id },
		Session: func(r session.Record) {
			b.lastSID = max(b.lastSID, r.ID)
			if q := decodeWill(r); q != nil {
				wills = append(wills, q)
				return
			}
			cl := b.newClient(r.ClientID, false)
			cl.sid = r.ID
			meta, err := session.DecodeMeta(r.Meta)
			if err != nil { // the queue is what counts
				b.log.Warn("session has an unknown record; it is kept as if new", "client_id", r.ClientID, "err", err)
				meta = session.Meta{Version: mqtt.V311, Expiry: b.cfg.sessionExpiry()}
			}
			cl.meta = meta
			cl.stored0.Store(b.cfg.QueueQoS0)
			byID[r.ID] = cl
			b.clients[r.ClientID] = cl
		},
		Subscription: func(id session.ID, sub mqtt.Subscription) {
			if cl := byID[id]; cl != nil {
				cl.subscribe(sub)
			}
		},
		Received: func(id session.ID, pid uint16) {
			if cl := byID[id]; cl != nil {
				cl.received.Restore(pid)
			}
		},
		Released: func(id session.ID, msg mqtt.MsgID) {
			if cl := byID[id]; cl != nil {
				cl.window.Send(session.Flight{ID: msg, QoS: mqtt.ExactlyOnce, Stage: session.Released})
			}
		},
		Retained: func(m *mqtt.Message) {
			if m.Expiry > 0 {
				b.retainedExpire.Store(true)
			}
			b.retained.Set(m)
		},
	})
	if err != nil {
		return err
	}
	for _, cl := range byID {
		cl.backlog = true
		cl.restoreMark(next)
		if cl.endsWithConnection() { // the end of the process was the end of its connection
			delete(b.clients, cl.id)
			b.endSession(cl, nil)
			continue
		}
		if cl.isNetwork() { // an in-process session says itself what it may hold
			b.spool.SetLimits(cl.sid, b.limits())
		}
	}
	b.inheritWills(wills)
	return nil
}

// endsWithConnection tells whether the session is one of 5.0 that does not live on
// without its connection [v5 3.1.2.11.2].
func (cl *client) endsWithConnection() bool {
	cl.mu.Lock()
	defer cl.mu.Unlock()
	return cl.meta.Version >= mqtt.V5 && cl.meta.Expiry == 0
}

// record is what the spool keeps of the session.
func (cl *client) record() *session.Record {
	return &session.Record{ID: cl.sid, ClientID: cl.id, Meta: cl.meta.Encode()}
}

// keepRecord has the spool keep the session's record. mu is held, so that records reach the spool in the order
// of their changes, and none after the end of the session: it would bring a ghost back, in the place of the
// client's new session. unhurried and safe are as for session.Spool; safe must do without mu.
func (cl *client) keepRecord(unhurried bool, safe func(error)) {
	if cl.isDurable() && !cl.over {
		cl.b.spool.Apply(session.Change{Session: cl.sid, Put: cl.record(), Unhurried: unhurried}, safe)
	}
}

// resumed notes that the client came back: its time offline begins anew.
func (cl *client) resumed(fresh session.Meta) {
	cl.mu.Lock()
	defer cl.mu.Unlock()
	fresh.Sent = cl.meta.Sent
	if cl.meta != fresh {
		cl.meta = fresh
		cl.keepRecord(false, nil)
	}
}

// noteOffline keeps how long sessions have been without their clients, so that a
// restart does not give them all their time again. Wall clocks jump on machines
// without a battery, so it is time that the broker has seen pass; what passes
// without power does not count.
func (b *Broker) noteOffline(now time.Time) {
	for _, cl := range b.snapshot() {
		if !cl.isDurable() || !cl.isNetwork() {
			continue
		}
		cl.mu.Lock()
		if cl.conn == nil {
			cl.meta.Offline += now.Sub(cl.offline)
			cl.offline = now
			cl.keepRecord(false, nil)
		}
		cl.mu.Unlock()
	}
}

var errGivenUp = errors.New("the connection ended before the commit")

// apply asks the spool for a change and gives a function that waits until it is
// committed, or until giveUp is closed.
func (b *Broker) apply(c session.Change, giveUp <-chan struct{}) func() error {
	done := make(chan error, 1)
	b.spool.Apply(c, func(err error) { done <- err })
	return func() error {
		select {
		case err := <-done:
			return err
		case <-giveUp:
			return errGivenUp
		}
	}
}

// endSession takes a session that nobody holds out of the broker and, when it
// is durable, out of the spool. b.clients no longer leads to it.
func (b *Broker) endSession(cl *client, giveUp <-chan struct{}) func() error {
	cl.ending.Lock()
	defer cl.ending.Unlock()
	cl.mu.Lock()
	cl.over = true
	filters := slices.Collect(maps.Keys(cl.subs))
	cl.mu.Unlock()
	b.tree.RemoveAll(cl, filters...)
	b.rehome(cl, filters)
	if !cl.isDurable() {
		return func() error { return nil }
	}
	return b.apply(session.Change{Session: cl.sid, End: true}, giveUp)
}

// isOver tells whether the session has ended.
func (cl *client) isOver() bool {
	cl.mu.Lock()
	defer cl.mu.Unlock()
	return cl.over
}

// forget takes a session that the spool refused to keep out of the registry.
func (b *Broker) forget(cl *client) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.clients[cl.id] == cl {
		delete(b.clients, cl.id)
	}
}

// finish cleans up behind a connection: its session lets go of it, its will is
// published or waits.
func (c *conn) finish(why ending) {
	b := c.b
	if cl := c.client; cl != nil {
		cl.parted.Store(departureOf(&why))
		c.leaveWill(&why)
		b.mu.Lock()
		cl.owner = nil
		ends := b.clients[cl.id] == cl && (!cl.isDurable() || cl.endsWithConnection())
		if ends {
			delete(b.clients, cl.id)
		}
		b.mu.Unlock()
		if ends {
			_ = b.endSession(cl, nil)()
		}
	}
	b.mu.Lock()
	delete(b.conns, c)
	b.mu.Unlock()
	if tap := c.out.tap.Load(); tap != nil {
		tap.closed(departureOf(&why))
	}
	c.logEnd(why)
}

func (c *conn) logEnd(why ending) {
	args := []any{"cause", why.text}
	if e, isPacket := errors.AsType[*packet.Error](why.err); isPacket {
		args = append(args, "clause", e.Clause, "err", e.Detail)
	} else if why.err != nil {
		args = append(args, "err", why.err)
	}
	switch {
	case !why.quiet:
		c.log(slog.LevelWarn, "connection closed", args...)
	case c.client != nil:
		c.log(slog.LevelInfo, "connection closed", args...)
	default:
		c.log(slog.LevelDebug, "connection closed before CONNECT", args...)
	}
}

// stopPatience is how long the end of the broker waits for the commit of wills.
const stopPatience = 2 * time.Second

func waitAtMost(d time.Duration, done <-chan struct{}) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-done:
	case <-timer.C:
	}
}
