package storage_test

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"fieldgate/broker/mqtt"
	"fieldgate/broker/session"
	"fieldgate/broker/session/sessiontest"
	"fieldgate/storage"
)

// twins are the spool under test and the one in memory that it has to agree with.
// Their IDs differ after a restart: names holds the model's by the message's own.
type twins struct {
	*rapid.T
	dir    string
	db     *storage.DB
	model  *sessiontest.Memory
	ids    map[mqtt.MsgID]mqtt.MsgID // of the spool by that of the model
	nextID session.ID
	count  int
}

func (w *twins) both(do func(session.Spool)) {
	do(w.db.Spool())
	do(w.model)
}

// sync waits until both have committed everything.
func (w *twins) sync() {
	w.both(func(s session.Spool) {
		done := make(chan error, 1)
		s.Apply(session.Change{}, func(err error) { done <- err })
		require.NoError(w, <-done)
	})
}

func (w *twins) session(label string) session.ID {
	return session.ID(rapid.IntRange(1, max(1, int(w.nextID)-1)).Draw(w.T, label))
}

func (w *twins) append(t *rapid.T) {
	n := 1
	if rapid.IntRange(0, 29).Draw(t, "burst") == 0 {
		n = rapid.IntRange(500, 5000).Draw(t, "n") // a segment is 4096
	}
	qos := mqtt.QoS(rapid.IntRange(1, 2).Draw(t, "qos"))
	retain := n == 1 && rapid.Bool().Draw(t, "retain")
	size := rapid.SampledFrom([]int{0, 5, 100}).Draw(t, "size")
	to := rapid.SliceOfNDistinct(rapid.IntRange(1, max(1, int(w.nextID))), 0, 3, rapid.ID[int]).Draw(t, "to")
	from := session.ID(rapid.IntRange(0, 3).Draw(t, "from"))
	every := rapid.SampledFrom([]int{1, 1, 2, 700}).Draw(t, "every")
	for i := range n {
		w.count++
		e := session.Entry{Retain: retain, From: from, PacketID: uint16(w.count)}
		for k, id := range to {
			if i%every == 0 || k == 0 {
				o := session.Owed{Session: session.ID(id), QoS: qos, Retain: k == 1}
				if k == 2 {
					o.SubscriptionIDs = []uint32{uint32(id), 77}
				}
				e.Owed = append(e.Owed, o)
			}
		}
		var given []mqtt.MsgID
		w.both(func(s session.Spool) {
			m := mqtt.Message{Topic: fmt.Sprint("t/", w.count%5), QoS: qos, Retain: retain, Accepted: time.Unix(int64(w.count), 0)}
			m.Payload = append(m.Payload, bytes.Repeat([]byte{byte(w.count)}, size)...)
			twin := e
			twin.Message = &m
			twin.Owed = slices.Clone(e.Owed)
			given = append(given, s.Append(twin, nil))
		})
		w.ids[given[1]] = given[0]
	}
}

func (w *twins) acked(t *rapid.T) {
	id := w.session("session")
	page, err := w.model.Page(id, 0, 1<<20, 1<<40)
	require.NoError(t, err)
	if len(page) == 0 {
		return
	}
	first := rapid.IntRange(0, len(page)-1).Draw(t, "first")
	n := rapid.SampledFrom([]int{1, 3, 4000, len(page)}).Draw(t, "n")
	step := rapid.SampledFrom([]int{1, 1, 2, 50}).Draw(t, "step")
	for i := first; i < min(first+n, len(page)); i += step {
		w.model.Acked(id, page[i].Message.ID)
		w.db.Spool().Acked(id, w.ids[page[i].Message.ID])
	}
}

func (w *twins) change(t *rapid.T) {
	c := session.Change{Session: w.session("session")}
	switch rapid.SampledFrom([]string{"put", "again", "end", "subscribe", "release", "forget"}).Draw(t, "kind") {
	case "put":
		w.nextID++
		c.Session = w.nextID - 1
		c.Put = &session.Record{ID: c.Session, ClientID: clientID(c.Session), Meta: []byte{1}}
	case "again":
		c.Put = &session.Record{ID: c.Session, ClientID: clientID(c.Session), Meta: []byte{2}}
	case "end":
		c.End = true
	case "subscribe":
		c.Subscribe = []mqtt.Subscription{{Filter: rapid.SampledFrom([]string{"a", "b"}).Draw(t, "filter"), QoS: 1, ID: 9, RetainHandling: 2}}
		c.Unsubscribe = []string{rapid.SampledFrom([]string{"a", "c"}).Draw(t, "gone")}
	case "release":
		page, err := w.model.Page(c.Session, 0, 3, 1<<20)
		require.NoError(t, err)
		mine := c
		for _, q := range page {
			c.Released = append(c.Released, q.Message.ID)
			mine.Released = append(mine.Released, w.ids[q.Message.ID])
		}
		w.model.Apply(c, nil)
		w.db.Spool().Apply(mine, nil)
		return
	case "forget":
		c.Forget = []uint16{uint16(w.count), uint16(w.count - 1)}
	}
	w.both(func(s session.Spool) { s.Apply(c, nil) })
}

