package session

import (
	"encoding/binary"
	"errors"
	"time"

	"fieldgate/broker/mqtt"
)

// Never is the expiry of a session that ends only by a clean start.
const Never = time.Duration(1<<63 - 1)

// Meta is what a Record's Meta holds.
type Meta struct {
	Version mqtt.Version  // of the last connection, 0 for an in-process session
	Expiry  time.Duration // how long the session lives on without a connection
	Offline time.Duration // how long it has been without one, as far as it was noted; power cuts do not count
	User    string        // user name of the last connection, empty for an anonymous one
	Sent    uint64        // 1 and the ID up to which deliveries were sent, when it is sure that no later one was; else 0
}

const metaFormat = 1

// ErrMeta says that a Record's Meta was not written by this package, or by a newer one.
var ErrMeta = errors.New("session record has an unknown format")

// Encode gives the stored form.
func (m Meta) Encode() []byte {
	b := []byte{metaFormat, byte(m.Version)}
	b = binary.AppendUvarint(b, uint64(m.Expiry))
	b = binary.AppendUvarint(b, uint64(m.Offline))
	b = binary.AppendUvarint(b, uint64(len(m.User)))
	b = append(b, m.User...)
	return binary.AppendUvarint(b, m.Sent)
}

// DecodeMeta reads the stored form; what a later version added behind it is ignored.
func DecodeMeta(b []byte) (Meta, error) {
	if len(b) < 2 || b[0] != metaFormat {
		return Meta{}, ErrMeta
	}
	m := Meta{Version: mqtt.Version(b[1])}
	rest := b[2:]
	for _, field := range []*time.Duration{&m.Expiry, &m.Offline} {
		v, n := binary.Uvarint(rest)
		if n <= 0 || v > uint64(Never) {
			return Meta{}, ErrMeta
		}
		*field, rest = time.Duration(v), rest[n:]
	}
	if len(rest) == 0 { // written before there were access rules
		return m, nil
	}
	length, n := binary.Uvarint(rest)
	if n <= 0 || length > uint64(len(rest)-n) {
		return Meta{}, ErrMeta
	}
	m.User, rest = string(rest[n:n+int(length)]), rest[n+int(length):]
	if len(rest) == 0 { // written before it was kept
		return m, nil
	}
	if m.Sent, n = binary.Uvarint(rest); n <= 0 {
		return Meta{}, ErrMeta
	}
	return m, nil
}
