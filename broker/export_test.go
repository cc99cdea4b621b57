package broker

import (
	"net"

	"fieldgate/broker/session"
)

// ServeConn serves a connection that no listener accepted, such as one end of net.Pipe.
func (b *Broker) ServeConn(nc net.Conn) { b.serveConn(nc, "test") }

// ReencodeWill reads a stored will and writes it again; nil when it is none.
func ReencodeWill(meta []byte) []byte {
	if q := decodeWill(session.Record{ID: 1, Meta: meta}); q != nil {
		return q.record().Meta
	}
	return nil
}

// LookAgain lets a session look through its queue from the beginning, as a commit does that comes right
// after CONNECT.
func (b *Broker) LookAgain(clientID string) {
	b.mu.Lock()
	cl := b.clients[clientID]
	b.mu.Unlock()
	cl.mu.Lock()
	cl.cursor, cl.backlog = 0, true
	cl.mu.Unlock()
	w := b.batch()
	cl.refill(w)
	w.done()
}
