package modbus

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"fieldgate/bridges"
)

func hexBytes(t testing.TB, text string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(text, " ", ""))
	require.NoError(t, err)
	return b
}

// point fills in the defaults and checks, as decode does with settings.
func point(t testing.TB, change func(p *Point)) *Point {
	t.Helper()
	p := &Point{ID: "p"}
	p.SetDefaults()
	change(p)
	var f bridges.Faults
	p.check(&f, "", &Device{MaxRead: maxRegisters})
	require.NoError(t, f.Err())
	return p
}

func noValues(t testing.TB, list string) bridges.NoValues {
	t.Helper()
	var n bridges.NoValues
	require.NoError(t, json.Unmarshal([]byte(list), &n))
	return n
}

func TestDecode_AllTypesAndOrders(t *testing.T) {
	bit := func(n int) *int { return &n }
	for _, c := range []struct {
		name      string
		registers string
		change    func(p *Point)
		want      bridges.Value
	}{
		{"bool of 0", "0000", func(p *Point) { p.Type = TypeBool }, bridges.Bool(false)},
		{"bool of 256", "0100", func(p *Point) { p.Type = TypeBool }, bridges.Bool(true)},
		{"bit 0", "0001", func(p *Point) { p.Bit = bit(0) }, bridges.Bool(true)},
		{"bit 15", "8000", func(p *Point) { p.Bit = bit(15) }, bridges.Bool(true)},
		{"bit 3 of others", "FFF7", func(p *Point) { p.Bit = bit(3) }, bridges.Bool(false)},
		{"bit 8 with bytes exchanged", "0001", func(p *Point) { p.Bit, p.Order = bit(8), BADC }, bridges.Bool(true)},
		{"int8", "12FE", func(p *Point) { p.Type = TypeInt8 }, bridges.Int(-2)},
		{"uint8", "12FE", func(p *Point) { p.Type = TypeUint8 }, bridges.Uint(254)},
		{"int16", "FFFE", func(p *Point) { p.Type = TypeInt16 }, bridges.Int(-2)},
		{"uint16", "FFFE", func(p *Point) { p.Type = TypeUint16 }, bridges.Uint(65534)},
		{"int16 BADC", "FEFF", func(p *Point) { p.Type, p.Order = TypeInt16, BADC }, bridges.Int(-2)},
		{"uint32 ABCD", "0102 0304", func(p *Point) { p.Type = TypeUint32 }, bridges.Uint(0x01020304)},
		{"uint32 CDAB", "0304 0102", func(p *Point) { p.Type, p.Order = TypeUint32, CDAB }, bridges.Uint(0x01020304)},
		{"uint32 BADC", "0201 0403", func(p *Point) { p.Type, p.Order = TypeUint32, BADC }, bridges.Uint(0x01020304)},
		{"uint32 DCBA", "0403 0201", func(p *Point) { p.Type, p.Order = TypeUint32, DCBA }, bridges.Uint(0x01020304)},
		{"int32 lowest", "8000 0000", func(p *Point) { p.Type = TypeInt32 }, bridges.Int(math.MinInt32)},
		{"float32 ABCD", "4366 199A", func(p *Point) { p.Type = TypeFloat32 }, bridges.Float32(230.1)},
		{"float32 CDAB", "199A 4366", func(p *Point) { p.Type, p.Order = TypeFloat32, CDAB }, bridges.Float32(230.1)},
		{"float32 BADC", "6643 9A19", func(p *Point) { p.Type, p.Order = TypeFloat32, BADC }, bridges.Float32(230.1)},
		{"float32 DCBA", "9A19 6643", func(p *Point) { p.Type, p.Order = TypeFloat32, DCBA }, bridges.Float32(230.1)},
		{"float32 NaN", "7FC0 0000", func(p *Point) { p.Type = TypeFloat32 }, bridges.Value{}},
		{"float32 infinite", "FF80 0000", func(p *Point) { p.Type = TypeFloat32 }, bridges.Value{}},
		{"float64 ABCD", "3FF8 0000 0000 0001", func(p *Point) { p.Type = TypeFloat64 }, bridges.Float(math.Float64frombits(0x3FF8000000000001))},
		{"float64 CDAB", "0001 0000 0000 3FF8", func(p *Point) { p.Type, p.Order = TypeFloat64, CDAB }, bridges.Float(math.Float64frombits(0x3FF8000000000001))},
		{"uint64 highest", "FFFF FFFF FFFF FFFF", func(p *Point) { p.Type = TypeUint64 }, bridges.Uint(math.MaxUint64)},
		{"int64 ABCD", "FFFF FFFF FFFF FFFF", func(p *Point) { p.Type = TypeInt64 }, bridges.Int(-1)},
		{"uint64 ABCD", "0102 0304 0506 0708", func(p *Point) { p.Type = TypeUint64 }, bridges.Uint(0x0102030405060708)},
		{"uint64 CDAB", "0708 0506 0304 0102", func(p *Point) { p.Type, p.Order = TypeUint64, CDAB }, bridges.Uint(0x0102030405060708)},
		{"uint64 BADC", "0201 0403 0605 0807", func(p *Point) { p.Type, p.Order = TypeUint64, BADC }, bridges.Uint(0x0102030405060708)},
		{"uint64 DCBA", "0807 0605 0403 0201", func(p *Point) { p.Type, p.Order = TypeUint64, DCBA }, bridges.Uint(0x0102030405060708)},
		{"scaled int16", "FFF6", func(p *Point) { p.Scale = 0.1 }, bridges.Float(-1)},
		{"scaled without noise", "0003", func(p *Point) { p.Scale = 0.1 }, bridges.Float(0.3)},
		{"scale and offset", "0064", func(p *Point) { p.Scale, p.Offset = 0.01, -40.5 }, bridges.Float(-39.5)},
		{"scaled int32", "FFFF FC18", func(p *Point) { p.Type, p.Scale = TypeInt32, 0.01 }, bridges.Float(-10)},
		{"float16", "3555", func(p *Point) { p.Type, p.Precision = TypeFloat16, bit(3) }, bridges.Float(0.333)},
		{"float16 highest", "7BFF", func(p *Point) { p.Type = TypeFloat16 }, bridges.Float(65504)},
		{"float16 subnormal", "8001", func(p *Point) { p.Type = TypeFloat16 }, bridges.Float(-math.Ldexp(1, -24))},
		{"float16 NaN", "7E00", func(p *Point) { p.Type = TypeFloat16 }, bridges.Value{}},
		{"bcd16", "1234", func(p *Point) { p.Type = TypeBCD16 }, bridges.Uint(1234)},
		{"bcd16 scaled", "0215", func(p *Point) { p.Type, p.Scale = TypeBCD16, 0.1 }, bridges.Float(21.5)},
		{"bcd16 of hexadecimal digits", "12AF", func(p *Point) { p.Type = TypeBCD16 }, bridges.Value{}},
		{"bcd32 CDAB", "5678 1234", func(p *Point) { p.Type, p.Order = TypeBCD32, CDAB }, bridges.Uint(12345678)},
		{"string", "4142 4344 0000", func(p *Point) { p.Type, p.Length = TypeString, 3 }, bridges.Text("ABCD")},
		{"string with bytes exchanged", "4241 2043", func(p *Point) { p.Type, p.Length, p.Order = TypeString, 2, BADC }, bridges.Text("ABC")},
		{"string in Latin-1", "B043", func(p *Point) { p.Type, p.Length = TypeString, 1 }, bridges.Text("°C")},
		{"string without text", "0000", func(p *Point) { p.Type, p.Length = TypeString, 1 }, bridges.Text("")},
		{"raw", "00FF A55A", func(p *Point) { p.Type, p.Length = TypeRaw, 2 }, bridges.Text("00ffa55a")},
		{"bits", "0025", func(p *Point) { p.Type, p.Enum = TypeBits, bridges.Labels{0: "low", 2: "hot"} }, bridges.Text("low, hot, bit 5")},
		{"bits, none set", "0000", func(p *Point) { p.Type = TypeBits }, bridges.Text("")},
		{"bits of two registers", "8000 0000", func(p *Point) { p.Type, p.Length = TypeBits, 2 }, bridges.Text("bit 31")},
		{"label", "0002", func(p *Point) { p.Enum = bridges.Labels{2: "auto"} }, bridges.Text("auto")},
		{"no label", "0003", func(p *Point) { p.Enum = bridges.Labels{2: "auto"} }, bridges.Int(3)},
		{"label of a bit", "0008", func(p *Point) { p.Bit, p.Enum = bit(3), bridges.Labels{0: "off", 1: "on"} }, bridges.Text("on")},
		{"high byte", "12FE", func(p *Point) { p.Type, p.Order = TypeUint8, BADC }, bridges.Uint(0x12)},
		{"invalid as it stands", "8000", func(p *Point) { p.Invalid = noValues(t, `["0x8000"]`) }, bridges.Value{}},
		{"invalid, signed", "8000", func(p *Point) { p.Invalid = noValues(t, `[-32768]`) }, bridges.Value{}},
		{"invalid, unsigned", "FFFF FFFF", func(p *Point) { p.Type, p.Invalid = TypeInt32, noValues(t, `[4294967295]`) }, bridges.Value{}},
		{"not invalid", "7FFF", func(p *Point) { p.Invalid = noValues(t, `["0x8000"]`) }, bridges.Int(0x7FFF)},
		{"invalid float", "C61C 3C00", func(p *Point) { p.Type, p.Invalid = TypeFloat32, noValues(t, `["nan", -9999]`) }, bridges.Value{}},
		{"invalid text", "2D2D", func(p *Point) { p.Type, p.Length, p.Invalid = TypeString, 1, noValues(t, `["--"]`) }, bridges.Value{}},
		{"precision", "4366 199A", func(p *Point) { p.Type, p.Precision = TypeFloat32, bit(0) }, bridges.Float(230)},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := point(t, c.change)
			b := hexBytes(t, c.registers)
			require.Len(t, b, 2*p.size())
			got := p.decode(b)
			require.True(t, c.want.Equal(got), "%s, want %s", got, c.want)
			require.Equal(t, c.want.String(), got.String())
		})
	}
}

