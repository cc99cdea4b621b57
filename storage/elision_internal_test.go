package storage

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestWindow_Adapts(t *testing.T) {
	const least, most = 20 * time.Millisecond, 200 * time.Millisecond
	for _, c := range []struct {
		name     string
		took     []time.Duration // by turns
		min, max time.Duration
	}{
		{"quick ones need no more", []time.Duration{time.Millisecond}, least, 25 * time.Millisecond},
		{"all fit", []time.Duration{90 * time.Millisecond}, 90 * time.Millisecond, 130 * time.Millisecond},
		{"a tenth does not count", tenth(), 90 * time.Millisecond, 130 * time.Millisecond},
		{"at the edge", []time.Duration{199 * time.Millisecond}, most, most},
		{"none fit", []time.Duration{300 * time.Millisecond}, least, least},
		{"too few fit", []time.Duration{time.Millisecond, time.Hour}, least, least},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWindow(SpoolConfig{AckWindow: least, AckWindowMax: most})
			require.Equal(t, least, w.now)
			for i := range 10 * windowRound {
				w.note(c.took[i%len(c.took)])
			}
			require.GreaterOrEqual(t, w.now, c.min)
			require.LessOrEqual(t, w.now, c.max)
			for range 10 * windowRound {
				w.note(time.Microsecond)
			}
			require.LessOrEqual(t, w.now, 25*time.Millisecond, "it forgets")
		})
	}
	off := newWindow(SpoolConfig{AckWindowMax: most})
	off.note(time.Second)
	require.Zero(t, off.now)
}

// tenth gives times of which less than one in ten is too long.
func tenth() (took []time.Duration) {
	for range 15 {
		took = append(took, 90*time.Millisecond)
	}
	return append(took, time.Hour)
}
