package broker

import (
	"encoding/base64"
	"net"

	"golang.org/x/crypto/argon2"

	"fieldgate/broker/session"
)

// ServeConn serves a connection that no listener accepted, such as one end of net.Pipe.
func (b *Broker) ServeConn(nc net.Conn) { b.serveConn(nc, "test", nil) }

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

// WeakKey is the key in a hash of the password that costs next to nothing.
func WeakKey(password string) string {
	return base64.RawStdEncoding.EncodeToString(argon2.IDKey([]byte(password), make([]byte, 16), 1, 8, 1, 32))
}

// Throttled tells how many addresses are remembered for wrong passwords.
func (a *Accounts) Throttled() int {
	a.failures.mu.Lock()
	defer a.failures.mu.Unlock()
	return len(a.failures.found)
}

// Hashed tells how many passwords were hashed.
func (a *Accounts) Hashed() int64 { return a.hashed.Load() }

// Unsent tells how many connections have full sockets, and how many bytes wait for them.
func (b *Broker) Unsent() (conns, bytes int64) { return b.unsent.conns.Load(), b.unsent.bytes.Load() }

// OutBuffers are the buffers of connections that have something to send.
type OutBuffers struct{ outBuffers }

// Get gives an empty buffer for at least so many bytes.
func (b *OutBuffers) Get(need int) []byte { return b.get(need) }

// Put takes a buffer back.
func (b *OutBuffers) Put(buf []byte) { b.put(buf) }

// Mark is how far a session was sent.
type Mark struct{ mark }

// Open notes that the record of a turn is committed.
func (m *Mark) Open(turn uint64) { m.open(turn) }

// Opened gives the last turn that is.
func (m *Mark) Opened() uint64 { return m.opened.Load() }
