package storage

import (
	"testing"

	"github.com/stretchr/testify/require"

	"fieldgate/broker/mqtt"
	"fieldgate/broker/session"
)

// TestLighten_LeavesWhatAllHaveOutOfTheIndexToo: what a sealed segment says of itself waits in the same batch as its last
// messages. Those that are left out must not be named there, or the next start would miss them.
func TestLighten_LeavesWhatAllHaveOutOfTheIndexToo(t *testing.T) {
	g := newSegment(1)
	g.slot = 0
	q := &queue{}
	s := &Spool{sessions: map[session.ID]*queue{1: q}, lazyArmed: true}
	b := &batch{}
	for id := mqtt.MsgID(1); id <= 2; id++ {
		e := &entry{id: id, seg: g, owed: []session.Owed{{Session: 1, QoS: 1}}, left: 1, m: &mqtt.Message{}}
		e.pos = g.add(id, 5)
		g.cache(e.pos, e)
		q.owe(1, g, e.pos)
		b.steps = append(b.steps, step{op: op{entry: e}})
		s.prepare(&b.steps[len(b.steps)-1], b)
	}
	b.steps = append(b.steps, step{op: op{seal: g}})
	seal := &b.steps[2]
	s.prepare(seal, b)
	require.True(t, g.parts[1].all)

	s.settle(q, g.parts[1], 0)
	require.True(t, s.lighten(b))
	require.False(t, b.steps[0].row)
	require.True(t, b.steps[1].row)
	stored := newSegment(1)
	require.NoError(t, stored.decodeRows(seal.index))
	require.Equal(t, []uint32{0, 6}, stored.sizes)
	require.Len(t, seal.bits, 1)
	words, _, err := decodeBits(seal.bits[0].bits)
	require.NoError(t, err)
	require.Equal(t, []uint64{0b10}, words)
}
