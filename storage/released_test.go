package storage_test

import (
	"compress/gzip"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"fieldgate/broker/mqtt"
	"fieldgate/broker/session"
	"fieldgate/storage"
)

// released is set to the name of a version to make its fixture:
//
//	go test ./storage -run TestReleased -released 0.1
//
// Do so with the last commit of a version that changed the schema, and never again
// for that version: a fixture that was made anew would show nothing.
var released = flag.String("released", "", "make testdata/released/NAME with this code")

const releasedMessages = 4300 // more than a segment holds

// fillReleased makes what every fixture holds; checkReleased finds it again.
func fillReleased(t *testing.T, db *storage.DB) {
	t.Helper()
	s := db.Spool()
	for id := session.ID(1); id <= 3; id++ {
		meta := session.Meta{Version: mqtt.V5, Expiry: time.Hour, User: fmt.Sprint("user", id)}
		apply(t, s, session.Change{Session: id, Put: &session.Record{ID: id, ClientID: clientID(id), Meta: meta.Encode()}})
	}
	apply(t, s, session.Change{Session: 1, Subscribe: releasedSubscriptions()})
	apply(t, s, session.Change{Session: 2, Subscribe: releasedSubscriptions()[:1]})
	for n := range releasedMessages {
		m := &mqtt.Message{Topic: fmt.Sprint("t/", n%3), Payload: fmt.Append(nil, n), QoS: mqtt.AtLeastOnce}
		owed := []session.Owed{{Session: 1, QoS: mqtt.AtLeastOnce}}
		if n%10 == 0 {
			owed = append(owed, session.Owed{Session: 2, QoS: mqtt.AtLeastOnce, Retain: true, SubscriptionIDs: []uint32{7, 300}})
		}
		id := s.Append(session.Entry{Message: m, Owed: owed}, nil)
		if n%2 == 1 {
			s.Acked(1, id)
		}
	}
	commit(t, s)
	var ids []mqtt.MsgID
	for n := range 3 {
		m := &mqtt.Message{Topic: "twice", Payload: fmt.Append(nil, n), QoS: mqtt.ExactlyOnce, Props: mqtt.Properties{1, 1}, Expiry: 1000 * time.Hour}
		ids = append(ids, s.Append(session.Entry{Message: m, Owed: []session.Owed{{Session: 3, QoS: mqtt.ExactlyOnce}}, From: 2, PacketID: uint16(100 + n)}, nil))
	}
	apply(t, s, session.Change{Session: 3, Released: ids[:1]})
	apply(t, s, session.Change{Session: 2, Forget: []uint16{101}})
	for _, m := range releasedRetained() {
		s.Append(session.Entry{Message: m, Retain: true}, nil)
	}
	commit(t, s)
	for n := range 3 {
		require.NoError(t, db.State().Put("users", fmt.Sprint("name", n), fmt.Append(nil, "document ", n)))
		_, err := db.State().AddRevision("author", fmt.Sprint("summary ", n), fmt.Append(nil, "settings ", n))
		require.NoError(t, err)
	}
}

func releasedSubscriptions() []mqtt.Subscription {
	return []mqtt.Subscription{
		{Filter: "t/#", QoS: 1},
		{Filter: "$share/group/twice", QoS: 2, NoLocal: true, RetainAsPublished: true, RetainHandling: 2, ID: 300},
	}
}

func releasedRetained() []*mqtt.Message {
	return []*mqtt.Message{
		{Topic: "r/1", Payload: []byte("kept"), QoS: 1, Retain: true, Origin: "publisher"},
		{Topic: "r/2", Payload: []byte{0, 255}, Retain: true, Props: mqtt.Properties{1, 1}, Expiry: 1000 * time.Hour},
	}
}

