package api

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
