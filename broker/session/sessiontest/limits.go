package sessiontest

import (
	"testing"

	"github.com/stretchr/testify/require"

	"fieldgate/broker/mqtt"
	"fieldgate/broker/session"
)

func testDropOldest(t *testing.T, f *fixture) {
	f.spool.SetLimits(1, session.Limits{Messages: 3})
	f.sessions(1, 2)
	f.spool.SetLimits(2, session.Limits{Bytes: int64(2 * len("payload 0"))})
	var ids []mqtt.MsgID
	for n := range 6 {
		ids = append(ids, f.commit(session.Entry{Message: message(n, mqtt.AtLeastOnce), Owed: owed(mqtt.AtLeastOnce, 1, 2)}))
	}
	require.Equal(t, ids[3:], idsOf(f.all(1)))
	require.Equal(t, ids[4:], idsOf(f.all(2)))
	require.EqualValues(t, 3, f.spool.Usage(1).Dropped)
	require.EqualValues(t, 4, f.spool.Usage(2).Dropped)

	large := message(6, mqtt.AtLeastOnce)
	large.Payload = make([]byte, 100)
	ids = append(ids, f.commit(session.Entry{Message: large, Owed: owed(mqtt.AtLeastOnce, 1, 2)}))
	require.Equal(t, ids[4:], idsOf(f.all(1)))
	require.NotContains(t, idsOf(f.all(2)), ids[6], "it never fits")
	require.EqualValues(t, 0, f.spool.Usage(1).Refused)
	f.spool.Acked(1, ids[0])
	require.Len(t, f.all(1), 3, "an acknowledgement of what was dropped changes nothing")
	want := idsOf(f.all(2))
	f.commit(session.Entry{Message: message(7, mqtt.AtMostOnce), Retain: true})
	f.reopen()
	require.Equal(t, want, idsOf(f.all(2)))
}

func testDropInFlight(t *testing.T, f *fixture) {
	f.sessions(1)
	f.spool.SetLimits(1, session.Limits{Messages: 1})
	release, _ := f.hold()
	var seen callbacks
	for n := range 3 {
		f.spool.Append(session.Entry{Message: message(n, mqtt.AtLeastOnce), Owed: live(1), Publisher: 7}, seen.note(n))
	}
	release()
	f.apply(session.Change{})
	order, err := seen.seen()
	require.NoError(t, err, "who published is not told: the queue belongs to somebody else")
	require.Equal(t, []int{0, 1, 2}, order)
	require.Len(t, f.all(1), 1)
}

func testReject(t *testing.T, f *fixture) {
	f.sessions(1, 2)
	f.spool.SetLimits(1, session.Limits{Messages: 2, Reject: true})
	var ids []mqtt.MsgID
	for n := range 2 {
		ids = append(ids, f.commit(session.Entry{Message: message(n, mqtt.AtLeastOnce), Owed: owed(mqtt.AtLeastOnce, 1, 2)}))
	}
	release, _ := f.hold()
	var seen callbacks
	f.spool.Append(session.Entry{Message: message(2, mqtt.AtLeastOnce), Owed: owed(mqtt.AtLeastOnce, 2), Publisher: 7}, seen.note(0))
	safe, wait := Await(t)
	id := f.spool.Append(session.Entry{Message: message(3, mqtt.ExactlyOnce), Owed: owed(mqtt.AtLeastOnce, 1, 2), Retain: true, From: 2, PacketID: 5, Publisher: 7}, func(err error) {
		seen.note(1)(nil)
		safe(err)
	})
	require.Zero(t, id)
	release()
	require.ErrorIs(t, wait(), session.ErrQueueFull)
	order, err := seen.seen()
	require.NoError(t, err)
	require.Equal(t, []int{0, 1}, order, "a refusal keeps the publisher's order")
	require.Equal(t, ids, idsOf(f.all(1)))
	require.Len(t, f.all(2), 3, "nobody gets what one refuses")
	l := f.load()
	require.Empty(t, l.retained)
	require.Empty(t, l.received[2])
	require.EqualValues(t, 1, f.spool.Usage(1).Refused)
	require.EqualValues(t, 0, f.spool.Usage(1).Dropped)

	f.spool.Acked(1, ids[0])
	f.commit(session.Entry{Message: message(4, mqtt.AtLeastOnce), Owed: owed(mqtt.AtLeastOnce, 1)})
	require.Len(t, f.all(1), 2, "there is room again")
}

func testShrink(t *testing.T, f *fixture) {
	const total = 10000
	f.sessions(1, 2)
	var ids []mqtt.MsgID
	for n := range total {
		ids = append(ids, f.spool.Append(session.Entry{Message: message(n, mqtt.AtLeastOnce), Owed: owed(mqtt.AtLeastOnce, 1, 2)}, nil))
	}
	f.apply(session.Change{})
	f.spool.SetLimits(1, session.Limits{Messages: 900})
	require.Equal(t, ids[total-900:], idsOf(f.all(1)))
	require.EqualValues(t, total-900, f.spool.Usage(1).Dropped)
	require.EqualValues(t, 900, f.spool.Usage(1).Messages)
	require.EqualValues(t, total, f.spool.Usage(2).Messages)
	f.spool.SetLimits(1, session.Limits{Messages: 10, Reject: true})
	require.EqualValues(t, 900, f.spool.Usage(1).Messages, "what was accepted stays")
	f.commit(session.Entry{Message: message(0, mqtt.AtMostOnce), Retain: true})
	f.reopen()
	require.Equal(t, ids[total-900:], idsOf(f.all(1)))
	require.Len(t, f.all(2), total)
	f.spool.SetLimits(1, session.Limits{Bytes: 1})
	require.Zero(t, f.spool.Usage(1).Messages)
	require.Empty(t, f.all(1))
	require.Len(t, f.all(2), total)
}
