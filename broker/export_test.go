package broker

import "net"

// ServeConn serves a connection that no listener accepted, such as one end of net.Pipe.
func (b *Broker) ServeConn(nc net.Conn) { b.serveConn(nc, "test") }
