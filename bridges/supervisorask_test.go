package bridges_test

import (
	"context"
	"encoding/json"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"fieldgate/bridges"
	"fieldgate/internal/fault"
)

func TestSupervisor_ValuesSince(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		next := make(chan bridges.Reading)
		f := &fake{run: func(ctx context.Context, h bridges.Host) error {
			for {
				select {
				case <-ctx.Done():
					return nil
				case r := <-next:
					if err := h.Report(ctx, r); err != nil {
						return err
					}
				}
			}
		}}
		st := start(t, bridges.FieldRole, f, config("b1", device1))
		defer st.stop()
		list, v := st.ValuesSince(0)
		require.Equal(t, []bridges.Reading{{Device: "d1", Point: "p", Topic: "fieldgate/d1/p", Unit: "V", Quality: bridges.Bad, Error: "no_value_yet"}}, list)
		list, v = st.ValuesSince(v)
		require.Empty(t, list)
		next <- bridges.Reading{Device: "d1", Point: "p", Value: bridges.Int(5), Quality: bridges.Bad, Error: "timeout"}
		synctest.Wait()
		list, _ = st.ValuesSince(v)
		require.Len(t, list, 1)
		require.True(t, list[0].Value.IsNone(), "a bad reading has no value")
		require.Len(t, st.Values(), 1)
	})
}

func TestSupervisor_TestStopsTheRunningBridge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var up atomic.Bool
		want := []bridges.Reading{{Device: "d1", Point: "p", Value: bridges.Int(1)}}
		f := &fake{run: func(ctx context.Context, h bridges.Host) error {
			up.Store(true)
			defer up.Store(false)
			return online(ctx, h)
		}}
		st := start(t, bridges.FieldRole, f, config("b1", device1))
		defer st.stop()
		f.test = func(ctx context.Context, device string) ([]bridges.Reading, error) {
			require.False(t, up.Load())
			_, err := st.Test(ctx, config("b1", device1), "")
			require.Equal(t, fault.Conflict, fault.CodeOf(err))
			require.NoError(t, st.Apply([]bridges.Config{config("b1", device1), config("b2", `{"device":"d2","point":"p"}`)}), "settings may change meanwhile")
			return want, nil
		}
		got, err := st.Test(t.Context(), config("b1", device1), "d1")
		require.NoError(t, err)
		require.Equal(t, want, got)
		synctest.Wait()
		require.True(t, up.Load())
		require.EqualValues(t, 3, f.starts.Load())

		for _, c := range []struct {
			name, settings, device string
			test                   func(ctx context.Context, device string) ([]bridges.Reading, error)
			code                   fault.Code
			words                  string
		}{
			{"link failed", device1, "", func(context.Context, string) ([]bridges.Reading, error) { return nil, errors.New("open it") }, fault.Unreachable, "open it"},
			{"panic", device1, "", func(context.Context, string) ([]bridges.Reading, error) { panic("oh") }, fault.Internal, "a mistake in the program stopped it: oh"},
			{"too slow", device1, "", func(ctx context.Context, _ string) ([]bridges.Reading, error) { <-ctx.Done(); return nil, ctx.Err() }, fault.Unreachable, "no answer within 30s"},
			{"own code", device1, "", func(context.Context, string) ([]bridges.Reading, error) { return nil, fault.New("tls", "expired") }, "tls", "expired"},
			{"unknown device", device1, "d9", nil, fault.NotFound, "there is no device d9"},
			{"bad settings", `{"device":1}`, "", nil, fault.Invalid, "/device: must be text"},
		} {
			f.test = c.test
			_, err := st.Test(t.Context(), config("b1", c.settings), c.device)
			require.Equal(t, c.code, fault.CodeOf(err), c.name)
			require.ErrorContains(t, err, c.words, c.name)
			synctest.Wait()
			require.True(t, up.Load(), c.name)
		}
	})
}

