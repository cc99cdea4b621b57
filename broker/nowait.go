//go:build !race

package broker

import (
	"syscall"
	"unsafe"
)

// readNow reads from a socket that never blocks, without a word to the runtime.
//
// An ordinary system call tells the runtime that the thread may be away for long. When the process was
// idle before, that wakes the runtime's monitor, a thread that then looks again every 20 µs until the
// process is idle again: for a message that comes alone it costs more than all that the broker does with it.
// Who reads on and on should use the ordinary call now and then, for the monitor must be awake in a busy
// process: it ends the turns of goroutines that run for long.
func readNow(fd uintptr, b []byte) (int, error) {
	n, _, errno := syscall.RawSyscall(syscall.SYS_READ, fd, uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)))
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}

// writeNow writes to a socket that never blocks, as readNow reads.
func writeNow(fd uintptr, b []byte) (int, error) {
	n, _, errno := syscall.RawSyscall(syscall.SYS_WRITE, fd, uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)))
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}
