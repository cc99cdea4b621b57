package main_test

import (
	"bufio"
	"context"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"fieldgate/broker"
	"fieldgate/broker/listen"
	"fieldgate/broker/mqtt"
	"fieldgate/broker/packet"
	"fieldgate/internal/fault"
	"fieldgate/storage"
)

// The two halves of the power-cut rig, which `make powercut` runs: a broker with its spool and clients in one process,
// whose lines on standard output are what was promised, and the judge of one state in which a power cut could have
// left the data folder. The clients live on through the cut: the judge gives them back what they knew.

// powercutEnv names the data folder to TestPowercut_Load, powercutDurability how its commits are flushed.
const (
	powercutEnv        = "FIELDGATE_POWERCUT_LOAD"
	powercutDurability = "FIELDGATE_POWERCUT_DURABILITY"
	powercutShare      = "FIELDGATE_POWERCUT_SHARE" // one in so many of the messages, for a short run
)

// shareOf gives how many of so many messages are sent.
func shareOf(messages int) int {
	share, err := strconv.Atoi(os.Getenv(powercutShare))
	if err != nil {
		return messages
	}
	return messages / share
}

// powercutRetained is the number of topics with a retained message.
const powercutRetained = 10

// line is a publisher with the sessions that get its messages.
type line struct {
	topic   string
	qos     mqtt.QoS
	limit   int
	online  []string
	offline []string // sessions without a connection after they have subscribed
}

func powercutLines() []line {
	return []line{
		{"one", mqtt.AtLeastOnce, 2500, []string{"one-a"}, nil},
		{"one-kept", mqtt.AtLeastOnce, 1000, nil, []string{"one-kept-a"}},
		{"three", mqtt.AtLeastOnce, 1000, []string{"three-a", "three-b"}, []string{"three-c"}},
		{"once", mqtt.ExactlyOnce, 1500, []string{"once-a"}, nil},
		{"once-three", mqtt.ExactlyOnce, 700, []string{"once-three-a", "once-three-b"}, []string{"once-three-c"}},
	}
}

// In the line "bulk" a session gets everything and ends, another one a message in bulkShare: what it is owed makes
// segments thin, and they are merged while the other lines go on.
const (
	bulkMessages = 21000
	bulkShare    = 100
)

func bulkTopic(number int) string {
	if number%bulkShare == 0 {
		return "bulk/few"
	}
	return "bulk/many"
}

// rig is a broker on a data folder.
type rig struct {
	t       *testing.T
	db      *storage.DB
	broker  *broker.Broker
	alarms  *fault.Alarms
	address string
	stop    func()
}

func newRig(t *testing.T, dir string) *rig {
	t.Helper()
	cfg := storage.Default()
	cfg.DataDir, cfg.Spool.MinFreeDisk = dir, 0
	if durability := os.Getenv(powercutDurability); durability != "" {
		cfg.Spool.Durability = storage.Durability(durability)
	}
	r := &rig{t: t, alarms: &fault.Alarms{}}
	log := slog.New(slog.DiscardHandler)
	var err error
	r.db, err = storage.Open(cfg, r.alarms, log)
	require.NoError(t, err)
	bc := broker.DefaultConfig()
	bc.Listeners = []listen.Config{{Address: "127.0.0.1:0"}}
	bc.AllowAnonymous, bc.MaxInflight, bc.MaxQueuedMessages = true, 200, 1_000_000
	r.broker, err = broker.New(bc, r.db.Spool(), nil, r.alarms, log)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { _ = r.broker.Run(ctx) })
	r.stop = func() {
		cancel()
		running.Wait()
		require.NoError(t, r.db.Close())
	}
	await(t, "the broker listens", func() bool { return len(r.broker.Addrs()) == 1 })
	r.address = r.broker.Addrs()[0].String()
	return r
}

// promises is where promise writes when it is recorded here and not by the tool.
var promises = sync.OnceValue(openPowercutLog)

