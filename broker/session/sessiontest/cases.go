package sessiontest

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"fieldgate/broker/mqtt"
	"fieldgate/broker/session"
)

func testIDsRise(t *testing.T, f *fixture) {
	f.sessions(1)
	var want []mqtt.MsgID
	for n := range 20 {
		m := message(n, mqtt.AtLeastOnce)
		id := f.spool.Append(session.Entry{Message: m, Owed: owed(mqtt.AtLeastOnce, 1)}, nil)
		require.Equal(t, id, m.ID, "Append sets the message's ID")
		if n > 0 {
			require.Greater(t, id, want[n-1])
		} else {
			require.GreaterOrEqual(t, id, mqtt.MsgID(1))
		}
		want = append(want, id)
		require.Equal(t, want, idsOf(f.page(1, 0, 100, 1<<20)), "visible as soon as Append has returned")
	}
}

func testPageLimits(t *testing.T, f *fixture) {
	f.sessions(1)
	var ids []mqtt.MsgID
	for n := range 10 {
		m := message(n, mqtt.AtLeastOnce)
		m.Payload = make([]byte, 100)
		ids = append(ids, f.spool.Append(session.Entry{Message: m, Owed: owed(mqtt.AtLeastOnce, 1)}, nil))
	}
	for _, c := range []struct {
		name            string
		after           mqtt.MsgID
		messages, bytes int
		want            []mqtt.MsgID
	}{
		{"all", 0, 100, 1 << 20, ids},
		{"a count", 0, 3, 1 << 20, ids[:3]},
		{"bytes for four", 0, 100, 450, ids[:4]},
		{"bytes for exactly four", 0, 100, 400, ids[:4]},
		{"the first alone is larger", 0, 100, 10, ids[:1]},
		{"after the third", ids[2], 100, 1 << 20, ids[3:]},
		{"after the third, two", ids[2], 2, 1 << 20, ids[3:5]},
		{"after the last", ids[9], 100, 1 << 20, []mqtt.MsgID{}},
		{"after what is to come", ids[9] + 1000, 100, 1 << 20, []mqtt.MsgID{}},
	} {
		require.Equal(t, c.want, idsOf(f.page(1, c.after, c.messages, c.bytes)), c.name)
	}
}

func testPageOfNobody(t *testing.T, f *fixture) {
	f.sessions(1)
	f.commit(session.Entry{Message: message(1, mqtt.AtLeastOnce), Owed: owed(mqtt.AtLeastOnce, 1)})
	require.Empty(t, f.page(2, 0, 10, 1000), "an unknown session")
	require.Zero(t, f.spool.Usage(2))
	f.spool.Acked(2, 1)
	f.spool.Acked(1, 1<<40)
	require.Len(t, f.all(1), 1)
}

func testCallbackOrder(t *testing.T, f *fixture) {
	f.sessions(1)
	var seen callbacks
	var want []int
	for n := range 200 {
		want = append(want, n)
		switch n % 4 {
		case 0, 1:
			f.spool.Append(session.Entry{Message: message(n, mqtt.AtLeastOnce), Owed: owed(mqtt.AtLeastOnce, 1)}, seen.note(n))
		case 2:
			f.spool.Apply(session.Change{Session: 1, Subscribe: []mqtt.Subscription{{Filter: fmt.Sprint("f/", n)}}}, seen.note(n))
		default:
			f.spool.Append(session.Entry{Message: message(n, mqtt.AtMostOnce), Retain: true}, seen.note(n))
		}
	}
	f.apply(session.Change{Session: 1, Unsubscribe: []string{"f/2"}})
	order, err := seen.seen()
	require.NoError(t, err)
	require.Equal(t, want, order)
}

func testQoS2Committed(t *testing.T, f *fixture) {
	f.sessions(1)
	holder, canHold := f.spool.(Holder)
	if canHold {
		holder.Hold()
	}
	first := f.spool.Append(session.Entry{Message: message(1, mqtt.AtLeastOnce), Owed: owed(mqtt.AtLeastOnce, 1)}, nil)
	second := f.spool.Append(session.Entry{Message: message(2, mqtt.ExactlyOnce), Owed: owed(mqtt.ExactlyOnce, 1)}, nil)
	safe, wait := Await(t)
	third := f.spool.Append(session.Entry{Message: message(3, mqtt.AtLeastOnce), Owed: owed(mqtt.AtLeastOnce, 1)}, safe)
	if canHold {
		require.Equal(t, []mqtt.MsgID{first}, idsOf(f.page(1, 0, 10, 1000)), "it stops before the delivery that is not committed")
		holder.Release()
	}
	require.NoError(t, wait())
	page := f.page(1, 0, 10, 1000)
	require.Equal(t, []mqtt.MsgID{first, second, third}, idsOf(page))
	require.Equal(t, mqtt.ExactlyOnce, page[1].QoS)
}

