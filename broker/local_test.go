package broker_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"fieldgate/broker"
	"fieldgate/broker/mqtt"
	"fieldgate/broker/session"
	"fieldgate/broker/session/sessiontest"
	"fieldgate/internal/fault"
)

// quietBroker is a broker without network clients.
func quietBroker(t testing.TB, spool session.Spool) *broker.Broker {
	t.Helper()
	b, err := broker.New(broker.DefaultConfig(), spool, nil, &fault.Alarms{}, logger(t))
	require.NoError(t, err)
	return b
}

func attach(t testing.TB, b *broker.Broker, a mqtt.Attachment) *broker.Local {
	t.Helper()
	l, err := b.Attach(t.Context(), a)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, l.Close()) })
	return l
}

// publish publishes and waits until the message is safe.
func publish(t testing.TB, b *broker.Broker, m mqtt.Message) {
	t.Helper()
	done := make(chan error, 1)
	require.NoError(t, b.Publish(t.Context(), &m, func(err error) { done <- err }))
	require.NoError(t, <-done)
}

// next gives exactly n deliveries.
func next(t testing.TB, l *broker.Local, n int) []mqtt.Delivery {
	t.Helper()
	var all []mqtt.Delivery
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for len(all) < n {
		got, err := l.Next(ctx, n-len(all))
		require.NoError(t, err)
		all = append(all, got...)
	}
	return all
}

// nothing asserts that no delivery waits.
func nothing(t testing.TB, l *broker.Local) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	got, err := l.Next(ctx, 1)
	require.ErrorIs(t, err, context.DeadlineExceeded, "%v", got)
}

func payloads(ds []mqtt.Delivery) []string {
	var list []string
	for _, d := range ds {
		list = append(list, string(d.Message.Payload))
	}
	return list
}

func uplink(filters ...string) mqtt.Attachment {
	a := mqtt.Attachment{ClientID: "$uplink/cloud", Durable: true}
	for _, f := range filters {
		a.Subscriptions = append(a.Subscriptions, mqtt.Subscription{Filter: f, QoS: 1})
	}
	return a
}

func TestDurableLocal_GetsAgainWhatItDidNotAcknowledge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		spool := sessiontest.NewMemory()
		t.Cleanup(func() { spool.Close() })
		b := quietBroker(t, spool)
		l := attach(t, b, uplink("v/#"))
		for n := range 5 {
			publish(t, b, mqtt.Message{Topic: "v/1", Payload: fmt.Append(nil, n), QoS: 1})
		}
		got := next(t, l, 3)
		require.Equal(t, []string{"0", "1", "2"}, payloads(got))
		require.False(t, got[0].Dup)
		require.Equal(t, got[0].Message.ID.PacketID(), got[0].PacketID)
		l.Ack(got[0].Message.ID, got[2].Message.ID)
		require.Equal(t, []string{"3", "4"}, payloads(next(t, l, 2)))
		nothing(t, l)
		require.EqualValues(t, 3, l.Usage().Messages)
		require.NoError(t, l.Close())
		publish(t, b, mqtt.Message{Topic: "v/1", Payload: []byte("5"), QoS: 1})

		l = attach(t, b, uplink("v/#"))
		got = next(t, l, 4)
		require.Equal(t, []string{"1", "3", "4", "5"}, payloads(got))
		require.Equal(t, []bool{true, true, true, false}, []bool{got[0].Dup, got[1].Dup, got[2].Dup, got[3].Dup})
		require.NoError(t, l.Close())

		spool = spool.Reopen()
		b = quietBroker(t, spool)
		l = attach(t, b, uplink("v/#"))
		got = next(t, l, 4)
		require.Equal(t, []string{"1", "3", "4", "5"}, payloads(got))
		for _, d := range got {
			require.True(t, d.Dup, "after a restart nobody knows")
			l.Ack(d.Message.ID)
		}
		require.Zero(t, l.Usage())
	})
}

func TestDurableLocal_QoS2ShowsWhenCommitted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		spool := sessiontest.NewMemory()
		t.Cleanup(spool.Close)
		b := quietBroker(t, spool)
		a := uplink("v")
		a.Subscriptions[0].QoS = 2
		l := attach(t, b, a)
		spool.Hold()
		require.NoError(t, b.Publish(t.Context(), &mqtt.Message{Topic: "v", QoS: 2}, nil))
		nothing(t, l)
		spool.Release()
		require.Equal(t, mqtt.ExactlyOnce, next(t, l, 1)[0].QoS)
	})
}

func TestLocal_TakesQoS0WhileAttached(t *testing.T) {
	b := quietBroker(t, memory(t))
	l := attach(t, b, uplink("v"))
	publish(t, b, mqtt.Message{Topic: "v", Payload: []byte("now")})
	d := next(t, l, 1)[0]
	require.Zero(t, d.PacketID)
	require.Equal(t, mqtt.AtMostOnce, d.QoS)
	require.NoError(t, l.Close())
	publish(t, b, mqtt.Message{Topic: "v", Payload: []byte("nobody is here")})
	nothing(t, attach(t, b, uplink("v")))
}