// checkReleased looks for all of it.
func checkReleased(t *testing.T, db *storage.DB) {
	t.Helper()
	s := db.Spool()
	sessions, subs, received, free := map[session.ID]string{}, map[session.ID][]mqtt.Subscription{}, map[session.ID][]uint16{}, map[session.ID][]mqtt.MsgID{}
	retained := map[string]*mqtt.Message{}
	require.NoError(t, s.Load(session.Visitor{
		Session: func(r session.Record) {
			meta, err := session.DecodeMeta(r.Meta)
			require.NoError(t, err)
			require.Equal(t, time.Hour, meta.Expiry)
			sessions[r.ID] = r.ClientID + " " + meta.User
		},
		Subscription: func(id session.ID, sub mqtt.Subscription) { subs[id] = append(subs[id], sub) },
		Received:     func(id session.ID, pid uint16) { received[id] = append(received[id], pid) },
		Released:     func(id session.ID, msg mqtt.MsgID) { free[id] = append(free[id], msg) },
		Retained:     func(m *mqtt.Message) { retained[m.Topic] = m },
	}))
	require.Equal(t, map[session.ID]string{1: clientID(1) + " user1", 2: clientID(2) + " user2", 3: clientID(3) + " user3"}, sessions)
	require.ElementsMatch(t, releasedSubscriptions(), subs[1])
	require.Equal(t, releasedSubscriptions()[:1], subs[2])
	require.Equal(t, map[session.ID][]uint16{2: {100, 102}}, received)
	var one, two []string
	for n := range releasedMessages {
		if n%2 == 0 {
			one = append(one, fmt.Sprint(n))
		}
		if n%10 == 0 {
			two = append(two, fmt.Sprint(n))
		}
	}
	require.Equal(t, one, payloads(t, s, 1))
	require.Equal(t, two, payloads(t, s, 2))
	page, err := s.Page(2, 0, 2, 1000)
	require.NoError(t, err)
	require.Equal(t, session.Queued{QoS: 1, Retain: true, SubscriptionIDs: []uint32{7, 300}, Message: page[1].Message}, page[1])
	require.Equal(t, "t/1", page[1].Message.Topic)
	page, err = s.Page(3, 0, 10, 1000)
	require.NoError(t, err)
	require.Len(t, page, 3)
	for n, q := range page {
		require.Equal(t, fmt.Sprint(n), string(q.Message.Payload))
		require.Equal(t, mqtt.ExactlyOnce, q.QoS)
		require.Equal(t, mqtt.Properties{1, 1}, q.Message.Props)
		require.Equal(t, 1000*time.Hour, q.Message.Expiry)
	}
	require.Equal(t, map[session.ID][]mqtt.MsgID{3: {page[0].Message.ID}}, free)
	require.Len(t, retained, 2)
	for _, want := range releasedRetained() {
		got := *retained[want.Topic]
		got.ID, got.Accepted = 0, time.Time{}
		require.Equal(t, *want, got)
	}
	for n := range 3 {
		value, err := db.State().Get("users", fmt.Sprint("name", n))
		require.NoError(t, err)
		require.Equal(t, fmt.Sprint("document ", n), string(value))
		doc, err := db.State().Revision(int64(n + 1))
		require.NoError(t, err)
		require.Equal(t, fmt.Sprint("settings ", n), string(doc))
	}
	revisions, err := db.State().Revisions(10)
	require.NoError(t, err)
	require.Len(t, revisions, 3)
	require.Equal(t, "summary 2", revisions[0].Summary)
}

// TestReleased_DatabasesAreRead opens a data directory of every version whose schema
// was another one: everything is there, and stays.
func TestReleased_DatabasesAreRead(t *testing.T) {
	if *released != "" {
		makeReleased(t, filepath.Join("testdata", "released", *released))
	}
	versions, err := filepath.Glob(filepath.Join("testdata", "released", "*"))
	require.NoError(t, err)
	require.NotEmpty(t, versions)
	for _, from := range versions {
		t.Run(filepath.Base(from), func(t *testing.T) {
			dir := t.TempDir()
			for _, name := range []string{"spool.db", "state.db"} {
				packed, err := os.Open(filepath.Join(from, name+".gz"))
				require.NoError(t, err)
				defer packed.Close()
				r, err := gzip.NewReader(packed)
				require.NoError(t, err)
				raw, err := io.ReadAll(r)
				require.NoError(t, err)
				require.NoError(t, os.WriteFile(filepath.Join(dir, name), raw, 0o600))
			}
			var last mqtt.MsgID
			for round := range 2 {
				db, alarms := openWithAlarms(t, dir)
				list, _ := alarms.List()
				require.Empty(t, list)
				checkReleased(t, db)
				page, err := db.Spool().Page(3, 0, 10, 1000)
				require.NoError(t, err)
				last = max(last, page[2].Message.ID)
				id := publish(db.Spool(), "t", "new", 1)
				require.Greater(t, id, last, "round %d", round)
				last = id
				db.Spool().Acked(1, id)
				require.NoError(t, db.Close())
			}
		})
	}
}

// makeReleased writes the databases as this code makes them.
func makeReleased(t *testing.T, to string) {
	t.Helper()
	require.NoDirExists(t, to, "the fixture of a version is made once")
	dir := t.TempDir()
	db, _ := openWithAlarms(t, dir)
	fillReleased(t, db)
	checkReleased(t, db)
	require.NoError(t, db.Close())
	require.NoError(t, os.MkdirAll(to, 0o755))
	for _, name := range []string{"spool.db", "state.db"} {
		script(t, filepath.Join(dir, name), "PRAGMA wal_checkpoint(TRUNCATE)")
		raw, err := os.ReadFile(filepath.Join(dir, name))
		require.NoError(t, err)
		packed, err := os.Create(filepath.Join(to, name+".gz"))
		require.NoError(t, err)
		w, err := gzip.NewWriterLevel(packed, gzip.BestCompression)
		require.NoError(t, err)
		_, err = w.Write(raw)
		require.NoError(t, err)
		require.NoError(t, w.Close())
		require.NoError(t, packed.Close())
	}
}