func testAcked(t *testing.T, f *fixture) {
	f.sessions(1)
	var ids []mqtt.MsgID
	for n := range 5 {
		ids = append(ids, f.spool.Append(session.Entry{Message: message(n, mqtt.AtLeastOnce), Owed: owed(mqtt.AtLeastOnce, 1)}, nil))
	}
	usage := f.spool.Usage(1)
	require.EqualValues(t, 5, usage.Messages)
	require.GreaterOrEqual(t, usage.Bytes, int64(5*len("payload 0")))
	require.WithinDuration(t, time.Now(), usage.Oldest, time.Minute)
	for _, i := range []int{2, 0, 0, 4} {
		f.spool.Acked(1, ids[i])
	}
	require.Equal(t, []mqtt.MsgID{ids[1], ids[3]}, idsOf(f.all(1)), "gone as soon as Acked has returned, twice is once")
	require.EqualValues(t, 2, f.spool.Usage(1).Messages)
	f.spool.Acked(1, ids[1])
	f.spool.Acked(1, ids[3])
	require.Empty(t, f.all(1))
	require.Zero(t, f.spool.Usage(1))
}

func testAckedCommitted(t *testing.T, f *fixture) {
	f.sessions(1)
	first := f.commit(session.Entry{Message: message(1, mqtt.AtLeastOnce), Owed: owed(mqtt.AtLeastOnce, 1)})
	second := f.commit(session.Entry{Message: message(2, mqtt.AtLeastOnce), Owed: owed(mqtt.AtLeastOnce, 1)})
	f.spool.Acked(1, first)
	third := f.commit(session.Entry{Message: message(3, mqtt.AtLeastOnce), Owed: owed(mqtt.AtLeastOnce, 1)})
	f.reopen()
	require.Equal(t, []mqtt.MsgID{second, third}, idsOf(f.all(1)))
}

func testOwedToSeveral(t *testing.T, f *fixture) {
	f.sessions(1, 2, 3, 4)
	m := message(1, mqtt.ExactlyOnce)
	id := f.commit(session.Entry{Message: m, Owed: []session.Owed{
		{Session: 1, QoS: mqtt.AtLeastOnce},
		{Session: 2, QoS: mqtt.ExactlyOnce, SubscriptionIDs: []uint32{7, 268435455}},
		{Session: 3, QoS: mqtt.AtLeastOnce, Retain: true},
	}})
	f.spool.Acked(1, id)
	for _, when := range []string{"at once", "after reopen"} {
		two, three := f.all(2), f.all(3)
		require.Len(t, two, 1, when)
		require.Equal(t, mqtt.ExactlyOnce, two[0].QoS, when)
		require.False(t, two[0].Retain, when)
		require.Equal(t, []uint32{7, 268435455}, two[0].SubscriptionIDs, when)
		require.Len(t, three, 1, when)
		require.Equal(t, mqtt.AtLeastOnce, three[0].QoS, when)
		require.True(t, three[0].Retain, when)
		require.Empty(t, three[0].SubscriptionIDs, when)
		require.Equal(t, m.Payload, three[0].Message.Payload, when)
		require.Empty(t, f.all(4), when)
		f.commit(session.Entry{Message: message(2, mqtt.AtMostOnce), Retain: true})
		f.reopen()
	}
	require.Empty(t, f.all(1), "acknowledged before a later commit")
	f.spool.Acked(2, id)
	require.Len(t, f.all(3), 1)
	f.spool.Acked(3, id)
	require.Empty(t, f.all(3))
}

