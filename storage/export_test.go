package storage

import "time"

// WithTidyPause lets a drained spool shrink its file after that time.
func WithTidyPause(c Config, pause time.Duration) Config {
	c.Spool.tidyPause = pause
	return c
}
