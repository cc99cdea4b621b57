package sim_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"fieldgate/bridges/sim"
)

func TestGPSLines_LookLikeAReceivers(t *testing.T) {
	at := time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)
	require.Equal(t, "$GPGGA,100000.00,4800.0600,N,01130.0000,E,1,08,0.9,545.4,M,46.9,M,,*6E\r\n"+
		"$GPRMC,100000.00,A,4800.0600,N,01130.0000,E,2.5,,221126,,,A*7B\r\n", sim.GPSLines(at))
	lat, lon := sim.PositionAt(at)
	require.InDelta(t, 48.001, lat, 1e-9)
	require.InDelta(t, 11.5, lon, 1e-9)
}
