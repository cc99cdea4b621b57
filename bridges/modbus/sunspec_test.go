package modbus

import (
	"context"
	"encoding/binary"
	"maps"
	"slices"
	"testing"
	"testing/synctest"
	"time"

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

// mapped is a device with a scaled SunSpec point and a plain one, whose map was found.
func mapped(t *testing.T) *deviceRun {
	d := &Device{ID: "d", Unit: 1, Interval: time.Second, MaxRead: 125, Points: []Point{
		{ID: "w", Type: TypeInt16, Scale: 1, Order: ABCD, decimals: -1, ScaleFrom: "sf", SunSpec: &SunSpec{Models: []int{103}, Offset: 2}},
		{ID: "sf", Type: TypeInt16, Scale: 1, Order: ABCD, decimals: -1, SunSpec: &SunSpec{Models: []int{103}, Offset: 3}},
		{ID: "plain", Table: Holding, Type: TypeInt16, Scale: 1, Order: ABCD, decimals: -1, Address: 7},
	}}
	var f bridges.Faults
	d.Points[0].link(&f, "", d)
	require.NoError(t, f.Err())
	return newDeviceRun(d, Link{TCP: &TCP{}})
}

// answering is a bus whose unit holds these registers.
func answering(t *testing.T, words map[uint16]uint16) (*bus, *script) {
	w := &script{}
	w.answer = func(request []byte) []piece {
		if len(words) == 0 {
			return nil
		}
		address, quantity := binary.BigEndian.Uint16(request[2:]), binary.BigEndian.Uint16(request[4:])
		answer := []byte{request[0], request[1], byte(2 * quantity)}
		for i := range quantity {
			word, there := words[address+i]
			if !there {
				return []piece{after(20*msec, sealed(t, "01 83 02"))}
			}
			answer = binary.BigEndian.AppendUint16(answer, word)
		}
		return []piece{after(20*msec, binary.LittleEndian.AppendUint16(answer, crc(answer)))}
	}
	line, l := newLine(t, w, nil)
	b := newBus(w, &Settings{Link: Link{Serial: &Serial{Baud: 9600}}}, l, newDebts())
	b.transport = line
	return b, w
}

// heard is a Host that keeps what is told.
type heard struct {
	deaf
	readings []bridges.Reading
}

func (h *heard) Report(_ context.Context, r ...bridges.Reading) error {
	h.readings = append(h.readings, r...)
	return nil
}

// A device that was away for long may be another one, with another map and other powers of ten.
func TestSunSpec_TheMapIsLookedForAgainAfterALongSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		words := map[uint16]uint16{40000: 'S'<<8 | 'u', 40001: 'n'<<8 | 'S', 40002: 103, 40003: 2, 40004: 42, 40005: 0xFFFF, 40006: 0xFFFF, 40007: 0, 7: 1}
		b, _ := answering(t, words)
		d := mapped(t)
		h := &heard{}
		r := newRun(&bridge{settings: &Settings{Timeout: 100 * msec}}, h)
		r.devices = []*deviceRun{d}
		r.schedule = newSchedule(r.devices)
		r.schedule.begin(time.Now())
		poll := func(times int) {
			h.readings = nil
			for range times {
				time.Sleep(time.Second)
				for {
					x, _ := r.schedule.next(time.Now())
					if x == nil {
						break
					}
					require.NoError(t, r.poll(t.Context(), b, x, time.Now()))
				}
			}
		}
		last := func(point string) string {
			for i := len(h.readings) - 1; i >= 0; i-- {
				if h.readings[i].Point == point {
					return h.readings[i].Value.String() + h.readings[i].Error
				}
			}
			return ""
		}
		poll(3)
		require.Equal(t, "4.2", last("w"))
		silent := maps.Clone(words)
		clear(words)
		poll(30)
		require.Equal(t, bridges.ErrTimeout, last("w"))
		maps.Copy(words, silent) // another device: one model more before it, another power
		words[40002], words[40003], words[40004], words[40005] = 1, 1, 9, 103
		words[40006], words[40007], words[40008], words[40009], words[40010] = 2, 57, 0xFFFE, 0xFFFF, 0
		poll(60)
		for _, reading := range h.readings {
			if reading.Point == "w" && reading.Quality == bridges.Good {
				require.Equal(t, "0.57", reading.Value.String())
			}
		}
		require.Equal(t, "0.57", last("w"))
		require.Equal(t, "1", last("plain"))
	})
}

func TestSunSpec_MissingModelsAreLookedForAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		words := map[uint16]uint16{40000: 'S'<<8 | 'u', 40001: 'n'<<8 | 'S', 40002: 0xFFFF, 40003: 0, 7: 1}
		b, _ := answering(t, words)
		d := mapped(t)
		h := &heard{}
		r := newRun(&bridge{settings: &Settings{Timeout: 100 * msec}}, h)
		find := func() {
			for _, x := range slices.Clone(d.blocks) {
				if x.discovery {
					require.NoError(t, r.find(t.Context(), b, x, time.Now()))
				}
			}
		}
		find()
		require.Len(t, h.readings, 2)
		require.Equal(t, codeNoModel, h.readings[0].Error)
		find()
		require.Len(t, h.readings, 2, "told once")
		words[40002], words[40003], words[40004], words[40005], words[40006], words[40007] = 103, 2, 42, 0xFFFF, 0xFFFF, 0
		find()
		require.False(t, slices.ContainsFunc(d.blocks, func(x *block) bool { return x.discovery }))
		require.Equal(t, 40004, d.Points[0].Address)
	})
}

// The power of ten is read before what it scales, so that nothing is without one at first.
func TestSchedule_PowersOfTenComeFirst(t *testing.T) {
	d := mapped(t)
	for i := range d.Points {
		d.Points[i].SunSpec, d.Points[i].Table, d.Points[i].Address = nil, Holding, 1000*i
	}
	every := Interval(time.Hour)
	d.Points[1].Interval = &every
	run := newDeviceRun(d.Device, Link{TCP: &TCP{}})
	s := newSchedule([]*deviceRun{run})
	now := time.Now()
	s.begin(now)
	first, _ := s.next(now)
	require.Equal(t, "sf", first.points[0].ID)
	s.done(first, now)
	run.failing = bridges.ErrTimeout
	s.answered(run, now.Add(time.Minute))
	first, _ = s.next(now.Add(time.Minute))
	require.Equal(t, "sf", first.points[0].ID)
}
