package bridges

import (
	"bytes"
	"time"

	"fieldgate/broker/mqtt"
)

// Quality says how far a reading may be trusted.
type Quality string

// The three qualities.
const (
	Good  Quality = "good"
	Stale Quality = "stale"
	Bad   Quality = "bad"
)

// The codes in Reading.Error that every kind uses; a kind may add its own.
const (
	ErrTimeout    = "timeout"      // no answer in time
	ErrLink       = "link"         // the port or connection is gone
	ErrParse      = "parse"        // an answer that is no value
	ErrNoValueYet = "no_value_yet" // configured, never read since the start
	ErrDisabled   = "disabled"     // the bridge, device or point is switched off
	ErrFailed     = "failed"       // the bridge does not run: its settings or the program are wrong
)

// Reading is one point's value at one moment. When Quality is Bad, Value is
// none and Error is a code such as "timeout".
type Reading struct {
	Device  string
	Point   string
	Topic   string // of the point, without prefix left to add: "fieldgate/main-meter/power"
	Plain   bool   // the bare number as payload ("payload: value")
	Value   Value
	Unit    string
	Quality Quality
	Error   string
	Time    time.Time // when the last byte of the answer came

	// Set by the supervisor while the machine's clock is not right: the run of the machine, and the time since that began.
	// Boot is empty for a time that is right.
	Boot   string
	Uptime time.Duration
}

// AppendPayload appends the payload as section 5 of the design has it: an object
// with value, unit (left out when empty), quality, time, behind a time that may be wrong clock, boot and uptime_ms,
// and, when not good, error. With Plain
// it is the bare value; a bad one is empty, which also removes the retained value,
// for a bare number cannot say that it is none.
func (r Reading) AppendPayload(b []byte) []byte {
	if r.Plain {
		switch {
		case r.Quality == Bad || r.Value.kind == noValue:
			return b
		case r.Value.kind == textValue:
			return append(b, r.Value.text...)
		}
		return r.Value.AppendJSON(b)
	}
	return r.appendObject(b, true)
}

// appendObject appends the reading as an object, with its time or without.
func (r Reading) appendObject(b []byte, timed bool) []byte {
	value := r.Value
	if r.Quality == Bad {
		value = Value{}
	}
	b = append(b, `{"value":`...)
	b = value.AppendJSON(b)
	if r.Unit != "" {
		b = append(b, `,"unit":`...)
		b = appendText(b, r.Unit)
	}
	b = append(b, `,"quality":"`...)
	b = append(b, r.Quality...)
	b = append(b, '"')
	if timed {
		b = append(b, `,"time":`...)
		b = r.appendClock(appendTime(b, r.Time))
	}
	if r.Error != "" {
		b = append(b, `,"error":`...)
		b = appendText(b, r.Error)
	}
	return append(b, '}')
}

// Message makes the message that tells the reading: retained, QoS 1.
func (r Reading) Message() *mqtt.Message {
	var room [256]byte
	return &mqtt.Message{
		Topic:   r.Topic,
		Payload: bytes.Clone(r.AppendPayload(room[:0])), // it may be kept for long: no byte too many
		QoS:     mqtt.AtLeastOnce,
		Retain:  true,
	}
}

// appendTime appends a time as "2026-11-22T10:00:00.047Z", null for the zero time.
func appendTime(b []byte, t time.Time) []byte {
	if t.IsZero() {
		return append(b, "null"...)
	}
	b = append(b, '"')
	b = t.UTC().AppendFormat(b, timeForm)
	return append(b, '"')
}