// What is written reads back as the same value, whatever the type and the order.
func TestEncode_ReadsBackTheSame(t *testing.T) {
	orders := []Order{ABCD, CDAB, BADC, DCBA}
	rapid.Check(t, func(r *rapid.T) {
		p := &Point{ID: "p", Write: &Write{}}
		p.SetDefaults()
		p.Order = rapid.SampledFrom(orders).Draw(r, "order")
		p.Type = Type(rapid.Uint8Range(uint8(TypeBool), uint8(TypeRaw)).Draw(r, "type"))
		var v bridges.Value
		switch {
		case p.Type == TypeBool:
			v = bridges.Bool(rapid.Bool().Draw(r, "v"))
		case p.Type == TypeString:
			p.Length = 4
			v = bridges.Text(rapid.StringMatching("[A-Za-z0-9]{0,8}").Draw(r, "v"))
		case p.Type == TypeRaw:
			p.Length = 2
			v = bridges.Text(rapid.StringMatching("[0-9a-f]{8}").Draw(r, "v"))
		case p.Type == TypeFloat16:
			v = bridges.Float(float16(toFloat16(rapid.Float64Range(-60000, 60000).Draw(r, "v"))))
		case p.Type == TypeBCD16:
			v = bridges.Uint(rapid.Uint64Range(0, 9999).Draw(r, "v"))
		case p.Type == TypeBCD32:
			v = bridges.Uint(rapid.Uint64Range(0, 99_999_999).Draw(r, "v"))
		case p.Type == TypeFloat32:
			v = bridges.Float32(rapid.Float32Range(-1e30, 1e30).Draw(r, "v"))
		case p.Type == TypeFloat64:
			v = bridges.Float(rapid.Float64Range(-1e300, 1e300).Draw(r, "v"))
		case p.signed():
			v = bridges.Int(rapid.Int64().Draw(r, "v") >> (64 - p.width()))
		default:
			v = bridges.Uint(rapid.Uint64().Draw(r, "v") >> (64 - p.width()))
		}
		if p.Type.integer() && rapid.Bool().Draw(r, "scaled") && p.width() <= 32 {
			p.Scale, p.Offset, p.decimals = 0.01, 7, 2
			f, _ := v.Number()
			v = p.scaled(f)
		} else {
			p.decimals = -1
		}
		b, wrong := p.encode(v)
		require.Nil(r, wrong)
		require.True(r, v.Equal(p.decode(b)), "%s became %s", v, p.decode(b))
	})
}

