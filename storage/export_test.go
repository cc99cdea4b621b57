package storage

import "time"

// WithTidyPause lets a drained spool shrink its file after that time.
func WithTidyPause(c Config, pause time.Duration) Config {
	c.Spool.tidyPause = pause
	return c
}

// WithSlowDisk lets each flush take so much longer.
func WithSlowDisk(c Config, by time.Duration) Config {
	c.Spool.slowness = by
	return c
}
