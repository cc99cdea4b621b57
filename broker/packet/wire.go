package packet

import (
	"encoding/binary"
	"errors"
	"fmt"

	"fieldgate/broker/mqtt"
)

// clause is where a rule stands in 3.1.1 and in 5.0. 3.1 has no marks: its
// packets are told the clause of 3.1.1 that says the same.
type clause struct{ v3, v5 string }

func (c clause) of(v mqtt.Version) string {
	if v >= mqtt.V5 {
		return "v5 " + c.v5
	}
	return "v3.1.1 " + c.v3
}

// Length gives the length in bytes of the first packet in buf, fixed header
// included, or 0 while buf is too short to tell. The packet itself may be longer
// than buf. It fails with *Error when the remaining length is malformed or the
// packet is longer than limit bytes; 0 stands for MaxSize.
func Length(buf []byte, limit int) (int, error) {
	if len(buf) < 2 {
		return 0, nil
	}
	remaining, n, fault := varint(buf[1:])
	switch fault {
	case isTorn:
		return 0, nil
	case isTooLong:
		return 0, &Error{mqtt.MalformedPacket, "v5 1.5.5", fmt.Sprintf("%s: remaining length takes more than four bytes", TypeOf(buf[0]))}
	}
	size := 1 + n + remaining
	if limit > 0 && size > limit {
		return 0, &Error{mqtt.PacketTooLarge, "v5 MQTT-3.2.2-15", fmt.Sprintf("%s of %d bytes, %d are allowed", TypeOf(buf[0]), size, limit)}
	}
	return size, nil
}

// varintFault is what is wrong with a variable byte integer, in words; empty for nothing.
type varintFault string

const (
	isTorn       varintFault = "is cut off"
	isTooLong    varintFault = "takes more than four bytes"
	isNotMinimal varintFault = "takes more bytes than it needs" // only 5.0 forbids it: value and n are good
)

// varint reads a variable byte integer [v5 1.5.5] of n bytes.
func varint(b []byte) (value, n int, fault varintFault) {
	for n < 4 {
		if n == len(b) {
			return 0, 0, isTorn
		}
		c := b[n]
		value |= int(c&0x7F) << (7 * n)
		n++
		if c < 0x80 {
			if c == 0 && n > 1 {
				fault = isNotMinimal
			}
			return value, n, fault
		}
	}
	return 0, 0, isTooLong
}

// varintSize gives the number of bytes of n as a variable byte integer.
func varintSize(n int) int {
	switch {
	case n < 1<<7:
		return 1
	case n < 1<<14:
		return 2
	case n < 1<<21:
		return 3
	}
	return 4
}

func appendVarint(dst []byte, n int) []byte {
	for n >= 0x80 {
		dst = append(dst, byte(n)|0x80)
		n >>= 7
	}
	return append(dst, byte(n))
}

// reader takes fields from the front of a packet. After the first fault it gives
// zero values only, so that a packet is read straight down and asked once.
type reader struct {
	rest    []byte
	flags   byte // lower half of the first byte
	kind    Type
	version mqtt.Version
	err     *Error
}

// open begins to read the packet raw, which must be exactly one of the type kind.
func open(raw []byte, kind Type, v mqtt.Version) reader {
	r := reader{kind: kind, version: v}
	if len(raw) < 2 || TypeOf(raw[0]) != kind {
		r.fail(mqtt.ProtocolError, violation, "packet is not %s", kind)
		return r
	}
	remaining, n, fault := varint(raw[1:])
	if fault == isNotMinimal && v >= mqtt.V5 || fault == isTorn || fault == isTooLong {
		r.fail(mqtt.MalformedPacket, varintRule, "remaining length %s", fault)
		return r
	}
	r.flags = raw[0] & 0x0F
	r.rest = raw[1+n:]
	if len(r.rest) != remaining {
		r.fail(mqtt.MalformedPacket, remainingRule, "remaining length is %d but %d bytes follow", remaining, len(r.rest))
	}
	return r
}

// The rules that every packet may break.
var (
	violation     = clause{"MQTT-4.8.0-1", "MQTT-4.13.1-1"}
	remainingRule = clause{"2.2.3", "2.1.4"}
	varintRule    = clause{"2.2.3", "MQTT-1.5.5-1"}
	flagsRule     = clause{"MQTT-2.2.2-2", "MQTT-2.1.3-1"}
	utf8Rule      = clause{"MQTT-1.5.3-1", "MQTT-1.5.4-1"}
	nullRule      = clause{"MQTT-1.5.3-2", "MQTT-1.5.4-2"}
	packetIDRule  = clause{"MQTT-2.3.1-1", "MQTT-2.2.1-3"}
)

// fail notes the first fault.
func (r *reader) fail(reason mqtt.ReasonCode, c clause, format string, args ...any) {
	if r.err == nil {
		r.err = &Error{reason, c.of(r.version), r.kind.String() + ": " + fmt.Sprintf(format, args...)}
	}
	r.rest = nil
}

// done ends the packet: what was wrong with it, or with bytes behind its last field.
func (r *reader) done() error {
	if r.err == nil && len(r.rest) > 0 {
		r.fail(mqtt.MalformedPacket, violation, "%d bytes behind the last field", len(r.rest))
	}
	if r.err != nil {
		return r.err
	}
	return nil
}

// wantFlags checks the lower half of the first byte. 3.1 leaves most of it
// unused, and its clients set DUP when they send again.
func (r *reader) wantFlags(want byte) {
	if r.flags == want || r.err != nil {
		return
	}
	if r.version == mqtt.V31 && r.flags&0x06 == want {
		return
	}
	r.fail(mqtt.MalformedPacket, flagsRule, "flags of the first byte are 0x%X, not 0x%X", r.flags, want)
}

