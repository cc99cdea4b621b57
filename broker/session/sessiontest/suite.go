package sessiontest

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"fieldgate/broker/mqtt"
	"fieldgate/broker/session"
)

// Open gives an empty spool, and a function that closes it and opens it again
// with what was committed. Both ask t to clean up what they opened.
type Open func(t *testing.T) (spool session.Spool, reopen func() session.Spool)

// Holder is a spool whose commits a test can hold back. For one that has it, the
// suite shows more.
type Holder interface {
	Hold()
	Release()
}

// Run is the conformance suite of session.Spool.
func Run(t *testing.T, open Open) {
	for _, c := range []struct {
		name string
		test func(*testing.T, *fixture)
	}{
		{"IDsRiseAndPageShowsAtOnce", testIDsRise},
		{"PageKeepsToItsLimits", testPageLimits},
		{"PageOfNobodyIsEmpty", testPageOfNobody},
		{"CallbacksRunOnceAndInOrder", testCallbackOrder},
		{"QoS2ShowsOnlyWhenCommitted", testQoS2Committed},
		{"AckedLeaves", testAcked},
		{"AckedReachesTheDiskWithTheNextCommit", testAckedCommitted},
		{"OneMessageOwedToSeveral", testOwedToSeveral},
		{"EndTakesAllOfASession", testEnd},
		{"PutReplacesTheRecord", testPut},
		{"UnhurriedChangeGoesWithTheNextCommit", testUnhurried},
		{"LoadTellsTheNextID", testNext},
		{"SubscriptionsAreKept", testSubscriptions},
		{"ReceivedUntilForgotten", testReceived},
		{"ReleasedUntilAcked", testReleased},
		{"CompletedIsForgottenOnceItIsSafe", testCompleted},
		{"RetainedIsReplacedAndCleared", testRetained},
		{"ReopenKeepsEveryField", testReopenFields},
		{"IDsRiseAfterReopen", testIDsAfterReopen},
		{"LongQueueIsPagedAndDrained", testLongQueue},
		{"ManyAtTheSameTime", testConcurrent},
		{"AcknowledgedByAllIsSafe", testElided},
		{"AcknowledgedByAllKeepsThePublishersOrder", testElidedOrder},
		{"AcknowledgedByAllDoesNotOvertakeChanges", testElidedBehindChange},
		{"LiveButSilentIsCommitted", testLiveSilent},
		{"FullQueueDropsItsOldest", testDropOldest},
		{"FullQueueDropsWhatIsInFlight", testDropInFlight},
		{"FullQueueRefuses", testReject},
		{"LowerLimitsDropAtOnce", testShrink},
		{"TentativeIsRefusedWithoutATrace", testTentative},
		{"OldMessagesGo", testAge},
		{"QoS0IsKeptToo", testQoS0},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := &fixture{T: t}
			f.spool, f.reopenFunc = open(t)
			c.test(t, f)
		})
	}
}

// fixture is one spool under test.
type fixture struct {
	*testing.T
	spool      session.Spool
	reopenFunc func() session.Spool
}

func (f *fixture) reopen() { f.spool = f.reopenFunc() }

// Await gives a callback and a function that waits for it to have run.
func Await(t *testing.T) (safe func(error), wait func() error) {
	done := make(chan error, 2)
	safe = func(err error) { done <- err }
	wait = func() error {
		t.Helper()
		select {
		case err := <-done:
			return err
		case <-time.After(20 * time.Second):
			require.FailNow(t, "the spool's callback did not run within 20 s")
			return errors.New("no callback")
		}
	}
	return safe, wait
}

// apply commits a change.
func (f *fixture) apply(c session.Change) {
	f.Helper()
	safe, wait := Await(f.T)
	f.spool.Apply(c, safe)
	require.NoError(f, wait())
}

// sessions commits new sessions.
func (f *fixture) sessions(ids ...session.ID) {
	f.Helper()
	for _, id := range ids {
		f.apply(session.Change{Session: id, Put: &session.Record{ID: id, ClientID: fmt.Sprintf("client-%d", id), Meta: []byte{1, byte(id)}}})
	}
}

