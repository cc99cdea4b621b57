package broker_test

import (
	"encoding/binary"
	"errors"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"fieldgate/broker"
	"fieldgate/broker/mqtt"
	"fieldgate/broker/packet"
	"fieldgate/broker/session"
	"fieldgate/broker/session/sessiontest"
)

// keepingSpool commits, and keeps the callbacks for the test to run in any order.
type keepingSpool struct {
	*sessiontest.Memory
	mu        sync.Mutex
	committed sync.Cond
	keeps     bool
	kept      []func(error)
	safe      int // of kept
}

func newKeepingSpool(t testing.TB) *keepingSpool {
	s := &keepingSpool{Memory: memory(t)}
	s.committed.L = &s.mu
	return s
}

func (s *keepingSpool) Append(e session.Entry, safe func(error)) mqtt.MsgID {
	return s.Memory.Append(e, s.keep(safe))
}

func (s *keepingSpool) Apply(c session.Change, safe func(error)) { s.Memory.Apply(c, s.keep(safe)) }

func (s *keepingSpool) keep(safe func(error)) func(error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.keeps || safe == nil {
		return safe
	}
	s.kept = append(s.kept, safe)
	return func(error) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.safe++
		s.committed.Broadcast()
	}
}

// wait gives the callbacks of that many calls once all are committed.
func (s *keepingSpool) wait(n int) []func(error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.kept) < n || s.safe < n {
		s.committed.Wait()
	}
	return s.kept
}

// sendFour sends four packets whose answers all wait for the spool, and gives their callbacks.
func sendFour(t *testing.T) (*testClient, []func(error)) {
	spool := newKeepingSpool(t)
	b := start(t, spool, func(c *broker.Config) {
		onTCP(c)
		c.RetainAvailable = true
	})
	s := dial(t, b, packet.Connect{ClientID: "sub"})
	s.subscribe("t", 1)
	s.close()
	p := dial(t, b, packet.Connect{ClientID: "pub"})
	t.Cleanup(p.close)
	spool.mu.Lock()
	spool.keeps = true
	spool.mu.Unlock()
	var all []byte
	all = (&packet.Publish{Topic: []byte("t"), QoS: 1, PacketID: 1}).Append(all, mqtt.V311)
	all = (&packet.Publish{Topic: []byte("t"), QoS: 2, PacketID: 2}).Append(all, mqtt.V311)
	all = (&packet.Subscribe{PacketID: 3, Subscriptions: []mqtt.Subscription{{Filter: "x"}}}).Append(all, mqtt.V311)
	all = (&packet.Publish{Topic: []byte("t"), QoS: 1, PacketID: 4}).Append(all, mqtt.V311)
	p.send(all)
	return p, spool.wait(4)
}

// requireAnswer checks the next packet that the broker sends.
func (c *testClient) requireAnswer(kind packet.Type, pid uint16) {
	c.Helper()
	raw := c.recv()
	require.Equal(c, kind, packet.TypeOf(raw[0]))
	require.Equal(c, pid, binary.BigEndian.Uint16(raw[2:]))
}

// The spool calls back in order only for what one publisher sent; who counted on that order for a connection
// would acknowledge one message because another is safe.
func TestAnswers_KeepTheirOrderWhateverTheOrderOfCallbacks(t *testing.T) {
	for _, c := range []struct {
		name  string
		order []int
	}{
		{"backwards", []int{3, 2, 1, 0}},
		{"the oldest last", []int{1, 2, 3, 0}},
		{"the oldest before the last", []int{2, 1, 0, 3}},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, safe := sendFour(t)
			answers := []func(){
				func() { p.requireAnswer(packet.PUBACK, 1) },
				func() { p.requireAnswer(packet.PUBREC, 2) },
				func() { p.requireAnswer(packet.SUBACK, 3) },
				func() { p.requireAnswer(packet.PUBACK, 4) },
			}
			came, next := map[int]bool{}, 0
			for _, i := range c.order {
				safe[i](nil)
				came[i] = true
				for ; came[next]; next++ {
					answers[next]()
				}
				p.ping() // no other answer came
			}
			require.Equal(t, len(answers), next)
		})
	}
}

func TestAnswers_FailureIsThatOfItsOwnMessage(t *testing.T) {
	p, safe := sendFour(t)
	safe[3](errors.New("no"))
	p.ping()
	safe[1](nil)
	safe[0](nil)
	p.requireAnswer(packet.PUBACK, 1)
	p.requireAnswer(packet.PUBREC, 2)
	safe[2](nil)
	for {
		raw, err := p.tryRecv()
		if err != nil {
			break // closed, without an acknowledgement of the one that failed
		}
		require.NotEqual(t, packet.PUBACK, packet.TypeOf(raw[0]))
	}
}
