package bridges_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"fieldgate/bridges"
	"fieldgate/bridges/bridgestest"
	"fieldgate/broker/mqtt"
	"fieldgate/internal/fault"
)

func TestSupervisor_RunsReportsAndStops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		at := time.Date(2026, 11, 22, 10, 0, 0, 47e6, time.UTC)
		f := &fake{run: func(ctx context.Context, h bridges.Host) error {
			h.SetState(bridges.Online, "")
			h.SetDevice("d1", bridges.Online, "")
			h.SetDevice("unknown", bridges.Online, "")
			h.SetCounters(map[string]int64{"polls": 1, "errors": 0})
			if err := h.Report(ctx, bridges.Reading{Device: "d1", Point: "other"}); err == nil {
				return errors.New("an unknown point was taken")
			}
			err := h.Report(ctx, bridges.Reading{Device: "d1", Point: "p", Value: bridges.Float(230.1), Quality: bridges.Good, Time: at})
			<-ctx.Done()
			return err
		}}
		st := start(t, bridges.FieldRole, f, config("b1", device1))
		require.Equal(t, `{"value":230.1,"unit":"V","quality":"good","time":"2026-11-22T10:00:00.047Z"}`, st.bus.Retained("fieldgate/d1/p"))
		since := time.Now().UTC().Format("2006-01-02T15:04:05.000Z")
		require.Equal(t, `{"state":"online","since":"`+since+`","reason":""}`, st.bus.Retained("fieldgate/d1/$state"))
		require.Equal(t, `{"state":"online","since":"`+since+`","reason":"","counters":{"errors":0,"polls":1}}`, st.bus.Retained("fieldgate/$bridge/b1"))
		m := st.bus.Messages("fieldgate/d1/p")[0]
		require.Equal(t, mqtt.AtLeastOnce, m.QoS)
		require.True(t, m.Retain)

		s := st.status(t, "b1")
		require.Equal(t, bridges.Online, s.State)
		require.Equal(t, []bridges.DeviceStatus{{ID: "d1", State: bridges.Online, Since: s.Since}}, s.Devices)
		require.Equal(t, []bridges.Device{{Bridge: "b1", ID: "d1", Topic: "fieldgate/d1", Points: []bridges.Point{{ID: "p", Unit: "V", Writable: true}}}}, st.Devices())

		before := len(st.bus.Messages("fieldgate/$bridge/b1"))
		time.Sleep(61 * time.Second)
		require.Len(t, st.bus.Messages("fieldgate/$bridge/b1"), before+1, "the state goes out every minute")
		require.Len(t, st.bus.Messages("fieldgate/d1/$state"), 1)
		st.stop()
		require.ErrorContains(t, st.Apply(nil), "stopping")
		require.NotEmpty(t, st.bus.Retained("fieldgate/d1/p"), "a stop takes nothing back")
	})
}

func TestSupervisor_RestartsWithBackOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{run: func(ctx context.Context, h bridges.Host) error {
			return fault.New(fault.Unreachable, "open serial port /dev/ttyUSB0: no such file or directory")
		}}
		st := start(t, bridges.FieldRole, f, config("b1", device1))
		defer st.stop()
		require.EqualValues(t, 1, f.starts.Load())
		time.Sleep(251 * time.Millisecond)
		require.EqualValues(t, 2, f.starts.Load(), "the first restart comes after 250 ms")
		time.Sleep(10 * time.Minute)
		starts := f.starts.Load()
		require.GreaterOrEqual(t, starts, int32(20), "at least every 30 s")
		require.LessOrEqual(t, starts, int32(60))

		s := st.status(t, "b1")
		require.Equal(t, bridges.Offline, s.State)
		require.Equal(t, "open serial port /dev/ttyUSB0: no such file or directory", s.Reason)
		require.Equal(t, bridges.Offline, s.Devices[0].State)
		require.Contains(t, st.bus.Retained("fieldgate/d1/p"), `"quality":"bad"`)
		require.Contains(t, st.bus.Retained("fieldgate/d1/p"), `"error":"failed"`)
		require.Len(t, st.bus.Messages("fieldgate/d1/p"), 1, "bad is said once")
		require.Equal(t, 1, st.log.Count("level=WARN", "bridge=b1", "state=offline", "no such file")-st.log.Count("level=WARN", "device=d1"), "a failure that repeats is logged once")
		alarms, _ := st.alarms.List()
		require.Len(t, alarms, 1)
		require.Equal(t, "bridge/b1", alarms[0].Part)
		require.Equal(t, fault.Unreachable, alarms[0].Code)
	})
}