// message makes a message whose payload is its number.
func message(n int, qos mqtt.QoS) *mqtt.Message {
	return &mqtt.Message{
		Topic:    fmt.Sprintf("fieldgate/test/%d", n%7),
		Payload:  fmt.Appendf(nil, "payload %d", n),
		QoS:      qos,
		Accepted: time.Now().Truncate(time.Millisecond),
	}
}

func owed(qos mqtt.QoS, ids ...session.ID) []session.Owed {
	list := make([]session.Owed, len(ids))
	for i, id := range ids {
		list[i] = session.Owed{Session: id, QoS: qos}
	}
	return list
}

// live is owed to sessions that are online.
func live(ids ...session.ID) []session.Owed {
	list := owed(mqtt.AtLeastOnce, ids...)
	for i := range list {
		list[i].Live = true
	}
	return list
}

// hold holds commits back when the spool can do that.
func (f *fixture) hold() (release func(), held bool) {
	if holder, can := f.spool.(Holder); can {
		holder.Hold()
		return holder.Release, true
	}
	return func() {}, false
}

// commit appends an entry and waits for its commit.
func (f *fixture) commit(e session.Entry) mqtt.MsgID {
	f.Helper()
	safe, wait := Await(f.T)
	id := f.spool.Append(e, safe)
	require.NoError(f, wait())
	return id
}

func (f *fixture) page(s session.ID, after mqtt.MsgID, messages, bytes int) []session.Queued {
	f.Helper()
	page, err := f.spool.Page(s, after, messages, bytes)
	require.NoError(f, err)
	require.LessOrEqual(f, len(page), messages)
	return page
}

// all pages through everything that the session is owed.
func (f *fixture) all(s session.ID) []session.Queued {
	f.Helper()
	var all []session.Queued
	var after mqtt.MsgID
	for {
		page := f.page(s, after, 100, 1<<20)
		if len(page) == 0 {
			return all
		}
		for _, q := range page {
			require.Greater(f, q.Message.ID, after, "a page is in the order of the IDs")
			after = q.Message.ID
		}
		all = append(all, page...)
	}
}

func idsOf(page []session.Queued) []mqtt.MsgID {
	ids := make([]mqtt.MsgID, len(page))
	for i, q := range page {
		ids[i] = q.Message.ID
	}
	return ids
}

// loaded is what Load reports.
type loaded struct {
	records  map[session.ID]session.Record
	subs     map[session.ID]map[string]mqtt.Subscription
	received map[session.ID][]uint16
	released map[session.ID][]mqtt.MsgID
	retained map[string]*mqtt.Message
}

func (f *fixture) load() loaded {
	f.Helper()
	l := loaded{
		records:  map[session.ID]session.Record{},
		subs:     map[session.ID]map[string]mqtt.Subscription{},
		received: map[session.ID][]uint16{},
		released: map[session.ID][]mqtt.MsgID{},
		retained: map[string]*mqtt.Message{},
	}
	require.NoError(f, f.spool.Load(session.Visitor{
		Session: func(r session.Record) { l.records[r.ID] = r },
		Subscription: func(id session.ID, sub mqtt.Subscription) {
			require.Contains(f, l.records, id, "a session is reported before its subscriptions")
			if l.subs[id] == nil {
				l.subs[id] = map[string]mqtt.Subscription{}
			}
			l.subs[id][sub.Filter] = sub
		},
		Received: func(id session.ID, pid uint16) {
			require.Contains(f, l.records, id, "a session is reported before its packet identifiers")
			l.received[id] = append(l.received[id], pid)
		},
		Released: func(id session.ID, msg mqtt.MsgID) {
			require.Contains(f, l.records, id, "a session is reported before its deliveries")
			l.released[id] = append(l.released[id], msg)
		},
		Retained: func(m *mqtt.Message) { l.retained[m.Topic] = m },
	}))
	return l
}

// callbacks notes the order in which callbacks run.
type callbacks struct {
	mu    sync.Mutex
	order []int
	errs  []error
}

func (c *callbacks) note(n int) func(error) {
	return func(err error) {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.order = append(c.order, n)
		c.errs = append(c.errs, err)
	}
}

func (c *callbacks) seen() ([]int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.order), errors.Join(c.errs...)
}
