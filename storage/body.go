package storage

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math"
	"time"

	"fieldgate/broker/mqtt"
	"fieldgate/broker/session"
)

// A message's row: version, flags, position in its segment, time, expiry with the
// age of the spool, publisher (of a retained message), whom it is owed to, topic,
// properties, payload, and CRC32C over its ID and all that, because SQLite does not
// see a flipped bit.
const bodyVersion = 1

// The bits of the flags byte; the lowest two are the QoS.
const (
	flagRetain = 1 << (2 + iota)
	flagExpiry
	flagProps
	flagAccepted
	flagOrigin
	flagsEnd // what is unknown can't be read
)

// The bits of the byte that goes with a session in the owed list; the lowest two are the QoS.
const (
	owedRetain = 1 << (2 + iota)
	owedSubscriptionIDs
)

// maxOwed bounds the lists in a body that can be taken for real.
const maxOwed = 1 << 20

// stored is a message as it stands in a row.
type stored struct {
	message *mqtt.Message
	pos     int
	owed    []session.Owed
	age     time.Duration // of the spool when a message that expires was accepted, in ms
	origin  bool          // with the publisher's client identifier
}

// appendBody writes the row of a message behind dst.
func appendBody(dst []byte, s stored) []byte {
	start, m := len(dst), s.message
	flags := byte(m.QoS & 3)
	if m.Retain {
		flags |= flagRetain
	}
	if m.Expiry > 0 {
		flags |= flagExpiry
	}
	if m.Props != nil {
		flags |= flagProps
	}
	if !m.Accepted.IsZero() {
		flags |= flagAccepted
	}
	if s.origin {
		flags |= flagOrigin
	}
	dst = append(dst, bodyVersion, flags)
	dst = binary.AppendUvarint(dst, uint64(s.pos))
	if flags&flagAccepted != 0 {
		dst = binary.LittleEndian.AppendUint64(dst, uint64(m.Accepted.UnixNano()))
	}
	if flags&flagExpiry != 0 {
		dst = binary.AppendUvarint(dst, uint64(m.Expiry))
		dst = binary.AppendUvarint(dst, uint64(s.age.Milliseconds()))
	}
	if s.origin {
		dst = binary.AppendUvarint(dst, uint64(len(m.Origin)))
		dst = append(dst, m.Origin...)
	}
	dst = appendOwed(dst, s.owed)
	dst = binary.AppendUvarint(dst, uint64(len(m.Topic)))
	dst = append(dst, m.Topic...)
	if flags&flagProps != 0 {
		dst = binary.AppendUvarint(dst, uint64(len(m.Props)))
		dst = append(dst, m.Props...)
	}
	dst = append(dst, m.Payload...)
	return binary.LittleEndian.AppendUint32(dst, checksum(m.ID, dst[start:]))
}

func appendOwed(dst []byte, owed []session.Owed) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(owed)))
	for _, o := range owed {
		how := byte(o.QoS & 3)
		if o.Retain {
			how |= owedRetain
		}
		if len(o.SubscriptionIDs) > 0 {
			how |= owedSubscriptionIDs
		}
		dst = append(binary.AppendUvarint(dst, uint64(o.Session)), how)
		if len(o.SubscriptionIDs) > 0 {
			dst = binary.AppendUvarint(dst, uint64(len(o.SubscriptionIDs)))
			for _, id := range o.SubscriptionIDs {
				dst = binary.AppendUvarint(dst, uint64(id))
			}
		}
	}
	return dst
}

// checksum covers the ID, so that a row can't pass for another one.
func checksum(id mqtt.MsgID, body []byte) uint32 {
	table := crc32.MakeTable(crc32.Castagnoli)
	var raw [8]byte
	binary.LittleEndian.PutUint64(raw[:], uint64(id))
	return crc32.Update(crc32.Checksum(raw[:], table), table, body)
}

// decodeBody reads a row; the payload and properties point into raw. It fails
// with errDamaged on anything that appendBody did not write for this ID.
func decodeBody(id mqtt.MsgID, raw []byte) (stored, error) {
	if len(raw) < 6 {
		return stored{}, fmt.Errorf("message %d: %w: %d bytes", id, errDamaged, len(raw))
	}
	end := len(raw) - 4
	if binary.LittleEndian.Uint32(raw[end:]) != checksum(id, raw[:end]) {
		return stored{}, fmt.Errorf("message %d: %w: checksum", id, errDamaged)
	}
	if raw[0] != bodyVersion || raw[1] >= flagsEnd {
		return stored{}, fmt.Errorf("message %d: %w: version %d, flags %#x", id, errDamaged, raw[0], raw[1])
	}
	flags, r := raw[1], reader{rest: raw[2:end:end]}
	m := &mqtt.Message{ID: id, QoS: mqtt.QoS(flags & 3), Retain: flags&flagRetain != 0}
	s := stored{message: m, pos: int(r.uvarint(math.MaxInt32))}
	if flags&flagAccepted != 0 {
		m.Accepted = time.Unix(0, int64(r.fixed64()))
	}
	if flags&flagExpiry != 0 {
		m.Expiry = time.Duration(r.uvarint(math.MaxInt64))
		s.age = time.Duration(r.uvarint(math.MaxInt64/uint64(time.Millisecond))) * time.Millisecond
	}
	if s.origin = flags&flagOrigin != 0; s.origin {
		m.Origin = string(r.counted())
	}
	s.owed = r.owed()
	m.Topic = string(r.counted())
	if flags&flagProps != 0 {
		m.Props = mqtt.Properties(r.counted())
	}
	m.Payload = r.rest
	if r.bad {
		return stored{}, fmt.Errorf("message %d: %w: cut short", id, errDamaged)
	}
	return s, nil
}

