package modbus

import (
	"strings"
	"unicode/utf8"

	"fieldgate/bridges"
)

const meiDeviceID = 14 // MEI type of function code 43 [Modbus Application Protocol V1.1b3 6.21]

// identity asks a device who it is: function code 43/14, else 17. What a device can't tell is empty.
func (b *bus) identity(unit int) bridges.Identity {
	const basic, first = 1, 0
	if pdu, _, f := b.ask(unit, funcDevice, meiDeviceID, basic, first); f == nil {
		if id, ok := deviceIdentity(pdu); ok {
			return id
		}
	}
	if pdu, _, f := b.ask(unit, funcServerID); f == nil {
		return serverIdentity(pdu)
	}
	return bridges.Identity{}
}

// deviceIdentity reads the answer's PDU of function code 43/14.
func deviceIdentity(pdu []byte) (id bridges.Identity, ok bool) {
	const header = 7 // function code, MEI type, read code, conformity, more follows, next object, number of objects
	if len(pdu) < header || pdu[1] != meiDeviceID {
		return id, false
	}
	rest := pdu[header:]
	for range int(pdu[header-1]) {
		if len(rest) < 2 || len(rest) < 2+int(rest[1]) {
			break
		}
		text := plainText(rest[2 : 2+int(rest[1])])
		switch rest[0] {
		case 0:
			id.Vendor = text
		case 1:
			id.Product = text
		case 2:
			id.Revision = text
		}
		rest = rest[2+int(rest[1]):]
	}
	return id, id != bridges.Identity{}
}

// serverIdentity makes what can be read of the answer's PDU of function code 17, whose content is the device's own.
func serverIdentity(pdu []byte) bridges.Identity {
	if len(pdu) < 2 {
		return bridges.Identity{}
	}
	return bridges.Identity{Product: plainText(pdu[2:])}
}

// plainText keeps the longest run of printable characters.
func plainText(b []byte) string {
	longest := ""
	for _, run := range strings.FieldsFunc(strings.ToValidUTF8(string(b), "\x00"), func(r rune) bool { return r < ' ' || r == utf8.RuneError || r == 0x7F }) {
		if run = strings.TrimSpace(run); len(run) > len(longest) {
			longest = run
		}
	}
	return longest
}