func TestVolatileLocal_KeepsABoundedQueue(t *testing.T) {
	b := quietBroker(t, memory(t))
	a := mqtt.Attachment{ClientID: "$bridge/x", MaxMessages: 3, Subscriptions: []mqtt.Subscription{{Filter: "v", QoS: 2}}}
	l := attach(t, b, a)
	for n := range 5 {
		publish(t, b, mqtt.Message{Topic: "v", Payload: fmt.Append(nil, n), QoS: 1})
	}
	require.EqualValues(t, 3, l.Usage().Messages)
	require.Equal(t, []string{"2", "3", "4"}, payloads(next(t, l, 3)))
	require.EqualValues(t, 2, b.Stats().PublishDropped)
	require.NoError(t, l.Close())
	_, err := l.Next(t.Context(), 1)
	require.ErrorIs(t, err, broker.ErrClosed)
	require.Zero(t, b.Stats().Subscriptions, "it ended with its attachment")
}

func TestLocal_SubscriptionsAreTheWholeSet(t *testing.T) {
	spool := sessiontest.NewMemory()
	t.Cleanup(func() { spool.Close() })
	b := quietBroker(t, spool)
	publish(t, b, mqtt.Message{Topic: "r/1", Payload: []byte("kept"), QoS: 1, Retain: true})
	l := attach(t, b, uplink("r/1", "old"))
	d := next(t, l, 1)[0]
	require.True(t, d.Retain)
	l.Ack(d.Message.ID)
	require.NoError(t, l.Close())
	l = attach(t, b, uplink("r/1", "new"))
	publish(t, b, mqtt.Message{Topic: "old", QoS: 1})
	publish(t, b, mqtt.Message{Topic: "new", QoS: 1})
	got := next(t, l, 1)
	require.Equal(t, "new", got[0].Message.Topic, "no retained message for a subscription that it had")
	nothing(t, l)
	spool = spool.Reopen()
	info := quietBroker(t, spool).Clients()
	require.Len(t, info, 1)
	require.Equal(t, []mqtt.Subscription{{Filter: "new", QoS: 1}, {Filter: "r/1", QoS: 1}}, info[0].Subscriptions)
}

func TestLocal_NoLocal(t *testing.T) {
	b := quietBroker(t, memory(t))
	a := uplink("v")
	a.Subscriptions[0].NoLocal = true
	l := attach(t, b, a)
	publish(t, b, mqtt.Message{Topic: "v", QoS: 1, Origin: "$uplink/cloud", Payload: []byte("own")})
	publish(t, b, mqtt.Message{Topic: "v", QoS: 1, Origin: "$uplink/other", Payload: []byte("foreign")})
	require.Equal(t, []string{"foreign"}, payloads(next(t, l, 1)))
}

func TestLocal_MayNotBeAttachedTwice(t *testing.T) {
	b := quietBroker(t, memory(t))
	attach(t, b, uplink("v"))
	_, err := b.Attach(t.Context(), uplink("v"))
	require.Equal(t, fault.Conflict, fault.CodeOf(err))
	_, err = b.Attach(t.Context(), mqtt.Attachment{ClientID: "$uplink/cloud"})
	require.Equal(t, fault.Conflict, fault.CodeOf(err))
}

func TestAttach_RefusesBadInput(t *testing.T) {
	b := quietBroker(t, memory(t))
	for _, c := range []struct {
		name string
		a    mqtt.Attachment
	}{
		{"no identifier", mqtt.Attachment{}},
		{"an identifier of a network client", mqtt.Attachment{ClientID: "x"}},
		{"a bad filter", uplink("a/#/b")},
		{"an empty filter", uplink("")},
	} {
		_, err := b.Attach(t.Context(), c.a)
		require.Equal(t, fault.Invalid, fault.CodeOf(err), c.name)
	}
	require.Empty(t, b.Clients())
}

func TestForget_EndsASessionWithItsQueue(t *testing.T) {
	spool := sessiontest.NewMemory()
	t.Cleanup(func() { spool.Close() })
	b := quietBroker(t, spool)
	l := attach(t, b, uplink("v"))
	publish(t, b, mqtt.Message{Topic: "v", QoS: 1})
	require.NoError(t, b.Forget(t.Context(), "$uplink/cloud"))
	_, err := l.Next(t.Context(), 1)
	require.ErrorIs(t, err, broker.ErrClosed)
	require.NoError(t, b.Forget(t.Context(), "$uplink/cloud"), "there is none")
	require.Error(t, b.Forget(t.Context(), "network"))
	nothing(t, attach(t, b, uplink("v")))
	require.NoError(t, b.Forget(t.Context(), "$uplink/cloud"))
	spool = spool.Reopen()
	require.Empty(t, quietBroker(t, spool).Clients())
}

