package line

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"fieldgate/bridges"
)

// FramerOf makes the framer of a framing object, for a bridge whose checksum has that type.
func FramerOf(t testing.TB, framing, checksum string) Framer {
	t.Helper()
	s, err := decode(bridges.Config{Settings: json.RawMessage(`{"link":{"tcp":{"address":"h:1"}},"framing":` + framing + `,"checksum":{"type":"` + checksum + `"},
		"devices":[{"id":"a","parse":{"text":true},"points":[{"id":"x"}]}]}`)})
	require.NoError(t, err)
	return s.Framing.framer(&s.Checksum)
}

// ChecksumOf makes a checksum from its settings.
func ChecksumOf(t testing.TB, settings string) *Checksum {
	t.Helper()
	c := &Checksum{}
	c.SetDefaults()
	require.NoError(t, bridges.Decode(json.RawMessage(settings), c))
	var f bridges.Faults
	c.check(&f, "")
	require.NoError(t, f.Err())
	return c
}

// Verify is verify for tests.
func (c *Checksum) Verify(f Frame) ([]byte, bool) { return c.verify(f) }

// Sum is sum for tests.
func (c *Checksum) Sum(data []byte) uint16 { return c.sum(data) }

// AppendTo is appendTo for tests.
func (c *Checksum) AppendTo(request []byte) []byte { return c.appendTo(request, 0) }

// Reader gives a function that frames, proves and parses bytes as a bridge does,
// without publishing, and tells how many frames were a device's.
func Reader(t testing.TB, settings string) func(data []byte) (matched int64) {
	t.Helper()
	s, err := decode(bridges.Config{Settings: json.RawMessage(settings)})
	require.NoError(t, err)
	x := trial{settings: s, want: map[string]*Device{"d": &s.Devices[0]}, found: map[string][]bridges.Reading{}}
	l := x.listener(nil)
	l.begun = true
	return func(data []byte) int64 {
		l.take(data, time.Now())
		return x.counters.matched
	}
}
