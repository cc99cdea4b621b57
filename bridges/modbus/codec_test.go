package modbus

import (
	"encoding/hex"
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
	p.check(&f, "", maxRegisters)
	require.NoError(t, f.Err())
	return p
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
		p.Type = Type(rapid.SampledFrom(typeNames()).Draw(r, "type"))
		var v bridges.Value
		switch {
		case p.Type == TypeBool:
			v = bridges.Bool(rapid.Bool().Draw(r, "v"))
		case p.Type == TypeFloat32:
			v = bridges.Float32(rapid.Float32Range(-1e30, 1e30).Draw(r, "v"))
		case p.Type == TypeFloat64:
			v = bridges.Float(rapid.Float64Range(-1e300, 1e300).Draw(r, "v"))
		case p.signed():
			v = bridges.Int(rapid.Int64().Draw(r, "v") >> (64 - p.width()))
		default:
			v = bridges.Uint(rapid.Uint64().Draw(r, "v") >> (64 - p.width()))
		}
		if p.integer() && rapid.Bool().Draw(r, "scaled") && p.width() <= 32 {
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

func (p *Point) integer() bool { return p.Type.integer() }

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