func TestPublish_TellsWhenItIsSafe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		spool := sessiontest.NewMemory()
		t.Cleanup(spool.Close)
		b := quietBroker(t, spool)
		l := attach(t, b, uplink("v"))
		spool.Hold()
		safe := make(chan error, 10)
		report := func(err error) { safe <- err }
		require.NoError(t, b.Publish(t.Context(), &mqtt.Message{Topic: "nobody", QoS: 1}, report))
		require.NoError(t, <-safe, "nothing to keep")
		require.NoError(t, b.Publish(t.Context(), &mqtt.Message{Topic: "v", QoS: 1}, report))
		synctest.Wait()
		require.Empty(t, safe)
		require.Len(t, next(t, l, 1), 1, "QoS 1 is delivered before it is safe")
		full := errors.New("disk full")
		spool.Fail(full)
		spool.Release()
		require.ErrorIs(t, <-safe, full)
	})
}

func TestPublish_WaitsAtItsLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		spool := sessiontest.NewMemory()
		t.Cleanup(spool.Close)
		b := quietBroker(t, spool)
		attach(t, b, uplink("v"))
		spool.Hold()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		accepted := 0
		var err error
		for err == nil && accepted < 1000 {
			if err = b.Publish(ctx, &mqtt.Message{Topic: "v", QoS: 1, Payload: make([]byte, 100<<10)}, nil); err == nil {
				accepted++
			}
		}
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Greater(t, accepted, 10)
		require.Less(t, accepted, 100)
		spool.Release()
		require.NoError(t, b.Publish(t.Context(), &mqtt.Message{Topic: "v", QoS: 1, Payload: make([]byte, 100<<10)}, nil))
	})
}

func TestPublish_RefusesBadInput(t *testing.T) {
	b := quietBroker(t, memory(t))
	for _, c := range []struct {
		name string
		m    mqtt.Message
	}{
		{"no topic", mqtt.Message{}},
		{"a wildcard", mqtt.Message{Topic: "a/+"}},
		{"QoS 3", mqtt.Message{Topic: "a", QoS: 3}},
	} {
		require.Equal(t, fault.Invalid, fault.CodeOf(b.Publish(t.Context(), &c.m, nil)), c.name)
	}
}

func TestNext_LeavesOutWhatHasExpired(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		spool := sessiontest.NewMemory()
		t.Cleanup(spool.Close)
		b := quietBroker(t, spool)
		l := attach(t, b, uplink("v"))
		for range 300 { // more than one page of them
			publish(t, b, mqtt.Message{Topic: "v", QoS: 1, Expiry: time.Second})
		}
		publish(t, b, mqtt.Message{Topic: "v", QoS: 1, Payload: []byte("kept"), Expiry: time.Minute})
		time.Sleep(2 * time.Second)
		got := next(t, l, 1)
		require.Equal(t, "kept", string(got[0].Message.Payload))
		synctest.Wait()
		require.EqualValues(t, 1, l.Usage().Messages)
		require.EqualValues(t, 300, b.Stats().PublishExpired)
	})
}

// recorder notes what the broker asks of its spool.
type recorder struct {
	*sessiontest.Memory
	entries []session.Entry
}

func (r *recorder) Append(e session.Entry, safe func(error)) mqtt.MsgID {
	r.entries = append(r.entries, e)
	return r.Memory.Append(e, safe)
}

func TestBroker_TellsTheSpoolWhoIsLive(t *testing.T) {
	spool := &recorder{Memory: sessiontest.NewMemory()}
	defer spool.Close()
	b := quietBroker(t, spool)
	a := mqtt.Attachment{ClientID: "$a", Durable: true, Subscriptions: []mqtt.Subscription{{Filter: "a", QoS: 1}}}
	l := attach(t, b, a)
	spool.Hold()
	done := make(chan error, 1)
	require.NoError(t, b.Publish(t.Context(), &mqtt.Message{Topic: "a", QoS: 1}, func(err error) { done <- err }))
	l.Ack(next(t, l, 1)[0].Message.ID)
	require.NoError(t, <-done, "acknowledged by all, though nothing is committed")
	require.NoError(t, b.Publish(t.Context(), &mqtt.Message{Topic: "a", QoS: 1}, nil))
	require.NoError(t, l.Close())
	require.NoError(t, b.Publish(t.Context(), &mqtt.Message{Topic: "a", QoS: 1}, nil))
	spool.Release()

	require.Len(t, spool.entries, 3)
	for i, want := range []struct{ live, unhurried, ordered bool }{{true, false, true}, {true, true, false}, {false, true, false}} {
		e := spool.entries[i]
		require.Equal(t, want.live, e.Owed[0].Live, "entry %d", i)
		require.Equal(t, want.unhurried, e.Unhurried, "entry %d", i)
		require.Equal(t, want.ordered, e.Publisher != 0, "entry %d", i)
	}
}