// appendRetained writes the row of a retained message behind dst: its ID, and then
// as a message. Who published it decides about no local as long as it stays.
func appendRetained(dst []byte, m *mqtt.Message, age time.Duration) []byte {
	return appendBody(binary.LittleEndian.AppendUint64(dst, uint64(m.ID)), stored{message: m, age: age, origin: true})
}

// decodeRetained reads what appendRetained has written.
func decodeRetained(raw []byte) (stored, error) {
	if len(raw) < 8 {
		return stored{}, fmt.Errorf("retained message: %w: %d bytes", errDamaged, len(raw))
	}
	return decodeBody(mqtt.MsgID(binary.LittleEndian.Uint64(raw)), raw[8:])
}

// reader takes fields off the front of rest; once bad it gives zero values.
type reader struct {
	rest []byte
	bad  bool
}

func (r *reader) uvarint(limit uint64) uint64 {
	v, n := binary.Uvarint(r.rest)
	if n <= 0 || v > limit {
		r.bad, r.rest = true, nil
		return 0
	}
	r.rest = r.rest[n:]
	return v
}

func (r *reader) take(n int) []byte {
	if n > len(r.rest) {
		r.bad, r.rest = true, nil
		return nil
	}
	taken := r.rest[:n:n]
	r.rest = r.rest[n:]
	return taken
}

func (r *reader) counted() []byte { return r.take(int(r.uvarint(math.MaxInt32))) }

func (r *reader) fixed64() uint64 {
	raw := r.take(8)
	if raw == nil {
		return 0
	}
	return binary.LittleEndian.Uint64(raw)
}

func (r *reader) byte() byte {
	raw := r.take(1)
	if raw == nil {
		return 0
	}
	return raw[0]
}

func (r *reader) owed() []session.Owed {
	n := r.uvarint(maxOwed)
	if n == 0 || n > uint64(len(r.rest)) {
		r.bad = r.bad || n > 0
		return nil
	}
	owed := make([]session.Owed, 0, n)
	for range n {
		o := session.Owed{Session: session.ID(r.uvarint(math.MaxUint32))}
		how := r.byte()
		o.QoS, o.Retain = mqtt.QoS(how&3), how&owedRetain != 0
		if how&owedSubscriptionIDs != 0 {
			o.SubscriptionIDs = r.subscriptionIDs()
		}
		owed = append(owed, o)
	}
	return owed
}

func (r *reader) subscriptionIDs() []uint32 {
	n := r.uvarint(maxOwed)
	if n > uint64(len(r.rest)) {
		r.bad = true
		return nil
	}
	ids := make([]uint32, n)
	for i := range ids {
		ids[i] = uint32(r.uvarint(math.MaxUint32))
	}
	return ids
}

// appendOptions writes the options of a subscription behind dst.
func appendOptions(dst []byte, s mqtt.Subscription) []byte {
	how := byte(s.QoS & 3)
	if s.NoLocal {
		how |= 1 << 2
	}
	if s.RetainAsPublished {
		how |= 1 << 3
	}
	how |= s.RetainHandling & 3 << 4
	return binary.AppendUvarint(append(dst, bodyVersion, how), uint64(s.ID))
}

// decodeOptions reads what appendOptions has written.
func decodeOptions(filter string, raw []byte) (mqtt.Subscription, error) {
	r := reader{rest: raw}
	version, how := r.byte(), r.byte()
	s := mqtt.Subscription{
		Filter:            filter,
		QoS:               mqtt.QoS(how & 3),
		NoLocal:           how&(1<<2) != 0,
		RetainAsPublished: how&(1<<3) != 0,
		RetainHandling:    how >> 4 & 3,
		ID:                uint32(r.uvarint(math.MaxUint32)),
	}
	if r.bad || version != bodyVersion {
		return s, fmt.Errorf("subscription to %q: %w", filter, errDamaged)
	}
	return s, nil
}
