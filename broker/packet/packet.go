// Package packet reads and writes the MQTT control packets of 3.1, 3.1.1 and
// 5.0, a file each. It knows grammar only: no policy, no I/O, no goroutine.
//
// Decode reads one whole packet in place: byte slices in the result point into
// the packet and are valid only as long as it is; strings are copies. It sets
// every field. It fails with *Error, always; the result is then not to be used.
//
// Append writes one whole packet behind dst and allocates nothing when dst has
// room for it and 4 bytes more. It is for structures that Decode could give: it
// does not check them. One that no packet can carry, because a string has more
// than 65,535 bytes or the packet more than MaxSize, is not written: Append then
// returns dst as it came.
//
// All functions may be called at the same time on different values.
package packet

import (
	"fmt"

	"fieldgate/broker/mqtt"
)

// Type is the control packet type, the upper half of the first byte.
type Type byte

// The control packet types [v5 2.1.2].
const (
	CONNECT     Type = 1
	CONNACK     Type = 2
	PUBLISH     Type = 3
	PUBACK      Type = 4
	PUBREC      Type = 5
	PUBREL      Type = 6
	PUBCOMP     Type = 7
	SUBSCRIBE   Type = 8
	SUBACK      Type = 9
	UNSUBSCRIBE Type = 10
	UNSUBACK    Type = 11
	PINGREQ     Type = 12
	PINGRESP    Type = 13
	DISCONNECT  Type = 14
	AUTH        Type = 15
)

// String gives the name as the specification writes it.
func (t Type) String() string {
	names := [...]string{"reserved packet type 0", "CONNECT", "CONNACK", "PUBLISH", "PUBACK", "PUBREC", "PUBREL", "PUBCOMP",
		"SUBSCRIBE", "SUBACK", "UNSUBSCRIBE", "UNSUBACK", "PINGREQ", "PINGRESP", "DISCONNECT", "AUTH"}
	if int(t) < len(names) {
		return names[t]
	}
	return fmt.Sprintf("packet type %d", byte(t))
}

// TypeOf gives the type of the packet that begins with first.
func TypeOf(first byte) Type { return Type(first >> 4) }

// MaxSize is the length in bytes of the longest packet that MQTT allows: a
// remaining length of 268,435,455 and its fixed header.
const MaxSize = maxRemaining + 5

// maxRemaining is the highest remaining length, and the highest variable byte integer.
const maxRemaining = 268_435_455

// Error is a packet that the specification forbids.
type Error struct {
	Reason mqtt.ReasonCode // for the DISCONNECT or CONNACK of 5.0
	Clause string          // "v3.1.1 MQTT-3.1.0-2"; the number of a section where the text has no mark
	Detail string          // what was wrong, without payload or password
}

// Error gives the detail with its clause, fit for a log.
func (e *Error) Error() string { return fmt.Sprintf("%s [%s]", e.Detail, e.Clause) }

// UserProperty is a name and a value that MQTT gives no meaning.
type UserProperty struct{ Name, Value string }