func promise(format string, args ...any) {
	text := fmt.Sprintf(format, args...) + "\n"
	if log := promises(); log != nil {
		_, _ = log.Write(encodePromise(text))
		return
	}
	_, _ = os.Stdout.WriteString(text)
}

func (r *rig) subscriber(id, filter string, qos mqtt.QoS) *subscriber {
	s := newSubscriber(r.address, filter, qos)
	s.id, s.tell = id, promise
	return s
}

func (r *rig) publisher(topic string, qos mqtt.QoS, limit int) *publisher {
	p := newPublisher(r.address, topic, qos)
	p.limit, p.tell = limit, promise
	switch topic {
	case "bulk":
		p.window, p.topicOf = 200, bulkTopic
	case "retained":
		p.retain, p.topicOf = true, retainedTopic
	}
	return p
}

func retainedTopic(number int) string { return "retained/" + strconv.Itoa(number%powercutRetained) }

// TestPowercut_Load is what the rig records.
func TestPowercut_Load(t *testing.T) {
	dir := os.Getenv(powercutEnv)
	if dir == "" {
		t.Skip("only the power-cut rig runs this")
	}
	r := newRig(t, dir)
	defer r.stop()
	var pubs []*publisher
	start := func(topic string, qos mqtt.QoS, limit int) *publisher {
		p := r.publisher(topic, qos, limit)
		p.start()
		return p
	}
	subscribe := func(id, filter string, qos mqtt.QoS) *subscriber {
		s := r.subscriber(id, filter, qos)
		s.start()
		<-s.ready
		return s
	}
	subscribe("bulk-all", "bulk/#", mqtt.AtLeastOnce).close()
	subscribe("bulk-few", "bulk/few", mqtt.AtLeastOnce).close()
	bulk := start("bulk", mqtt.AtLeastOnce, bulkMessages)
	retained := start("retained", mqtt.AtLeastOnce, shareOf(500))
	defer retained.close()
	await(t, "the queue is long", bulk.idle)
	bulk.close()
	promise("ending bulk-all")
	require.NoError(t, r.broker.EndSession(t.Context(), "bulk-all", "the rig"))
	promise("ended bulk-all")
	for _, l := range powercutLines() {
		for _, id := range l.online {
			s := subscribe(id, l.topic, l.qos)
			defer s.close()
		}
		for _, id := range l.offline {
			subscribe(id, l.topic, l.qos).close()
		}
		pubs = append(pubs, start(l.topic, l.qos, shareOf(l.limit)))
		defer pubs[len(pubs)-1].close()
	}
	churn(r)
	for _, p := range append(pubs, retained) {
		await(t, p.topic+" is acknowledged", p.idle)
	}
	time.Sleep(1200 * time.Millisecond) // what is lazy, and the merge, at the end
}

// churn subscribes and unsubscribes a session again and again.
func churn(r *rig) {
	const rounds = 60
	c := &client{address: r.address, id: "churn"}
	answers := make(chan struct{}, 1)
	c.onConnect = func(bool) { answers <- struct{}{} }
	c.onPacket = func([]byte) { answers <- struct{}{} }
	c.start()
	<-answers
	for n := range rounds {
		filter := "churn/" + strconv.Itoa(n)
		promise("subscribing %s", filter)
		sub := packet.Subscribe{PacketID: 1, Subscriptions: []mqtt.Subscription{{Filter: filter, QoS: 1}}}
		c.send(sub.Append(nil, mqtt.V311))
		<-answers
		promise("has %s", filter)
		if n%3 == 0 {
			continue
		}
		promise("unsubscribing %s", filter)
		unsub := packet.Unsubscribe{PacketID: 2, Filters: []string{filter}}
		c.send(unsub.Append(nil, mqtt.V311))
		<-answers
		promise("left %s", filter)
	}
	c.close()
}

// memory is what the clients and the rig knew when the power was cut.
type memory struct {
	sent      map[string]map[int]uint16 // packet identifiers by topic and number
	safe      map[string][]int
	done      map[string]map[int]bool
	got       map[string][]int // numbers by session
	held      map[string]map[uint16]bool
	there     map[string]bool   // sessions with a SUBACK
	ending    map[string]bool   // sessions that were about to end
	ended     map[string]bool   // sessions that have ended
	subscribe map[string]string // the last word on each filter of churn
}