func testEnd(t *testing.T, f *fixture) {
	f.sessions(1, 2)
	f.apply(session.Change{Session: 1, Subscribe: []mqtt.Subscription{{Filter: "a", QoS: 1}}})
	f.commit(session.Entry{Message: message(1, mqtt.ExactlyOnce), Owed: owed(mqtt.ExactlyOnce, 1, 2), From: 1, PacketID: 9})
	f.apply(session.Change{Session: 1, Released: []mqtt.MsgID{f.all(1)[0].Message.ID}})
	f.apply(session.Change{Session: 1, End: true})
	for _, when := range []string{"at once", "after reopen"} {
		require.Empty(t, f.all(1), when)
		require.Zero(t, f.spool.Usage(1), when)
		require.Len(t, f.all(2), 1, when)
		l := f.load()
		require.NotContains(t, l.records, session.ID(1), when)
		require.Contains(t, l.records, session.ID(2), when)
		require.Empty(t, l.subs[1], when)
		require.Empty(t, l.received[1], when)
		require.Empty(t, l.released[1], when)
		f.reopen()
	}
	f.commit(session.Entry{Message: message(2, mqtt.AtLeastOnce), Owed: owed(mqtt.AtLeastOnce, 1, 2)})
	require.Empty(t, f.all(1), "an ended session is owed nothing more")
	require.Len(t, f.all(2), 2)
}

func testPut(t *testing.T, f *fixture) {
	f.sessions(1)
	f.apply(session.Change{Session: 1, Subscribe: []mqtt.Subscription{{Filter: "a", QoS: 1}}})
	f.commit(session.Entry{Message: message(1, mqtt.AtLeastOnce), Owed: owed(mqtt.AtLeastOnce, 1)})
	changed := session.Record{ID: 1, ClientID: "client-1", Meta: []byte("second")}
	f.apply(session.Change{Session: 1, Put: &changed})
	f.reopen()
	l := f.load()
	require.Equal(t, changed, l.records[1])
	require.Len(t, l.subs[1], 1, "what belongs to the session stays")
	require.Len(t, f.all(1), 1)
}

func testUnhurried(t *testing.T, f *fixture) {
	f.sessions(1, 2)
	changed := session.Record{ID: 1, ClientID: "client-1", Meta: []byte("second")}
	f.spool.Apply(session.Change{Session: 1, Put: &changed, Unhurried: true}, nil)
	f.commit(session.Entry{Message: message(1, mqtt.AtLeastOnce), Owed: owed(mqtt.AtLeastOnce, 1)})
	require.Equal(t, changed, f.load().records[1])
	changed.Meta = []byte("third")
	f.spool.Apply(session.Change{Session: 1, Put: &changed, Unhurried: true}, nil)
	f.reopen()
	require.Equal(t, changed, f.load().records[1], "a stop takes it along")
	// an acknowledged message does not wait for it
	safe, wait := Await(t)
	f.spool.Apply(session.Change{Session: 1, Put: &changed, Unhurried: true}, nil)
	id := f.spool.Append(session.Entry{Message: message(2, mqtt.AtLeastOnce), Owed: []session.Owed{{Session: 2, QoS: mqtt.AtLeastOnce, Live: true}}}, safe)
	f.spool.Acked(2, id)
	require.NoError(t, wait())
}

func testNext(t *testing.T, f *fixture) {
	f.sessions(1)
	id := f.commit(session.Entry{Message: message(1, mqtt.AtLeastOnce), Owed: owed(mqtt.AtLeastOnce, 1)})
	f.reopen()
	var next mqtt.MsgID
	require.NoError(t, f.spool.Load(session.Visitor{Next: func(id mqtt.MsgID) { next = id }}))
	require.Greater(t, next, id)
	require.GreaterOrEqual(t, f.commit(session.Entry{Message: message(2, mqtt.AtLeastOnce), Owed: owed(mqtt.AtLeastOnce, 1)}), next)
}

func testSubscriptions(t *testing.T, f *fixture) {
	f.sessions(1, 2)
	full := mqtt.Subscription{Filter: "b/#", QoS: 2, NoLocal: true, RetainAsPublished: true, RetainHandling: 2, ID: 268435455}
	f.apply(session.Change{Session: 1, Subscribe: []mqtt.Subscription{{Filter: "a", QoS: 1}, full, {Filter: "c", QoS: 1}}})
	f.apply(session.Change{Session: 1, Subscribe: []mqtt.Subscription{{Filter: "a", QoS: 2}}, Unsubscribe: []string{"c", "never"}})
	f.apply(session.Change{Session: 2, Subscribe: []mqtt.Subscription{{Filter: "$share/g/a", QoS: 0}}})
	f.reopen()
	l := f.load()
	require.Equal(t, map[string]mqtt.Subscription{"a": {Filter: "a", QoS: 2}, "b/#": full}, l.subs[1])
	require.Equal(t, map[string]mqtt.Subscription{"$share/g/a": {Filter: "$share/g/a"}}, l.subs[2])
}

