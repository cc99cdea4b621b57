package bridges

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func kept(h *history, all *histories, at time.Time, value float64) *history {
	return h.add(Reading{Value: Float(value), Quality: Good, Time: at}, all)
}

func TestHistory_AClockThatGoesBackDoesNotFreezeIt(t *testing.T) {
	var all histories
	begin := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	h := kept(nil, &all, begin, 1)
	for i := range 30 {
		h = kept(h, &all, begin.Add(time.Duration(i)*time.Minute), 1)
	}
	back := begin.Add(10 * time.Minute)
	for i := range 5 {
		h = kept(h, &all, back.Add(time.Duration(i)*time.Second), 2)
	}
	told := h.tell(back.Add(5 * time.Second))
	require.Len(t, told.Recent, 5)
	require.Equal(t, back, told.Recent[0].Time)
	for i := 1; i < len(told.Day); i++ {
		require.True(t, told.Day[i].Time.After(told.Day[i-1].Time))
	}
}

func TestHistory_KeepsTimesOfSlowPoints(t *testing.T) {
	var all histories
	begin := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	var h *history
	for i := range 5 {
		h = kept(h, &all, begin.Add(time.Duration(i)*24*time.Hour), float64(i))
	}
	told := h.tell(begin.Add(4 * 24 * time.Hour))
	require.Len(t, told.Recent, 5)
	require.Equal(t, begin, told.Recent[0].Time)
	require.Len(t, told.Day, 2, "those of 24 hours")
}

// Whatever comes, times rise, numbers are those that were given, and memory is bounded.
func TestHistory_OfAnything(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var all histories
		var h *history
		at := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
		given := map[float32]bool{}
		for range rapid.IntRange(1, 300).Draw(t, "readings") {
			at = at.Add(time.Duration(rapid.Int64Range(-int64(time.Hour), 100*int64(time.Hour)).Draw(t, "later")))
			value := float64(rapid.Float32Range(-1e9, 1e9).Draw(t, "value"))
			given[float32(value)] = true
			h = kept(h, &all, at, value)
			told := h.tell(at)
			require.LessOrEqual(t, cap(h.recent), recentReadings)
			require.LessOrEqual(t, cap(h.day), daySteps)
			for i, m := range told.Recent {
				number, _ := m.Value.Number()
				require.True(t, given[float32(number)])
				require.True(t, i == 0 || !m.Time.Before(told.Recent[i-1].Time))
			}
			last := told.Recent[len(told.Recent)-1]
			require.WithinDuration(t, at, last.Time, time.Second+tick)
			for i, s := range told.Day {
				low, _ := s.Min.Number()
				top, _ := s.Max.Number()
				require.LessOrEqual(t, low, top)
				require.True(t, i == 0 || s.Time.After(told.Day[i-1].Time))
			}
		}
	})
}

func TestGap_IsExactWithinAnHour(t *testing.T) {
	for _, ticks := range []int64{0, 1, 10, 32_767} {
		require.Equal(t, ticks, gapOf(ticks).ticks())
	}
	for _, ticks := range []int64{32_768, 864_000, longestGap} {
		require.InDelta(t, ticks, gapOf(ticks).ticks(), coarseTicks)
	}
	require.True(t, singleOf(math.NaN()).isNone())
	require.Equal(t, float32(-0.1), singleOf(-0.1).number())
}