func TestEncode_RefusesWhatDoesNotFit(t *testing.T) {
	f := func(f float64) *float64 { return &f }
	for _, c := range []struct {
		name   string
		change func(p *Point)
		value  bridges.Value
		code   string
	}{
		{"uint16 above", func(p *Point) { p.Type = TypeUint16 }, bridges.Int(65536), codeOutOfRange},
		{"uint16 below", func(p *Point) { p.Type = TypeUint16 }, bridges.Int(-1), codeOutOfRange},
		{"int8 above", func(p *Point) { p.Type = TypeInt8 }, bridges.Int(128), codeOutOfRange},
		{"int64 above", func(p *Point) { p.Type = TypeInt64 }, bridges.Uint(1 << 63), codeOutOfRange},
		{"int64 far above", func(p *Point) { p.Type = TypeInt64 }, bridges.Float(1e300), codeOutOfRange},
		{"fraction", func(p *Point) {}, bridges.Float(1.5), codeOutOfRange},
		{"finer than the scale", func(p *Point) { p.Scale = 0.1 }, bridges.Float(1.25), codeOutOfRange},
		{"float32 above", func(p *Point) { p.Type = TypeFloat32 }, bridges.Float(1e39), codeOutOfRange},
		{"text", func(p *Point) {}, bridges.Text("1"), codeNotANumber},
		{"bool", func(p *Point) {}, bridges.Bool(true), codeNotANumber},
		{"under min", func(p *Point) { p.Write.Min = f(3) }, bridges.Int(2), codeOutOfRange},
		{"over max", func(p *Point) { p.Write.Max = f(3) }, bridges.Int(4), codeOutOfRange},
		{"off step", func(p *Point) { p.Write.Min, p.Write.Step = f(1), f(2) }, bridges.Int(4), codeOutOfRange},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := point(t, func(p *Point) { p.Write = &Write{}; c.change(p) })
			_, wrong := p.encode(c.value)
			require.NotNil(t, wrong)
			require.Equal(t, c.code, wrong.code, wrong.detail)
		})
	}
}

