package loadtest_test

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"fmt"
	"math"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"fieldgate/broker/mqtt"
	"fieldgate/broker/packet"
)

// sample is one figure of one run; fault says why it does not count.
type sample struct {
	value float64
	fault string
}

const endless = math.MaxUint64

// steady is publishers and subscribers at full speed: server CPU seconds per million copies.
func steady(t testing.TB, s *server, l *load, length time.Duration) sample {
	before := s.look()
	require.NoError(t, l.run(length, endless))
	l.arrive()
	after := s.look()
	l.close()
	return sample{perMillion(before, after, l.came.Load()), l.verdict().String()}
}

func perMillion(before, after proc, n int64) float64 {
	return (after.cpu - before.cpu).Seconds() / float64(max(n, 1)) * 1e6
}

func listen(t testing.TB, s *server, l *load, publishers int, id string, clean bool, filters ...string) *subscriber {
	c, err := dialAs(cmp.Or(l.speaks, mqtt.V311), s.address, id, clean)
	require.NoError(t, err)
	sub := l.receive(c, publishers)
	c.start()
	for len(filters) > 0 {
		n := min(len(filters), 100)
		require.NoError(t, c.subscribe(l.qos, filters[:n]...))
		filters = filters[n:]
	}
	return sub
}

func fanIn(t testing.TB, s *server) []sample {
	l := &load{size: 64, window: 100, fan: 1}
	listen(t, s, l, 50, "sub", true, "in/#")
	for i := range 50 {
		_, err := l.publish(s.address, fmt.Sprint("pub", i), always(fmt.Sprintf("in/meter%d/power", i)))
		require.NoError(t, err)
	}
	return []sample{steady(t, s, l, 2*time.Second)}
}

func fanOut(t testing.TB, s *server) []sample {
	l := &load{size: 64, window: 100, fan: 100}
	for i := range 100 {
		listen(t, s, l, 1, fmt.Sprint("sub", i), true, "out/alarm")
	}
	_, err := l.publish(s.address, "pub", always("out/alarm"))
	require.NoError(t, err)
	return []sample{steady(t, s, l, 2*time.Second)}
}

// tenToTen is ten publishers with a subscriber each.
func tenToTen(t testing.TB, s *server, qos mqtt.QoS, size, window int, clean bool) *load {
	l := &load{qos: qos, size: size, window: window, fan: 1}
	l.pair(t, s, clean)
	return l
}

// pair connects ten publishers with a subscriber each.
func (l *load) pair(t testing.TB, s *server, clean bool) {
	for i := range 10 {
		topic := fmt.Sprintf("pair/meter%d/power", i)
		listen(t, s, l, 10, fmt.Sprint("sub", i), clean, topic)
		_, err := l.publish(s.address, fmt.Sprint("pub", i), always(topic))
		require.NoError(t, err)
	}
}

// newer gives the cost of a load over 5.0, as a multiple of that over 3.1.1. The two take turns.
func newer(qos mqtt.QoS, window int) func(testing.TB, *server) []sample {
	return func(t testing.TB, s *server) []sample {
		costs, out := map[mqtt.Version]float64{}, sample{}
		for _, v := range []mqtt.Version{mqtt.V311, mqtt.V5, mqtt.V5, mqtt.V311} {
			l := &load{speaks: v, qos: qos, size: 64, window: window, fan: 1}
			l.pair(t, s, true)
			one := steady(t, s, l, time.Second)
			costs[v] += one.value
			out.fault = cmp.Or(out.fault, one.fault)
		}
		out.value = costs[mqtt.V5] / costs[mqtt.V311]
		return []sample{out}
	}
}

func pairs(qos mqtt.QoS, size, window int) func(testing.TB, *server) []sample {
	return func(t testing.TB, s *server) []sample {
		return []sample{steady(t, s, tenToTen(t, s, qos, size, window, true), 2*time.Second)}
	}
}

// alone sends a thousand messages a second at an even pace, each in a packet and a read of its own.
func alone(t testing.TB, s *server) []sample {
	const rate, length = 1000, 4
	l := tenToTen(t, s, 1, 64, 1000, true)
	payload := bytes.Repeat([]byte("x"), l.size)
	before, begin := s.look(), time.Now()
	for i := range rate * length {
		time.Sleep(time.Until(begin.Add(time.Duration(i) * time.Second / rate)))
		p := l.pubs[i%len(l.pubs)]
		binary.LittleEndian.PutUint32(payload, p.number)
		out := p.append(nil, payload, p.sent.Load())
		p.sent.Add(1)
		require.NoError(t, p.write(out))
	}
	moves(func() uint64 { return l.sent() - l.done() })
	l.arrive()
	after := s.look()
	l.close()
	return []sample{{perMillion(before, after, l.came.Load()), l.verdict().String()}}
}

