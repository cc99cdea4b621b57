package broker

import (
	"errors"
	"slices"
	"sort"
	"strings"
	"time"

	"fieldgate/broker/mqtt"
	"fieldgate/broker/packet"
	"fieldgate/broker/session"
)

// ClientInfo is a snapshot of one session, connected or not.
type ClientInfo struct {
	ClientID  string
	InProcess bool
	Durable   bool
	Connected bool
	Expiry    time.Duration // how long the session lives on without a connection; session.Never for ever, 0 when it ends with it
	Offline   time.Duration // how long it has been without a connection; 0 with one. Time without power does not count

	// Of the connection; zero without one.
	Since       time.Time
	Remote      string
	Listener    string
	Username    string
	Certificate string // the name in the client's certificate; empty without one
	Version     mqtt.Version
	KeepAlive   time.Duration // as the client promised; 0 for none
	CleanStart  bool
	LastPacket  time.Time // when the last packet came
	Received    Traffic
	Sent        Traffic
	Unsent      int // bytes that wait for a client that reads slowly

	Subscriptions []mqtt.Subscription
	Inflight      int
	Queue         mqtt.Usage
	Dropped       int64      // deliveries that were given up, since the broker's start; those that limits of the queue cost too
	Left          *Departure // how the connection before ended; nil when there was none since the broker's start
}

// NeverExpires is the Expiry of a session that ends only by a clean start.
const NeverExpires = session.Never

// Traffic is what one connection carried in one direction.
type Traffic struct {
	Packets  int64 // control packets
	Messages int64 // PUBLISH among them
	Bytes    int64 // of packets, without TLS and WebSocket frames
}

// Departure is how a connection ended.
type Departure struct {
	Time   time.Time
	Cause  string          // in words, "keep alive exceeded"
	Reason mqtt.ReasonCode // as 5.0 has it; Success when none fits
	Clause string          // the rule that a bad packet broke, "v5 MQTT-3.1.0-2"; empty otherwise
	Detail string          // what else is known, never payload or password
}

func departureOf(why *ending) *Departure {
	d := &Departure{Time: time.Now(), Cause: why.text, Reason: why.reason}
	if e, isPacket := errors.AsType[*packet.Error](why.err); isPacket {
		d.Clause, d.Detail = e.Clause, e.Detail
	} else if why.err != nil {
		d.Detail = why.err.Error()
	}
	return d
}

// SessionQuery chooses sessions.
type SessionQuery struct {
	Contains  string // in the client identifier, whatever its case; empty for all
	Connected bool   // only network clients that have a connection
	After     string // only client identifiers behind this one
	Limit     int    // at most so many; 0 for all
}

// Clients gives all sessions, by client identifier.
func (b *Broker) Clients() []ClientInfo {
	list, _ := b.Sessions(SessionQuery{})
	return list
}

// Sessions gives the sessions that were asked for, by client identifier; more tells
// that there are others behind them.
func (b *Broker) Sessions(q SessionQuery) (list []ClientInfo, more bool) {
	word := strings.ToLower(q.Contains)
	chosen := slices.DeleteFunc(b.snapshot(), func(cl *client) bool {
		return cl.id <= q.After && q.After != "" || q.Connected && cl.online.Load() == nil || !strings.Contains(strings.ToLower(cl.id), word)
	})
	sort.Slice(chosen, func(i, j int) bool { return chosen[i].id < chosen[j].id })
	if q.Limit > 0 && len(chosen) > q.Limit {
		chosen, more = chosen[:q.Limit], true
	}
	for _, cl := range chosen {
		list = append(list, cl.info())
	}
	return list, more
}

// Session gives one session; false when there is none.
func (b *Broker) Session(clientID string) (ClientInfo, bool) {
	b.mu.Lock()
	cl := b.clients[clientID]
	b.mu.Unlock()
	if cl == nil {
		return ClientInfo{}, false
	}
	return cl.info(), true
}

func (cl *client) info() ClientInfo {
	i := ClientInfo{
		ClientID: cl.id, InProcess: !cl.isNetwork(), Durable: cl.isDurable(), Queue: cl.usage(),
		Left: cl.parted.Load(),
	}
	i.Dropped = cl.dropped.Load() + i.Queue.Dropped + i.Queue.Outdated
	cl.mu.Lock()
	defer cl.mu.Unlock()
	i.Connected = cl.local != nil
	i.Inflight = cl.window.Len()
	for _, sub := range cl.subs {
		i.Subscriptions = append(i.Subscriptions, sub)
	}
	sort.Slice(i.Subscriptions, func(a, b int) bool { return i.Subscriptions[a].Filter < i.Subscriptions[b].Filter })
	if i.Durable {
		i.Expiry = cl.meta.Expiry
	}
	if c := cl.conn; c != nil {
		i.Connected = true
		c.describe(&i)
	}
	if !i.Connected {
		i.Offline = cl.meta.Offline + time.Since(cl.offline)
	}
	return i
}

// describe adds what is known of the connection.
func (c *conn) describe(i *ClientInfo) {
	i.Since, i.Remote, i.Listener, i.Version, i.Certificate = c.since, remoteOf(c.nc), c.listener, c.version, c.identity
	i.KeepAlive = time.Duration(c.keepAlive.Load()) * 2 / 3
	i.CleanStart = c.clean
	i.LastPacket = c.b.started.Add(time.Duration(c.heard.Load()))
	if name := c.user.Load(); name != nil {
		i.Username = *name
	}
	i.Received = Traffic{Packets: c.carried.packets.Load(), Messages: c.carried.publishes.Load(), Bytes: c.carried.bytes.Load()}
	c.out.mu.Lock()
	defer c.out.mu.Unlock()
	i.Sent = Traffic{Packets: c.out.packets, Messages: c.out.publishes, Bytes: c.out.own.Load()}
	i.Unsent = c.out.size()
}
