package modbus

import (
	"testing"

	"github.com/stretchr/testify/require"

	"fieldgate/bridges"
)

// A unit with an inverter and two meters has a common block before the models of each.
func TestSunSpec_TakesTheModelThatIsMeant(t *testing.T) {
	chain := []model{{1, 40002, 66}, {103, 40070, 50}, {160, 40122, 48}, {1, 40172, 65}, {203, 40239, 105}, {1, 40346, 65}, {201, 40413, 105}, {64001, 40520, 2}}
	for _, c := range []struct {
		name  string
		where SunSpec
		want  int // address, 0 for none
	}{
		{"the first of the models that is there", SunSpec{Models: []int{101, 102, 103}, Offset: 14}, 40084},
		{"the second of several", SunSpec{Models: []int{201, 202, 203}, Offset: 18, Nth: 2}, 40431},
		{"no third", SunSpec{Models: []int{201, 202, 203}, Offset: 18, Nth: 3}, 0},
		{"the common block of the inverter", SunSpec{Models: []int{1}, Of: []int{103}, Offset: 2}, 40004},
		{"of what stands behind another of its models", SunSpec{Models: []int{1}, Of: []int{160}, Offset: 2}, 40004},
		{"of the first meter", SunSpec{Models: []int{1}, Of: []int{201, 203}, Offset: 2}, 40174},
		{"of the second meter", SunSpec{Models: []int{1}, Of: []int{201, 203}, Offset: 2, Nth: 2}, 40348},
		{"of none", SunSpec{Models: []int{1}, Of: []int{111}, Offset: 2}, 0},
		{"of one that has none before it", SunSpec{Models: []int{203}, Of: []int{103}, Offset: 2}, 0},
		{"a model that is too short", SunSpec{Models: []int{64001}, Offset: 4}, 0},
		{"the last register of a model", SunSpec{Models: []int{64001}, Offset: 3}, 40523},
		{"a common block without its pad", SunSpec{Models: []int{1}, Of: []int{203}, Offset: 67}, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := &Point{Type: TypeUint16, SunSpec: &c.where}
			require.Equal(t, c.want != 0, p.locate(chain))
			if c.want != 0 {
				require.Equal(t, c.want, p.Address)
			}
		})
	}
}

func TestSunSpec_ChecksItsSettings(t *testing.T) {
	var f bridges.Faults
	(&SunSpec{Models: []int{0}, Of: []int{70000}, Nth: 51, Offset: -1}).check(&f, "/sunspec", &Point{})
	require.EqualError(t, f.Err(), "/sunspec/models/0: must be 1 to 65534; /sunspec/of/0: must be 1 to 65534; /sunspec/nth: must be 0 to 50; /sunspec/offset: must be 0 to 65535")
}

// Devices end their chain in three ways: with the mark, with registers that hold nothing, and with a refusal.
func TestSunSpec_WalkEnds(t *testing.T) {
	refused := newFailure("exception_2", "")
	refused.exception = 2
	for _, c := range []struct {
		name string
		end  func() ([]byte, *failure)
	}{
		{"with the mark", func() ([]byte, *failure) { return []byte{0xFF, 0xFF, 0, 0}, nil }},
		{"with empty registers", func() ([]byte, *failure) { return []byte{0, 0, 0, 0}, nil }},
		{"with a refusal", func() ([]byte, *failure) { return nil, refused }},
	} {
		t.Run(c.name, func(t *testing.T) {
			chain, f := walk(func(address, quantity int) ([]byte, *failure) {
				require.Equal(t, 2, quantity)
				switch address {
				case 40000:
					return nil, refused
				case 50000:
					return []byte("SunS"), nil
				case 50002:
					return []byte{0, 1, 0, 66}, nil
				}
				return c.end()
			})
			require.Nil(t, f)
			require.Equal(t, []model{{1, 50002, 66}}, chain)
		})
	}
}