func remember(t *testing.T, file string) *memory {
	t.Helper()
	m := &memory{
		sent: map[string]map[int]uint16{}, safe: map[string][]int{}, done: map[string]map[int]bool{}, got: map[string][]int{},
		held: map[string]map[uint16]bool{}, there: map[string]bool{}, ending: map[string]bool{}, ended: map[string]bool{}, subscribe: map[string]string{},
	}
	f, err := os.Open(file)
	require.NoError(t, err)
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		m.note(strings.Fields(lines.Text()))
	}
	return m
}

func (m *memory) note(words []string) {
	if len(words) < 2 {
		return
	}
	kind, name := words[0], words[1]
	numbers := [2]int{}
	for i, word := range words[2:] {
		numbers[i], _ = strconv.Atoi(word)
	}
	n := numbers[0]
	switch kind {
	case "sent":
		put(m.sent, name, n, uint16(numbers[1]))
	case "safe":
		m.safe[name] = append(m.safe[name], n)
	case "done":
		put(m.done, name, n, true)
	case "got":
		m.got[name] = append(m.got[name], n)
		put(m.held, name, uint16(numbers[1]), true)
	case "released":
		delete(m.held[name], uint16(n))
	case "subscribed":
		m.there[name] = true
	case "ending":
		m.ending[name] = true
	case "ended":
		m.ended[name] = true
	case "subscribing", "has", "unsubscribing", "left":
		m.subscribe[name] = kind
	}
}

func put[K comparable, V any](in map[string]map[K]V, name string, key K, value V) {
	if in[name] == nil {
		in[name] = map[K]V{}
	}
	in[name][key] = value
}

// publisher gives a publisher back what it knew; it sends again what was not acknowledged.
func (m *memory) publisher(r *rig, topic string, qos mqtt.QoS) *publisher {
	p := r.publisher(topic, qos, 0)
	p.quiet, p.tell = true, func(string, ...any) {}
	safe := map[int]bool{}
	for _, n := range m.safe[topic] {
		safe[n] = true
	}
	p.acknowledged = slices.Clone(m.safe[topic])
	for _, n := range slices.Sorted(maps.Keys(m.sent[topic])) {
		p.next = n + 1
		if m.done[topic][n] || safe[n] && qos == mqtt.AtLeastOnce {
			continue
		}
		p.inflight = append(p.inflight, outgoing{number: n, packetID: m.sent[topic][n], received: safe[n]})
	}
	return p
}

// TestPowercut_Judge is the judge of one state.
func TestPowercut_Judge(t *testing.T) {
	dir := os.Getenv("POWERCUT_DIR")
	if dir == "" {
		t.Skip("only the power-cut rig runs this")
	}
	m := remember(t, os.Getenv("POWERCUT_ACKS"))
	r := newRig(t, dir)
	defer r.stop()
	list, _ := r.alarms.List()
	require.Empty(t, list, "the state does not open as it should")
	m.judgeBulk(t, r)
	m.judgeRetained(t, r)
	m.judgeSubscriptions(t, r)
	for _, l := range powercutLines() {
		m.judgeLine(t, r, l)
	}
}

func (m *memory) judgeBulk(t *testing.T, r *rig) {
	t.Helper()
	all, found := r.broker.Session("bulk-all")
	if m.there["bulk-all"] && !m.ending["bulk-all"] {
		require.True(t, found, "session bulk-all is lost")
		require.GreaterOrEqual(t, int(all.Queue.Messages), len(m.safe["bulk"]), "bulk-all has lost messages")
	}
	if m.ended["bulk-all"] {
		require.False(t, found, "session bulk-all has ended and is there again")
	}
	if !m.there["bulk-few"] {
		return
	}
	var few []int
	for after := mqtt.MsgID(0); ; {
		page, err := r.broker.PeekQueue("bulk-few", after, 1000, 1<<20)
		require.NoError(t, err)
		if len(page) == 0 {
			break
		}
		for _, q := range page {
			n, err := strconv.Atoi(string(q.Message.Payload))
			require.NoError(t, err)
			few = append(few, n)
			after = q.Message.ID
		}
	}
	require.Empty(t, unsorted(few), "bulk-few is out of order")
	m.requireSafe(t, "bulk", "bulk-few", firstOccurrences(few), func(n int) bool { return n%bulkShare == 0 })
}

