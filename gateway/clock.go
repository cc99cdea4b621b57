package gateway

import (
	"cmp"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"fieldgate/bridges"
)

const (
	bootIDFile = "/proc/sys/kernel/random/boot_id"
	// syncedFile is there once systemd-timesyncd has set the clock.
	syncedFile = "/run/systemd/timesync/synchronized"
	// clockEvery is how often the kernel is asked at most.
	clockEvery = time.Second
)

// systemClock is the machine's clock.
func systemClock() bridges.Clock {
	var right atomic.Bool
	var asked atomic.Int64 // uptime in nanoseconds, 0 before the first time
	boot, err := os.ReadFile(bootIDFile)
	if err != nil {
		boot = []byte("unknown")
	}
	return bridges.Clock{
		Now: time.Now, Uptime: uptime, Boot: cmp.Or(strings.TrimSpace(string(boot)), "unknown"),
		Synced: func() bool {
			if right.Load() {
				return true
			}
			now, last := int64(uptime()), asked.Load()
			if last != 0 && now-last < int64(clockEvery) || !asked.CompareAndSwap(last, now) {
				return false
			}
			if clockIsRight() {
				right.Store(true)
			}
			return right.Load()
		},
	}
}

// uptime is the time since the machine started, sleep included.
func uptime() time.Duration {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err != nil {
		return 0 // every kernel that Go runs on knows it
	}
	return time.Duration(ts.Nano())
}

// clockIsRight tells whether somebody has set the clock by a better one. A kernel that does not tell is believed.
func clockIsRight() bool {
	if _, err := os.Stat(syncedFile); err == nil {
		return true
	}
	known, right := kernelClock()
	return right || !known
}

// kernelClock tells whether the kernel holds its clock for right, as far as it says so.
func kernelClock() (known, right bool) {
	var clock unix.Timex
	state, err := unix.Adjtimex(&clock)
	return err == nil, err == nil && state != unix.TIME_ERROR && clock.Status&unix.STA_UNSYNC == 0
}
