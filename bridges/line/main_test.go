package line_test

import (
	"testing"
	"time"

	"fieldgate/internal/leak"
)

func TestMain(m *testing.M) { leak.Main(m) }

// pause is the time between two lines of a device.
func pause(done <-chan struct{}) {
	select {
	case <-done:
	case <-time.After(20 * time.Millisecond):
	}
}
