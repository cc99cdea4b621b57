package modbus

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"fieldgate/bridges"
)

func TestWrite_ThatItsCallerGaveUpIsNotDoneLater(t *testing.T) {
	d := &deviceRun{Device: &Device{ID: "d", Points: []Point{{ID: "relay"}}}}
	b := &bridge{run: &run{devices: []*deviceRun{d}}} // whose bus is busy for ever
	ctx, cancel := context.WithDeadline(t.Context(), time.Now().Add(-time.Second))
	defer cancel()
	_, err := b.Write(ctx, "d", "relay", json.RawMessage("true"))
	require.ErrorIs(t, err, context.DeadlineExceeded)
	late, waits := b.run.queue.Pop()
	require.True(t, waits)
	code, _ := inadmissible(late, &Point{ID: "relay", Write: &Write{}})
	require.Equal(t, codeExpired, code)
}

func TestIdentity_ReadsWhatDevicesSay(t *testing.T) {
	for _, c := range []struct {
		name, pdu string
		server    bool
		want      bridges.Identity
	}{
		{"three objects", "2B 0E 01 01 00 00 03 00 03 414243 01 02 5831 02 03 312E30", false, bridges.Identity{Vendor: "ABC", Product: "X1", Revision: "1.0"}},
		{"cut off", "2B 0E 01 01 00 00 03 00 03 414243 01 09 5831", false, bridges.Identity{Vendor: "ABC"}},
		{"other MEI type", "2B 0D 01 01 00 00 00", false, bridges.Identity{}},
		{"server identifier", "11 08 01 FF 00 534D3133 30", true, bridges.Identity{Product: "SM130"}},
		{"empty", "11", true, bridges.Identity{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			pdu := hexBytes(t, c.pdu)
			if c.server {
				require.Equal(t, c.want, serverIdentity(pdu))
				return
			}
			got, _ := deviceIdentity(pdu)
			require.Equal(t, c.want, got)
		})
	}
}

func FuzzIdentity(f *testing.F) {
	f.Add([]byte{43, 14, 1, 1, 0, 0, 1, 0, 2, 'A', 'B'})
	f.Fuzz(func(_ *testing.T, pdu []byte) {
		_, _ = deviceIdentity(pdu)
		_ = serverIdentity(pdu)
	})
}

// The chain is walked over what the device says, and any nonsense ends it.
func TestWalk_FindsTheModels(t *testing.T) {
	registers := func(words map[int]uint16) func(int, int) ([]byte, *failure) {
		return func(address, quantity int) ([]byte, *failure) {
			var b []byte
			for i := range quantity {
				w, ok := words[address+i]
				if !ok {
					f := newFailure("exception_2", "no such address")
					f.exception = 2
					return nil, f
				}
				b = append(b, byte(w>>8), byte(w))
			}
			return b, nil
		}
	}
	mark := func(base int, rest ...uint16) map[int]uint16 {
		words := map[int]uint16{base: 0x5375, base + 1: 0x6E53}
		for i, w := range rest {
			words[base+2+i] = w
		}
		return words
	}
	for _, c := range []struct {
		name  string
		words map[int]uint16
		want  []model
		code  string
	}{
		{"two models", mark(40000, 1, 2, 0, 0, 103, 1, 0, 0xFFFF, 0), []model{{1, 40002, 2}, {103, 40006, 1}}, ""},
		{"at 50000", mark(50000, 1, 0, 0xFFFF, 0), []model{{1, 50002, 0}}, ""},
		{"at 0", mark(0, 0xFFFF, 0), nil, ""},
		{"without an end", mark(40000, 1, 0, 203, 1), []model{{1, 40002, 0}, {203, 40004, 1}}, ""},
		{"beyond the last register", mark(40000, 1, 0xFFF0), []model{{1, 40002, 0xFFF0}}, ""},
		{"no mark", map[int]uint16{40000: 1, 40001: 2}, nil, codeNoModel},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, f := walk(registers(c.words))
			if c.code != "" {
				require.Equal(t, c.code, f.code)
				return
			}
			require.Nil(t, f)
			require.Equal(t, c.want, got)
		})
	}
	_, f := walk(func(int, int) ([]byte, *failure) { return nil, newFailure(bridges.ErrTimeout, "no answer") })
	require.Equal(t, bridges.ErrTimeout, f.code)
	p := &Point{Type: TypeInt16, SunSpec: &SunSpec{Models: []int{103}, Offset: 3}}
	require.False(t, p.locate([]model{{103, 40004, 1}}), "the model is shorter")
	require.True(t, p.locate([]model{{1, 40002, 0}, {103, 40004, 50}}))
	require.Equal(t, 40007, p.Address)
}

