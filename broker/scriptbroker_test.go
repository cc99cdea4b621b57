package broker_test

import (
	"context"
	"errors"
	"net"
	"testing"
	"time"

	"github.com/coder/websocket"

	"fieldgate/broker"
	"fieldgate/broker/session/sessiontest"
)

// ours is our broker as a script's counterpart, on a spool in memory.
type ours struct {
	t *testing.T
	stage
	cfg    broker.Config
	spool  *sessiontest.Memory
	b      *testBroker
	player *player
}

func newOurs(t *testing.T, s stage) *ours {
	o := &ours{t: t, stage: s, cfg: broker.DefaultConfig(), spool: sessiontest.NewMemory()}
	o.cfg.Listeners = nil
	o.cfg.AllowAnonymous = true
	if s.tcp {
		onTCP(&o.cfg)
	}
	if s.webSocket {
		o.cfg.Listeners[0].Transport = "websocket"
	}
	return o
}

func (o *ours) start() {
	o.b = start(o.t, o.spool, func(c *broker.Config) { *c = o.cfg })
}

func (o *ours) dial() (net.Conn, error) {
	if o.webSocket {
		ws, _, err := websocket.Dial(o.t.Context(), "ws://"+o.b.address(o.t).String()+"/mqtt", &websocket.DialOptions{Subprotocols: []string{"mqtt"}})
		if err != nil {
			return nil, err
		}
		ws.SetReadLimit(-1)
		return oddFrames{websocket.NetConn(context.Background(), ws, websocket.MessageBinary)}, nil
	}
	if o.tcp {
		return net.Dial("tcp", o.b.address(o.t).String())
	}
	here, there := net.Pipe()
	o.b.ServeConn(there)
	return here, nil
}

func (o *ours) wait(d time.Duration) { time.Sleep(d) }

func (o *ours) do(command string) error {
	switch command {
	case "stop":
		o.b.stop()
	case "restart":
		o.b.stop()
		o.player.forgetPeers()
		o.spool = o.spool.Reopen()
		o.start()
	case "crash": // what it does from now on reaches nothing
		next := o.spool.Copy()
		o.b.stop()
		o.spool.Close()
		o.player.forgetPeers()
		o.spool = next
		o.start()
	case "hold":
		o.spool.Hold()
	case "release":
		o.spool.Release()
	case "fail":
		o.spool.Fail(errors.New("disk full"))
	case "heal":
		o.spool.Fail(nil)
	default:
		return errors.New("unknown command")
	}
	return nil
}

func (o *ours) close() {
	o.b.stop()
	o.player.forgetPeers()
	o.spool.Close()
}

// oddFrames is a WebSocket whose frames hold 1, 3, 9, 27 ... bytes of what is written.
type oddFrames struct{ net.Conn }

func (c oddFrames) Write(b []byte) (n int, err error) {
	for size := 1; n < len(b) && err == nil; size *= 3 {
		var wrote int
		wrote, err = c.Conn.Write(b[n:min(n+size, len(b))])
		n += wrote
	}
	return n, err
}