func TestPlan_JoinsNeighboursAndSplitsNoPoint(t *testing.T) {
	at := func(table Table, address int, kind Type) *Point {
		return point(t, func(p *Point) { p.Table, p.Address, p.Type = table, address, kind })
	}
	for _, c := range []struct {
		name    string
		points  []*Point
		maxRead int
		want    []string
	}{
		{"neighbours", []*Point{at(Input, 2, TypeFloat32), at(Input, 0, TypeFloat32)}, 125, []string{"4 input registers at address 0"}},
		{"small gap", []*Point{at(Input, 0, TypeInt16), at(Input, 11, TypeInt16)}, 125, []string{"12 input registers at address 0"}},
		{"wide gap", []*Point{at(Input, 0, TypeInt16), at(Input, 12, TypeInt16)}, 125, []string{"1 input register at address 0", "1 input register at address 12"}},
		{"other table", []*Point{at(Input, 0, TypeInt16), at(Holding, 1, TypeInt16)}, 125, []string{"1 holding register at address 1", "1 input register at address 0"}},
		{"limit", []*Point{at(Input, 0, TypeInt16), at(Input, 1, TypeFloat32), at(Input, 3, TypeInt16)}, 2, []string{"1 input register at address 0", "2 input registers at address 1", "1 input register at address 3"}},
		{"same registers twice", []*Point{at(Input, 0, TypeFloat32), at(Input, 0, TypeInt16), at(Input, 1, TypeInt16)}, 125, []string{"2 input registers at address 0"}},
		{"coils", []*Point{at(Coil, 0, TypeBool), at(Coil, 100, TypeBool)}, 1, []string{"101 coils at address 0"}},
		{"last register", []*Point{at(Input, 65535, TypeInt16)}, 125, []string{"1 input register at address 65535"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got []string
			points := 0
			for _, s := range plan(c.points, limits{c.maxRead, 10, 100}) {
				got = append(got, s.String())
				points += len(s.points)
				for _, p := range s.points {
					require.GreaterOrEqual(t, p.Address, s.address)
					require.LessOrEqual(t, p.Address+p.size(), s.address+s.quantity)
				}
			}
			require.Equal(t, c.want, got)
			require.Len(t, c.points, points)
		})
	}
}

func TestDecode_AllocatesNothing(t *testing.T) {
	s, answer := benchSpan(t)
	require.Zero(t, testing.AllocsPerRun(100, func() {
		for _, p := range s.points {
			if s.read(p, answer).IsNone() {
				t.Error("no value")
			}
		}
	}))
}

func benchSpan(t testing.TB) (*span, []byte) {
	var points []*Point
	for i, kind := range []Type{TypeInt16, TypeUint32, TypeFloat32, TypeInt64, TypeFloat64} {
		points = append(points,
			point(t, func(p *Point) { p.Address, p.Type = 8*i, kind }),
			point(t, func(p *Point) { p.Address, p.Type, p.Order, p.Scale = 8*i+4, kind, CDAB, 0.01 }))
	}
	spans := plan(points, limits{maxRegisters, 10, 100})
	require.Len(t, spans, 1)
	answer := make([]byte, spans[0].answerBytes())
	for i := range answer {
		answer[i] = byte(i%7) + 1
	}
	return &spans[0], answer
}

