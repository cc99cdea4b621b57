package modbus

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"fmt"

	"fieldgate/bridges"
)

// Function codes beside those of the tables that a person may send with a read by hand: those
// that change nothing in a device.
const readFunctions = "7 (exception status), 8 (diagnostics), 11 (event counter), 17 (server id), 24 (FIFO queue) or 43 (device identification); the tables have their own"

// said is a number or a text that an answer of such a function code holds.
type said struct {
	Name  string `json:"name"`
	Value int    `json:"value"`
	Text  string `json:"text"` // what it means, or the text itself
}

// functionQuestion is the question of such a read.
type functionQuestion struct {
	place
	Function    int `json:"function"`
	SubFunction int `json:"sub_function"` // of function code 8
}

// diagnostics names the sub-functions of function code 8 that only read [Modbus Application Protocol V1.1b3 6.8], empty for the
// others: those restart, silence or reset the device.
func diagnostics(sub int) string {
	switch sub {
	case 0:
		return "returned_data"
	case 2:
		return "diagnostic_register"
	case 11:
		return "bus_messages"
	case 12:
		return "bus_crc_errors"
	case 13:
		return "bus_exceptions"
	case 14:
		return "unit_messages"
	case 15:
		return "unit_no_responses"
	case 16:
		return "unit_naks"
	case 17:
		return "unit_busy"
	case 18:
		return "bus_overruns"
	}
	return ""
}

// loopback is what sub-function 0 asks a device to send back.
const loopback = 0xA537

// check adds what is wrong with the question.
func (q *functionQuestion) check(f *bridges.Faults, l Link) {
	switch q.Function {
	case 24:
		q.place.check(f, l, 1)
		return
	case funcReadExceptionStatus, funcEventCounter, funcServerID, funcDevice:
	case funcDiagnostics:
		if diagnostics(q.SubFunction) == "" {
			f.Add("/sub_function", bridges.Invalid, "must be 0, 2 or 11 to 18; the others change the device")
		}
	default:
		f.Add("/function", bridges.Invalid, "must be %s", readFunctions)
	}
	checkUnit(f, "/unit", q.Unit, l)
	if q.Timeout != 0 {
		checkDuration(f, "/timeout", q.Timeout, minTimeout, maxByHand)
	}
}

// data is that of the request's PDU.
func (q *functionQuestion) data() []byte {
	switch q.Function {
	case funcDiagnostics:
		b := binary.BigEndian.AppendUint16(nil, uint16(q.SubFunction))
		if q.SubFunction == 0 {
			return binary.BigEndian.AppendUint16(b, loopback)
		}
		return append(b, 0, 0)
	case 24:
		return binary.BigEndian.AppendUint16(nil, uint16(q.address))
	case funcDevice:
		const basic, first = 1, 0
		return []byte{meiDeviceID, basic, first}
	}
	return nil
}

func (q *functionQuestion) do(ctx context.Context, on field) bridges.HandAnswer {
	a := newReadAnswer()
	a.Unit, a.Address, a.Function = q.Unit, q.address, q.Function
	r := on.ask(ctx, q.Timeout, q.Unit, byte(q.Function), q.data())
	if r.f == nil {
		if words := q.understand(a, r.pdu); words != "" {
			r.f = newFailure(codeFrame, "%s", words)
		}
	}
	a.take(r, on.settings().Link)
	return a
}

// understand reads the answer's PDU; it says in words why it is none.
func (q *functionQuestion) understand(a *readAnswer, pdu []byte) (wrong string) {
	data := pdu[1:]
	a.Raw = hex.EncodeToString(data)
	word := func(at int) int { return int(binary.BigEndian.Uint16(data[at:])) }
	switch {
	case q.Function == funcReadExceptionStatus && len(data) == 1:
		a.say("exception_status", int(data[0]), fmt.Sprintf("%08b", data[0]))
	case q.Function == funcEventCounter && len(data) == 4:
		text := "ready"
		if word(0) != 0 {
			text = "busy"
		}
		a.say("status", word(0), text)
		a.say("event_count", word(2), "")
	case q.Function == funcDiagnostics && len(data) == 4:
		if q.SubFunction == 0 && word(2) != loopback {
			return "the device gave back something else than it was sent"
		}
		a.say(diagnostics(q.SubFunction), word(2), "")
	case q.Function == funcServerID && len(data) > 1:
		a.sayIdentity(serverIdentity(pdu))
	case q.Function == funcDevice:
		id, ok := deviceIdentity(pdu)
		if !ok {
			return "the answer is no device identification"
		}
		a.sayIdentity(id)
	case q.Function == 24 && len(data) >= 4 && len(data) == 4+2*word(2):
		a.Quantity = word(2)
		a.Registers = registersOf(0, data[4:])
		a.say("fifo_count", word(2), "")
	default:
		return fmt.Sprintf("the answer has %d bytes of data, which fit no answer of function code %d", len(data), q.Function)
	}
	return ""
}

func (a *readAnswer) say(name string, value int, text string) {
	a.Said = append(a.Said, said{Name: name, Value: value, Text: text})
}

func (a *readAnswer) sayIdentity(id bridges.Identity) {
	for _, s := range []said{{Name: "vendor", Text: id.Vendor}, {Name: "product", Text: id.Product}, {Name: "revision", Text: id.Revision}} {
		if s.Text != "" {
			a.Said = append(a.Said, s)
		}
	}
}
