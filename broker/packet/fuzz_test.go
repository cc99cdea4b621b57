package packet_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"fieldgate/broker/mqtt"
	"fieldgate/broker/packet"
)

// FuzzDecode reads any bytes in any version: no panic, faults are *packet.Error
// with all its parts, what is read points into the packet or is not larger than
// the packet allows, and what is written again reads the same.
func FuzzDecode(f *testing.F) {
	for _, name := range goldenNames(f) {
		raw, v := golden(f, name)
		f.Add(raw, byte(v))
	}
	for _, c := range structures() { // every type, in every version
		for _, v := range versions {
			f.Add(c.append(nil, v), byte(v))
		}
	}
	for _, row := range malformed(f) {
		f.Add(row.raw, byte(row.version))
	}
	f.Add([]byte{0x30, 0x03, 0, 1}, byte(4))
	f.Add([]byte{0x82, 0x80, 0x80, 0x80, 0x80}, byte(5))
	f.Fuzz(func(t *testing.T, raw []byte, level byte) {
		v := versions[int(level)%len(versions)]
		if level >= 3 && level <= 5 {
			v = mqtt.Version(level)
		}
		checkLength(t, raw)
		if len(raw) == 0 {
			return
		}
		c, known := codecOf(raw[0])
		if !known {
			return
		}
		before := string(raw)
		err := c.decode(raw, v)
		require.Equal(t, before, string(raw), "reading must not change the packet")
		if err != nil {
			refused, ok := err.(*packet.Error)
			require.True(t, ok)
			require.NotEmpty(t, refused.Clause)
			require.NotEmpty(t, refused.Detail)
			require.True(t, refused.Reason.Failed())
			return
		}
		checkBounds(t, c.value, len(raw))
		written := c.append(nil, v)
		require.NotEmpty(t, written)
		again, _ := codecOf(written[0])
		require.NoError(t, again.decode(written, v))
		require.Equal(t, normal(c.value), normal(again.value))
		require.Equal(t, written, again.append(nil, v))
	})
}

func checkLength(t *testing.T, raw []byte) {
	n, err := packet.Length(raw, 1<<20)
	if err != nil {
		require.IsType(t, &packet.Error{}, err)
		require.Zero(t, n)
	}
	require.LessOrEqual(t, n, 1<<20)
}

// checkBounds: each element of a list takes bytes of the packet, so that no
// announced length makes a list that is longer than the packet.
func checkBounds(t *testing.T, value any, size int) {
	switch p := value.(type) {
	case *packet.Publish:
		require.LessOrEqual(t, len(p.Topic)+len(p.Payload)+len(p.Props)+2*len(p.SubscriptionIDs), size)
	case *packet.Subscribe:
		require.LessOrEqual(t, 4*len(p.Subscriptions)+5*len(p.User), size)
	case *packet.Unsubscribe:
		require.LessOrEqual(t, 3*len(p.Filters)+5*len(p.User), size)
	case *packet.Suback:
		require.LessOrEqual(t, len(p.Reasons)+5*len(p.User), size)
	}
}
