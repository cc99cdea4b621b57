package gateway

import (
	"context"
	"io/fs"
	"math"
	"path"
	"runtime/debug"
	"runtime/metrics"
	"strconv"
	"strings"
	"time"
)

// MemoryLimit gives what the garbage collector should keep to, in bytes: nine
// tenths of what the process's cgroup (version 2) and those around it allow. 0
// when nothing limits it. root is the file system's root.
func MemoryLimit(root fs.FS) int64 {
	membership, err := fs.ReadFile(root, "proc/self/cgroup")
	if err != nil {
		return 0
	}
	limit := int64(math.MaxInt64)
	for line := range strings.Lines(string(membership)) {
		group, found := strings.CutPrefix(strings.TrimSpace(line), "0::/")
		if !found {
			continue
		}
		for dir := path.Join("sys/fs/cgroup", group); strings.HasPrefix(dir, "sys/fs/cgroup"); dir = path.Dir(dir) {
			limit = min(limit, groupLimit(root, dir+"/memory.max"), groupLimit(root, dir+"/memory.high"))
		}
	}
	if limit == math.MaxInt64 {
		return 0
	}
	return limit / 10 * 9
}

// groupLimit reads a file that says "max" or a number.
func groupLimit(root fs.FS, file string) int64 {
	text, err := fs.ReadFile(root, file)
	if err != nil {
		return math.MaxInt64
	}
	n, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
	if err != nil || n <= 0 {
		return math.MaxInt64
	}
	return n
}

// When memory is given back to the system.
const (
	trimLook  = 5 * time.Second
	trimQuiet = 4 << 20 // bytes: less is allocated between two looks
	trimWorth = 6 << 20 // bytes: so much at least is free and held
)

// trimMemory gives memory back to the system when the start or a burst is over, until ctx is done: the
// runtime itself would keep what they needed for minutes, and the system the code that ran.
func trimMemory(ctx context.Context) error {
	look := time.NewTicker(trimLook)
	defer look.Stop()
	last, trimmedAt := uint64(0), uint64(0)
	for started := false; ; {
		select {
		case <-ctx.Done():
			return nil
		case <-look.C:
		}
		allocated, free := heapUse()
		quiet := allocated-last < trimQuiet
		// what was allocated since the last time may be garbage that nobody has collected yet
		if quiet && (!started || free+(allocated-trimmedAt) > trimWorth) {
			debug.FreeOSMemory()
			releaseProgram()
			started, trimmedAt = true, allocated
		}
		last = allocated
	}
}

// heapUse gives the bytes that were ever allocated, and those that are free and not given back.
func heapUse() (allocated, free uint64) {
	samples := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}, {Name: "/memory/classes/heap/free:bytes"}}
	metrics.Read(samples)
	return samples[0].Value.Uint64(), samples[1].Value.Uint64()
}
