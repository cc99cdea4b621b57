package uplink_test

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"fieldgate/bridges"
	"fieldgate/broker/mqtt"
	"fieldgate/broker/packet"
)

// cloud is a broker of ours that shows the faults that a real one can't show on
// demand: no acknowledgement, a connection cut in the middle, a foreign protocol.
type cloud struct {
	t  *testing.T
	ln net.Listener
}

func newCloud(t *testing.T) *cloud {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { ln.Close() })
	return &cloud{t, ln}
}

func (c *cloud) settings() string {
	return fmt.Sprintf(`{"id":"cloud","url":"mqtt://%s","out":[{"filter":"#","qos":1}]}`, c.ln.Addr())
}

type visitor struct {
	t *testing.T
	net.Conn
	r *bufio.Reader
}

// accept takes the uplink's next connection and shakes hands.
func (c *cloud) accept(sessionPresent bool) *visitor {
	c.t.Helper()
	conn, err := c.ln.Accept()
	require.NoError(c.t, err)
	c.t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(patience))
	v := &visitor{c.t, conn, bufio.NewReader(conn)}
	raw := v.read()
	require.Equal(c.t, packet.CONNECT, packet.TypeOf(raw[0]))
	v.send((&packet.Connack{SessionPresent: sessionPresent}).Append(nil, mqtt.V311))
	return v
}

func (v *visitor) send(b []byte) {
	_, err := v.Write(b)
	require.NoError(v.t, err)
}

func (v *visitor) read() []byte {
	v.t.Helper()
	raw, err := readPacket(v.r)
	require.NoError(v.t, err)
	return raw
}

func readPacket(r *bufio.Reader) ([]byte, error) {
	first, err := r.ReadByte()
	if err != nil {
		return nil, err
	}
	length, err := binary.ReadUvarint(r)
	if err != nil {
		return nil, err
	}
	raw := binary.AppendUvarint([]byte{first}, length)
	body := make([]byte, length)
	_, err = io.ReadFull(r, body)
	return append(raw, body...), err
}

func (v *visitor) publish() packet.Publish {
	v.t.Helper()
	var p packet.Publish
	raw := v.read()
	require.Equal(v.t, packet.PUBLISH, packet.TypeOf(raw[0]))
	require.NoError(v.t, p.Decode(raw, mqtt.V311))
	return p
}

func TestUplink_SendsAgainInOrderWhatWasNotAcknowledged(t *testing.T) {
	c, g := newCloud(t), newGateway()
	for i := range 5 {
		g.offer("a", fmt.Sprint(i), mqtt.AtLeastOnce)
	}
	start(t, g, c.settings())

	v := c.accept(false)
	var ids []uint16
	for i := range 5 {
		p := v.publish()
		require.Equal(t, fmt.Sprint(i), string(p.Payload))
		require.False(t, p.Dup)
		ids = append(ids, p.PacketID)
	}
	v.send(packet.AppendAck(nil, packet.PUBACK, ids[1])) // out of order
	g.await(t, "one left the queue", func() bool { return g.waiting() == 4 })
	v.Close()

	v = c.accept(true)
	for _, i := range []int{0, 2, 3, 4} {
		p := v.publish()
		require.Equal(t, fmt.Sprint(i), string(p.Payload))
		require.True(t, p.Dup)
		require.Equal(t, ids[i], p.PacketID)
	}
	for _, i := range []int{0, 2, 3, 4} {
		v.send(packet.AppendAck(nil, packet.PUBACK, ids[i]))
	}
	g.await(t, "the queue is empty", func() bool { return g.waiting() == 0 })
}

func TestUplink_NeverExceedsItsWindow(t *testing.T) {
	c, g := newCloud(t), newGateway()
	for i := range 250 {
		g.offer("a", fmt.Sprint(i), mqtt.AtLeastOnce)
	}
	start(t, g, c.settings())
	v := c.accept(false)
	var ids []uint16
	for range 100 {
		ids = append(ids, v.publish().PacketID)
	}
	require.Len(t, slices.Compact(slices.Sorted(slices.Values(ids))), 100)
	// The next message comes only for an acknowledgement: what arrives after PINGRESP-free silence
	// would be number 101, so acknowledge one and see that exactly that much comes.
	for i := 100; i < 250; i++ {
		v.send(packet.AppendAck(nil, packet.PUBACK, ids[i-100]))
		p := v.publish()
		require.Equal(t, fmt.Sprint(i), string(p.Payload))
		require.Zero(t, v.r.Buffered())
		ids = append(ids, p.PacketID)
	}
}

