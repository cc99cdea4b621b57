package listen

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"
)

const (
	// messageBytes is the most that one WebSocket message carries; some clients refuse longer ones.
	messageBytes = 16 << 10
	// farewellTimeout is how long a close frame may take; it fits into any socket that is not full.
	farewellTimeout = 10 * time.Millisecond
)

// Close frames of a server: opcode, length, status.
const (
	closeNormal      = "\x88\x02\x03\xe8" // 1000
	closeUnsupported = "\x88\x02\x03\xeb" // 1003
)

var _ net.Conn = (*wsConn)(nil)

// wsConn is the bytes inside a WebSocket: those of its binary messages, one after
// the other, wherever a message ends [v3.1.1 MQTT-6.0.0-2]. Reading holds no more
// than the frame's header, so a message may be of any length.
type wsConn struct {
	net.Conn // TLS or the socket; its Read and Write are the WebSocket's own
	ws       *websocket.Conn
	identity string
	message  io.Reader // the present message; nil between two

	writing sync.Mutex // held while a message is written
	closed  atomic.Bool
}

func newWSConn(ws *websocket.Conn, nc net.Conn, identity string) *wsConn {
	ws.SetReadLimit(-1)
	return &wsConn{Conn: nc, ws: ws, identity: identity}
}

var errText = errors.New("the WebSocket carried text; MQTT is binary")

// Read gives bytes of one message. A close frame is io.EOF; a message that is not
// binary closes the WebSocket [v3.1.1 MQTT-6.0.0-1]. Pings are answered meanwhile.
func (c *wsConn) Read(p []byte) (int, error) {
	for {
		if c.message == nil {
			kind, message, err := c.ws.Reader(context.Background())
			if err != nil {
				return 0, readError(err)
			}
			if kind != websocket.MessageBinary {
				_ = c.close(closeUnsupported) // errText says more
				return 0, errText
			}
			c.message = message
		}
		n, err := c.message.Read(p)
		if err == io.EOF { // the message's, not the connection's: that comes again, from Reader
			c.message, err = nil, nil
		}
		if err != nil {
			return 0, readError(err) // the bytes of a frame that was cut are still masked
		}
		if n > 0 || len(p) == 0 {
			return n, nil
		}
	}
}

// readError makes io.EOF of a close frame.
func readError(err error) error {
	switch websocket.CloseStatus(err) {
	case websocket.StatusNormalClosure, websocket.StatusGoingAway, websocket.StatusNoStatusRcvd:
		return io.EOF
	}
	return err
}

// Write sends b in messages of at most messageBytes.
func (c *wsConn) Write(b []byte) (int, error) {
	c.writing.Lock()
	defer c.writing.Unlock()
	written := 0
	for written < len(b) {
		chunk := b[written:min(len(b), written+messageBytes)]
		if err := c.ws.Write(context.Background(), websocket.MessageBinary, chunk); err != nil {
			return written, err
		}
		written += len(chunk)
	}
	return written, nil
}

// Close says goodbye when the socket takes that at once, and closes it; it does
// not wait for the client's goodbye. Read and Write that wait return.
func (c *wsConn) Close() error { return c.close(closeNormal) }

func (c *wsConn) close(farewell string) error {
	if !c.closed.CompareAndSwap(false, true) {
		return net.ErrClosed
	}
	// Nothing but a pong can be written now, and that is one write like this one.
	if c.writing.TryLock() {
		_ = c.Conn.SetWriteDeadline(time.Now().Add(farewellTimeout))
		_, _ = c.Conn.Write([]byte(farewell)) // a client that is gone needs none
		c.writing.Unlock()
	}
	socket := c.Conn
	if t, ok := socket.(*tls.Conn); ok {
		socket = t.NetConn() // without TLS's farewell, which may block
	}
	err := socket.Close()
	_ = c.ws.CloseNow() // lets go of its buffers; the socket is closed already
	return err
}
