package gateway

import (
	"os"
	"path/filepath"
	"syscall"

	"fieldgate/webui/api"
)

// disk is what the data directory takes and leaves.
func (g *Gateway) disk() api.Disk {
	d := api.Disk{Spool: fileSizes(g.file.DataDir, "spool.db"), State: fileSizes(g.file.DataDir, "state.db"), Free: -1, Size: -1}
	if g.db != nil {
		d.Pending = g.db.Spool().Pending()
	}
	var fs syscall.Statfs_t
	if err := syscall.Statfs(g.file.DataDir, &fs); err == nil {
		d.Free, d.Size = int64(fs.Bavail)*int64(fs.Bsize), int64(fs.Blocks)*int64(fs.Bsize)
	}
	return d
}

// fileSizes sums a database with its journal files, in bytes; -1 when there is none.
func fileSizes(dir, name string) int64 {
	total := int64(-1)
	for _, suffix := range []string{"", "-wal", "-shm"} {
		if info, err := os.Stat(filepath.Join(dir, name+suffix)); err == nil {
			total = max(total, 0) + info.Size()
		}
	}
	return total
}
