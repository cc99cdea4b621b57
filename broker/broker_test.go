package broker_test

import (
	"context"
	"log/slog"
	"net"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"fieldgate/broker"
	"fieldgate/broker/listen"
	"fieldgate/broker/mqtt"
	"fieldgate/broker/session"
	"fieldgate/broker/session/sessiontest"
	"fieldgate/internal/fault"
	"fieldgate/internal/leak"
)

func TestMain(m *testing.M) { leak.Main(m) }

// testBroker is a broker that runs until the test ends.
type testBroker struct {
	*broker.Broker
	stop func()
}

// logger writes warnings and errors, or all with FIELDGATE_TEST_LOG=1.
func logger(t testing.TB) *slog.Logger {
	level := slog.LevelError
	if os.Getenv("FIELDGATE_TEST_LOG") != "" {
		level = slog.LevelDebug
	}
	return slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: level}))
}

func start(t testing.TB, spool session.Spool, change func(*broker.Config)) *testBroker {
	t.Helper()
	return startWith(t, spool, nil, change)
}

func startWith(t testing.TB, spool session.Spool, auth broker.Authenticator, change func(*broker.Config)) *testBroker {
	t.Helper()
	cfg := broker.DefaultConfig()
	cfg.Listeners = nil
	cfg.AllowAnonymous = true
	if change != nil {
		change(&cfg)
	}
	b, err := broker.New(cfg, spool, auth, &fault.Alarms{}, logger(t))
	require.NoError(t, err)
	return &testBroker{Broker: b, stop: run(t, b)}
}

// run runs the broker until stop is called, or the test ends.
func run(t testing.TB, b *broker.Broker) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	ran := make(chan error, 1)
	go func() { ran <- b.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		require.NoError(t, <-ran)
	})
	t.Cleanup(stop)
	return stop
}

func memory(t testing.TB) *sessiontest.Memory {
	m := sessiontest.NewMemory()
	t.Cleanup(m.Close)
	return m
}

// onTCP makes the broker listen on a free port.
func onTCP(c *broker.Config) { c.Listeners = []listen.Config{{Address: "127.0.0.1:0"}} }

// address waits for the listener.
func (b *testBroker) address(t testing.TB) *net.TCPAddr {
	t.Helper()
	var addrs []net.Addr
	require.Eventually(t, func() bool {
		addrs = b.Addrs()
		return len(addrs) > 0
	}, 10*time.Second, time.Millisecond)
	return addrs[0].(*net.TCPAddr)
}

func TestPublish_ReachesAnAttachedSessionBeforeRun(t *testing.T) {
	b, err := broker.New(broker.DefaultConfig(), memory(t), nil, &fault.Alarms{}, logger(t))
	require.NoError(t, err)
	ctx := t.Context()
	local, err := b.Attach(ctx, mqtt.Attachment{ClientID: "$uplink/cloud", Durable: true, Subscriptions: []mqtt.Subscription{{Filter: "a/#", QoS: 1}}})
	require.NoError(t, err)
	safe, wait := sessiontest.Await(t)
	require.NoError(t, b.Publish(ctx, &mqtt.Message{Topic: "a/b", Payload: []byte("x"), QoS: 1}, safe))
	got, err := local.Next(ctx, 10)
	require.NoError(t, err)
	require.Len(t, got, 1)
	require.Equal(t, "x", string(got[0].Message.Payload))
	require.NoError(t, wait())
	require.EqualValues(t, 1, local.Usage().Messages)
	local.Ack(got[0].Message.ID)
	require.Zero(t, local.Usage())
	require.NoError(t, local.Close())
}