func TestSupervisor_Write(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fail := make(chan struct{})
		f := &fake{
			run: func(ctx context.Context, h bridges.Host) error {
				select {
				case <-ctx.Done():
					return nil
				case <-fail:
					return errors.New("lost")
				}
			},
			write: func(device, point string, value json.RawMessage) (bridges.WriteResult, error) {
				if string(value) == "0" {
					panic("no zero")
				}
				v, err := bridges.ParseValue(value)
				return bridges.WriteResult{OK: true, Value: v}, err
			},
		}
		st := start(t, bridges.FieldRole, f, config("b1", device1))
		defer st.stop()
		got, err := st.Write(t.Context(), "d1", "p", json.RawMessage("21.5"))
		require.NoError(t, err)
		require.Equal(t, bridges.WriteResult{OK: true, Value: bridges.Float(21.5)}, got)
		for _, c := range []struct {
			device, point, value string
			code                 fault.Code
		}{{"d9", "p", "1", fault.NotFound}, {"d1", "x", "1", fault.NotFound}, {"d1", "p", "0", fault.Internal}} {
			_, err := st.Write(t.Context(), c.device, c.point, json.RawMessage(c.value))
			require.Equal(t, c.code, fault.CodeOf(err))
		}
		close(fail)
		synctest.Wait()
		_, err = st.Write(t.Context(), "d1", "p", json.RawMessage("1"))
		require.Equal(t, fault.Unavailable, fault.CodeOf(err))
	})
}

// Every method is called at the same time as all others: nothing may hang, and in
// the end what was applied last is what runs. In real time: a bubble's clock
// stands still while a goroutine waits for a mutex.
func TestSupervisor_AllMethodsAtTheSameTime(t *testing.T) {
	f := &fake{
		run: func(ctx context.Context, h bridges.Host) error {
			for i := 0; ctx.Err() == nil && i < 100; i++ {
				h.SetState(bridges.Online, "")
				h.SetDevice("d1", []bridges.State{bridges.Online, bridges.Offline}[i%2], "")
				h.SetCounters(map[string]int64{"i": int64(i)})
				_ = h.Report(ctx, bridges.Reading{Device: "d1", Point: "p", Value: bridges.Int(int64(i)), Quality: bridges.Good})
				time.Sleep(time.Millisecond)
			}
			<-ctx.Done()
			return nil
		},
		test: func(context.Context, string) ([]bridges.Reading, error) { return nil, nil },
		write: func(string, string, json.RawMessage) (bridges.WriteResult, error) {
			return bridges.WriteResult{OK: true}, nil
		},
	}
	st := launch(t, bridges.FieldRole, f)
	defer st.stop()
	sets := [][]bridges.Config{
		nil,
		{config("b1", device1)},
		{config("b1", `{"device":"d1","point":"q"}`), config("b2", `{"device":"d2","point":"p"}`)},
		{config("b2", device1), config("b1", `{"wrong":1}`)},
		{config("b1", `{"enabled":false,"device":"d1","point":"p"}`)},
	}
	var wg sync.WaitGroup
	each := func(n int, do func(i int)) {
		wg.Go(func() {
			for i := range n {
				do(i)
				time.Sleep(time.Duration(i%3) * time.Millisecond)
			}
		})
	}
	for range 2 {
		each(60, func(i int) { _ = st.Apply(sets[i%len(sets)]) })
		each(60, func(int) { _, _ = st.Test(t.Context(), config("b1", device1), "d1") })
		each(60, func(int) { _, _ = st.Write(t.Context(), "d1", "p", json.RawMessage("1")) })
		each(60, func(int) { _ = st.DropQueue(t.Context(), "b1") })
		each(200, func(int) { st.Statuses(); st.Devices(); st.Values() })
		each(200, func(int) { _ = st.Check(config("b3", device1)) })
	}
	wg.Wait()
	require.NoError(t, st.Apply(sets[1]))
	st.bus.AwaitRetained(t, "fieldgate/d1/p", `"value":99,`)
	st.bus.AwaitRetained(t, "fieldgate/$bridge/b1", `"state":"online"`)
	require.Len(t, st.Statuses(), 1)
	require.Empty(t, st.bus.Retained("fieldgate/d2/p"))
	require.Empty(t, st.bus.Retained("fieldgate/d2/$state"))
	require.Empty(t, st.bus.Retained("fieldgate/d1/q"))
	require.Empty(t, st.bus.Retained("fieldgate/$bridge/b2"))
}
