package sessiontest

import (
	"testing"
	"time"

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

func testTentative(t *testing.T, f *fixture) {
	f.sessions(1)
	f.spool.SetLimits(1, session.Limits{Messages: 1, Reject: true})
	e := session.Entry{Message: message(0, mqtt.AtLeastOnce), Owed: owed(mqtt.AtLeastOnce, 1), Publisher: 7, Tentative: true}
	first := f.commit(e)
	e.Message = message(1, mqtt.AtLeastOnce)
	var seen callbacks
	require.Zero(t, f.spool.Append(e, seen.note(1)))
	f.apply(session.Change{})
	order, _ := seen.seen()
	require.Empty(t, order)
	require.Zero(t, f.spool.Usage(1).Refused)
	f.spool.Acked(1, first)
	require.Greater(t, f.commit(e), first, "the same one, tried again")
}

func testAge(t *testing.T, f *fixture) {
	const total = 5000 // more than a segment
	f.sessions(1, 2)
	for n := range total {
		m := message(n, mqtt.AtLeastOnce)
		m.Accepted = time.Now()
		f.spool.Append(session.Entry{Message: m, Owed: owed(mqtt.AtLeastOnce, 1, 2)}, nil)
	}
	f.apply(session.Change{})
	f.spool.SetLimits(1, session.Limits{Age: time.Hour, Reject: true})
	require.EqualValues(t, total, f.spool.Usage(1).Messages)
	f.spool.SetLimits(1, session.Limits{Age: 100 * time.Millisecond, Reject: true})
	require.Eventually(t, func() bool { return f.spool.Usage(1).Messages == 0 }, 30*time.Second, time.Millisecond)
	require.Empty(t, f.all(1))
	require.EqualValues(t, total, f.spool.Usage(1).Outdated)
	require.EqualValues(t, total, f.spool.Losses().Outdated)
	require.Zero(t, f.spool.Losses().Dropped+f.spool.Losses().Refused)
	require.EqualValues(t, total, f.spool.Usage(2).Messages)
	f.spool.SetLimits(1, session.Limits{})
	m := message(0, mqtt.AtLeastOnce)
	m.Accepted = time.Now()
	id := f.commit(session.Entry{Message: m, Owed: owed(mqtt.AtLeastOnce, 1)})
	require.Equal(t, []mqtt.MsgID{id}, idsOf(f.all(1)))
	f.spool.SetLimits(2, session.Limits{Age: 240 * time.Hour})
	f.reopen()
	f.spool.SetLimits(2, session.Limits{Age: 240 * time.Hour})
	require.Len(t, f.all(2), total, "a restart makes nothing older than it is")
}

func testQoS0(t *testing.T, f *fixture) {
	f.sessions(1)
	id := f.commit(session.Entry{Message: message(0, mqtt.AtMostOnce), Owed: owed(mqtt.AtMostOnce, 1)})
	f.reopen()
	all := f.all(1)
	require.Equal(t, []mqtt.MsgID{id}, idsOf(all))
	require.Equal(t, mqtt.AtMostOnce, all[0].QoS)
	f.spool.Acked(1, id)
	require.Empty(t, f.all(1))
}
