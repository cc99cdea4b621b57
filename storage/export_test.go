package storage

import "time"

// SlowDisk lets each flush of the spool take so much longer from now on.
func SlowDisk(db *DB, by time.Duration) {
	db.spool.writer.c.c.RegisterCommitHook(func() int {
		time.Sleep(by)
		return 0
	})
}
