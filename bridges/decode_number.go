package bridges

import (
	"math"
	"reflect"
	"strconv"
	"strings"

	"fieldgate/internal/fault"
)

func (d *decoder) signed(at string, n node, v reflect.Value) {
	bits := v.Type().Bits()
	low, high := int64(-1)<<(bits-1), int64(uint64(1)<<(bits-1)-1)
	digits, ok := d.whole(at, n)
	if !ok {
		return
	}
	i, err := strconv.ParseInt(digits, 10, bits)
	if err != nil {
		d.add(at, fault.OutOfRange, "must be %d to %d", low, high)
		return
	}
	v.SetInt(i)
}

func (d *decoder) unsigned(at string, n node, v reflect.Value) {
	bits := v.Type().Bits()
	digits, ok := d.whole(at, n)
	if !ok {
		return
	}
	u, err := strconv.ParseUint(digits, 10, bits)
	if err != nil {
		d.add(at, fault.OutOfRange, "must be 0 to %d", uint64(math.MaxUint64)>>(64-bits))
		return
	}
	v.SetUint(u)
}

// whole gives the digits of an integer; 1e3 and 5.0 are whole numbers too.
func (d *decoder) whole(at string, n node) (string, bool) {
	if n.kind != numberNode {
		d.wrongType(at, "a whole number", n)
		return "", false
	}
	digits, ok := wholeDigits(string(n.raw))
	if !ok {
		d.add(at, fault.Invalid, "must be a whole number, without a fraction")
	}
	return digits, ok
}

// wholeDigits writes a JSON number without fraction and exponent, exactly; false
// when it is no integer. What has more than 40 digits is out of every range and
// may come back as any such number.
func wholeDigits(number string) (string, bool) {
	if !strings.ContainsAny(number, ".eE") {
		return number, true
	}
	sign, rest := "", number
	if strings.HasPrefix(rest, "-") {
		sign, rest = "-", rest[1:]
	}
	mantissa, exponent := rest, 0
	if i := strings.IndexAny(rest, "eE"); i >= 0 {
		mantissa = rest[:i]
		e, err := strconv.Atoi(rest[i+1:])
		if err != nil { // beyond an int: sign alone decides
			e = math.MaxInt32
			if strings.HasPrefix(rest[i+1:], "-") {
				e = math.MinInt32
			}
		}
		exponent = e
	}
	whole, fraction, _ := strings.Cut(mantissa, ".")
	fraction = strings.TrimRight(fraction, "0")
	digits := strings.TrimLeft(whole+fraction, "0")
	if digits == "" {
		return "0", true
	}
	exponent -= len(fraction)
	for exponent < 0 && strings.HasSuffix(digits, "0") {
		digits, exponent = digits[:len(digits)-1], exponent+1
	}
	if exponent < 0 {
		return "", false
	}
	return sign + digits + strings.Repeat("0", min(exponent, 40)), true
}

func (d *decoder) float(at string, n node, v reflect.Value) {
	if n.kind != numberNode {
		d.wrongType(at, "a number", n)
		return
	}
	f, err := strconv.ParseFloat(string(n.raw), v.Type().Bits())
	if err != nil {
		d.add(at, fault.OutOfRange, "is too large a number")
		return
	}
	v.SetFloat(f)
}
