package sim

// Identified is a Device that tells who it is: function codes 17 and 43 with the MEI type 14.
type Identified interface {
	Identity() (vendor, product, revision string)
}

// serverID answers function code 17 [Modbus Application Protocol V1.1b3 6.13].
func serverID(d Identified) []byte {
	_, product, _ := d.Identity()
	out := append([]byte{0, 1}, product...)
	out = append(out, 0xFF) // runs
	out[0] = byte(len(out) - 1)
	return out
}

// deviceID answers function code 43/14 with the basic objects [6.21].
func deviceID(d Identified, data []byte) ([]byte, Exception) {
	if len(data) != 3 || data[0] != 14 || data[1] < 1 || data[1] > 4 {
		return nil, IllegalValue
	}
	vendor, product, revision := d.Identity()
	out := []byte{14, data[1], 0x01, 0, 0, 3}
	for i, text := range []string{vendor, product, revision} {
		out = append(append(out, byte(i), byte(len(text))), text...)
	}
	return out, OK
}

// maskWrite answers function code 22: register = register AND and, OR or where and has no bit [6.16].
func maskWrite(d Device, address int, and, or uint16) Exception {
	held, e := d.ReadRegisters(HoldingRegisters, address, 1)
	if e != OK {
		return e
	}
	return d.WriteRegisters(address, []uint16{held[0]&and | or&^and})
}
