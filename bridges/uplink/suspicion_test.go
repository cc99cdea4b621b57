package uplink_test

import (
	"bufio"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"fieldgate/bridges"
	"fieldgate/broker/mqtt"
	"fieldgate/broker/packet"
)

// answers serves every connection: judge gives the reason of a message's acknowledgement, close ends the connection instead.
func (c *cloud) answers(version mqtt.Version, judge func(payload string) (reason mqtt.ReasonCode, close bool)) {
	var conns sync.WaitGroup
	c.t.Cleanup(func() { c.ln.Close(); conns.Wait() })
	conns.Go(func() {
		for {
			conn, err := c.ln.Accept()
			if err != nil {
				return
			}
			conns.Go(func() { defer conn.Close(); c.converse(conn, version, judge) })
		}
	})
}

func (c *cloud) converse(conn net.Conn, version mqtt.Version, judge func(string) (mqtt.ReasonCode, bool)) {
	stream := bufio.NewReader(conn)
	conn.SetDeadline(time.Now().Add(patience))
	for {
		raw, err := readPacket(stream)
		if err != nil {
			return
		}
		var out []byte
		switch packet.TypeOf(raw[0]) {
		case packet.CONNECT:
			out = (&packet.Connack{}).Append(nil, version)
		case packet.PINGREQ:
			out = packet.AppendPingresp(nil)
		case packet.PUBLISH:
			var p packet.Publish
			if p.Decode(raw, version) != nil {
				return
			}
			reason, refuse := judge(string(p.Payload))
			if refuse {
				return
			}
			out = (&packet.Ack{Type: packet.PUBACK, PacketID: p.PacketID, Reason: reason}).Append(nil, version)
		default:
			return
		}
		if _, err := conn.Write(out); err != nil {
			return
		}
	}
}

func TestUplink_SetsAsideWhatACloudClosesTheConnectionUpon(t *testing.T) {
	for _, c := range []struct {
		name   string
		poison []int
	}{
		{"the first", []int{0}}, {"the last", []int{29}}, {"two in a row", []int{10, 11}}, {"two apart", []int{3, 20}},
	} {
		t.Run(c.name, func(t *testing.T) {
			cloud, g := newCloud(t), newGateway()
			var mu sync.Mutex
			got := map[string]int{}
			cloud.answers(mqtt.V311, func(payload string) (mqtt.ReasonCode, bool) {
				mu.Lock()
				defer mu.Unlock()
				got[payload]++
				return 0, strings.HasPrefix(payload, "poison")
			})
			for i := range 30 {
				payload := fmt.Sprint(i)
				if slices.Contains(c.poison, i) {
					payload = "poison " + payload
				}
				g.offer("t", payload, mqtt.AtLeastOnce)
			}
			start(t, g, cloud.settings())
			g.await(t, "only the poison is left", func() bool { return g.waiting() == len(c.poison) && g.counters["set_aside"] == int64(len(c.poison)) })
			reason := g.awaitState(t, bridges.Connected)
			require.Contains(t, reason, fmt.Sprintf("%d messages that the broker does not take are set aside", len(c.poison)))
			g.offer("t", "later", mqtt.AtLeastOnce)
			g.await(t, "what came later is gone", func() bool { return g.waiting() == len(c.poison) })
			mu.Lock()
			defer mu.Unlock()
			require.Len(t, got, 31)
		})
	}
}

func TestUplink_ALinkThatOnlyBreaksSetsNothingAside(t *testing.T) {
	cloud, g := newCloud(t), newGateway()
	var mu sync.Mutex
	tries := 0
	cloud.answers(mqtt.V311, func(string) (mqtt.ReasonCode, bool) {
		mu.Lock()
		defer mu.Unlock()
		tries++
		return 0, tries <= 4 // one less than makes a poison
	})
	for i := range 3 {
		g.offer("t", fmt.Sprint(i), mqtt.AtLeastOnce)
	}
	start(t, g, cloud.settings())
	g.await(t, "all is gone", func() bool { return g.waiting() == 0 })
	g.await(t, "nothing is aside", func() bool { return g.counters["acknowledged"] == 3 && g.counters["set_aside"] == 0 })
}

func TestUplink_SendsAgainWhatA50CloudDoesNotTakeNow(t *testing.T) {
	for _, c := range []struct {
		name   string
		reason mqtt.ReasonCode
		times  int
		aside  bool
	}{
		{"unspecified error", mqtt.UnspecifiedError, 3, false},
		{"implementation specific error", mqtt.ImplementationSpecificError, 3, false},
		{"quota exceeded", mqtt.QuotaExceeded, 12, false},
		{"for ever", mqtt.UnspecifiedError, 1 << 30, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			cloud, g := newCloud(t), newGateway()
			var mu sync.Mutex
			var taken []string
			refused := 0
			cloud.answers(mqtt.V5, func(payload string) (mqtt.ReasonCode, bool) {
				mu.Lock()
				defer mu.Unlock()
				if payload == "1" && refused < c.times {
					refused++
					return c.reason, false
				}
				taken = append(taken, payload)
				return 0, false
			})
			for i := range 5 {
				g.offer("t", fmt.Sprint(i), mqtt.AtLeastOnce)
			}
			start(t, g, strings.Replace(cloud.settings(), "{", `{"version":5,`, 1))
			left := 0
			if c.aside {
				left = 1
			}
			g.await(t, "the queue is as it should be", func() bool {
				return g.waiting() == left && g.counters["set_aside"] == int64(left) && g.counters["postponed"] >= int64(min(c.times, 8))
			})
			g.offer("t", "later", mqtt.AtLeastOnce)
			g.await(t, "what came later is gone", func() bool { return g.waiting() == left })
			mu.Lock()
			defer mu.Unlock()
			want := []string{"0", "1", "2", "3", "4", "later"}
			if c.aside {
				want = slices.Delete(want, 1, 2)
				require.Equal(t, 8, refused)
			}
			require.ElementsMatch(t, want, taken)
		})
	}
}