// requireSafe compares what a session has with what was acknowledged of the messages that it is owed.
func (m *memory) requireSafe(t *testing.T, topic, id string, has []int, owed func(n int) bool) {
	t.Helper()
	there := map[int]bool{}
	for _, n := range has {
		there[n] = true
	}
	var lost []int
	for _, n := range m.safe[topic] {
		if owed(n) && !there[n] {
			lost = append(lost, n)
		}
	}
	require.Empty(t, lost, "%s has lost %d of %d acknowledged messages of %s", id, len(lost), len(m.safe[topic]), topic)
}

func (m *memory) judgeRetained(t *testing.T, r *rig) {
	t.Helper()
	list, _, err := r.broker.Retained("retained/#", "", 100)
	require.NoError(t, err)
	has := map[string]int{}
	for _, message := range list {
		has[message.Topic], err = strconv.Atoi(string(message.Payload))
		require.NoError(t, err)
	}
	for _, n := range m.safe["retained"] {
		value, found := has[retainedTopic(n)]
		require.True(t, found && value >= n, "retained message of %s is %d (found: %v), %d was acknowledged", retainedTopic(n), value, found, n)
	}
}

func (m *memory) judgeSubscriptions(t *testing.T, r *rig) {
	t.Helper()
	info, _ := r.broker.Session("churn")
	has := map[string]bool{}
	for _, s := range info.Subscriptions {
		has[s.Filter] = true
	}
	for filter, word := range m.subscribe {
		require.False(t, word == "has" && !has[filter], "the subscription to %s was acknowledged and is lost", filter)
		require.False(t, word == "left" && has[filter], "the subscription to %s has ended and is there again", filter)
	}
}

// judgeLine lets the clients of a line go on, and publishes one message more, which says that all others have come.
func (m *memory) judgeLine(t *testing.T, r *rig, l line) {
	t.Helper()
	p := m.publisher(r, l.topic, l.qos)
	p.limit = p.next + 1
	p.quiet = false
	last := p.next
	var subs []*subscriber
	for _, id := range slices.Concat(l.online, l.offline) {
		if !m.there[id] {
			continue
		}
		s := newSubscriber(r.address, l.topic, l.qos)
		s.id, s.numbers = id, slices.Clone(m.got[id])
		if l.qos == mqtt.ExactlyOnce {
			for packetID := range m.held[id] {
				s.held[packetID] = true
			}
		}
		s.start()
		defer s.close()
		subs = append(subs, s)
	}
	if len(subs) == 0 {
		return
	}
	p.start()
	defer p.close()
	await(t, l.topic+" is acknowledged", p.idle)
	for _, s := range subs {
		arrived := func() bool { return slices.Contains(s.got(), last) }
		for deadline := time.Now().Add(patience); !arrived() && time.Now().Before(deadline); time.Sleep(2 * time.Millisecond) {
		}
		numbers := s.got()
		s.mu.Lock()
		absent := s.absent
		s.mu.Unlock()
		require.False(t, absent, "session %s is lost", s.id)
		require.True(t, arrived(), "%s does not get message %d of %s", s.id, last, l.topic)
		first := firstOccurrences(numbers)
		require.Empty(t, unsorted(first), "%s is out of order", s.id)
		m.requireSafe(t, l.topic, s.id, first, func(int) bool { return true })
		if l.qos == mqtt.ExactlyOnce {
			require.Empty(t, repeated(numbers), "%s got messages twice", s.id)
		}
	}
}
