package session_test

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"fieldgate/broker/mqtt"
	"fieldgate/broker/session"
)

func flights(w *session.Window) []mqtt.MsgID {
	var ids []mqtt.MsgID
	for f := range w.All {
		ids = append(ids, f.ID)
	}
	return ids
}

func TestWindow_KeepsTheOrderOfSending(t *testing.T) {
	var w session.Window
	require.Zero(t, w.Free())
	w.Resize(3)
	for _, id := range []mqtt.MsgID{5, 9, 70000} {
		require.False(t, w.Busy(id))
		w.Send(session.Flight{ID: id, QoS: 1})
	}
	require.Zero(t, w.Free())
	f, ok := w.Finish(mqtt.MsgID(9).PacketID())
	require.True(t, ok)
	require.Equal(t, mqtt.MsgID(9), f.ID)
	_, ok = w.Finish(mqtt.MsgID(9).PacketID())
	require.False(t, ok)
	require.Equal(t, []mqtt.MsgID{5, 70000}, flights(&w))
	require.True(t, w.Busy(5+65535), "5 has this packet identifier")
	require.False(t, w.Busy(9+65535))
	w.Resize(1)
	require.Zero(t, w.Free())
	require.Equal(t, 2, w.Len())
}

func TestWindow_DetachKeepsWhatIsReleased(t *testing.T) {
	var w session.Window
	w.Resize(10)
	for id := range mqtt.MsgID(5) {
		w.Send(session.Flight{ID: id + 1, QoS: 2})
	}
	require.True(t, w.Move(mqtt.MsgID(4).PacketID(), session.Sent, session.Releasing))
	require.True(t, w.Move(mqtt.MsgID(2).PacketID(), session.Sent, session.Released))
	require.False(t, w.Move(mqtt.MsgID(2).PacketID(), session.Releasing, session.Sent), "it is further")
	require.False(t, w.Move(4711, session.Sent, session.Released))
	w.Detach()
	require.Equal(t, []mqtt.MsgID{2, 4}, flights(&w))
	for _, id := range []mqtt.MsgID{1, 3, 5} {
		w.Send(session.Flight{ID: id, QoS: 2})
	}
	require.Equal(t, []mqtt.MsgID{1, 2, 3, 4, 5}, flights(&w))
	f, ok := w.Find(mqtt.MsgID(4).PacketID())
	require.True(t, ok)
	require.Equal(t, session.Releasing, f.Stage)
}

func TestWindow_CompletedKeepsItsPacketIdentifierOnly(t *testing.T) {
	var w session.Window
	w.Resize(2)
	first, same := mqtt.MsgID(7), mqtt.MsgID(7+65535)
	w.Send(session.Flight{ID: first, QoS: mqtt.ExactlyOnce, Stage: session.Released})
	w.Send(session.Flight{ID: 8, QoS: mqtt.ExactlyOnce})
	require.Zero(t, w.Free())
	require.True(t, w.Complete(first.PacketID()))
	require.False(t, w.Complete(first.PacketID()), "only once")
	require.Equal(t, 1, w.Free())
	require.True(t, w.Busy(same))
	w.Detach()
	require.True(t, w.Busy(same), "whoever connects next must not meet it either")
	require.Equal(t, 2, w.Free())
	_, finished := w.Finish(first.PacketID())
	require.True(t, finished)
	require.False(t, w.Busy(same))
	require.Equal(t, 2, w.Free())
}

func TestWindow_GivesFreePacketIdentifiers(t *testing.T) {
	var w session.Window
	w.Resize(65535)
	seen := map[uint16]bool{}
	for range 65535 {
		id := w.NextID()
		pid := id.PacketID()
		require.NotZero(t, pid)
		require.False(t, seen[pid])
		seen[pid] = true
		w.Send(session.Flight{ID: id, QoS: 1})
	}
	require.Zero(t, w.Free())
	w.Finish(4711)
	require.EqualValues(t, 4711, w.NextID().PacketID(), "the only one that is free")
}