func (r *reader) torn(field string) {
	r.fail(mqtt.MalformedPacket, violation, "ends within the %s", field)
}

func (r *reader) uint8(field string) byte {
	if len(r.rest) < 1 {
		r.torn(field)
		return 0
	}
	v := r.rest[0]
	r.rest = r.rest[1:]
	return v
}

func (r *reader) uint16(field string) uint16 {
	if len(r.rest) < 2 {
		r.torn(field)
		return 0
	}
	v := binary.BigEndian.Uint16(r.rest)
	r.rest = r.rest[2:]
	return v
}

func (r *reader) uint32(field string) uint32 {
	if len(r.rest) < 4 {
		r.torn(field)
		return 0
	}
	v := binary.BigEndian.Uint32(r.rest)
	r.rest = r.rest[4:]
	return v
}

// varint reads a variable byte integer of 5.0.
func (r *reader) varint(field string) int {
	v, n, fault := varint(r.rest)
	switch {
	case r.err != nil:
	case fault == isTorn:
		r.torn(field)
	case fault != "":
		r.fail(mqtt.MalformedPacket, varintRule, "%s %s", field, fault)
	default:
		r.rest = r.rest[n:]
		return v
	}
	return 0
}

// binary reads two bytes of length and as many bytes, in place.
func (r *reader) binary(field string) []byte {
	n := int(r.uint16(field))
	if n > len(r.rest) {
		r.torn(field)
		return nil
	}
	v := r.rest[:n:n]
	r.rest = r.rest[n:]
	return v
}

// text reads a UTF-8 string, in place.
func (r *reader) text(field string) []byte {
	v := r.binary(field)
	if err := mqtt.CheckUTF8(v); err != nil {
		r.grammar(field, clause{}, mqtt.MalformedPacket, err)
		return nil
	}
	return v
}

// topicName reads a topic name, in place.
func (r *reader) topicName(field string, wildcards clause) []byte {
	v := r.binary(field)
	if r.err != nil {
		return nil
	}
	if err := mqtt.CheckName(v); err != nil {
		r.grammar(field, wildcards, mqtt.ProtocolError, err) // 0x90 is for names that are well formed [v5 3.2.2.2]
		return nil
	}
	return v
}

// grammar notes what package mqtt found wrong with a string: c and reason are for
// a fault of its wildcards.
func (r *reader) grammar(field string, c clause, reason mqtt.ReasonCode, err error) {
	fault, _ := errors.AsType[mqtt.GrammarError](err)
	switch fault {
	case mqtt.ErrNotUTF8:
		c, reason = utf8Rule, mqtt.MalformedPacket
	case mqtt.ErrNull:
		c, reason = nullRule, mqtt.MalformedPacket
	case mqtt.ErrLength:
		c = clause{"MQTT-4.7.3-1", "MQTT-4.7.3-1"}
	case mqtt.ErrMultiLast:
		c = clause{"MQTT-4.7.1-2", "MQTT-4.7.1-1"}
	case mqtt.ErrPlusAlone:
		c = clause{"MQTT-4.7.1-3", "MQTT-4.7.1-2"}
	case mqtt.ErrShareName:
		c = clause{"4.7", "MQTT-4.8.2-2"}
	}
	r.fail(reason, c, "%s %s", field, fault)
}

// packetID reads a packet identifier, which is never 0.
func (r *reader) packetID() uint16 {
	id := r.uint16("packet identifier")
	if id == 0 && r.err == nil {
		r.fail(mqtt.ProtocolError, packetIDRule, "packet identifier is 0")
	}
	return id
}

// writer puts a packet behind dst. bad is set by a field that no packet can carry.
type writer struct {
	buf   []byte
	start int
	bad   bool
}

// begin writes the first byte and leaves room for a remaining length of one byte.
func begin(dst []byte, kind Type, flags byte) writer {
	return writer{buf: append(dst, byte(kind)<<4|flags, 0), start: len(dst)}
}

// end writes the remaining length and gives the whole, or dst as it came.
func (w *writer) end() []byte {
	w.close(w.start + 1)
	if w.bad {
		return w.buf[:w.start]
	}
	return w.buf
}

// close writes the length of what follows the byte at mark as a variable byte
// integer into it, and moves the rest when one byte is not enough.
func (w *writer) close(mark int) {
	n := len(w.buf) - mark - 1
	if n > maxRemaining {
		w.bad = true
		return
	}
	if more := varintSize(n) - 1; more > 0 {
		w.buf = append(w.buf, 0, 0, 0)[:len(w.buf)+more]
		copy(w.buf[mark+1+more:], w.buf[mark+1:mark+1+n])
	}
	appendVarint(w.buf[:mark], n)
}

func (w *writer) uint8(v byte)    { w.buf = append(w.buf, v) }
func (w *writer) uint16(v uint16) { w.buf = binary.BigEndian.AppendUint16(w.buf, v) }
func (w *writer) uint32(v uint32) { w.buf = binary.BigEndian.AppendUint32(w.buf, v) }

func (w *writer) text(s string) {
	if len(s) > 65535 {
		w.bad = true
		return
	}
	w.uint16(uint16(len(s)))
	w.buf = append(w.buf, s...)
}

func (w *writer) binary(b []byte) {
	if len(b) > 65535 {
		w.bad = true
		return
	}
	w.uint16(uint16(len(b)))
	w.buf = append(w.buf, b...)
}
