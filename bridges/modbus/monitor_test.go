package modbus_test

import (
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"fieldgate/bridges"
	"fieldgate/bridges/bridgestest"
	"fieldgate/bridges/internal/port"
	"fieldgate/bridges/sim"
)

// A person who looks at the link sees what was no answer, and why.
func TestWatch_TellsNoiseStrangersAndWhatCameTooEarlyOrTooLate(t *testing.T) {
	for _, c := range []struct {
		name      string
		timed     bool
		spoil     func(l *faultyLine, answer []byte)
		direction string
		problem   string
		words     string
		hex       string
		unit      int
	}{
		{"noise", false, func(l *faultyLine, a []byte) { l.send([]byte{0xFF, 0x07}, a) }, "other", "foreign", "noise", "ff07", 0},
		{"noise behind", false, func(l *faultyLine, a []byte) { l.send(append(a, 0xFF, 0x07)) }, "other", "foreign", "noise", "ff07", 0},
		{"another unit", false, func(l *faultyLine, a []byte) { l.send(append(frame(9, 3, 2, 0, 7), a...)) }, "other", "foreign", "a frame of somebody else", "", 9},
		{"late", false, func(l *faultyLine, a []byte) { l.late(150*time.Millisecond, a) }, "other", "late", "was given up", "", 1},
		{"the first one after a silence", false, func(*faultyLine, []byte) {}, "answer", "late", "asked once more", "", 1},
		{"faster than the line", true, func(l *faultyLine, a []byte) { l.send(a) }, "other", "early", "faster than the line", "", 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			link := filepath.Join(t.TempDir(), "ttyUSB0")
			pty, err := sim.NewPTY(link)
			require.NoError(t, err)
			line := &faultyLine{ReadWriteCloser: pty, spoil: c.spoil, most: 1 << 30, spoiled: map[uint64]bool{}}
			serve(t, line, map[byte]sim.Device{1: ruler{1, &counter{}}})
			t.Cleanup(line.delayed.Wait)
			f := startOn(t, &bridgestest.Bus{}, &port.Ports{TimedPTYs: c.timed}, fmt.Sprintf(`{"id":"b","kind":"modbus","link":{"serial":{"port":%q,"baud":1200}},"timeout":"%v",
				"devices":[{"id":"d","unit":1,"interval":"20ms","points":[{"id":"p","type":"uint64"}]}]}`, link, faultTimeout))
			f.AwaitRetained(t, "fieldgate/$bridge/b", `"state":"online"`)
			seen := make(chan bridges.Frame, 1)
			stop, _, err := f.supervisor.Watch("b", func(x bridges.Frame) {
				if x.Direction != c.direction || x.Problem != c.problem {
					return
				}
				select {
				case seen <- x:
				default:
				}
			})
			require.NoError(t, err)
			defer stop()
			select {
			case x := <-seen:
				require.Contains(t, x.Words, c.words)
				require.Equal(t, c.unit, x.Unit)
				if c.hex != "" {
					require.Equal(t, c.hex, x.Hex)
				}
			case <-time.After(20 * time.Second):
				require.Fail(t, "no such frame")
			}
		})
	}
}