func (w *twins) reopen(*rapid.T) {
	w.sync()
	db := w.db
	w.db = nil
	require.NoError(w, db.Close())
	w.db = w.openDB()
	w.model = w.model.Reopen()
	require.Equal(w, w.stored(w.model, w.ids), w.stored(w.db.Spool(), nil))
}

func (w *twins) openDB() *storage.DB {
	db, err := storage.Open(config(w.dir), noAlarms(), discard())
	require.NoError(w, err)
	return db
}

// compare is run after every action.
func (w *twins) compare(t *rapid.T) {
	w.sync()
	for id := session.ID(1); id <= w.nextID; id++ {
		require.Equal(t, usageOf(w.model, id), usageOf(w.db.Spool(), id), "session %d", id)
		after := mqtt.MsgID(0)
		for {
			want, err := w.model.Page(id, after, 900, 20000)
			require.NoError(t, err)
			got, err := w.db.Spool().Page(id, w.ids[after], 900, 20000)
			require.NoError(t, err)
			require.Len(t, got, len(want), "session %d after %d", id, after)
			for i := range want {
				w.same(t, want[i], got[i])
			}
			if len(want) == 0 {
				break
			}
			after = want[len(want)-1].Message.ID
		}
	}
}

func (w *twins) same(t *rapid.T, want, got session.Queued) {
	// the long way is slow for tens of thousands of messages
	a, b := want.Message, got.Message
	if w.ids[a.ID] != b.ID || a.Topic != b.Topic || !bytes.Equal(a.Payload, b.Payload) || !a.Accepted.Equal(b.Accepted) ||
		a.QoS != b.QoS || a.Retain != b.Retain ||
		want.QoS != got.QoS || want.Retain != got.Retain || !slices.Equal(want.SubscriptionIDs, got.SubscriptionIDs) {
		require.Equal(t, want, got)
	}
}

func usageOf(s session.Spool, id session.ID) mqtt.Usage {
	u := s.Usage(id)
	u.Oldest = time.Time{} // it need not be exact
	return u
}

// stored gives what Load reports, in words and in order.
func (w *twins) stored(s session.Spool, ids map[mqtt.MsgID]mqtt.MsgID) []string {
	var words []string
	note := func(format string, args ...any) { words = append(words, fmt.Sprintf(format, args...)) }
	require.NoError(w, s.Load(session.Visitor{
		Session:      func(r session.Record) { note("session %d %s %x", r.ID, r.ClientID, r.Meta) },
		Subscription: func(id session.ID, sub mqtt.Subscription) { note("sub %d %+v", id, sub) },
		Received:     func(id session.ID, pid uint16) { note("received %d %d", id, pid) },
		Released: func(id session.ID, msg mqtt.MsgID) {
			if ids != nil {
				msg = ids[msg]
			}
			note("released %d %d", id, msg)
		},
		Retained: func(m *mqtt.Message) { note("retained %s %x", m.Topic, m.Payload) },
	}))
	slices.Sort(words)
	return words
}

// inMemory gives a directory where a flush costs nothing, when there is one: this test is about meaning.
func inMemory(t *testing.T) string {
	if info, err := os.Stat("/dev/shm"); err == nil && info.IsDir() {
		return "/dev/shm"
	}
	return t.TempDir()
}

func TestSpool_AgreesWithTheOneInMemory(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		dir, err := os.MkdirTemp(inMemory(t), "spool")
		require.NoError(rt, err)
		defer func() { require.NoError(rt, os.RemoveAll(dir)) }()
		w := &twins{T: rt, dir: dir, model: sessiontest.NewMemory(), ids: map[mqtt.MsgID]mqtt.MsgID{}, nextID: 1}
		w.db = w.openDB()
		defer func() {
			w.model.Close()
			if w.db != nil {
				require.NoError(rt, w.db.Close())
			}
		}()
		rt.Repeat(map[string]func(*rapid.T){
			"append": w.append,
			"more":   w.append,
			"acked":  w.acked,
			"change": w.change,
			"put":    w.change,
			"reopen": w.reopen,
			"":       w.compare,
		})
	})
}