// churn connects and disconnects at full speed from 16 addresses, for an address has not enough ports.
func churn(t testing.TB, s *server) []sample {
	end := time.Now().Add(2 * time.Second)
	var n atomic.Int64
	errs := make(chan error, 16)
	before := s.look()
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() {
			dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 9, byte(i+1))}}
			for round := 0; time.Now().Before(end); round++ {
				nc, err := dialer.Dial("tcp", s.address)
				if err != nil {
					errs <- err
					return
				}
				if _, err = greet(nc, fmt.Sprintf("churn-%d-%d", i, round%1000), true); err != nil {
					errs <- err
					return
				}
				_, _ = nc.Write((&packet.Disconnect{}).Append(nil, mqtt.V311))
				_, _ = nc.Read(make([]byte, 1)) // until the broker closes
				_ = nc.Close()
				n.Add(1)
			}
		})
	}
	wg.Wait()
	after := s.look()
	out := sample{value: perMillion(before, after, n.Load())}
	if len(errs) > 0 {
		out.fault = (<-errs).Error()
	}
	return []sample{out}
}

// filterOf spreads filters over the tree: some exact, others with wildcards that share levels with what is
// published and never match.
func filterOf(i int) string {
	switch i % 5 {
	case 0, 1:
		return fmt.Sprintf("plant/hall%d/drive%d/speed", i%1000, i)
	case 2:
		return fmt.Sprintf("plant/+/drive%d/load", i)
	case 3:
		return fmt.Sprintf("plant/hall%d/+/sensor%d", i%1000, i)
	}
	return fmt.Sprintf("plant/hall%d/drive%d/speed/raw/#", i%1000, i)
}

const manyFilters = 100_000

// filters holds 100,000 filters and publishes first what one of them matches, then what none does.
func filters(t testing.TB, s *server) []sample {
	const subscribers, publishers = 10, 4
	l := &load{size: 64, window: 200, fan: 1}
	for i := range subscribers {
		var mine []string
		for k := i; k < manyFilters; k += subscribers {
			mine = append(mine, filterOf(k))
		}
		listen(t, s, l, publishers, fmt.Sprint("sub", i), true, mine...)
	}
	for i := range publishers {
		_, err := l.publish(s.address, fmt.Sprint("pub", i), func(seq uint64) string {
			return filterOf(int((seq*7919+uint64(i)*104729)%(manyFilters/5)) * 5)
		})
		require.NoError(t, err)
	}
	none := &load{qos: 1, size: 64, window: 200}
	for i := range publishers {
		_, err := none.publish(s.address, fmt.Sprint("none", i), func(seq uint64) string {
			k := (seq*7919 + uint64(i)*104729) % manyFilters
			return fmt.Sprintf("plant/hall%d/drive%d/none", k%1000, k)
		})
		require.NoError(t, err)
	}
	before := s.look()
	require.NoError(t, none.run(2*time.Second, endless))
	after := s.look()
	miss := sample{value: perMillion(before, after, int64(none.done()))}
	if none.done() != none.sent() {
		miss.fault = fmt.Sprintf("%d not acknowledged", none.sent()-none.done())
	}
	none.close()
	return []sample{steady(t, s, l, 2*time.Second), miss}
}

// retained sets 50,000 retained messages; a subscriber to all of them waits for the last.
func retained(t testing.TB, s *server) []sample {
	const topics, publishers = 50_000, 4
	l := &load{qos: 1, size: 64, window: 100, fan: 1}
	for i := range publishers {
		p, err := l.publish(s.address, fmt.Sprint("pub", i), func(seq uint64) string {
			return fmt.Sprintf("site%d/p%d/device%d/state", seq%100, i, seq)
		})
		require.NoError(t, err)
		p.retain = true
	}
	require.NoError(t, l.run(time.Minute, topics/publishers))
	c, err := dial(s.address, "sub", true)
	require.NoError(t, err)
	sub := l.receive(c, publishers)
	c.start()
	began := time.Now()
	require.NoError(t, c.subscribe(1, "#"))
	l.arrive()
	l.close()
	v := l.verdict()
	v.reordered = 0 // nobody promises an order between topics
	return []sample{{float64(sub.last.Sub(began).Microseconds()) / 1000, v.String()}}
}

const offlineMessages = 200_000

// offline fills the queue of a session that is away, and drains it when it is back.
func offline(t testing.TB, s *server) []sample {
	l := &load{qos: 1, size: 256, window: 100, fan: 1}
	c, err := dial(s.address, "away", false)
	require.NoError(t, err)
	c.start()
	require.NoError(t, c.subscribe(1, "away/#"))
	c.leave()
	_, err = l.publish(s.address, "pub", always("away/meter/power"))
	require.NoError(t, err)
	start := s.look()
	require.NoError(t, l.run(time.Minute, offlineMessages))
	full := s.look()
	c, err = dial(s.address, "away", false)
	require.NoError(t, err)
	l.receive(c, 1)
	c.start()
	l.arrive()
	drained := s.look()
	l.close()
	fault := l.verdict().String()
	n := int64(l.done())
	return []sample{
		{perMillion(start, full, n), fault},
		{perMillion(full, drained, n), fault},
		{perMillion(start, drained, n), fault},
		{float64(n) / full.at.Sub(start.at).Seconds(), fault},
		{float64(drained.writes-start.writes) / float64(max(n, 1)), fault},
	}
}
