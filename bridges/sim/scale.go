package sim

import (
	"context"
	"fmt"
	"io"
	"math"
	"time"
)

// WeightAt is what lies on the simulated scale at t, in kg, rounded to 0.01: 12.5 + 2.5 sin(2π s/20), s in seconds since the Unix epoch.
func WeightAt(t time.Time) float64 {
	s := math.Mod(float64(t.UnixNano())/1e9, 20)
	return math.Round((12.5+2.5*math.Sin(2*math.Pi*s/20))*100) / 100
}

// ScaleLine is the line that the scale sends for a weight of kg: "ST,GS,+  12.34kg\r\n".
func ScaleLine(kg float64) string {
	sign := "+"
	if kg < 0 {
		sign, kg = "-", -kg
	}
	return fmt.Sprintf("ST,GS,%s%7.2fkg\r\n", sign, kg)
}

// ServeScale sends a line every interval until ctx is done (nil) or the line fails. It closes w when it ends.
func ServeScale(ctx context.Context, w io.WriteCloser, now func() time.Time, interval time.Duration) error {
	defer w.Close()
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if _, err := io.WriteString(w, ScaleLine(WeightAt(now()))); err != nil && ctx.Err() == nil {
			return fmt.Errorf("serve a scale: %w", err)
		}
	}
}
