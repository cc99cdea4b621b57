package storage

import (
	"bytes"
	"database/sql/driver"
	"fmt"
	"log/slog"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"fieldgate/broker/mqtt"
	"fieldgate/broker/session"
	"fieldgate/internal/fault"
)

type packed struct {
	id   mqtt.MsgID
	body string
}

// rowOf packs the messages, all of which fit one row.
func rowOf(list ...packed) (id mqtt.MsgID, row []byte) {
	var p packer
	for _, m := range list {
		p.body = append(p.body[:0], m.body...)
		p.add(0, m.id)
	}
	return p.last, bytes.Clone(p.take())
}

func unpacked(id mqtt.MsgID, row []byte) (list []packed) {
	for at, body := range unpack(id, row) {
		list = append(list, packed{at, string(body)})
	}
	return list
}

func TestPack_ReadsAsItWasWritten(t *testing.T) {
	one := string(appendBody(nil, stored{message: &mqtt.Message{ID: 7, Topic: "t"}}))
	for _, c := range []struct {
		name string
		list []packed
	}{
		{"one", []packed{{7, one}}},
		{"neighbours", []packed{{1, "a"}, {2, "bc"}, {3, "d"}}},
		{"with gaps", []packed{{1, "a"}, {1000, "b"}, {1 << 31, "c"}}},
		{"an empty body", []packed{{1 << 40, ""}, {1<<40 + 1, "b"}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			id, row := rowOf(c.list...)
			require.Equal(t, c.list[len(c.list)-1].id, id)
			require.Equal(t, c.list, unpacked(id, row))
			for n := range row { // a row cut short never gives more than it has, nor another message
				for i, m := range unpacked(id, row[:n]) {
					if m.body != "" && len(c.list) > 1 {
						require.Equal(t, c.list[i], m)
					}
				}
			}
		})
	}
}

func TestPack_OneMessageIsARowOfItsOwn(t *testing.T) {
	body := appendBody(nil, stored{message: &mqtt.Message{ID: 7, Topic: "t"}})
	_, row := rowOf(packed{7, string(body)})
	require.Equal(t, body, row)
}

// TestPack_FillsPages writes commits of many sizes: no row of several messages needs
// a second page, and every message is found.
func TestPack_FillsPages(t *testing.T) {
	c, err := dial(filepath.Join(t.TempDir(), "db"), false)
	require.NoError(t, err)
	defer c.close()
	require.NoError(t, migrate(c, "spool"))
	for _, size := range []int{1, 100, 300, 900, 2000, 5000} {
		t.Run(fmt.Sprint(size, " bytes"), func(t *testing.T) {
			w := writer{c: c}
			require.NoError(t, w.begin(&segment{slot: size, base: 1}, tableSQL(size)))
			id := mqtt.MsgID(0)
			for _, n := range []int{1, 3, 10, 100} {
				w.pack.begin(int64(n * size))
				for range n {
					id++
					require.NoError(t, w.putMessage(size, stored{message: &mqtt.Message{ID: id, Topic: "t", Payload: make([]byte, size)}, pos: int(id) - 1}))
				}
				require.NoError(t, w.putPack())
			}
			tooLong, err := c.number(fmt.Sprintf("SELECT count(*) FROM seg%d WHERE length(body) > %d AND substr(body, 1, 1) = x'02'", size, packBytes))
			require.NoError(t, err)
			require.Zero(t, tooLong)
			for want := range id {
				body, err := w.body(tableSQL(size), want+1)
				require.NoError(t, err)
				got, err := decodeBody(want+1, body)
				require.NoError(t, err)
				require.Equal(t, int(want), got.pos)
			}
		})
	}
}

// TestPack_StandsTwiceAfterACommitThatWasTriedAgain: on a full disk what is acknowledged meanwhile is left out of
// the second try, and the first one may have reached the disk all the same.
func TestPack_StandsTwiceAfterACommitThatWasTriedAgain(t *testing.T) {
	cfg := Default()
	cfg.DataDir = t.TempDir()
	alarms := &fault.Alarms{}
	open := func() *DB {
		db, err := Open(cfg, alarms, slog.New(slog.DiscardHandler))
		require.NoError(t, err)
		return db
	}
	wait := func(s *Spool, c session.Change) {
		done := make(chan error, 1)
		s.Apply(c, func(err error) { done <- err })
		require.NoError(t, <-done)
	}
	db := open()
	wait(db.spool, session.Change{Session: 1, Put: &session.Record{ID: 1, ClientID: "c"}})
	for n := range 4 {
		m := &mqtt.Message{Topic: "t", Payload: []byte{byte(n)}, QoS: 1}
		db.spool.Append(session.Entry{Message: m, Owed: []session.Owed{{Session: 1, QoS: 1}}, Unhurried: true}, nil)
	}
	wait(db.spool, session.Change{})
	require.NoError(t, db.Close())

	c, err := dial(filepath.Join(cfg.DataDir, "spool.db"), false)
	require.NoError(t, err)
	rows := 0
	var w writer
	require.NoError(t, c.query("SELECT id, body FROM seg0", 2, func(row []driver.Value) error {
		rows++
		for id, body := range unpack(mqtt.MsgID(asInt(row[0])), asBytes(row[1])) {
			w.pack.body = body
			if id < mqtt.MsgID(asInt(row[0])) {
				w.pack.add(0, id)
			}
		}
		return nil
	}))
	require.Equal(t, 1, rows)
	w.c = c
	require.NoError(t, w.putPack())
	c.close()

	db = open()
	page, err := db.spool.Page(1, 0, 100, 1<<20)
	require.NoError(t, err)
	require.Len(t, page, 4)
	for n, q := range page {
		require.Equal(t, []byte{byte(n)}, q.Message.Payload)
	}
	require.NoError(t, db.Close())
	list, _ := alarms.List()
	require.Empty(t, list)
}

func FuzzUnpack(f *testing.F) {
	_, row := rowOf(packed{1, "a"}, packed{2, "bc"}, packed{900, "d"})
	f.Add(uint64(900), row)
	f.Add(uint64(3), row)
	f.Add(uint64(1), []byte{packVersion})
	f.Add(uint64(1), []byte{packVersion, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1})
	f.Fuzz(func(t *testing.T, id uint64, row []byte) {
		size, last := 0, mqtt.MsgID(0)
		for at, body := range unpack(mqtt.MsgID(id), row) {
			require.LessOrEqual(t, uint64(at), id)
			require.GreaterOrEqual(t, at, last)
			last = at
			size += len(body)
		}
		require.LessOrEqual(t, size, len(row))
	})
}
