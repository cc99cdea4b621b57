package port

import (
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Major numbers of Unix98 pseudo-terminals [Linux, admin-guide/devices.txt].
const (
	firstPTYMajor = 136
	lastPTYMajor  = 143
)

func isPTY(device uint64) bool {
	major := unix.Major(device)
	return major >= firstPTYMajor && major <= lastPTYMajor
}

// keepsBitRate tells whether the port is known to be a UART: by its name in the
// kernel, whatever link leads there. USB devices of the class CDC ACM (ttyACM) and gadgets (ttyGS) take any
// bit rate and keep none.
func keepsBitRate(path string, device uint64) bool {
	if isPTY(device) {
		return false
	}
	name := path
	if real, err := filepath.EvalSymlinks(path); err == nil {
		name = real
	}
	for _, prefix := range []string{"ttyUSB", "ttyS", "ttyAMA", "ttySC", "ttymxc", "ttyO", "ttyXRUSB", "ttyTHS", "ttyUL"} {
		if rest, ok := strings.CutPrefix(filepath.Base(name), prefix); ok && strings.Trim(rest, "0123456789") == "" && rest != "" {
			return !isVirtual(filepath.Base(name))
		}
	}
	return false
}

// isVirtual tells whether no device stands behind a port.
func isVirtual(name string) bool {
	real, err := os.Readlink(filepath.Join("/sys/class/tty", name))
	return err != nil || strings.Contains(real, "/virtual/")
}

// napLate is by how much a sleep of the kernel comes late, about: 50 µs are its own slack, the rest is the thread's way back.
const napLate = 100 * time.Microsecond

// Nap sleeps to within some 10 µs, where a timer of the runtime may come a millisecond
// late, which is much between two frames. It holds a thread, and is awake for the last bit, at most 100 µs; it is for a few milliseconds.
func Nap(d time.Duration) {
	end := time.Now().Add(d)
	for d -= napLate; d > 0; d = time.Until(end) - napLate {
		ts := unix.NsecToTimespec(int64(d))
		if unix.Nanosleep(&ts, nil) == nil {
			break
		}
	}
	for time.Now().Before(end) {
	}
}
