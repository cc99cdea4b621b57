package broker_test

import (
	"fmt"
	"strconv"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"fieldgate/broker/mqtt"
	"fieldgate/broker/packet"
)

// TestManyClients_LoseNothingAndKeepOrder lets many clients publish at all
// qualities at once, while durable subscribers drop their connections again and
// again. What is counted is what the promise says: all of QoS 1 and 2, in order
// for each publisher, QoS 2 exactly once.
func TestManyClients_LoseNothingAndKeepOrder(t *testing.T) {
	const publishers, each, subscribers = 8, 400, 4
	b := start(t, memory(t), onTCP)
	var subs, pubs sync.WaitGroup
	for s := range subscribers {
		connect := packet.Connect{ClientID: fmt.Sprint("sub", s)}
		first := dial(t, b, connect)
		first.subscribe("q1/+", 1)
		first.subscribe("q2/+", 2)
		subs.Go(func() { collect(t, b, connect, first, s%2 == 0, publishers, each) })
	}
	for p := range publishers {
		pubs.Go(func() {
			c := dial(t, b, packet.Connect{ClientID: fmt.Sprint("pub", p), CleanStart: p%2 == 0})
			defer c.close()
			qos := mqtt.QoS(1 + p%2)
			c.publish(fmt.Sprintf("q%d/%d", qos, p), qos, each, 20)
		})
	}
	pubs.Wait()
	subs.Wait()
}

// collect receives until it has everything.
func collect(t *testing.T, b *testBroker, connect packet.Connect, c *testClient, breaks bool, publishers, each int) {
	next := map[string]int{} // what each topic has to bring
	for got, count := 0, 0; got < publishers*each; count++ {
		if breaks && count%97 == 96 {
			c.close()
			c = dial(t, b, connect)
		}
		p, err := c.recvPublish()
		require.NoError(t, err)
		topic := string(p.Topic)
		n, err := strconv.Atoi(string(p.Payload))
		require.NoError(t, err)
		switch {
		case n == next[topic]:
			next[topic]++
			got++
		case n < next[topic]:
			require.True(t, p.Dup, "%s %d came again without DUP", topic, n)
			require.True(t, breaks, "%s %d came twice", topic, n)
		default:
			require.Equal(t, next[topic], n, "%s: one is missing", topic)
		}
	}
	c.close()
}

func TestVolatileSubscribers_KeepOrder(t *testing.T) {
	const publishers, each = 4, 1000
	b := start(t, memory(t), onTCP)
	var wg sync.WaitGroup
	for s := range 3 {
		c := dial(t, b, packet.Connect{ClientID: fmt.Sprint("sub", s), CleanStart: true})
		c.subscribe("t/#", mqtt.QoS(s))
		wg.Go(func() {
			next := map[string]int{}
			for range publishers * each {
				p, err := c.recvPublish()
				require.NoError(t, err)
				n, err := strconv.Atoi(string(p.Payload))
				require.NoError(t, err)
				require.Equal(t, next[string(p.Topic)], n, "%s", p.Topic)
				next[string(p.Topic)]++
			}
			c.close()
		})
	}
	for p := range publishers {
		wg.Go(func() {
			c := dial(t, b, packet.Connect{ClientID: fmt.Sprint("pub", p), CleanStart: true})
			defer c.close()
			c.publish(fmt.Sprint("t/", p), 2, each, 50)
		})
	}
	wg.Wait()
}