func TestUplink_AcknowledgesOnlyWhatIsSafe(t *testing.T) {
	c, g := newCloud(t), newGateway()
	g.unsafe = true
	start(t, g, fmt.Sprintf(`{"id":"cloud","url":"mqtt://%s","in":[{"filter":"cmd/#","qos":1}],"out":[{"filter":"#","qos":1}]}`, c.ln.Addr()))
	v := c.accept(false)
	require.Equal(t, packet.SUBSCRIBE, packet.TypeOf(v.read()[0]))
	v.send((&packet.Suback{PacketID: 65535, Reasons: []mqtt.ReasonCode{1}}).Append(nil, mqtt.V311))
	v.send((&packet.Publish{Topic: []byte("cmd/x"), Payload: []byte("1"), QoS: 1, PacketID: 7}).Append(nil, mqtt.V311))
	g.await(t, "the message came down", func() bool { return len(g.down) == 1 })
	// Were it acknowledged, its PUBACK would come before this message.
	g.offer("a", "later", mqtt.AtLeastOnce)
	require.Equal(t, "later", string(v.publish().Payload))
}

func TestUplink_TellsThatTheFarSideIsNoBroker(t *testing.T) {
	c, g := newCloud(t), newGateway()
	start(t, g, c.settings())
	conn, err := c.ln.Accept()
	require.NoError(t, err)
	defer conn.Close()
	_, err = conn.Write([]byte("\x30\x02HTTP"))
	require.NoError(t, err)
	require.Contains(t, g.awaitState(t, bridges.Disconnected), "does not speak MQTT")
}

// What could not be kept is not acknowledged, and asked for again: a cloud sends it anew on the next connection only.
func TestUplink_AsksAgainForWhatCouldNotBeKept(t *testing.T) {
	c, g := newCloud(t), newGateway()
	g.unkept = 1
	start(t, g, fmt.Sprintf(`{"id":"cloud","url":"mqtt://%s","in":[{"filter":"cmd/#","qos":1}]}`, c.ln.Addr()))
	command := (&packet.Publish{Topic: []byte("cmd/x"), Payload: []byte("1"), QoS: 1, PacketID: 7}).Append(nil, mqtt.V311)
	for attempt := range 2 {
		v := c.accept(true)
		require.Equal(t, packet.SUBSCRIBE, packet.TypeOf(v.read()[0]))
		v.send((&packet.Suback{PacketID: 65535, Reasons: []mqtt.ReasonCode{1}}).Append(nil, mqtt.V311))
		v.send(command)
		raw, err := readPacket(v.r)
		if attempt == 0 {
			if err != nil {
				require.ErrorIs(t, err, io.EOF)
			} else {
				require.Equal(t, packet.DISCONNECT, packet.TypeOf(raw[0]), "no PUBACK")
			}
			continue
		}
		require.NoError(t, err)
		require.Equal(t, packet.PUBACK, packet.TypeOf(raw[0]))
	}
}

// A topic that is too long on the other side must not end the link again and again.
func TestUplink_LeavesOutTopicsThatTheOtherSideCantHave(t *testing.T) {
	c, g := newCloud(t), newGateway()
	start(t, g, fmt.Sprintf(`{"id":"cloud","url":"mqtt://%s","in":[{"filter":"c/#","qos":1,"remote_prefix":"c/","local_prefix":"commands/"},
		{"filter":"d/#","qos":1,"remote_prefix":"d/"}],"out":[{"filter":"l/#","qos":1,"local_prefix":"l/","remote_prefix":"longer/"}]}`, c.ln.Addr()))
	g.offer("l/"+strings.Repeat("x", 65_530), "too long", mqtt.AtLeastOnce)
	g.offer("l/short", "ok", mqtt.AtLeastOnce)
	v := c.accept(true)
	require.Equal(t, packet.SUBSCRIBE, packet.TypeOf(v.read()[0]))
	v.send((&packet.Suback{PacketID: 65535, Reasons: []mqtt.ReasonCode{1, 1}}).Append(nil, mqtt.V311))
	require.Equal(t, "ok", string(v.publish().Payload))
	g.await(t, "the long one is gone", func() bool { return g.waiting() == 1 })
	for i, topic := range []string{"c/" + strings.Repeat("x", 65_530), "d/$SYS/broker/uptime", "c/x"} {
		v.send((&packet.Publish{Topic: []byte(topic), QoS: 1, PacketID: uint16(i + 1)}).Append(nil, mqtt.V311))
		require.Equal(t, packet.PUBACK, packet.TypeOf(v.read()[0]), topic[:3])
	}
	g.await(t, "one came down", func() bool { return len(g.down) == 1 })
	require.Equal(t, "commands/x", g.down[0].Topic)
}