func BenchmarkDecode(b *testing.B) {
	s, answer := benchSpan(b)
	b.ReportAllocs()
	for b.Loop() {
		for _, p := range s.points {
			s.read(p, answer)
		}
	}
	b.ReportMetric(float64(b.N*len(s.points))/b.Elapsed().Seconds(), "values/s")
}

func BenchmarkCRC(b *testing.B) {
	adu := make([]byte, maxADU)
	b.SetBytes(int64(len(adu)))
	b.ReportAllocs()
	for b.Loop() {
		crc(adu)
	}
}

// device checks the settings of one device, and gives its points.
func device(t testing.TB, settings string) *Device {
	t.Helper()
	s, err := decode(bridges.Config{ID: "b", Settings: json.RawMessage(`{"id":"b","kind":"modbus","link":{"tcp":{"address":"h"}},"devices":[` + settings + `]}`)})
	require.NoError(t, err)
	return &s.Devices[0]
}

func TestScaleFrom_TakesThePowerOfTenOfTheSameRead(t *testing.T) {
	d := device(t, `{"id":"d","points":[
		{"id":"power","address":0,"type":"int16","scale_from":"power-sf","invalid":["0x8000"]},
		{"id":"power-sf","address":1,"type":"int16","publish":false},
		{"id":"limit","address":2,"type":"uint16","scale_from":"power-sf","write":{}}]}`)
	s := plan([]*Point{&d.Points[0], &d.Points[1], &d.Points[2]}, limits{125, 10, 100})[0]
	for _, c := range []struct{ name, registers, power string }{
		{"thousandths", "04D2 FFFD 0000", "1.234"},
		{"tens", "FFF6 0001 0000", "-100"},
		{"as it is", "0007 0000 0000", "7"},
		{"no value", "8000 FFFD 0000", ""},
		{"no power of ten", "0001 8000 0000", ""},
		{"an impossible power of ten", "0001 000B 0000", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			require.Equal(t, c.power, s.read(&d.Points[0], hexBytes(t, c.registers)).String())
		})
	}
	require.Equal(t, codeNoScale, d.Points[0].state.why)
	_, wrong := d.Points[2].encode(bridges.Float(1.5))
	require.NotNil(t, wrong)
	require.Equal(t, codeNoScale, wrong.code)
	s.read(&d.Points[1], hexBytes(t, "0000 FFFE 0000"))
	b, wrong := d.Points[2].encode(bridges.Float(1.5))
	require.Nil(t, wrong)
	require.Equal(t, hexBytes(t, "0096"), b)
}

