package broker_test

import (
	"encoding/binary"
	"testing"

	"github.com/stretchr/testify/require"

	"fieldgate/broker/mqtt"
	"fieldgate/broker/packet"
	"fieldgate/broker/session"
)

// slowSpool shows a page, once it is told to, only after the test had time to act.
type slowSpool struct {
	session.Spool
	fetched chan<- struct{} // nil: not slow
	resume  <-chan struct{}
}

func (s *slowSpool) Page(id session.ID, after mqtt.MsgID, maxMessages, maxBytes int) ([]session.Queued, error) {
	page, err := s.Spool.Page(id, after, maxMessages, maxBytes)
	if s.fetched != nil {
		close(s.fetched)
		<-s.resume
		s.fetched = nil
	}
	return page, err
}

// A commit lets the session look for new deliveries at the moment when the client completes one that was
// released before it connected: the page may be older than the completion and must not bring it back.
func TestReleasedDelivery_IsNotSentAgainByAPageFromBeforeItsEnd(t *testing.T) {
	spool := &slowSpool{Spool: memory(t)}
	b := start(t, spool, onTCP)

	c := dial(t, b, packet.Connect{ClientID: "sub"})
	c.subscribe("a", mqtt.ExactlyOnce)
	publish(t, b.Broker, mqtt.Message{Topic: "a", Payload: []byte("once"), QoS: mqtt.ExactlyOnce})
	_, err := c.recvPublish() // which answers PUBREC
	require.NoError(t, err)
	require.Equal(t, packet.PUBREL, packet.TypeOf(c.recv()[0]))
	c.close()

	c = dial(t, b, packet.Connect{ClientID: "sub"})
	released := c.recv()
	require.Equal(t, packet.PUBREL, packet.TypeOf(released[0]))
	pid := binary.BigEndian.Uint16(released[2:])
	c.ping()
	fetched, resume, looked := make(chan struct{}), make(chan struct{}), make(chan struct{})
	spool.fetched, spool.resume = fetched, resume
	go func() { b.LookAgain("sub"); close(looked) }()
	<-fetched
	c.send(packet.AppendAck(nil, packet.PUBCOMP, pid))
	c.ping() // so PUBCOMP was handled
	close(resume)
	<-looked
	c.ping() // and no PUBLISH comes before its answer
}

// ping returns when the broker has answered, which must be the next that it sends.
func (c *testClient) ping() {
	c.Helper()
	c.send(packet.AppendPingreq(nil))
	require.Equal(c, packet.PINGRESP, packet.TypeOf(c.recv()[0]))
}
