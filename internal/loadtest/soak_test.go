package loadtest_test

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"fieldgate/broker/mqtt"
)

// The parts of a soak.
const (
	soakFlows     = 8                // publishers with a persistent subscriber each
	soakRate      = 100              // messages a second of each
	soakSampling  = time.Minute      // a line each
	soakCatchUp   = 30 * time.Second // for the last messages to arrive
	soakMaxGrowth = 1.25             // from the first third of the time behind the warm-up to the last
)

// TestSoak is `make soak`: for as long as FIELDGATE_SOAK says (30m) a mixed load meets clients that come and go,
// are killed and read slowly. Nothing that was acknowledged may be lost or come out of order, and RSS, goroutines,
// threads and descriptors must not grow.
func TestSoak(t *testing.T) {
	length, err := time.ParseDuration(os.Getenv("FIELDGATE_SOAK"))
	if err != nil {
		t.Skip("make soak runs it")
	}
	require.NotEmpty(t, fieldgate.program(), "FIELDGATE names the binary")
	s := launch(t, fieldgate, nil)
	defer s.stop()
	k := &soak{t: t, s: s, stop: make(chan struct{})}
	for i := range soakFlows {
		k.flow(i)
	}
	k.play(k.comeAndGo)
	k.play(k.readNothing)
	k.play(k.flood)
	samples := k.watch(length)
	close(k.stop)
	k.wg.Wait()
	k.judge(samples)
}

type soak struct {
	t     *testing.T
	s     *server
	stop  chan struct{}
	wg    sync.WaitGroup
	flows []*soakFlow
	kills atomic.Int64 // subscribers
	short atomic.Int64 // connections that came and went
}

func (k *soak) play(f func()) { k.wg.Go(f) }

// pause waits, and tells whether the soak goes on.
func (k *soak) pause(d time.Duration) bool {
	select {
	case <-k.stop:
		return false
	case <-time.After(d):
		return true
	}
}

// soakFlow is a publisher of numbered messages and a subscriber that is killed now and then. Both keep no more than MQTT wants them to.
type soakFlow struct {
	qos       mqtt.QoS
	topic     string
	published *load
	mu        sync.Mutex
	seen      track // across all connections of the subscriber
	repeated  int64 // after a lost connection
}

func (k *soak) flow(i int) {
	f := &soakFlow{qos: mqtt.QoS(1 + i%2), topic: fmt.Sprintf("soak/flow%d", i)}
	f.published = &load{qos: f.qos, size: 64 + 200*(i%3), window: 50, fan: 1}
	p, err := f.published.publish(k.s.address, fmt.Sprint("soak-pub", i), always(f.topic))
	require.NoError(k.t, err)
	c := k.subscriber(f, i)
	require.NoError(k.t, c.subscribe(f.qos, f.topic))
	k.flows = append(k.flows, f)
	k.play(func() { k.feed(f, p) })
	k.play(func() { k.kill(f, c, i) })
}

// subscriber connects the flow's persistent session.
func (k *soak) subscriber(f *soakFlow, i int) *link {
	c, err := dial(k.s.address, fmt.Sprint("soak-sub", i), false)
	for tries := 0; err != nil && tries < 100; tries++ {
		time.Sleep(50 * time.Millisecond)
		c, err = dial(k.s.address, fmt.Sprint("soak-sub", i), false)
	}
	if err != nil {
		k.t.Errorf("flow %d: %v", i, err)
		return nil
	}
	c.onPublish = func(_, payload []byte, _ uint16) {
		f.mu.Lock()
		f.note(payload)
		f.mu.Unlock()
	}
	c.start()
	return c
}

func (f *soakFlow) note(payload []byte) {
	seq := sequence(payload)
	if f.seen.seen.has(seq) {
		f.repeated++ // the acknowledgement was lost with the connection
		return
	}
	f.seen.see(seq)
}

// feed publishes at an even rate until the soak ends.
func (k *soak) feed(f *soakFlow, p *publisher) {
	for k.pause(100 * time.Millisecond) {
		if err := p.run(time.Now().Add(patience), p.sent.Load()+soakRate/10, k.stop); err != nil {
			k.t.Errorf("%s: %v", f.topic, err)
			return
		}
	}
}

// kill cuts the subscriber's connection at random moments and brings it back, at once or after its queue has grown.
func (k *soak) kill(f *soakFlow, c *link, i int) {
	for c != nil && k.pause(time.Second+rand.N(10*time.Second)) {
		k.kills.Add(1)
		c.close()
		if rand.N(3) == 0 {
			k.pause(rand.N(5 * time.Second))
		}
		c = k.subscriber(f, i)
	}
	if c == nil {
		return
	}
	defer c.close()
	p := f.published.pubs[0]
	for end := time.Now().Add(soakCatchUp); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		f.mu.Lock()
		all := uint64(f.seen.distinct) >= p.sent.Load()
		f.mu.Unlock()
		if all {
			return
		}
	}
}

