package broker_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"fieldgate/broker/mqtt"
	"fieldgate/broker/packet"
)

// testClient is a client over TCP that does what it is told, packet by packet.
type testClient struct {
	testing.TB
	nc  net.Conn
	in  *bufio.Reader
	raw []byte
}

func dial(t testing.TB, b *testBroker, connect packet.Connect) *testClient {
	t.Helper()
	connect.Version = mqtt.V311
	c := connectTo(t, b, connect)
	require.Equal(t, packet.CONNACK, packet.TypeOf(c.recv()[0]))
	return c
}

// connected is how long a client's connection may take at most, on the slowest machine: a test that hangs ends then.
const connected = 5 * time.Minute

// connectTo sends CONNECT and waits for nothing.
func connectTo(t testing.TB, b *testBroker, connect packet.Connect) *testClient {
	t.Helper()
	nc, err := net.Dial("tcp", b.address(t).String())
	require.NoError(t, err)
	return connectOver(t, nc, connect)
}

// connectOver sends CONNECT over a connection of the caller's.
func connectOver(t testing.TB, nc net.Conn, connect packet.Connect) *testClient {
	t.Helper()
	c := &testClient{TB: t, nc: nc, in: bufio.NewReaderSize(nc, 64<<10)}
	require.NoError(t, nc.SetDeadline(time.Now().Add(connected)))
	c.send(connect.Append(nil))
	return c
}

func (c *testClient) send(raw []byte) {
	_, err := c.nc.Write(raw)
	require.NoError(c, err)
}

// recv gives the next packet; it is valid until the next call.
func (c *testClient) recv() []byte {
	raw, err := c.tryRecv()
	require.NoError(c, err)
	return raw
}

func (c *testClient) tryRecv() ([]byte, error) {
	for peek := 2; ; peek++ {
		head, err := c.in.Peek(peek)
		if err != nil {
			return nil, err
		}
		n, err := packet.Length(head, 0)
		if err != nil {
			return nil, err
		}
		if n == 0 {
			continue
		}
		if cap(c.raw) < n {
			c.raw = make([]byte, n)
		}
		c.raw = c.raw[:n]
		_, err = io.ReadFull(c.in, c.raw)
		return c.raw, err
	}
}

func (c *testClient) subscribe(filter string, qos mqtt.QoS) {
	s := packet.Subscribe{PacketID: 1, Subscriptions: []mqtt.Subscription{{Filter: filter, QoS: qos}}}
	c.send(s.Append(nil, mqtt.V311))
	for packet.TypeOf(c.recv()[0]) != packet.SUBACK {
	}
}

// recvPublish gives the next PUBLISH and acknowledges it, at QoS 2 all the way.
func (c *testClient) recvPublish() (packet.Publish, error) {
	for {
		raw, err := c.tryRecv()
		if err != nil {
			return packet.Publish{}, err
		}
		switch packet.TypeOf(raw[0]) {
		case packet.PUBREL:
			var a packet.Ack
			require.NoError(c, a.Decode(raw, mqtt.V311))
			c.send(packet.AppendAck(nil, packet.PUBCOMP, a.PacketID))
		case packet.PUBLISH:
			var p packet.Publish
			require.NoError(c, p.Decode(raw, mqtt.V311))
			switch p.QoS {
			case mqtt.AtLeastOnce:
				c.send(packet.AppendAck(nil, packet.PUBACK, p.PacketID))
			case mqtt.ExactlyOnce:
				c.send(packet.AppendAck(nil, packet.PUBREC, p.PacketID))
			}
			return p, nil
		}
	}
}

// publish sends count messages, with at most window of them not acknowledged,
// and waits for the last acknowledgement.
func (c *testClient) publish(topic string, qos mqtt.QoS, count, window int) {
	open := 0
	for n := 0; n < count || open > 0; {
		if n < count && open < window {
			p := packet.Publish{Topic: []byte(topic), Payload: fmt.Append(nil, n), QoS: qos}
			if qos > mqtt.AtMostOnce {
				p.PacketID = uint16(1 + n%65535)
				open++
			}
			c.send(p.Append(nil, mqtt.V311))
			n++
			continue
		}
		var a packet.Ack
		raw := c.recv()
		require.NoError(c, a.Decode(raw, mqtt.V311))
		if a.Type == packet.PUBREC {
			c.send(packet.AppendAck(nil, packet.PUBREL, a.PacketID))
		} else {
			open--
		}
	}
}

func (c *testClient) close() {
	require.NoError(c, c.nc.Close())
}
