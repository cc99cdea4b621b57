package api

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

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

// RereadPoints asserts that what is read from a CSV without faults is JSON, and is read the same again after it was written.
func RereadPoints(t *testing.T, text []byte) {
	rows, faults := readPoints(text)
	if len(faults) > 0 {
		return
	}
	var points []object
	for _, r := range rows {
		require.True(t, json.Valid(r.point.JSON()), "%s", r.point.JSON())
		points = append(points, r.point)
	}
	if len(points) == 0 {
		return
	}
	once := writePoints(points, tableForm{separator: ',', decimal: "."})
	again, _ := readPoints(once)
	var back []object
	for _, r := range again {
		back = append(back, r.point)
	}
	if len(back) == len(points) {
		require.Equal(t, string(once), string(writePoints(back, tableForm{separator: ',', decimal: "."})))
	}
}
