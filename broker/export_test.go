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