func testReceived(t *testing.T, f *fixture) {
	f.sessions(1, 2)
	f.commit(session.Entry{Message: message(1, mqtt.ExactlyOnce), Owed: owed(mqtt.ExactlyOnce, 2), From: 1, PacketID: 65535})
	f.commit(session.Entry{Message: message(2, mqtt.ExactlyOnce), From: 1, PacketID: 1})
	f.reopen()
	l := f.load()
	require.ElementsMatch(t, []uint16{1, 65535}, l.received[1])
	require.Empty(t, l.received[2])
	f.apply(session.Change{Session: 1, Forget: []uint16{65535, 3}})
	f.reopen()
	require.Equal(t, []uint16{1}, f.load().received[1])
	require.Len(t, f.all(2), 1, "the message does not go with the packet identifier")
}

func testReleased(t *testing.T, f *fixture) {
	f.sessions(1)
	var ids []mqtt.MsgID
	for n := range 3 {
		ids = append(ids, f.commit(session.Entry{Message: message(n, mqtt.ExactlyOnce), Owed: owed(mqtt.ExactlyOnce, 1)}))
	}
	f.apply(session.Change{Session: 1, Released: ids[:2]})
	require.Len(t, f.all(1), 3, "a released delivery is owed until it is acknowledged for good")
	f.reopen()
	require.Equal(t, ids[:2], f.load().released[1])
	require.Len(t, f.all(1), 3)
	f.spool.Acked(1, ids[0])
	f.commit(session.Entry{Message: message(3, mqtt.AtMostOnce), Retain: true})
	f.reopen()
	require.Equal(t, ids[1:2], f.load().released[1])
	require.Equal(t, ids[1:], idsOf(f.all(1)))
}

// A packet identifier may be used again once Completed is safe, so the file must not know the release then.
func testCompleted(t *testing.T, f *fixture) {
	f.sessions(1)
	var ids []mqtt.MsgID
	for n := range 3 {
		ids = append(ids, f.commit(session.Entry{Message: message(n, mqtt.ExactlyOnce), Owed: owed(mqtt.ExactlyOnce, 1)}))
	}
	f.apply(session.Change{Session: 1, Released: ids[:2]})
	f.apply(session.Change{Session: 1, Completed: ids[:1]})
	require.Equal(t, ids[1:2], f.load().released[1])
	require.Equal(t, ids[1:], idsOf(f.all(1)))
	f.reopen()
	require.Equal(t, ids[1:2], f.load().released[1])
	require.Equal(t, ids[1:], idsOf(f.all(1)))
}

func testRetained(t *testing.T, f *fixture) {
	retain := func(topic, payload string) {
		f.commit(session.Entry{Message: &mqtt.Message{Topic: topic, Payload: []byte(payload), QoS: 1, Retain: true, Accepted: time.Now()}, Retain: true})
	}
	retain("a", "first")
	retain("a", "second")
	retain("b", "gone")
	retain("b", "")
	retain("/", "slash")
	f.reopen()
	l := f.load()
	require.Len(t, l.retained, 2)
	require.Equal(t, "second", string(l.retained["a"].Payload))
	require.Equal(t, mqtt.AtLeastOnce, l.retained["a"].QoS)
	require.Equal(t, "slash", string(l.retained["/"].Payload))
	retain("a", "")
	retain("never", "")
	f.reopen()
	require.Len(t, f.load().retained, 1)
}

func testReopenFields(t *testing.T, f *fixture) {
	f.sessions(1)
	var want []mqtt.Message
	for _, m := range []mqtt.Message{
		{Topic: "plain", Payload: []byte("x"), QoS: 1},
		{Topic: "empty", QoS: 1},
		{Topic: "retain", Payload: []byte{0, 255}, QoS: 2, Retain: true},
		{Topic: "v5 ü/日本", Payload: []byte("p"), QoS: 1, Props: mqtt.Properties{1, 1}, Expiry: 90 * time.Second},
		{Topic: "large", Payload: make([]byte, 1<<20), QoS: 1},
	} {
		m.Accepted = time.Now().Truncate(time.Millisecond)
		id := f.commit(session.Entry{Message: &m, Owed: owed(mqtt.AtLeastOnce, 1)})
		m.ID = id
		want = append(want, m)
	}
	f.reopen()
	got := f.all(1)
	require.Len(t, got, len(want))
	for i, q := range got {
		m := *q.Message
		require.Equal(t, want[i].ID, m.ID)
		require.Equal(t, want[i].Topic, m.Topic)
		require.Equal(t, string(want[i].Payload), string(m.Payload), m.Topic)
		require.Equal(t, want[i].QoS, m.QoS, m.Topic)
		require.Equal(t, want[i].Retain, m.Retain, m.Topic)
		require.Equal(t, string(want[i].Props), string(m.Props), m.Topic)
		require.Equal(t, want[i].Expiry, m.Expiry, m.Topic)
		require.WithinDuration(t, want[i].Accepted, m.Accepted, time.Second, m.Topic)
	}
}