func TestWindow_IsAnOrderedSet(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var w session.Window
		w.Resize(20)
		var model []mqtt.MsgID
		last := mqtt.MsgID(1)
		t.Repeat(map[string]func(*rapid.T){
			"send": func(t *rapid.T) {
				if w.Free() == 0 {
					t.Skip("full")
				}
				last += mqtt.MsgID(rapid.IntRange(1, 40000).Draw(t, "step"))
				busy := false
				for _, id := range model {
					busy = busy || id.PacketID() == last.PacketID()
				}
				if busy != w.Busy(last) {
					t.Fatalf("Busy(%d) is %t", last, w.Busy(last))
				}
				if !busy {
					w.Send(session.Flight{ID: last, QoS: 1})
					model = append(model, last)
				}
			},
			"finish": func(t *rapid.T) {
				if len(model) == 0 {
					t.Skip("empty")
				}
				i := rapid.IntRange(0, len(model)-1).Draw(t, "i")
				f, ok := w.Finish(model[i].PacketID())
				if !ok || f.ID != model[i] {
					t.Fatalf("Finish gave %v, %t", f, ok)
				}
				model = append(model[:i:i], model[i+1:]...)
			},
			"find": func(t *rapid.T) {
				pid := rapid.Uint16Min(1).Draw(t, "pid")
				if len(model) > 0 && rapid.Bool().Draw(t, "known") {
					pid = rapid.SampledFrom(model).Draw(t, "of").PacketID()
				}
				at := slices.IndexFunc(model, func(id mqtt.MsgID) bool { return id.PacketID() == pid })
				f, found := w.Find(pid)
				if found != (at >= 0) || found && f.ID != model[at] {
					t.Fatalf("Find(%d) gave %v, %t", pid, f, found)
				}
			},
			"": func(t *rapid.T) {
				got := flights(&w)
				if len(got) != len(model) || w.Len() != len(model) || w.Free() != 20-len(model) {
					t.Fatalf("%v, want %v", got, model)
				}
				for i := range got {
					if got[i] != model[i] {
						t.Fatalf("%v, want %v", got, model)
					}
				}
			},
		})
	})
}

func TestReceived_AnswersOnlyWhatIsSafe(t *testing.T) {
	var r session.Received
	fresh, answer := r.Add(7)
	require.True(t, fresh)
	require.False(t, answer)
	fresh, answer = r.Add(7)
	require.False(t, fresh)
	require.False(t, answer, "its message is not safe yet")
	require.True(t, r.Safe(7))
	_, answer = r.Add(7)
	require.True(t, answer)
	r.Forget(7)
	require.False(t, r.Safe(7))
	r.Restore(9)
	fresh, answer = r.Add(9)
	require.False(t, fresh)
	require.True(t, answer)
	require.Equal(t, 1, r.Len())
}

func delivery(size int) mqtt.Delivery {
	return mqtt.Delivery{Message: &mqtt.Message{Payload: make([]byte, size)}}
}

func TestQueue_KeepsItsLimits(t *testing.T) {
	for _, c := range []struct {
		name           string
		messages, size int
		dropOldest     bool
		push           []int
		lost           int
		left           []int
	}{
		{"room", 3, 1000, true, []int{1, 2, 3}, 0, []int{1, 2, 3}},
		{"too many, oldest goes", 2, 1000, true, []int{1, 2, 3}, 1, []int{2, 3}},
		{"too many, newest goes", 2, 1000, false, []int{1, 2, 3}, 1, []int{1, 2}},
		{"too many bytes", 9, 300, true, []int{10, 10, 100}, 1, []int{10, 100}},
		{"larger than all", 9, 300, true, []int{10, 1000}, 1, []int{10}},
		{"larger than all, refused", 9, 300, false, []int{10, 1000}, 1, []int{10}},
		{"no room at all", 0, 0, true, []int{1}, 1, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			q := session.Queue{MaxMessages: c.messages, MaxBytes: c.size, DropOldest: c.dropOldest}
			lost := 0
			for _, size := range c.push {
				lost += q.Push(delivery(size))
			}
			require.Equal(t, c.lost, lost)
			require.Equal(t, len(c.left), q.Len())
			var left []int
			for d, ok := q.Pop(); ok; d, ok = q.Pop() {
				left = append(left, len(d.Message.Payload))
			}
			require.Equal(t, c.left, left)
			require.Zero(t, q.Bytes())
			require.Nil(t, q.Oldest())
		})
	}
}

func TestMeta_ReadsWhatItWrote(t *testing.T) {
	for _, m := range []session.Meta{
		{},
		{Version: mqtt.V311, Expiry: 7 * 24 * time.Hour, Offline: time.Hour},
		{Version: mqtt.V5, Expiry: session.Never},
		{Version: mqtt.V5, User: "u", Sent: 4711},
	} {
		got, err := session.DecodeMeta(m.Encode())
		require.NoError(t, err)
		require.Equal(t, m, got)
		got, err = session.DecodeMeta(append(m.Encode(), 1, 2, 3))
		require.NoError(t, err, "a later version adds behind")
		require.Equal(t, m, got)
	}
}

func FuzzDecodeMeta(f *testing.F) {
	f.Add([]byte{})
	f.Add(session.Meta{Version: mqtt.V311, Expiry: session.Never}.Encode())
	f.Add([]byte{1, 4, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 0})
	f.Add([]byte{2, 4, 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := session.DecodeMeta(b)
		if err != nil {
			return
		}
		again, err := session.DecodeMeta(m.Encode())
		require.NoError(t, err)
		require.Equal(t, m, again)
	})
}
