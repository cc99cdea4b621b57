package storage

import (
	"encoding/binary"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"fieldgate/broker/mqtt"
	"fieldgate/broker/session"
)

func TestBody_ReadsWhatItWrote(t *testing.T) {
	for _, c := range []struct {
		name string
		m    mqtt.Message
		owed []session.Owed
		age  time.Duration
	}{
		{"least", mqtt.Message{Topic: "t", Payload: []byte{}}, nil, 0},
		{"all", mqtt.Message{
			Topic: "a/b", Payload: []byte("p"), QoS: 2, Retain: true, Props: mqtt.Properties{1, 1},
			Expiry: time.Hour, Accepted: time.Unix(1700000000, 123456789),
		}, []session.Owed{{Session: 1, QoS: 1}, {Session: 1 << 31, QoS: 2, Retain: true, SubscriptionIDs: []uint32{1, 268435455}}}, 400 * 24 * time.Hour},
		{"empty properties", mqtt.Message{Topic: "t", Payload: []byte{0}, Props: mqtt.Properties{}}, []session.Owed{{Session: 7}}, 0},
		{"before 1970", mqtt.Message{Topic: "t", Payload: []byte{}, Accepted: time.Unix(-5, 5)}, nil, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.m.ID = 1 << 40
			raw := appendBody(nil, stored{message: &c.m, pos: 4095, owed: c.owed, age: c.age})
			got, err := decodeBody(c.m.ID, raw)
			require.NoError(t, err)
			require.Equal(t, stored{message: &c.m, pos: 4095, owed: c.owed, age: c.age}, got)
			_, err = decodeBody(c.m.ID+1, raw)
			require.ErrorIs(t, err, errDamaged, "it is the row of another message")
			for i := range raw {
				raw[i] ^= 1
				_, err = decodeBody(c.m.ID, raw)
				require.ErrorIs(t, err, errDamaged, "byte %d flipped", i)
				raw[i] ^= 1
				_, err = decodeBody(c.m.ID, raw[:i])
				require.ErrorIs(t, err, errDamaged, "cut at %d", i)
			}
			c.m.Origin = "publisher"
			retained, err := decodeRetained(appendRetained(nil, &c.m, c.age))
			require.NoError(t, err)
			require.Equal(t, stored{message: &c.m, age: c.age, origin: true}, retained)
		})
	}
}

// reseal gives the row the checksum of its content, so that a fuzzer gets past it.
func reseal(raw []byte) []byte {
	return binary.LittleEndian.AppendUint32(raw[:len(raw):len(raw)], checksum(1, raw))
}

func FuzzDecodeBody(f *testing.F) {
	add := func(m mqtt.Message, owed ...session.Owed) {
		m.ID = 1
		raw := appendBody(nil, stored{message: &m, pos: 3, owed: owed, origin: m.Origin != ""})
		f.Add(raw[:len(raw)-4])
	}
	add(mqtt.Message{Topic: "t"})
	add(mqtt.Message{Topic: "a/b", Payload: []byte("p"), QoS: 2, Retain: true, Props: mqtt.Properties{1}, Expiry: 5, Accepted: time.Unix(1, 1), Origin: "c"},
		session.Owed{Session: 1, QoS: 1}, session.Owed{Session: 9, QoS: 2, SubscriptionIDs: []uint32{1, 2}})
	f.Add([]byte{bodyVersion, 0, 0, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1})
	f.Fuzz(func(t *testing.T, content []byte) {
		got, err := decodeBody(1, reseal(content))
		if err != nil {
			require.ErrorIs(t, err, errDamaged)
			return
		}
		again, err := decodeBody(1, appendBody(nil, got))
		require.NoError(t, err)
		require.Equal(t, got, again)
	})
}

func FuzzDecodeBits(f *testing.F) {
	p := &part{seg: newSegment(1)}
	for i := range 300 {
		p.seg.add(mqtt.MsgID(1+i), 1)
	}
	for _, pos := range []int{70, 71, 200, 299} {
		p.owe(pos)
	}
	f.Add(p.appendBits(nil, 300))
	f.Add(p.appendBits(nil, 71))
	f.Add([]byte{bodyVersion, 0, 64, 1, 1, 1, 1, 1, 1, 1, 1})
	f.Fuzz(func(t *testing.T, raw []byte) {
		words, covered, err := decodeBits(raw)
		if err != nil {
			require.ErrorIs(t, err, errDamaged)
			return
		}
		require.LessOrEqual(t, len(words), segmentRows/64)
		p := &part{words: words}
		again, covered2, err := decodeBits(p.appendBits(nil, covered))
		require.NoError(t, err)
		require.Equal(t, covered, covered2)
		for pos := range covered {
			require.Equal(t, coverage{words, covered}.has(pos), coverage{again, covered}.has(pos))
		}
	})
}

func FuzzDecodeRows(f *testing.F) {
	g := newSegment(5)
	g.place(0, 5, 10)
	g.place(1, 6, 0)
	f.Add(g.appendRows(nil))
	g.place(4, 900, 100000)
	f.Add(g.appendRows(nil))
	f.Fuzz(func(t *testing.T, raw []byte) {
		g := newSegment(5)
		if err := g.decodeRows(raw); err != nil {
			require.ErrorIs(t, err, errDamaged)
			return
		}
		again := newSegment(5)
		require.NoError(t, again.decodeRows(g.appendRows(nil)))
		require.Equal(t, g, again)
	})
}

func TestSegment_FindsWhatItHolds(t *testing.T) {
	for _, c := range []struct {
		name   string
		places map[int]mqtt.MsgID // by position
	}{
		{"one after the other", map[int]mqtt.MsgID{0: 10, 1: 11, 2: 12}},
		{"IDs are left out", map[int]mqtt.MsgID{0: 10, 1: 500, 2: 501}},
		{"a position is left out", map[int]mqtt.MsgID{0: 10, 2: 12, 3: 13}},
		{"the first position is left out", map[int]mqtt.MsgID{1: 11, 4: 99}},
		{"both are left out", map[int]mqtt.MsgID{0: 10, 3: 80, 4: 81, 63: 1000, 64: 1001}},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := newSegment(10)
			want := map[mqtt.MsgID]int{}
			for pos := range segmentRows {
				if id, there := c.places[pos]; there {
					require.True(t, g.fits(pos, id))
					g.place(pos, id, 7)
					want[id] = pos
				}
			}
			again := newSegment(10)
			require.NoError(t, again.decodeRows(g.appendRows(nil)))
			for id := mqtt.MsgID(0); id < 1100; id++ {
				pos, there := want[id]
				if !there {
					pos = -1
				}
				require.Equal(t, pos, g.find(id), "message %d", id)
				require.Equal(t, pos, again.find(id), "message %d", id)
			}
		})
	}
}

func TestPart_IsASet(t *testing.T) {
	g := newSegment(1)
	for i := range 1000 {
		g.add(mqtt.MsgID(1+i), i)
	}
	p := &part{seg: g}
	model := map[int]bool{}
	for i := range 1000 {
		p.owe(i)
		model[i] = true
	}
	g.sealed = true
	p.seal(g.rows())
	require.True(t, p.all)
	for range 3000 {
		pos := rand.IntN(1000)
		if model[pos] {
			p.settle(pos)
			delete(model, pos)
		}
		from := rand.IntN(1000)
		want := -1
		for i := from; i < 1000 && want < 0; i++ {
			if model[i] {
				want = i
			}
		}
		require.Equal(t, want, p.next(from))
		require.Equal(t, len(model), p.n)
	}
}