// comeAndGo connects, subscribes to all, reads a little and goes, politely or not.
func (k *soak) comeAndGo() {
	for n := 0; k.pause(rand.N(200 * time.Millisecond)); n++ {
		c, err := dial(k.s.address, fmt.Sprint("guest", n%50), n%3 == 0)
		if err != nil {
			continue
		}
		c.start()
		k.short.Add(1)
		_ = c.subscribe(mqtt.QoS(n%3), "soak/#", fmt.Sprint("guest/", n%50))
		k.pause(rand.N(300 * time.Millisecond))
		if n%2 == 0 {
			c.leave()
		} else {
			c.close()
		}
		if n%50 == 49 { // the guests' sessions end
			for i := range 50 {
				if c, err := dial(k.s.address, fmt.Sprint("guest", i), true); err == nil {
					c.start()
					c.leave()
				}
			}
		}
	}
}

// readNothing subscribes to all and reads nothing, then a little, then goes.
func (k *soak) readNothing() {
	for k.pause(100 * time.Millisecond) {
		c, err := dial(k.s.address, "slow", true)
		if err != nil {
			continue
		}
		ack := make(chan struct{})
		c.mute.Store(true)
		c.onPublish = func([]byte, []byte, uint16) {
			select {
			case <-ack: // it reads on
			case <-k.stop:
			}
		}
		c.start()
		_ = c.subscribe(1, "soak/#", "flood")
		k.pause(5*time.Second + rand.N(10*time.Second))
		close(ack)
		k.pause(time.Second)
		c.close()
	}
}

// flood publishes QoS 0 at full speed for two seconds of every ten.
func (k *soak) flood() {
	for k.pause(8 * time.Second) {
		l := &load{size: 500, window: 1 << 30, fan: 1}
		p, err := l.publish(k.s.address, "flood", always("flood"))
		if err != nil {
			continue
		}
		_ = p.run(time.Now().Add(2*time.Second), endless, k.stop)
		p.close()
	}
}

// soakSample is one look at the broker.
type soakSample struct {
	proc
	goroutines int
}

// goroutines asks the broker over its administrators' socket.
func (k *soak) goroutines() (n int) {
	nc, err := net.Dial("unix", filepath.Join(k.s.dir, "data", "admin.sock"))
	require.NoError(k.t, err)
	client := oneConnection(nc)
	client.Timeout = patience
	answer, err := client.Get("http://fieldgate/metrics")
	require.NoError(k.t, err)
	defer func() { _ = answer.Body.Close() }()
	for lines := bufio.NewScanner(answer.Body); lines.Scan(); {
		if _, err := fmt.Sscanf(lines.Text(), "go_goroutines %d", &n); err == nil {
			client.CloseIdleConnections()
			return n
		}
	}
	require.FailNow(k.t, "no goroutines among the metrics")
	return 0
}

// watch prints a line a minute and gives what was seen.
func (k *soak) watch(length time.Duration) (all []soakSample) {
	step := min(soakSampling, max(length/10, time.Second))
	for end := time.Now().Add(length); time.Now().Before(end); {
		time.Sleep(min(step, time.Until(end)))
		p := soakSample{k.s.look(), k.goroutines()}
		all = append(all, p)
		var sent, came, repeated int64
		for _, f := range k.flows {
			f.mu.Lock()
			sent, came, repeated = sent+int64(f.published.sent()), came+f.seen.distinct, repeated+f.repeated
			f.mu.Unlock()
		}
		fmt.Printf("soak %4.0f s: RSS %.1f MB, %d goroutines, %d threads, %d descriptors, %d published, %d arrived, %d repeated, %d kills, %d guests, load %.1f\n",
			length.Seconds()-time.Until(end).Seconds(), float64(p.rss)/1e6, p.goroutines, p.threads, p.descriptors, sent, came, repeated, k.kills.Load(), k.short.Load(), loadAverage())
	}
	return all
}

// judge looks for what was lost and what has grown.
func (k *soak) judge(all []soakSample) {
	for _, f := range k.flows {
		p := f.published.pubs[0]
		p.close()
		lost := 0
		for seq := range p.sent.Load() {
			if p.safe.has(seq) && !f.seen.seen.has(seq) {
				lost++
			}
		}
		require.Zero(k.t, lost, "%s: acknowledged and lost", f.topic)
		require.Zero(k.t, f.seen.reordered, "%s: out of order", f.topic)
	}
	if len(all) < 6 {
		fmt.Println("soak: nothing lost; too short to say what grows")
		return
	}
	warm := all[len(all)/4:] // caches are full, buffers have their size
	early, late := warm[:len(warm)/3], warm[len(warm)-len(warm)/3:]
	for _, c := range []struct {
		what  string
		value func(p soakSample) float64
		slack float64 // what comes and goes
	}{
		{"RSS in MB", func(p soakSample) float64 { return float64(p.rss) / 1e6 }, 4},
		{"goroutines", func(p soakSample) float64 { return float64(p.goroutines) }, 10},
		{"threads", func(p soakSample) float64 { return float64(p.threads) }, 3},
		{"descriptors", func(p soakSample) float64 { return float64(p.descriptors) }, 10},
	} {
		before, after := middle(early, c.value), middle(late, c.value)
		fmt.Printf("soak: %s %.1f at first, %.1f in the end\n", c.what, before, after)
		require.LessOrEqual(k.t, after, before*soakMaxGrowth+c.slack, "%s grows", c.what)
	}
	fmt.Println("soak: passed, nothing lost, nothing out of order, nothing grows")
}

func middle(list []soakSample, value func(soakSample) float64) float64 {
	var v []float64
	for _, p := range list {
		v = append(v, value(p))
	}
	return median(v)
}
