package broker_test

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"fieldgate/broker/mqtt"
	"fieldgate/broker/packet"
)

// abuser misbehaves over connections of its own until ctx is done.
type abuser struct {
	name  string
	cause string // a line of the broker's log that must have come, as a regular expression; empty where there is none
	run   func(ctx context.Context, address string)
}

// closings counts the half-open connections that the broker closed.
type closings struct{ halfOpen atomic.Int64 }

func abusers(seen *closings) []abuser {
	return []abuser{
		{"slow reader", `client_id=slow .*cause="keep alive exceeded"`, readSlowly},
		{"flooder", "", publishForever},
		{"flooder beyond the receive maximum", `client_id=quota .*cause="bad packet" clause="v5 MQTT-3.3.4-7"`, exceedReceiveMaximum},
		{"malformed sender", `client_id=malformed .*cause="bad packet" clause="v3.1.1 MQTT-3.3.1-4"`, sendMalformed},
		{"connect storm", `client_id=storm .*cause="another connection took the session over"`, stormConnects},
		{"half-open", "", seen.leaveHalfOpen},
	}
}

// letLoose starts abusers; the function ends them.
func letLoose(address string, abusers []abuser) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var all sync.WaitGroup
	for _, a := range abusers {
		all.Go(func() { a.run(ctx, address) })
	}
	return func() {
		cancel()
		all.Wait()
	}
}

// again connects again and again.
func again(ctx context.Context, address string, abuse func(nc net.Conn)) {
	for ctx.Err() == nil {
		nc, err := net.Dial("tcp", address)
		if err != nil {
			continue // the storm takes all ports there are for a moment
		}
		stop := context.AfterFunc(ctx, func() { _ = nc.Close() })
		abuse(nc)
		stop()
		_ = nc.Close()
	}
}

// atOnce connects again and again, so many at a time.
func atOnce(ctx context.Context, n int, address string, abuse func(nc net.Conn)) {
	var all sync.WaitGroup
	defer all.Wait()
	for range n {
		all.Go(func() { again(ctx, address, abuse) })
	}
}

func abusersConnect(id string, v mqtt.Version, keepAlive uint16) []byte {
	return (&packet.Connect{Version: v, ClientID: id, CleanStart: true, KeepAlive: keepAlive}).Append(nil)
}

func untilClosed(nc net.Conn) {
	for buf := make([]byte, 4096); ; {
		if _, err := nc.Read(buf); err != nil {
			return
		}
	}
}

// readSlowly subscribes to everything and reads nothing. It comes back soon after its keep alive is over: the
// end of its connection is something else that it does not read.
func readSlowly(ctx context.Context, address string) {
	const patience = 2 * time.Second
	again(ctx, address, func(nc net.Conn) {
		_ = nc.(*net.TCPConn).SetReadBuffer(4096)
		s := packet.Subscribe{PacketID: 1, Subscriptions: []mqtt.Subscription{{Filter: "#", QoS: 1}}}
		_, _ = nc.Write(s.Append(abusersConnect("slow", mqtt.V311, 1), mqtt.V311))
		select {
		case <-ctx.Done():
		case <-time.After(patience):
		}
	})
}

// publishForever publishes as much as the socket takes.
func publishForever(ctx context.Context, address string) {
	again(ctx, address, func(nc net.Conn) {
		_, _ = nc.Write(abusersConnect("flood", mqtt.V311, 0))
		var chunk []byte
		for range 100 {
			chunk = (&packet.Publish{Topic: []byte("flood"), Payload: make([]byte, 100)}).Append(chunk, mqtt.V311)
		}
		for {
			if _, err := nc.Write(chunk); err != nil {
				return
			}
		}
	})
}

// exceedReceiveMaximum has more publications of QoS 2 under way than the broker allows.
func exceedReceiveMaximum(ctx context.Context, address string) {
	again(ctx, address, func(nc net.Conn) {
		raw := abusersConnect("quota", mqtt.V5, 0)
		for pid := range uint16(200) {
			raw = (&packet.Publish{Topic: []byte("quota"), QoS: 2, PacketID: pid + 1}).Append(raw, mqtt.V5)
		}
		_, _ = nc.Write(raw)
		untilClosed(nc)
	})
}

// sendMalformed sends a PUBLISH of QoS 3.
func sendMalformed(ctx context.Context, address string) {
	again(ctx, address, func(nc net.Conn) {
		_, _ = nc.Write(append(abusersConnect("malformed", mqtt.V311, 0), 0x36, 5, 0, 1, 'x', 0, 1))
		untilClosed(nc)
	})
}

// stormConnects connects, with one client identifier, as fast as it is let in.
func stormConnects(ctx context.Context, address string) {
	atOnce(ctx, 4, address, func(nc net.Conn) {
		_, _ = nc.Write(abusersConnect("storm", mqtt.V311, 0))
		_, _ = nc.Read(make([]byte, 16)) // CONNACK
		_ = nc.(*net.TCPConn).SetLinger(0)
	})
}

// leaveHalfOpen says half a CONNECT and nothing more.
func (seen *closings) leaveHalfOpen(ctx context.Context, address string) {
	atOnce(ctx, 20, address, func(nc net.Conn) {
		_, _ = nc.Write(abusersConnect("half", mqtt.V311, 0)[:9])
		untilClosed(nc)
		if ctx.Err() == nil {
			seen.halfOpen.Add(1)
		}
	})
}
