package broker

import (
	"log/slog"

	"fieldgate/broker/access"
	"fieldgate/broker/mqtt"
	"fieldgate/broker/packet"
)

// Access rules are asked at CONNECT for the will, at SUBSCRIBE, at PUBLISH, when a
// message finds its receivers, when a queued or retained one is sent, and when a
// will is published. Sessions in process are parts of the gateway: they may all.

// policy gives what clients may do; nil for everything.
func (b *Broker) policy() *access.Policy {
	if b.auth == nil {
		return b.ruleless
	}
	return b.auth.Policy()
}

// entitlement is what a client's rights were made of.
type entitlement struct {
	policy *access.Policy
	who    access.Client
}

// entitle gives the session the rights of the user who holds it. It is called for
// every session that comes, and for all when the policy changes.
func (b *Broker) entitle(cl *client) {
	if !cl.isNetwork() {
		return
	}
	b.entitling.Lock()
	defer b.entitling.Unlock()
	cl.mu.Lock()
	who := access.Client{User: cl.meta.User, ID: cl.id}
	hasSubscriptions := len(cl.subs) > 0
	cl.mu.Unlock()
	now := entitlement{b.policy(), who}
	if now == cl.entitled {
		return
	}
	cl.entitled = now
	cl.rights.Store(now.policy.Rights(who))
	if hasSubscriptions {
		b.rightsChanged.Add(1) // behind the change: who sees the new number sees the new rights
	}
}

// policyChanged gives all sessions their new rights.
func (b *Broker) policyChanged() {
	for _, cl := range b.snapshot() {
		b.entitle(cl)
	}
	b.rightsChanged.Add(1)
	b.log.Info("access rules changed")
}

// mayRead tells whether messages of the topic may go to the session; cl.mu is held.
func (cl *client) mayRead(topic string) bool {
	return cl.reads.MayString(cl.rights.Load(), access.Read, topic)
}

// mayWrite tells whether the client may publish to the topic.
func (c *conn) mayWrite(topic []byte) bool {
	return c.writes.May(c.client.rights.Load(), access.Write, topic)
}

// mayBeAnswered tells whether the client may itself publish to the response topic of its message, if it has one.
func (c *conn) mayBeAnswered(p *packet.Publish) bool {
	if len(p.Props) == 0 {
		return true
	}
	wanted := p.Props.ResponseTopic()
	return wanted == "" || c.mayWrite([]byte(wanted))
}

// mayLeave tells whether the user may have a will with the topic.
func (b *Broker) mayLeave(user, clientID, topic string) bool {
	return b.policy().Rights(access.Client{User: user, ID: clientID}).May(access.Write, topic)
}

// denyPublish answers a PUBLISH that the access rules deny. 3.x has no word for it:
// it is acknowledged and dropped [v3.1.1 MQTT-3.3.5-2].
func (c *conn) denyPublish(w *batch, kind packet.Type, p *publication) error {
	c.tell(&c.deniedOne, "publish denied by the access rules", "topic", string(p.Topic))
	w.count.dropped++
	c.dropPublish(w, kind, p.PacketID, mqtt.NotAuthorized)
	return nil
}

// dropPublish answers a PUBLISH that goes nowhere: to 5.0 with the reason, to 3.x as
// if it had been accepted.
func (c *conn) dropPublish(w *batch, kind packet.Type, pid uint16, reason mqtt.ReasonCode) {
	if c.modern == nil {
		c.accepted(w, kind, pid, mqtt.Success)
		return
	}
	c.forgetReceived(kind, pid)
	if kind != 0 {
		c.answerNow(w, answer{kind: kind, pid: pid, reason: reason})
	}
}

// forgetReceived forgets a message that is not accepted; kind is that of its answer.
func (c *conn) forgetReceived(kind packet.Type, pid uint16) {
	if kind != packet.PUBREC {
		return
	}
	c.client.mu.Lock()
	defer c.client.mu.Unlock()
	c.client.received.Forget(pid)
}

// tell warns the first time on a connection: a client that is refused goes on.
func (c *conn) tell(told *bool, words string, args ...any) {
	level := slog.LevelDebug
	if !*told {
		*told, level = true, slog.LevelWarn
	}
	c.log(level, words, append(args, "username", c.username())...)
}

// username is empty for an anonymous client.
func (c *conn) username() string {
	if name := c.user.Load(); name != nil {
		return *name
	}
	return ""
}
