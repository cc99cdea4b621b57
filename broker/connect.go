package broker

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"fieldgate/broker/listen"
	"fieldgate/broker/mqtt"
	"fieldgate/broker/packet"
	"fieldgate/broker/session"
)

// handleFirst handles the first packet, which must be CONNECT [v3.1.1 MQTT-3.1.0-1].
func (c *conn) handleFirst(w *batch, kind packet.Type, raw []byte) error {
	if kind != packet.CONNECT {
		return &packet.Error{Reason: mqtt.ProtocolError, Clause: "v3.1.1 MQTT-3.1.0-1", Detail: fmt.Sprintf("%s came before CONNECT", kind)}
	}
	var p packet.Connect
	if err := p.Decode(raw); err != nil {
		e, _ := errors.AsType[*packet.Error](err)
		switch {
		case e == nil:
		case e.Reason == mqtt.UnsupportedProtocolVersion:
			c.refuse(mqtt.V311, e.Reason)
		case p.Version == mqtt.V5:
			c.refuse(mqtt.V5, e.Reason)
		}
		return err
	}
	c.version = p.Version
	if p.Version >= mqtt.V5 {
		c.modern = c.b.newModern(&p)
	}
	assigned := p.ClientID == ""
	c.hold(true) // what follows may wait for us
	defer c.hold(false)
	if reason := c.admit(&p, raw); reason.Failed() {
		c.refuse(p.Version, reason)
		c.end(ending{text: "connection refused", reason: reason, err: errors.New(reason.String()), quiet: c.b.isOldNews(reason)})
		return errEnded
	}
	return c.begin(w, &p, assigned)
}

// throttledNews is how often the log tells that logins are refused unseen.
const throttledNews = time.Minute

// isOldNews tells whether the log has lately told the same: who tries for ever must not fill it.
func (b *Broker) isOldNews(reason mqtt.ReasonCode) bool {
	if reason != mqtt.ConnectionRateExceeded {
		return false
	}
	now, told := int64(time.Since(b.started)), b.throttledTold.Load()
	return told != 0 && now-told < int64(throttledNews) || !b.throttledTold.CompareAndSwap(told, now)
}

// refuse answers CONNECT with a failure. Nothing else was ever written, so this
// may block, for a moment.
func (c *conn) refuse(v mqtt.Version, reason mqtt.ReasonCode) {
	p := packet.Connack{Reason: reason}
	_ = c.nc.SetWriteDeadline(time.Now().Add(time.Second))
	raw := p.Append(nil, v)
	if tap := c.out.tap.Load(); tap != nil {
		tap.sent(raw)
	}
	_, _ = c.nc.Write(raw) // the connection ends anyway
}

// admit decides whether the client may connect, and completes its CONNECT.
func (c *conn) admit(p *packet.Connect, raw []byte) mqtt.ReasonCode {
	cfg := &c.b.cfg
	if c.modern != nil {
		if reason := c.admitModern(p); reason.Failed() {
			return reason
		}
	}
	switch {
	case strings.HasPrefix(p.ClientID, "$"): // those are in process
		return mqtt.ClientIdentifierNotValid
	case p.ClientID != "":
	case p.Version == mqtt.V31 || !p.CleanStart && c.modern == nil || !cfg.AllowEmptyClientID: // [v3.1.1 MQTT-3.1.3-8]
		return mqtt.ClientIdentifierNotValid
	default:
		p.ClientID = assignedID() // [v3.1.1 MQTT-3.1.3-6] [v5 MQTT-3.1.3-6]
	}
	id := p.ClientID // a pointer into p would keep all of it as long as the connection
	c.clientID.Store(&id)
	c.watch(raw)
	if reason := c.authenticate(p); reason.Failed() {
		return reason
	}
	if p.HasWill && !c.b.mayLeave(c.username(), p.ClientID, p.Will.Topic) { // one that is refused now is not missed later
		c.log(slog.LevelWarn, "will denied by the access rules", "topic", p.Will.Topic, "username", c.username())
		return mqtt.NotAuthorized
	}
	return mqtt.Success
}

func assignedID() string {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails
	return "auto-" + hex.EncodeToString(b[:])
}

func (c *conn) authenticate(p *packet.Connect) mqtt.ReasonCode {
	c.identity = listen.Identity(c.nc)
	if c.isCertified(p) {
		c.user.Store(&c.identity) // before the check, as below
		return c.reasonOf(c.b.auth.Certified(Login{ClientID: p.ClientID, Username: c.identity, From: addressOf(c.nc)}))
	}
	if !p.HasUsername || c.b.auth == nil {
		if c.b.cfg.AllowAnonymous {
			return mqtt.Success
		}
		return mqtt.NotAuthorized
	}
	name := p.Username
	c.user.Store(&name) // before the check: an account that changes meanwhile ends this connection
	return c.reasonOf(c.b.auth.Authenticate(Login{ClientID: p.ClientID, Username: p.Username, Password: p.Password, From: addressOf(c.nc)}))
}

// isCertified tells whether the client's certificate says who it is. A client
// that gives a password, or another name, wants to be that user instead.
func (c *conn) isCertified(p *packet.Connect) bool {
	if c.identity == "" || c.b.auth == nil {
		return false
	}
	return !p.HasUsername || !p.HasPassword && p.Username == c.identity
}