func testIDsAfterReopen(t *testing.T, f *fixture) {
	f.sessions(1)
	var last mqtt.MsgID
	for n := range 5 {
		id := f.commit(session.Entry{Message: message(n, mqtt.AtLeastOnce), Owed: owed(mqtt.AtLeastOnce, 1)})
		require.Greater(t, id, last, "an ID that was seen is not given out again")
		last = id
		f.spool.Acked(1, id)
		f.commit(session.Entry{Message: message(n, mqtt.AtMostOnce), Retain: true})
		f.reopen()
		require.Empty(t, f.all(1))
	}
}

func testLongQueue(t *testing.T, f *fixture) {
	const total = 9000
	f.sessions(1, 2)
	safe, wait := Await(t)
	var ids []mqtt.MsgID
	for n := range total {
		to := owed(mqtt.AtLeastOnce, 1)
		if n%3 == 0 {
			to = owed(mqtt.AtLeastOnce, 1, 2)
		}
		var last func(error)
		if n == total-1 {
			last = safe
		}
		ids = append(ids, f.spool.Append(session.Entry{Message: message(n, mqtt.AtLeastOnce), Owed: to}, last))
	}
	require.NoError(t, wait())
	f.reopen()
	require.EqualValues(t, total, f.spool.Usage(1).Messages)
	require.EqualValues(t, total/3, f.spool.Usage(2).Messages)
	require.Equal(t, ids, idsOf(f.all(1)))
	for i, id := range ids {
		if i%10 != 9 {
			f.spool.Acked(1, id)
		}
	}
	f.commit(session.Entry{Message: message(0, mqtt.AtMostOnce), Retain: true})
	f.reopen()
	left := f.all(1)
	require.Len(t, left, total/10)
	for i, q := range left {
		require.Equal(t, ids[10*i+9], q.Message.ID)
		require.Equal(t, fmt.Sprint("payload ", 10*i+9), string(q.Message.Payload))
		f.spool.Acked(1, q.Message.ID)
	}
	require.Empty(t, f.all(1))
	require.Len(t, f.all(2), total/3)
}

func testConcurrent(t *testing.T, f *fixture) {
	const publishers, each = 8, 300
	f.sessions(1)
	var seen [publishers]callbacks
	var ids [publishers][]mqtt.MsgID
	var wg sync.WaitGroup
	for p := range publishers {
		wg.Go(func() {
			for n := range each {
				e := session.Entry{Message: message(n, mqtt.AtLeastOnce), Owed: owed(mqtt.AtLeastOnce, 1), Publisher: uint64(p + 1)}
				ids[p] = append(ids[p], f.spool.Append(e, seen[p].note(n)))
			}
		})
	}
	reader := make(chan []mqtt.MsgID)
	go func() {
		var got []mqtt.MsgID
		for len(got) < publishers*each {
			var after mqtt.MsgID
			if len(got) > 0 {
				after = got[len(got)-1]
			}
			page, err := f.spool.Page(1, after, 50, 1<<20)
			if err != nil {
				break
			}
			for _, q := range page {
				f.spool.Acked(1, q.Message.ID)
			}
			got = append(got, idsOf(page)...)
		}
		reader <- got
	}()
	wg.Wait()
	f.apply(session.Change{Session: 1, Subscribe: []mqtt.Subscription{{Filter: "last"}}})
	var want []mqtt.MsgID
	for p := range publishers {
		require.True(t, slices.IsSorted(ids[p]))
		order, err := seen[p].seen()
		require.NoError(t, err)
		require.Len(t, order, each)
		require.True(t, slices.IsSorted(order))
		want = append(want, ids[p]...)
	}
	slices.Sort(want)
	require.Len(t, slices.Compact(slices.Clone(want)), publishers*each, "no ID twice")
	require.Equal(t, want, <-reader, "a reader that follows misses nothing")
	require.Empty(t, f.all(1))
}
