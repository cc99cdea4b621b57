package broker

import (
	"context"
	"time"

	"fieldgate/broker/mqtt"
)

// The sweep looks at the clock for all connections, so that no packet needs a
// timer. It sleeps until the first deadline, but never longer than sweepMost: a
// new connection's is at least as far away.
const (
	sweepMost  = time.Second
	sweepLeast = 50 * time.Millisecond
)

// noteInterval is how often the time that sessions are offline is written down.
const noteInterval = 6 * time.Hour

// vouchInterval is how often the certificates of connected clients are looked at.
const vouchInterval = 2 * time.Second

// sweep ends connections that have been silent for too long, until ctx is done.
func (b *Broker) sweep(ctx context.Context) {
	timer := time.NewTimer(sweepMost)
	defer timer.Stop()
	nextExpiry, nextNote, nextVouch := b.started, b.started.Add(noteInterval), b.started.Add(vouchInterval)
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-timer.C:
			if now.After(nextExpiry) {
				b.expire(now)
				b.purgeRetained(now)
				nextExpiry = now.Add(time.Minute)
			}
			if now.After(nextVouch) {
				b.checkCertificates(now)
				nextVouch = now.Add(vouchInterval)
			}
			if now.After(nextNote) {
				b.noteOffline(now)
				nextNote = now.Add(noteInterval)
			}
			timer.Reset(b.publishDueWills(now, b.sweepOnce()))
		}
	}
}

// sweepOnce ends the connections whose time has come and tells how long to sleep.
func (b *Broker) sweepOnce() time.Duration {
	now := time.Since(b.started)
	sleep := min(sweepMost, b.cfg.ConnectTimeout)
	var late []*conn
	b.mu.Lock()
	for c := range b.conns {
		left, watched := c.timeLeft(now)
		switch {
		case !watched:
		case left <= 0:
			late = append(late, c)
		default:
			sleep = min(sleep, left)
		}
	}
	b.mu.Unlock()
	for _, c := range late {
		c.endSilent()
	}
	return max(sleep, sweepLeast)
}

// hear notes when packets came. The connection's own goroutine calls it.
func (c *conn) hear(at time.Duration) {
	if int64(at) > c.heard.Load() {
		c.heard.Store(int64(at))
	}
}

// hold says whether the broker keeps from reading. What the client sent meanwhile waits in its socket, so
// its silence counts from the end of that. The connection's own goroutine calls it.
func (c *conn) hold(on bool) {
	if !on && c.held.Load() {
		c.hear(time.Since(c.b.started))
	}
	c.held.Store(on)
}

// timeLeft tells how long the client may still be silent.
func (c *conn) timeLeft(now time.Duration) (left time.Duration, watched bool) {
	allowed := time.Duration(c.keepAlive.Load())
	if c.attached.Load() == nil {
		allowed = c.b.cfg.ConnectTimeout
	}
	if allowed == 0 || c.held.Load() {
		return 0, false
	}
	return time.Duration(c.heard.Load()) + allowed - now, true
}

func (c *conn) endSilent() {
	if c.attached.Load() == nil {
		c.end(ending{text: "no CONNECT within the connect timeout", quiet: true})
		return
	}
	c.end(ending{text: "keep alive exceeded", reason: mqtt.KeepAliveTimeout})
}

// checkCertificates ends the connections of clients whose certificate their
// listener would not take any more.
func (b *Broker) checkCertificates(now time.Time) {
	b.mu.Lock()
	var conns []*conn
	for c := range b.conns {
		if c.door != nil && c.attached.Load() != nil { // its handshake is over
			conns = append(conns, c)
		}
	}
	b.mu.Unlock()
	for _, c := range conns {
		var err error
		if c.vouch, err = c.door.Vouches(c.nc, c.vouch, now); err != nil {
			c.end(ending{text: "its certificate is not valid any more", reason: mqtt.NotAuthorized, err: err})
		}
	}
}

// expire ends durable sessions that nobody has come back to in time.
func (b *Broker) expire(now time.Time) {
	var ended []*client
	b.mu.Lock()
	for id, cl := range b.clients {
		if cl.hasExpired(now) {
			delete(b.clients, id)
			ended = append(ended, cl)
		}
	}
	b.mu.Unlock()
	for _, cl := range ended {
		b.endSession(cl, nil)
		b.endWill(cl.id, true)
		b.stats.expired.Add(1)
		b.log.Info("session expired", "client_id", cl.id)
	}
}

// hasExpired tells whether the session's time without a connection is over; b.mu is held.
func (cl *client) hasExpired(now time.Time) bool {
	if cl.owner != nil || !cl.isDurable() || cl.meta.Version == 0 {
		return false
	}
	cl.mu.Lock()
	defer cl.mu.Unlock()
	return cl.conn == nil && cl.meta.Offline+now.Sub(cl.offline) > cl.meta.Expiry
}