func TestSupervisor_ForgetsBackOffAfterAMinuteOfHealth(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{}
		f.run = func(ctx context.Context, h bridges.Host) error {
			if f.starts.Load() == 8 {
				h.SetState(bridges.Online, "")
				h.SetDevice("d1", bridges.Online, "")
				select {
				case <-ctx.Done():
				case <-time.After(61 * time.Second):
				}
			}
			return errors.New("lost")
		}
		st := start(t, bridges.FieldRole, f, config("b1", device1))
		defer st.stop()
		for f.starts.Load() < 8 {
			time.Sleep(10 * time.Millisecond)
		}
		synctest.Wait()
		alarms, _ := st.alarms.List()
		require.Empty(t, alarms, "all is well while it runs")
		time.Sleep(61*time.Second + 251*time.Millisecond)
		require.EqualValues(t, 9, f.starts.Load())
		require.Equal(t, 2, st.log.Count("level=WARN", "state=offline", "reason=lost")-st.log.Count("level=WARN", "device=d1"), "after good times a failure is told again")
	})
}

func TestSupervisor_SurvivesAPanic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{}
		f.run = func(ctx context.Context, h bridges.Host) error {
			if f.starts.Load() == 1 {
				var none []int
				_ = none[1]
			}
			h.SetDevice("d1", bridges.Online, "")
			return online(ctx, h)
		}
		st := start(t, bridges.FieldRole, f, config("b1", device1))
		defer st.stop()
		s := st.status(t, "b1")
		require.Equal(t, bridges.Failed, s.State)
		require.Contains(t, s.Reason, "a mistake in the program stopped it: runtime error: index out of range")
		alarms, _ := st.alarms.List()
		require.Equal(t, fault.Internal, alarms[0].Code)
		require.Equal(t, 1, st.log.Count("level=ERROR", "supervisor_test.go"))
		time.Sleep(251 * time.Millisecond)
		require.Equal(t, bridges.Online, st.status(t, "b1").State)
		alarms, _ = st.alarms.List()
		require.Empty(t, alarms)
	})
}

func TestSupervisor_BadSettingsStopOneBridgeOnly(t *testing.T) {
	for _, c := range []struct{ name, settings, reason string }{
		{"unknown key", `{"devcie":"x"}`, `/devcie: there is no such key; did you mean "device"?`},
		{"panic in New", `{"device":"x","point":"panic"}`, "a mistake in the program stopped it: in New"},
		{"device of another", `{"device":"d1","point":"q","topic":"t"}`, "/devices/0/id: device d1 is used by bridge good already"},
		{"topic of another", `{"device":"d2","point":"q","topic":"fieldgate/d1"}`, "/devices/0/topic: topic fieldgate/d1 is used by bridge good already"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				st := start(t, bridges.FieldRole, &fake{run: online}, config("good", device1), config("bad", c.settings))
				defer st.stop()
				require.Equal(t, bridges.Online, st.status(t, "good").State)
				require.Equal(t, bridges.Failed, st.status(t, "bad").State)
				require.Equal(t, c.reason, st.status(t, "bad").Reason)
				require.Empty(t, st.bus.Retained("fieldgate/d1/$state"), "nobody speaks for another's device")
				alarms, _ := st.alarms.List()
				require.Len(t, alarms, 1)
				require.Equal(t, "bridge/bad", alarms[0].Part)

				require.ErrorContains(t, st.Check(config("bad", c.settings)), strings.Split(c.reason, ": ")[0])
				require.NoError(t, st.Apply([]bridges.Config{config("good", device1), config("bad", `{"device":"d2","point":"q"}`)}))
				synctest.Wait()
				require.Equal(t, bridges.Online, st.status(t, "bad").State)
				require.EqualValues(t, 2, st.fake.starts.Load(), "the good one went on")
				alarms, _ = st.alarms.List()
				require.Empty(t, alarms)
			})
		})
	}
}

func TestSupervisor_HoldsBackWhatThePointsRuleDoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		f := &fake{run: func(ctx context.Context, h bridges.Host) error {
			for _, v := range []int64{5, 6, 7} {
				r := bridges.Reading{Device: "d1", Point: "p", Value: bridges.Int(v), Quality: bridges.Good, Time: begin.Add(time.Duration(v) * time.Second)}
				if err := h.Report(ctx, r); err != nil {
					return err
				}
			}
			return online(ctx, h)
		}}
		st := start(t, bridges.FieldRole, f, config("b1", `{"device":"d1","point":"p","deadband":2}`))
		defer st.stop()
		require.Len(t, st.bus.Messages("fieldgate/d1/p"), 2)
		require.Contains(t, st.bus.Retained("fieldgate/d1/p"), `"value":7`)
		require.Equal(t, begin.Add(7*time.Second).UTC(), st.Values()[0].Time, "the page sees all")
	})
}

