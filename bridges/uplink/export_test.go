package uplink

import (
	"time"

	"fieldgate/bridges"
)

// Hasten makes the pauses between two tries to connect short.
func Hasten(b bridges.Bridge) {
	u := b.(*uplink)
	u.firstPause, u.lastPause = 2*time.Millisecond, 4*time.Millisecond
}
