package port

import (
	"errors"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// switched is an RTS line that remembers what happened to it.
type switched struct {
	events []string
	err    error
}

func (s *switched) SetRTS(on bool) error {
	if on {
		s.events = append(s.events, "on")
	} else {
		s.events = append(s.events, "off")
	}
	return s.err
}

func (s *switched) Drain() error {
	s.events = append(s.events, "drained")
	return s.err
}

func openSlave(t *testing.T) *os.File {
	t.Helper()
	pty, err := OpenPTY("")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, pty.Close()) })
	f, err := os.OpenFile(pty.Path(), os.O_RDWR|unix.O_NOCTTY|unix.O_NONBLOCK, 0)
	require.NoError(t, err)
	t.Cleanup(func() { _ = f.Close() })
	return f
}

// A pseudo-terminal's driver does not switch RS-485, as that of many adapters.
func TestRS485_RTSWhereTheKernelDoesNot(t *testing.T) {
	f := openSlave(t)
	for mode, want := range map[RS485][]string{RS485Auto: nil, RS485Off: nil, RS485On: {"off"}} {
		var line switched
		rts, err := setRS485(f, &line, mode)
		require.NoError(t, err)
		require.Equal(t, want, line.events)
		require.Equal(t, mode == RS485On, rts != nil)
	}
	_, err := setRS485(f, &switched{err: errors.New("no such line")}, RS485On)
	require.ErrorContains(t, err, "neither the kernel's driver switches RS-485 nor has this port an RTS line")
}

func TestRS485_HoldsRTSUntilTheLastBitIsSent(t *testing.T) {
	var line switched
	p := &Port{path: "x", file: openSlave(t), rts: &line}
	require.NoError(t, p.Write([]byte{1, 2, 3}, time.Now().Add(time.Second)))
	require.Equal(t, []string{"on", "drained", "off"}, line.events)
	line.err = errors.New("unplugged")
	require.ErrorIs(t, p.Write([]byte{1}, time.Now().Add(time.Second)), ErrGone)
}

func TestKeepsBitRate_OnlyOfRealPorts(t *testing.T) {
	require.False(t, keepsBitRate("/dev/pts/3", unix.Mkdev(136, 3)))
	require.False(t, keepsBitRate("/dev/ttyACM0", unix.Mkdev(166, 0)))
	require.False(t, keepsBitRate("/dev/ttyGS0", unix.Mkdev(250, 0)))
	require.False(t, keepsBitRate("/dev/ttyUSB999", unix.Mkdev(188, 999)), "the kernel does not know it")
	require.True(t, isPTY(unix.Mkdev(143, 1)))
	require.False(t, isPTY(unix.Mkdev(4, 64)))
}