func TestSupervisor_LeavesBehindWhoDoesNotStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		free := make(chan struct{})
		f := &fake{}
		f.run = func(ctx context.Context, h bridges.Host) error {
			if f.starts.Load() > 1 {
				return online(ctx, h)
			}
			h.SetState(bridges.Online, "")
			<-free
			_ = h.Report(ctx, bridges.Reading{Device: "d1", Point: "p", Value: bridges.Int(1), Quality: bridges.Good})
			return nil
		}
		st := start(t, bridges.FieldRole, f, config("b1", device1))
		defer st.stop()
		began := time.Now()
		require.NoError(t, st.Apply([]bridges.Config{config("b1", `{"device":"d1","point":"q"}`)}))
		require.Equal(t, time.Second, time.Since(began))
		require.Equal(t, 1, st.log.Count("level=ERROR", "did not stop in time", "bridge=b1"))
		synctest.Wait()
		require.EqualValues(t, 1, f.starts.Load(), "the port is the old one's until it ends")
		close(free)
		synctest.Wait()
		require.EqualValues(t, 2, f.starts.Load())
	})
}

func TestSupervisor_AlarmNamesTheDevice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		say := make(chan bridges.State)
		f := &fake{run: func(ctx context.Context, h bridges.Host) error {
			h.SetState(bridges.Online, "")
			for {
				select {
				case <-ctx.Done():
					return nil
				case s := <-say:
					h.SetDevice("d1", s, "no answer from unit 1")
				}
			}
		}}
		st := start(t, bridges.FieldRole, f, config("b1", device1))
		defer st.stop()
		alarms, _ := st.alarms.List()
		require.Empty(t, alarms, "a device that was not asked yet is no alarm")
		for range 3 {
			say <- bridges.Offline
		}
		synctest.Wait()
		alarms, _ = st.alarms.List()
		require.Len(t, alarms, 1)
		require.Equal(t, "device d1: no answer from unit 1", alarms[0].Message)
		require.Len(t, st.bus.Messages("fieldgate/d1/$state"), 1)
		say <- bridges.Online
		synctest.Wait()
		alarms, _ = st.alarms.List()
		require.Empty(t, alarms)
	})
}

func TestSupervisor_PublishesTheStateAgainWhenTheBrokerWasNotReady(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var refuse atomic.Bool
		st := start(t, bridges.FieldRole, &fake{run: online})
		defer st.stop()
		st.bus.OnPublish = func(context.Context, *mqtt.Message) error {
			if refuse.Load() {
				return errors.New("full")
			}
			return nil
		}
		refuse.Store(true)
		require.NoError(t, st.Apply([]bridges.Config{config("b1", device1)}))
		synctest.Wait()
		require.Empty(t, st.bus.Retained("fieldgate/$bridge/b1"))
		refuse.Store(false)
		time.Sleep(6 * time.Second)
		synctest.Wait()
		require.Contains(t, st.bus.Retained("fieldgate/$bridge/b1"), "online")
	})
}

func TestNewSupervisor_RefusesTwoKindsOfOneName(t *testing.T) {
	f := &fake{}
	require.Panics(t, func() {
		bridges.NewSupervisor(bridges.FieldRole, []bridges.Kind{f.kind("a"), f.kind("a")}, &bridgestest.Bus{}, &fault.Alarms{}, slog.New(slog.DiscardHandler))
	})
}

func BenchmarkHost_Report(b *testing.B) {
	at := time.Now()
	done := make(chan struct{})
	f := &fake{run: func(ctx context.Context, h bridges.Host) error {
		for b.Loop() {
			if err := h.Report(ctx, bridges.Reading{Device: "d1", Point: "p", Value: bridges.Float(230.1), Quality: bridges.Good, Time: at}); err != nil {
				return err
			}
			h.SetDevice("d1", bridges.Online, "")
		}
		close(done)
		<-ctx.Done()
		return nil
	}}
	s := bridges.NewSupervisor(bridges.FieldRole, []bridges.Kind{f.kind("fake")}, nowhere{}, &fault.Alarms{}, slog.New(slog.DiscardHandler))
	if err := s.Apply([]bridges.Config{config("b1", device1)}); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	ctx, stop := context.WithCancel(b.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = s.Run(ctx)
	}()
	<-done
	stop()
	<-ended
}
