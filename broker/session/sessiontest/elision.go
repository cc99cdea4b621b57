package sessiontest

import (
	"testing"

	"github.com/stretchr/testify/require"

	"fieldgate/broker/mqtt"
	"fieldgate/broker/session"
)

func testElided(t *testing.T, f *fixture) {
	f.sessions(1, 2)
	_, held := f.hold()
	var seen callbacks
	safe, wait := Await(t)
	id := f.spool.Append(session.Entry{Message: message(1, mqtt.AtLeastOnce), Owed: live(1, 2), Publisher: 7}, func(err error) {
		seen.note(1)(err)
		safe(err)
	})
	f.spool.Acked(1, id)
	if held {
		order, _ := seen.seen()
		require.Empty(t, order, "one of two has acknowledged")
	}
	require.Equal(t, []mqtt.MsgID{id}, idsOf(f.all(2)))
	f.spool.Acked(2, id)
	require.NoError(t, wait(), "safe although nothing was committed")
	require.Empty(t, f.all(1))
	require.Empty(t, f.all(2))
	f.reopen()
	require.Empty(t, f.all(1))
	require.Empty(t, f.all(2))
	next := f.commit(session.Entry{Message: message(2, mqtt.AtLeastOnce), Owed: owed(mqtt.AtLeastOnce, 1)})
	require.Greater(t, next, id)
}

func testElidedOrder(t *testing.T, f *fixture) {
	f.sessions(1)
	release, held := f.hold()
	var seen callbacks
	add := func(n int, publisher uint64) mqtt.MsgID {
		return f.spool.Append(session.Entry{Message: message(n, mqtt.AtLeastOnce), Owed: live(1), Publisher: publisher}, seen.note(n))
	}
	first, second, third := add(1, 7), add(2, 7), add(3, 7)
	safe, wait := Await(t)
	other := f.spool.Append(session.Entry{Message: message(4, mqtt.AtLeastOnce), Owed: live(1), Publisher: 8}, safe)
	for _, id := range []mqtt.MsgID{third, second, other} {
		f.spool.Acked(1, id)
	}
	require.NoError(t, wait(), "publishers do not wait for each other")
	if held {
		order, _ := seen.seen()
		require.Empty(t, order, "the oldest of this publisher is not safe")
	}
	f.spool.Acked(1, first)
	release()
	f.apply(session.Change{})
	order, err := seen.seen()
	require.NoError(t, err)
	require.Equal(t, []int{1, 2, 3}, order)
}

func testElidedBehindChange(t *testing.T, f *fixture) {
	f.sessions(1)
	release, held := f.hold()
	var seen callbacks
	f.spool.Apply(session.Change{Session: 1, Subscribe: []mqtt.Subscription{{Filter: "a"}}}, seen.note(1))
	id := f.spool.Append(session.Entry{Message: message(1, mqtt.AtLeastOnce), Owed: live(1), Publisher: 7}, seen.note(2))
	f.spool.Acked(1, id)
	if held {
		order, _ := seen.seen()
		require.Empty(t, order)
	}
	release()
	f.apply(session.Change{})
	order, err := seen.seen()
	require.NoError(t, err)
	require.Equal(t, []int{1, 2}, order)
}

func testLiveSilent(t *testing.T, f *fixture) {
	f.sessions(1, 2)
	for _, e := range []session.Entry{
		{Message: message(1, mqtt.AtLeastOnce), Owed: live(1, 2), Publisher: 7},
		{Message: message(2, mqtt.AtLeastOnce), Owed: live(1, 2), Unhurried: true},
		{Message: message(3, mqtt.AtLeastOnce), Owed: live(1, 2), Unhurried: true, Retain: true},
	} {
		id := f.commit(e)
		f.spool.Acked(1, id)
	}
	f.commit(session.Entry{Message: message(4, mqtt.AtLeastOnce), Owed: owed(mqtt.AtLeastOnce, 2)})
	f.reopen()
	require.Len(t, f.all(2), 4)
	require.Len(t, f.load().retained, 1)
}
