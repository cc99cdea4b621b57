package packet

import "fieldgate/broker/mqtt"

// DecodeEmpty checks PINGREQ and PINGRESP, which have no body.
func DecodeEmpty(raw []byte, v mqtt.Version) error {
	kind := PINGREQ
	if len(raw) > 0 && TypeOf(raw[0]) == PINGRESP {
		kind = PINGRESP
	}
	r := open(raw, kind, v)
	r.wantFlags(0)
	return r.done()
}

// AppendPingreq writes PINGREQ behind dst.
func AppendPingreq(dst []byte) []byte { return append(dst, byte(PINGREQ)<<4, 0) }

// AppendPingresp writes PINGRESP behind dst.
func AppendPingresp(dst []byte) []byte { return append(dst, byte(PINGRESP)<<4, 0) }
