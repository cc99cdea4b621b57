package broker_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"fieldgate/broker"
)

func TestOutBuffers_HaveRoomForWhatIsAsked(t *testing.T) {
	for _, test := range []struct {
		name string
		need int
		size int
	}{
		{"nothing", 0, 2 << 10},
		{"the smallest, full", 2 << 10, 2 << 10},
		{"one byte more", 2<<10 + 1, 8 << 10},
		{"the largest that is kept", 512 << 10, 512 << 10},
		{"a larger one", 512<<10 + 1, 512<<10 + 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			var pool broker.OutBuffers
			for range 3 { // fresh, then perhaps one that was kept
				b := pool.Get(test.need)
				require.Empty(t, b)
				require.GreaterOrEqual(t, cap(b), test.size)
				require.Less(t, cap(b), max(2*test.size, 4<<10))
				pool.Put(append(b, "used"...))
				pool.Put(make([]byte, 0, 5000)) // no size that get gives
			}
		})
	}
}

// BenchmarkOutBuffers is what a connection does with each batch that it is sent: nothing is allocated.
func BenchmarkOutBuffers(b *testing.B) {
	for _, need := range []int{100, 100_000} {
		b.Run(fmt.Sprintf("%d bytes", need), func(b *testing.B) {
			var pool broker.OutBuffers
			b.ReportAllocs()
			for b.Loop() {
				pool.Put(pool.Get(need))
			}
		})
	}
}
