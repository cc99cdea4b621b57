package mqtt

// ReasonCode is the result of an operation as in [v5 2.4].
type ReasonCode byte

// The reason codes of 5.0.
const (
	Success         ReasonCode = 0x00
	MalformedPacket ReasonCode = 0x81
	ProtocolError   ReasonCode = 0x82
)
