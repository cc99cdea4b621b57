package broker

import (
	"sync/atomic"
	"time"

	"fieldgate/broker/session"
)

// totals counts since the broker began.
type totals struct {
	messagesReceived, messagesSent atomic.Int64
	publishReceived, publishSent   atomic.Int64
	publishBytesIn, publishBytes   atomic.Int64
	dropped                        atomic.Int64
	muchReceived, littleReceived   atomic.Int64 // bytes, by reads that filled their buffer and others
	bytesSent                      atomic.Int64
	messagesExpired                atomic.Int64
	expired, refused               atomic.Int64
	sockets, connects              atomic.Int64
	maximum                        int // connections at once; under Broker.mu
}

// traffic counts what one connection received, once a batch.
type traffic struct{ packets, publishes, bytes atomic.Int64 }

// in adds what one read brought.
func (t *traffic) in(packets, publishes, bytes int) {
	t.packets.Add(int64(packets))
	t.publishes.Add(int64(publishes))
	t.bytes.Add(int64(bytes))
}

func (t *totals) add(c *counts) {
	for _, one := range []struct {
		total *atomic.Int64
		n     int64
	}{
		{&t.messagesReceived, c.messagesReceived},
		{&t.messagesSent, c.messagesSent},
		{&t.publishReceived, c.publishReceived},
		{&t.publishSent, c.publishSent},
		{&t.publishBytesIn, c.publishBytesIn},
		{&t.publishBytes, c.publishBytes},
		{&t.dropped, c.dropped},
		{&t.messagesExpired, c.expired},
	} {
		if one.n != 0 {
			one.total.Add(one.n)
		}
	}
}

// Stats is a snapshot of the broker's counters. Counts run since its start.
type Stats struct {
	Uptime             time.Duration
	MessagesReceived   int64 // control packets
	MessagesSent       int64
	PublishReceived    int64
	PublishSent        int64
	PublishBytesIn     int64 // payloads
	PublishBytesOut    int64
	PublishDropped     int64 // QoS 0 for slow readers, what queues in RAM could not hold, what is too large for its client
	PublishExpired     int64 // deliveries whose message expiry interval was over
	BytesReceived      int64
	BytesSent          int64
	ClientsConnected   int // network clients
	ClientsTotal       int // and durable sessions of network clients that are not connected
	ClientsMaximum     int
	ClientsExpired     int64
	ConnectionsRefused int64 // by max_connections of the broker and of its listeners, and by max_connections_per_address
	ConnectionsDelayed int64 // by max_connection_rate and max_connection_rate_per_address
	Sockets            int64 // connections that were accepted, before CONNECT too
	Connects           int64 // CONNECT that was answered with success
	Inflight           int   // deliveries of QoS 1 and 2 that wait for an acknowledgement
	Sessions           int   // of network clients and in process
	Subscriptions      int
	SharedSubs         int // shared subscriptions among them
	Traces             int // traces of clients that are open
	RetainedMessages   int
	RetainedBytes      int64
	QueuedMessages     int64 // owed to sessions, one count for each
	QueuedBytes        int64
	QueueLosses        session.Losses // what limits cost the queues of durable sessions
}

// Stats gives the counters as they are now.
func (b *Broker) Stats() Stats {
	t := &b.stats
	s := Stats{
		Uptime:             time.Since(b.started),
		MessagesReceived:   t.messagesReceived.Load(),
		MessagesSent:       t.messagesSent.Load(),
		PublishReceived:    t.publishReceived.Load(),
		PublishSent:        t.publishSent.Load(),
		PublishBytesIn:     t.publishBytesIn.Load(),
		PublishBytesOut:    t.publishBytes.Load(),
		PublishDropped:     t.dropped.Load(),
		PublishExpired:     t.messagesExpired.Load(),
		BytesReceived:      t.muchReceived.Load() + t.littleReceived.Load(),
		BytesSent:          t.bytesSent.Load(),
		ClientsExpired:     t.expired.Load(),
		ConnectionsRefused: t.refused.Load(),
		Sockets:            t.sockets.Load(),
		Connects:           t.connects.Load(),
		Traces:             int(b.tracing.Load()),
		Subscriptions:      b.tree.Len(),
		RetainedMessages:   b.retained.Len(),
		RetainedBytes:      b.retained.Bytes(),
		QueueLosses:        b.spool.Losses(),
	}
	for _, cl := range b.snapshot() {
		if cl.isNetwork() {
			s.ClientsTotal++
			if cl.online.Load() != nil {
				s.ClientsConnected++
			}
		}
		s.Sessions++
		cl.mu.Lock()
		s.Inflight += cl.window.Len()
		s.SharedSubs += cl.shares
		cl.mu.Unlock()
		u := cl.usage()
		s.QueuedMessages += u.Messages
		s.QueuedBytes += u.Bytes
	}
	b.mu.Lock()
	s.ClientsMaximum = t.maximum
	for _, ln := range b.doors {
		refused, delayed := ln.Limited()
		s.ConnectionsRefused += refused
		s.ConnectionsDelayed += delayed
	}
	b.mu.Unlock()
	return s
}

// isNetwork tells whether the session belongs to a network client.
func (cl *client) isNetwork() bool { return cl.id[0] != '$' }

func (b *Broker) snapshot() []*client {
	b.mu.Lock()
	defer b.mu.Unlock()
	list := make([]*client, 0, len(b.clients))
	for _, cl := range b.clients {
		list = append(list, cl)
	}
	return list
}
