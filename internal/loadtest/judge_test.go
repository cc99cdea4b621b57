package loadtest_test

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// TestTrack_CountsWhatMustNotBe: the judge of all figures can condemn.
func TestTrack_CountsWhatMustNotBe(t *testing.T) {
	for _, c := range []struct {
		name string
		came []uint64
		want verdict
	}{
		{"all in order", []uint64{0, 1, 2, 3}, verdict{}},
		{"one lost", []uint64{0, 2, 3}, verdict{lost: 1}},
		{"one doubled", []uint64{0, 1, 1, 2, 3}, verdict{doubled: 1}},
		{"two swapped", []uint64{0, 2, 1, 3}, verdict{reordered: 1}},
		{"an old one again", []uint64{0, 1, 2, 3, 0}, verdict{doubled: 1}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var tr track
			for _, seq := range c.came {
				tr.see(seq)
			}
			v := verdict{lost: 4}
			v.add(&tr)
			require.Equal(t, c.want, v)
		})
	}
}

func TestPublisher_KnowsMessagesByTheirPacketIdentifiers(t *testing.T) {
	for _, sent := range []uint64{1, 100, 65535, 65536, 200_000} {
		p := publisher{}
		p.sent.Store(sent)
		for seq := sent - min(sent, 1000); seq < sent; seq++ {
			require.Equal(t, seq, p.sequenceOf(uint16(seq%65535)+1), "of %d", sent)
		}
	}
}
