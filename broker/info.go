package broker

import (
	"sort"
	"time"

	"fieldgate/broker/mqtt"
)

// ClientInfo is a snapshot of one session, connected or not.
type ClientInfo struct {
	ClientID      string
	InProcess     bool
	Durable       bool
	Connected     bool
	Since         time.Time // of the connection; zero without one
	Remote        string
	Listener      string
	Username      string
	Certificate   string // the name in the client's certificate; empty without one
	Version       mqtt.Version
	KeepAlive     time.Duration // as the client promised; 0 for none
	Subscriptions []mqtt.Subscription
	Inflight      int
	Queue         mqtt.Usage
}

// Clients gives all sessions, by client identifier.
func (b *Broker) Clients() []ClientInfo {
	var list []ClientInfo
	for _, cl := range b.snapshot() {
		list = append(list, cl.info())
	}
	sort.Slice(list, func(i, j int) bool { return list[i].ClientID < list[j].ClientID })
	return list
}

func (cl *client) info() ClientInfo {
	i := ClientInfo{ClientID: cl.id, InProcess: !cl.isNetwork(), Durable: cl.isDurable(), Queue: cl.usage()}
	cl.mu.Lock()
	defer cl.mu.Unlock()
	i.Connected = cl.local != nil
	i.Inflight = cl.window.Len()
	for _, sub := range cl.subs {
		i.Subscriptions = append(i.Subscriptions, sub)
	}
	sort.Slice(i.Subscriptions, func(a, b int) bool { return i.Subscriptions[a].Filter < i.Subscriptions[b].Filter })
	if c := cl.conn; c != nil {
		i.Connected = true
		i.Since, i.Remote, i.Listener, i.Version, i.Certificate = c.since, remoteOf(c.nc), c.listener, c.version, c.identity
		i.KeepAlive = time.Duration(c.keepAlive.Load()) * 2 / 3
		if name := c.user.Load(); name != nil {
			i.Username = *name
		}
	}
	return i
}
