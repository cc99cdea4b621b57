package gateway

import (
	"io/fs"
	"math"
	"path"
	"strconv"
	"strings"
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
