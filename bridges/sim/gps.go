package sim

import (
	"context"
	"fmt"
	"io"
	"math"
	"time"
)

// PositionAt is where the simulated GPS receiver is at t, in degrees, exact to 1/10000
// of a minute: once around 48° N, 11.5° E in ten minutes, on a circle of 0.001° of latitude.
func PositionAt(t time.Time) (lat, lon float64) {
	turn := 2 * math.Pi * math.Mod(float64(t.UnixNano())/1e9, 600) / 600
	return roundMinutes(48 + 0.001*math.Cos(turn)), roundMinutes(11.5 + 0.0015*math.Sin(turn))
}

func roundMinutes(degrees float64) float64 { return math.Round(degrees*60e4) / 60e4 }

// GPSLines are the sentences of one second: GGA and RMC, the latter without course and variation.
func GPSLines(t time.Time) string {
	t = t.UTC()
	lat, lon := PositionAt(t)
	place := nmeaAngle(lat, 2, "N", "S") + "," + nmeaAngle(lon, 3, "E", "W")
	clock := t.Format("150405.00")
	return nmeaSentence("GPGGA,"+clock+","+place+",1,08,0.9,545.4,M,46.9,M,,") +
		nmeaSentence("GPRMC,"+clock+",A,"+place+",2.5,,"+t.Format("020106")+",,,A")
}

// nmeaAngle writes degrees as ddmm.mmmm and the side.
func nmeaAngle(degrees float64, digits int, positive, negative string) string {
	side := positive
	if degrees < 0 {
		side, degrees = negative, -degrees
	}
	tenThousandths := int(math.Round(degrees * 60e4)) // of a minute, so that 59.99999 never becomes 60
	whole, rest := tenThousandths/60e4, tenThousandths%60e4
	return fmt.Sprintf("%0*d%07.4f,%s", digits, whole, float64(rest)/1e4, side)
}

func nmeaSentence(body string) string {
	var sum byte
	for _, c := range []byte(body) {
		sum ^= c
	}
	return fmt.Sprintf("$%s*%02X\r\n", body, sum)
}

// ServeGPS sends the sentences every interval until ctx is done (nil) or the line fails. It closes w when it ends.
func ServeGPS(ctx context.Context, w io.WriteCloser, now func() time.Time, interval time.Duration) error {
	defer w.Close()
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if _, err := io.WriteString(w, GPSLines(now())); err != nil && ctx.Err() == nil {
			return fmt.Errorf("serve a GPS receiver: %w", err)
		}
	}
}