func TestAddress_IsReadOneWayOrRefused(t *testing.T) {
	for _, c := range []struct {
		name, point, device string
		want                int
		table               Table
		wrong               string
	}{
		{name: "as on the wire", point: `"address":104`, want: 104, table: Holding},
		{name: "hexadecimal", point: `"address":"0x9C41"`, want: 40001, table: Holding},
		{name: "six digits", point: `"address":400001`, want: 0, table: Holding},
		{name: "six digits of inputs", point: `"address":365536`, want: 65535, table: Input},
		{name: "4x", point: `"address":"4x105"`, want: 104, table: Holding},
		{name: "3x", point: `"address":"3x1"`, want: 0, table: Input},
		{name: "leading zeros", point: `"address":"00017"`, want: 16, table: Coil},
		{name: "the base of SunSpec", point: `"address":40000`, want: 40000, table: Holding},
		{name: "ambiguous", point: `"address":40071`, wrong: `/devices/0/points/0/address: 40071 is either the address 40071 on the wire: write "0x9C87" in quotes; or holding register 71 of a manual, which is the address 70 of the table holding: write 70`},
		{name: "ambiguous of inputs", point: `"address":30002,"table":"input"`, wrong: `/devices/0/points/0/address: 30002 is either the address 30002 on the wire: write "0x7532" in quotes; or input register 2 of a manual, which is the address 1 of the table input: write 1`},
		{name: "of another table it is the wire's", point: `"address":30002,"table":"holding"`, want: 30002, table: Holding},
		{name: "declared as on the wire", point: `"address":40071`, device: `"addresses":"wire"`, want: 40071, table: Holding},
		{name: "declared as in the manual", point: `"address":40071`, device: `"addresses":"manual"`, want: 70, table: Holding},
		{name: "a register of a manual", point: `"address":105`, device: `"addresses":"manual"`, want: 104, table: Holding},
		{name: "other table", point: `"address":400001,"table":"input"`, wrong: "/devices/0/points/0/address: names the table holding, but the point's table is input"},
		{name: "beyond", point: `"address":70000`, wrong: "/devices/0/points/0/address: must be 0 to 65535"},
		{name: "nonsense", point: `"address":"4y1"`, wrong: `/devices/0/points/0/address: must be a whole number, or a text such as "0x9C41" or "4x1"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.device != "" {
				c.device += ","
			}
			settings := `{"id":"b","kind":"modbus","link":{"tcp":{"address":"h"}},"devices":[{"id":"d",` + c.device + `"points":[{"id":"p","type":"uint16",` + c.point + `}]}]}`
			s, err := decode(bridges.Config{ID: "b", Settings: json.RawMessage(settings)})
			if c.wrong != "" {
				require.EqualError(t, err, c.wrong)
				return
			}
			if c.table.bits() {
				require.Error(t, err, "uint16 is no type of coils")
			} else {
				require.NoError(t, err)
			}
			require.Equal(t, c.want, s.Devices[0].Points[0].Address)
			require.Equal(t, c.table, s.Devices[0].Points[0].Table)
		})
	}
}

// Whatever the registers hold, decoding them ends, and a value that can be written reads back.
func FuzzDecode(f *testing.F) {
	f.Add(byte(0), byte(0), []byte{0x43, 0x66, 0x19, 0x9A})
	f.Add(byte(16), byte(3), []byte{1, 2, 3, 4, 5, 6, 7, 8})
	f.Add(byte(12), byte(1), []byte{0xAF, 0xFE})
	f.Fuzz(func(t *testing.T, kind, order byte, b []byte) {
		orders := []Order{ABCD, CDAB, BADC, DCBA}
		p := &Point{ID: "p", Type: TypeBool + Type(kind)%TypeBits, Order: orders[order%4], Scale: 1, Length: 2, decimals: -1, Write: &Write{}}
		if len(b) < 2*p.size() {
			return
		}
		b = b[:2*p.size()]
		v := p.decode(b)
		if v.IsNone() || p.Type == TypeBits {
			return
		}
		again, wrong := p.encode(v)
		if wrong != nil {
			require.Equal(t, TypeString, p.Type, wrong) // Latin-1 grows as UTF-8
			return
		}
		require.True(t, v.Equal(p.decode(again)), "%s became %s", v, p.decode(again))
	})
}

// BenchmarkDecode decodes 18 points of one read, one of each kind that is common.
func BenchmarkDecodeMixed(b *testing.B) {
	var points []string
	for i, kind := range []string{"int16", "uint16", "int32", "uint32", "uint64", "float32", "float64", "bcd32"} {
		points = append(points, fmt.Sprintf(`{"id":"a%d","type":%q,"address":%d}`, i, kind, 4*i),
			fmt.Sprintf(`{"id":"b%d","type":%q,"address":%d,"scale":0.1,"invalid":[-1,"nan"]}`, i, kind, 4*i))
	}
	points = append(points, `{"id":"t","type":"string","length":8,"address":40}`, `{"id":"f","type":"bits","address":41,"enum":{"0":"x"}}`)
	d := device(b, `{"id":"d","points":[`+strings.Join(points, ",")+`]}`)
	pointers := make([]*Point, len(d.Points))
	for i := range d.Points {
		pointers[i] = &d.Points[i]
	}
	s := plan(pointers, limits{125, 10, 100})[0]
	answer := make([]byte, s.answerBytes())
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		for _, p := range s.points {
			s.read(p, answer)
			n++
		}
	}
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "values/s")
}

func TestRead_AllocatesNothing(t *testing.T) {
	d := device(t, `{"id":"d","points":[{"id":"a","type":"int16","scale":0.1,"address":0},{"id":"b","type":"float32","address":1},
		{"id":"c","type":"string","length":2,"address":3},{"id":"e","type":"int32","scale_from":"s","address":5},{"id":"s","address":7}]}`)
	s := plan([]*Point{&d.Points[0], &d.Points[1], &d.Points[2], &d.Points[3], &d.Points[4]}, limits{125, 10, 100})[0]
	answer := hexBytes(t, "0102 4366199A 41424344 00010203 FFFE")
	for _, p := range s.points {
		s.read(p, answer)
	}
	require.Zero(t, testing.AllocsPerRun(100, func() {
		for _, p := range s.points {
			s.read(p, answer)
		}
	}))
}
