package uplink_test

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"os"
	"os/exec"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"fieldgate/bridges"
	"fieldgate/bridges/uplink"
	"fieldgate/broker/mqtt"
	"fieldgate/internal/leak"
)

func TestMain(m *testing.M) { leak.Main(m) }

// patience bounds every wait of these tests; none of them waits for it when all is well.
const patience = 20 * time.Second

// gateway plays the part of the gateway that an uplink sees: it keeps a queue
// and records what comes down and what state the uplink reports.
type gateway struct {
	mu       sync.Mutex
	queue    []mqtt.Delivery
	next     int // queue[:next] was handed out
	lastID   mqtt.MsgID
	down     []*mqtt.Message
	states   []bridges.State
	reasons  []string
	counters map[string]int64
	changed  chan struct{} // replaced and closed at every change
	unsafe   bool          // publications are accepted and never become safe
	unkept   int           // publications that can't be kept, from the first one on
}

func newGateway() *gateway { return &gateway{changed: make(chan struct{})} }

func (g *gateway) change(f func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	f()
	close(g.changed)
	g.changed = make(chan struct{})
}

// await returns when cond, called under the lock, is true.
func (g *gateway) await(t *testing.T, what string, cond func() bool) {
	t.Helper()
	deadline := time.After(patience)
	for {
		g.mu.Lock()
		done, changed := cond(), g.changed
		g.mu.Unlock()
		if done {
			return
		}
		select {
		case <-changed:
		case <-deadline:
			t.Fatalf("waited in vain until %s", what)
		}
	}
}

func (g *gateway) awaitState(t *testing.T, s bridges.State) (reason string) {
	t.Helper()
	g.await(t, "the state is "+string(s), func() bool {
		n := len(g.states)
		if n > 0 && g.states[n-1] == s {
			reason = g.reasons[n-1]
			return true
		}
		return false
	})
	return reason
}

func (g *gateway) offer(topic, payload string, qos mqtt.QoS) {
	g.change(func() {
		g.lastID++
		m := &mqtt.Message{ID: g.lastID, Topic: topic, Payload: []byte(payload), QoS: qos, Accepted: time.Now()}
		g.queue = append(g.queue, mqtt.Delivery{Message: m, QoS: qos})
	})
}

func (g *gateway) waiting() int { return len(g.queue) }

func (g *gateway) Publish(_ context.Context, m *mqtt.Message, safe func(error)) error {
	g.change(func() { g.down = append(g.down, m) })
	g.mu.Lock()
	unkept := g.unkept > 0
	g.unkept--
	g.mu.Unlock()
	switch {
	case safe == nil || g.unsafe:
	case unkept:
		safe(errors.New("full"))
	default:
		safe(nil)
	}
	return nil
}

func (g *gateway) Attach(context.Context, mqtt.Attachment) (bridges.Source, error) {
	g.change(func() { g.next = 0 })
	return (*source)(g), nil
}
func (g *gateway) Forget(context.Context, string) error             { return nil }
func (g *gateway) Report(context.Context, ...bridges.Reading) error { return nil }
func (g *gateway) SetDevice(string, bridges.State, string)          {}
func (g *gateway) SetDeviceCounters(string, map[string]int64)       {}
func (g *gateway) SetCounters(c map[string]int64) {
	g.change(func() { g.counters = c })
}
func (g *gateway) SetState(s bridges.State, reason string) {
	g.change(func() { g.states, g.reasons = append(g.states, s), append(g.reasons, reason) })
}

type source gateway

func (s *source) Next(ctx context.Context, limit int) ([]mqtt.Delivery, error) {
	g := (*gateway)(s)
	for {
		g.mu.Lock()
		n := min(limit, len(g.queue)-g.next)
		batch, changed := slices.Clone(g.queue[g.next:g.next+n]), g.changed
		g.next += n
		g.mu.Unlock()
		if n > 0 {
			return batch, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func (s *source) Ack(ids ...mqtt.MsgID) {
	g := (*gateway)(s)
	g.change(func() {
		g.queue = slices.DeleteFunc(g.queue, func(d mqtt.Delivery) bool {
			if slices.Contains(ids, d.Message.ID) {
				g.next--
				return true
			}
			return false
		})
	})
}
func (s *source) Usage() mqtt.Usage { return mqtt.Usage{} }
func (s *source) Close() error      { return nil }

// start runs an uplink with the settings until the test ends.
func start(t *testing.T, g *gateway, settings string) (stop func()) {
	t.Helper()
	b, err := uplink.Kind.New(bridges.Config{ID: "cloud", Settings: json.RawMessage(settings)}, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	uplink.Hasten(b)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- b.Run(ctx, g) }()
	stop = sync.OnceFunc(func() {
		cancel()
		select {
		case err := <-ended:
			require.NoError(t, err)
		case <-time.After(patience):
			t.Fatal("the uplink does not stop")
		}
	})
	t.Cleanup(stop)
	return stop
}

// need finds a program of Debian's; under CI it must be there.
func need(t *testing.T, program string) string {
	t.Helper()
	path, err := exec.LookPath(program)
	if err != nil {
		if path = "/usr/sbin/" + program; fileExists(path) {
			return path
		}
		if os.Getenv("CI") == "true" {
			t.Fatalf("%s is missing: apt-get install mosquitto mosquitto-clients", program)
		}
		t.Skipf("%s is not installed", program)
	}
	return path
}

func fileExists(path string) bool { _, err := os.Stat(path); return err == nil }
