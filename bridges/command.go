package bridges

import (
	"context"
	"encoding/json"
	"strconv"
	"time"

	"fieldgate/internal/fault"
)

// Writer is a Bridge that can write points, called while it runs and from
// several goroutines at once. The result says how it went; an error means that
// it could not be tried (fault.NotFound for a device or point that it does not have).
type Writer interface {
	Write(ctx context.Context, device, point string, value json.RawMessage) (WriteResult, error)
}

// WriteResult is the answer to a command.
type WriteResult struct {
	OK     bool
	Value  Value         // what stands in the device now, when OK
	Took   time.Duration // from the command to the answer
	Code   fault.Code    // why not, when not OK
	Detail string        // for a person
}

// AppendJSON appends {"id":"x7","ok":true,"value":21.5,"ms":38} or
// {"id":"x7","ok":false,"code":"out_of_range","detail":"..."}; id is left out when empty.
func (w WriteResult) AppendJSON(b []byte, id string) []byte {
	b = append(b, '{')
	if id != "" {
		b = append(b, `"id":`...)
		b = appendText(b, id)
		b = append(b, ',')
	}
	if w.OK {
		b = append(b, `"ok":true,"value":`...)
		b = w.Value.AppendJSON(b)
		b = append(b, `,"ms":`...)
		b = strconv.AppendInt(b, w.Took.Milliseconds(), 10)
		return append(b, '}')
	}
	b = append(b, `"ok":false,"code":`...)
	b = appendText(b, string(w.Code))
	b = append(b, `,"detail":`...)
	b = appendText(b, w.Detail)
	return append(b, '}')
}

// MarshalJSON is AppendJSON without an id.
func (w WriteResult) MarshalJSON() ([]byte, error) { return w.AppendJSON(nil, ""), nil }

// Command is the payload of a /set topic.
type Command struct {
	Value   json.RawMessage // a number, true, false or text
	ID      string          // comes back in the result; at most 128 bytes
	Expires time.Duration   // how long after it was accepted the command may run, 0 for ever
}

// ParseCommand reads 21.5 or {"value":21.5,"id":"x7","expires":5} (seconds, a
// fraction is allowed). The ID is given even when something else is wrong.
func ParseCommand(payload []byte) (Command, error) {
	const maxPayload, maxCommandID, maxExpires = 4096, 128, 7 * 24 * 3600.0
	if len(payload) > maxPayload {
		return Command{}, fault.New(fault.Invalid, "the command has %d bytes, at most %d are allowed", len(payload), maxPayload)
	}
	n, err := parseTree(payload)
	if err != nil {
		return Command{}, fault.New(fault.Invalid, `the command must be a value such as 21.5, or {"value":21.5,"id":"x7","expires":5}`)
	}
	if n.kind != objectNode {
		return Command{Value: n.raw}, n.checkScalar("")
	}
	var object struct {
		Value   json.RawMessage `json:"value"`
		ID      string          `json:"id"`
		Expires *float64        `json:"expires"`
	}
	var faults Faults
	faults.Decode(payload, &object)
	c := Command{Value: object.Value}
	if len(object.ID) > maxCommandID {
		faults.Add("/id", fault.OutOfRange, "must have at most %d bytes", maxCommandID)
	} else {
		c.ID = object.ID
	}
	if object.Expires != nil {
		CheckRange(&faults, "/expires", *object.Expires, 0, maxExpires)
		c.Expires = time.Duration(*object.Expires * float64(time.Second))
	}
	if object.Value == nil {
		faults.Add("/value", fault.Required, "is needed")
	} else if v, err := parseTree(object.Value); err == nil {
		if wrong, ok := v.checkScalar("/value").(*fault.Error); ok {
			faults.Add(wrong.Field, wrong.Code, "%s", wrong.Message)
		}
	}
	return c, faults.Err()
}

// checkScalar says what is wrong with a command's value, nil when a point may take it.
func (n node) checkScalar(at string) error {
	switch n.kind {
	case boolNode, numberNode, textNode:
		return nil
	}
	return fault.At(at, fault.Invalid, "must be a number, true, false or text, not %s", n.kind.words())
}