// reasonOf gives the reason code for what an Authenticator said.
func (c *conn) reasonOf(err error) mqtt.ReasonCode {
	switch {
	case err == nil:
		return mqtt.Success
	case errors.Is(err, ErrCredentials):
		return mqtt.BadUserNameOrPassword
	case errors.Is(err, ErrNotAuthorized):
		return mqtt.NotAuthorized
	case errors.Is(err, ErrTooMany):
		return mqtt.ConnectionRateExceeded
	}
	c.log(slog.LevelError, "accounts can't be checked", "err", err)
	return mqtt.ServerUnavailable
}

// begin gives the connection its session and answers CONNECT.
func (c *conn) begin(w *batch, p *packet.Connect, assigned bool) error {
	present, err := c.b.claim(c, p)
	if err != nil {
		reason := mqtt.ServerUnavailable
		if errors.Is(err, errTooManySessions) {
			reason = mqtt.QuotaExceeded
		}
		if !errors.Is(err, errGivenUp) {
			c.refuse(p.Version, reason)
		}
		c.end(ending{text: "the session can't be kept", reason: reason, err: err})
		return errEnded
	}
	c.b.entitle(c.client)
	ack := packet.Connack{SessionPresent: present && p.Version > mqtt.V31} // 3.1 has no such flag
	window := c.b.cfg.MaxInflight
	if c.modern != nil {
		c.connackModern(&ack, p, assigned)
		window = c.modern.window
	}
	if p.KeepAlive > 0 {
		c.keepAlive.Store(int64(p.KeepAlive) * int64(3*time.Second/2)) // [v3.1.1 MQTT-3.1.2-24] [v5 MQTT-3.1.2-22]
	}
	raw := ack.Append(nil, p.Version)
	if c.modern != nil && c.modern.maxPacket > 0 && len(raw) > c.modern.maxPacket {
		c.end(ending{text: "connection refused", reason: mqtt.PacketTooLarge, err: errors.New("CONNACK is larger than the client's maximum packet size")})
		return errEnded
	}
	if p.HasWill {
		c.keepWill(&p.Will)
	}
	c.out.mu.Lock()
	c.out.grow(len(raw))
	c.out.buf = append(c.out.buf, raw...)
	c.out.packets++
	w.count.messagesSent++
	w.mark(c)
	c.out.mu.Unlock()
	c.clean = p.CleanStart
	c.b.stats.connects.Add(1)
	c.client.attach(w, c, window)
	c.attached.Store(c.client)
	c.log(slog.LevelInfo, "connected", "version", p.Version, "clean_session", p.CleanStart, "session_present", present,
		"keep_alive", p.KeepAlive, "username", c.username())
	return nil
}

// claim finds or makes the session of the client identifier and makes c its
// owner; whoever had it before loses it [v3.1.1 MQTT-3.1.4-2]. It returns when
// what it changed is committed.
func (b *Broker) claim(c *conn, p *packet.Connect) (present bool, err error) {
	cl, old, err := b.seize(c, p)
	if err != nil {
		return false, err
	}
	c.client = cl
	b.endWill(cl.id, cl != old)
	if cl == old {
		cl.resumed(c.meta())
		return true, nil
	}
	var waits []func() error
	if old != nil {
		waits = append(waits, b.endSession(old, c.dead))
	}
	if cl.isDurable() {
		waits = append(waits, b.apply(session.Change{Session: cl.sid, Put: cl.record()}, c.dead))
	}
	for _, wait := range waits {
		if err := wait(); err != nil {
			if !errors.Is(err, errGivenUp) {
				b.forget(cl)
			}
			return false, err
		}
	}
	return false, nil
}

var errTooManySessions = errors.New("there are max_sessions already")

// seize makes c the owner of the session to go on with, old when that is the one
// that there is, after its present owner has gone.
func (b *Broker) seize(c *conn, p *packet.Connect) (cl, old *client, err error) {
	for {
		b.mu.Lock()
		if b.stopping {
			b.mu.Unlock()
			return nil, nil, errStopping
		}
		old = b.clients[p.ClientID]
		if old == nil || old.owner == nil {
			break
		}
		holder := old.owner
		b.mu.Unlock()
		holder.end(ending{text: "another connection took the session over", reason: mqtt.SessionTakenOver})
		select {
		case <-holder.done:
		case <-c.dead:
			return nil, nil, errGivenUp
		}
	}
	defer b.mu.Unlock()
	if old != nil && !p.CleanStart && !old.hasExpired(time.Now()) {
		old.owner = c
		return old, old, nil
	}
	durable := !p.CleanStart
	if c.modern != nil {
		durable = c.modern.expiry > 0
	}
	if durable && old == nil && len(b.clients) >= b.cfg.MaxSessions {
		return nil, nil, errTooManySessions
	}
	cl = b.newClient(p.ClientID, durable)
	cl.owner = c
	cl.meta = c.meta()
	b.clients[p.ClientID] = cl
	return cl, old, nil
}

// meta is what is kept of a session that this connection holds.
func (c *conn) meta() session.Meta {
	if c.modern != nil {
		return session.Meta{Version: c.version, Expiry: c.modern.expiry, User: c.username()}
	}
	return session.Meta{Version: c.version, Expiry: c.b.cfg.sessionExpiry(), User: c.username()}
}
