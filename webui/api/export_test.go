package api

import "time"

// What the tests of the parts without a resource of their own call.
var (
	MergePatch = mergePatch
	ParseBody  = func(text []byte) error { _, err := parseBody(text); return err }
	ETag       = etag
	AddressKey = addressKey
)

const (
	MaxStreams   = maxStreams
	MaxThrottled = maxThrottled
)

// NewThrottle gives a throttle's try and the number of keys that it remembers.
func NewThrottle() (try func(key string, limit int) time.Duration, size func() int) {
	var t throttle
	return t.try, func() int { return len(t.seen) }
}