// deaf is a Host that hears what is told and keeps nothing.
type deaf struct{ bridges.Host }

func (deaf) Report(context.Context, ...bridges.Reading) error { return nil }
func (deaf) SetDevice(string, bridges.State, string)          {}

func TestExecute_WaitingWritesGoBeforeReadBacks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		holds := map[byte]byte{}
		var asked []string
		w := &script{answer: func(request []byte) []piece {
			asked = append(asked, fmt.Sprintf("%d at %d", request[1], request[3]))
			if request[1] == 6 {
				holds[request[3]] = request[5]
				return []piece{after(20*msec, request)}
			}
			return []piece{after(20*msec, sealed(t, fmt.Sprintf("01 03 02 00%02X", holds[request[3]])))}
		}}
		line, l := newLine(t, w, nil)
		line.echo = echoNone
		s := &Settings{Link: Link{Serial: &Serial{Baud: 9600}}, Devices: []Device{{ID: "d", Unit: 1, Interval: time.Hour, MaxRead: 125}}}
		for i, id := range []string{"a", "b"} {
			p := Point{ID: id, Table: Holding, Address: i, Type: TypeUint16, Scale: 1, Order: ABCD, decimals: -1, Write: &Write{Verify: true}}
			s.Devices[0].Points = append(s.Devices[0].Points, p)
		}
		r := newRun(&bridge{settings: s}, deaf{})
		b := newBus(w, s, l, newDebts())
		b.transport = line
		var told []string
		write := func(point, value string) {
			r.queue.Push(command{Device: r.devices[0], Point: point, Value: json.RawMessage(value), Since: time.Now(), Done: func(w bridges.WriteResult) {
				told = append(told, point+"="+value+" "+string(w.Code))
			}})
		}
		step := func() { require.NoError(t, r.step(t.Context(), b, time.Now())) }
		write("a", "1")
		step()
		require.Empty(t, told, "not before it was read back")
		write("b", "2")
		write("a", "3")
		for range 5 {
			step()
		}
		require.Equal(t, []string{"6 at 0", "6 at 1", "6 at 0", "3 at 1", "3 at 0"}, asked, "the first read-back of a is not needed any more")
		require.Equal(t, []string{"a=1 superseded", "b=2 ", "a=3 "}, told)

		write("a", "4")
		step()
		holds[0] = 9
		step()
		require.Equal(t, "a=4 verify", told[3])
		write("a", "5")
		step()
		r.errands.refuse(newFailure(bridges.ErrLink, "unplugged"))
		require.Equal(t, "a=5 link", told[4])
	})
}

func TestWrite_IsNotRepeatedAfterItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &script{answer: func([]byte) []piece { return nil }}
		line, l := newLine(t, w, nil)
		line.echo = echoNone
		s := &Settings{Retries: 3, Link: Link{Serial: &Serial{Baud: 9600}}, Devices: []Device{{ID: "d", Unit: 1, Interval: time.Hour, MaxRead: 125}}}
		s.Devices[0].Points = []Point{{ID: "p", Table: Holding, Type: TypeUint16, Scale: 1, Order: ABCD, decimals: -1, Write: &Write{}}}
		r := newRun(&bridge{settings: s}, deaf{})
		b := newBus(w, s, l, newDebts())
		b.transport = line
		code := ""
		r.queue.Push(command{Device: r.devices[0], Point: "p", Value: json.RawMessage("1"), Expires: time.Now().Add(50 * time.Millisecond), Done: func(w bridges.WriteResult) { code = string(w.Code) }})
		require.NoError(t, r.step(t.Context(), b, time.Now()))
		require.Equal(t, bridges.ErrTimeout, code)
		require.Len(t, w.sent, 1)
	})
}

func TestByHand_WhatItsCallerGaveUpIsNotDoneLater(t *testing.T) {
	r := &run{bridge: &bridge{settings: &Settings{}}} // whose bus is busy
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	reply := sharedField{r}.ask(ctx, 0, 1, 6, []byte{0, 0, 0, 1})
	require.NotNil(t, reply.f)
	do := r.errands.pop()
	require.NotNil(t, do)
	do(nil, nil) // would send on the bus
}
