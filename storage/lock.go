package storage

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"fieldgate/internal/fault"
)

// lock is held on a data directory as long as a process uses it. The kernel
// frees it when the process ends, however it ends.
type lock struct{ file *os.File }

// takeLock fails with fault.Conflict and the other process's id when another
// process uses the directory.
func takeLock(dir string) (*lock, error) {
	name := filepath.Join(dir, "lock")
	file, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, cmp.Or(heldReadOnly(dir, name), err)
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		pid := holder(file)
		_ = file.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fault.New(fault.Conflict, "data directory %s is in use by process %s", dir, pid)
		}
		return nil, fmt.Errorf("lock data directory %s: %w", dir, err)
	}
	// the id is for people; the lock holds without it, on a full disk too
	if file.Truncate(0) == nil {
		_, _ = file.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	}
	return &lock{file}, nil
}

// heldReadOnly tells who uses a directory that can't be written to, nil for nobody
// and for what can't be told.
func heldReadOnly(dir, name string) error {
	file, err := os.Open(name)
	if err != nil {
		return nil
	}
	probe := lock{file}
	defer func() { _ = probe.release() }()
	if errors.Is(syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB), syscall.EWOULDBLOCK) {
		return fault.New(fault.Conflict, "data directory %s is in use by process %s", dir, holder(file))
	}
	return nil
}

func holder(file *os.File) string {
	text, err := io.ReadAll(io.LimitReader(file, 32))
	pid := strings.TrimSpace(string(text))
	if err != nil || pid == "" {
		return "unknown"
	}
	return pid
}

// release frees the directory at once. Closing alone would not: a child process that
// is just being started has the file too, until it runs its own program.
func (l *lock) release() error {
	err := syscall.Flock(int(l.file.Fd()), syscall.LOCK_UN)
	return errors.Join(err, l.file.Close())
}
