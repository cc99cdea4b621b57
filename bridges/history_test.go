package bridges_test

import (
	"context"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"fieldgate/bridges"
	"fieldgate/bridges/bridgestest"
	"fieldgate/internal/fault"
)

// counter is a bridge that reports a number every 10 s, and a bad one at each hundredth.
type counter struct{}

func (counter) Run(ctx context.Context, host bridges.Host) error {
	for n := 0; ; n++ {
		r := bridges.Reading{Device: "d", Point: "p", Value: bridges.Int(int64(n)), Unit: "W", Quality: bridges.Good, Time: time.Now()}
		if n%100 == 99 {
			r.Quality, r.Error = bridges.Bad, bridges.ErrTimeout
		}
		if host.Report(ctx, r) != nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(10 * time.Second):
		}
	}
}

func TestHistory_KeepsTheLastReadingsAndADayInSteps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		kind := kindOf(counter{})
		bus := &bridgestest.Bus{}
		s := bridges.NewSupervisor(bridges.FieldRole, []bridges.Kind{kind}, bus, &fault.Alarms{}, (&bridgestest.Log{}).Logger())
		c, err := bridges.NewConfig([]byte(`{"id":"b","kind":"counter"}`), "")
		require.NoError(t, err)
		require.NoError(t, s.Apply([]bridges.Config{c}))
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- s.Run(ctx) }()
		time.Sleep(30*time.Hour + time.Second)
		h, err := s.History("d", "p")
		require.NoError(t, err)
		require.True(t, h.Kept)
		require.Equal(t, "W", h.Unit)
		require.Len(t, h.Recent, 60)
		last, _ := h.Recent[59].Value.Number()
		require.EqualValues(t, 10800, last)
		bad := 0
		for i, m := range h.Recent {
			if m.Value.IsNone() {
				bad++
			}
			if i > 0 {
				require.Equal(t, 10*time.Second, m.Time.Sub(h.Recent[i-1].Time))
			}
		}
		require.LessOrEqual(t, bad, 1)
		require.Len(t, h.Day, 72)
		for _, step := range h.Day[:71] {
			low, _ := step.Min.Number()
			top, _ := step.Max.Number()
			require.InDelta(t, 119, top-low, 2)
		}
		_, err = s.History("d", "nothing")
		require.Equal(t, fault.NotFound, fault.All(err)[0].Code)
		stop()
		require.NoError(t, <-ended)
	})
}

func kindOf(b bridges.Bridge) bridges.Kind {
	return bridges.Kind{
		Name: "counter", New: newOf(b),
		Devices: func(bridges.Config) []bridges.Device {
			return []bridges.Device{{ID: "d", Topic: "fieldgate/d", Points: []bridges.Point{{ID: "p"}}}}
		},
	}
}

func newOf(b bridges.Bridge) func(bridges.Config, *slog.Logger) (bridges.Bridge, error) {
	return func(bridges.Config, *slog.Logger) (bridges.Bridge, error) { return b, nil }
}
