package bridges_test

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"sync"
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

// fake is a kind of functions.
type fake struct {
	run    func(ctx context.Context, h bridges.Host) error
	test   func(ctx context.Context, device string) ([]bridges.Reading, error)
	write  func(device, point string, value json.RawMessage) (bridges.WriteResult, error)
	starts atomic.Int32
}

type fakeBridge struct{ f *fake }

func (b fakeBridge) Run(ctx context.Context, h bridges.Host) error {
	b.f.starts.Add(1)
	return b.f.run(ctx, h)
}

func (b fakeBridge) Test(ctx context.Context, device string) ([]bridges.Reading, error) {
	return b.f.test(ctx, device)
}

func (b fakeBridge) Write(_ context.Context, device, point string, value json.RawMessage) (bridges.WriteResult, error) {
	return b.f.write(device, point, value)
}

type fakeSettings struct {
	bridges.Header
	Device string        `json:"device"`
	Topic  string        `json:"topic"`
	Point  string        `json:"point"`
	Fresh  time.Duration `json:"fresh"`
	bridges.PublishRule
}

func (f *fake) kind(name string) bridges.Kind {
	return bridges.Kind{
		Name: name, Title: name,
		New: func(c bridges.Config, _ *slog.Logger) (bridges.Bridge, error) {
			var s fakeSettings
			if err := bridges.Decode(c.Settings, &s); err != nil {
				return nil, err
			}
			if s.Point == "panic" {
				panic("in New")
			}
			return fakeBridge{f}, nil
		},
		Devices: func(c bridges.Config) []bridges.Device {
			var s fakeSettings
			if bridges.Decode(c.Settings, &s) != nil || s.Device == "" {
				return nil
			}
			topic := "fieldgate/" + s.Device
			if s.Topic != "" {
				topic = s.Topic
			}
			return []bridges.Device{{ID: s.Device, Topic: topic, Points: []bridges.Point{{ID: s.Point, Unit: "V", Writable: true, Publish: s.PublishRule, Fresh: s.Fresh}}}}
		},
	}
}

// online runs until it is told to stop.
func online(ctx context.Context, h bridges.Host) error {
	h.SetState(bridges.Online, "")
	<-ctx.Done()
	return nil
}

func config(id, settings string) bridges.Config {
	c, err := bridges.NewConfig(json.RawMessage(strings.Replace(settings, "{", `{"id":"`+id+`","kind":"fake",`, 1)), "")
	if err != nil {
		panic(err)
	}
	return c
}

// stage is a running supervisor with all that it touches.
type stage struct {
	*bridges.Supervisor
	fake   *fake
	bus    *bridgestest.Bus
	alarms *fault.Alarms
	log    *bridgestest.Log
	stop   func()
}

// start is launch in a synctest bubble; it returns when nothing moves any more.
func start(t *testing.T, role bridges.Role, f *fake, configs ...bridges.Config) *stage {
	st := launch(t, role, f, configs...)
	synctest.Wait()
	return st
}

func launch(t *testing.T, role bridges.Role, f *fake, configs ...bridges.Config) *stage {
	st := &stage{fake: f, bus: &bridgestest.Bus{}, alarms: &fault.Alarms{}, log: &bridgestest.Log{}}
	st.Supervisor = bridges.NewSupervisor(role, []bridges.Kind{f.kind("fake")}, st.bus, st.alarms, st.log.Logger())
	require.NoError(t, st.Apply(configs))
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- st.Run(ctx) }()
	st.stop = func() {
		cancel()
		if ended != nil {
			require.NoError(t, <-ended)
			ended = nil
		}
	}
	return st
}

func (st *stage) status(t *testing.T, id string) bridges.Status {
	for _, s := range st.Statuses() {
		if s.ID == id {
			return s
		}
	}
	t.Fatalf("no status of %s", id)
	return bridges.Status{}
}

const device1 = `{"device":"d1","point":"p"}`

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
		require.Equal(t, begin.Add(7*time.Second), st.Values()[0].Time, "the page sees all")
	})
}

func TestSupervisor_ApplyRestartsOnlyTheChanged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{run: func(ctx context.Context, h bridges.Host) error {
			h.SetState(bridges.Online, "")
			for _, d := range []string{"d1", "d2"} {
				_ = h.Report(ctx, bridges.Reading{Device: d, Point: "p", Value: bridges.Int(1), Quality: bridges.Good})
				h.SetDevice(d, bridges.Online, "")
			}
			<-ctx.Done()
			return nil
		}}
		st := start(t, bridges.FieldRole, f, config("b1", device1), config("b2", `{"device":"d2","point":"p"}`))
		defer st.stop()
		require.EqualValues(t, 2, f.starts.Load())
		require.NotEmpty(t, st.bus.Retained("fieldgate/d2/p"))

		same := config("b1", device1)
		same.Settings = json.RawMessage(`{"point":"p", "device":"d1", "kind":"fake", "id":"b1"}`)
		require.NoError(t, st.Apply([]bridges.Config{same, config("b2", `{"device":"d2","point":"other"}`)}))
		synctest.Wait()
		require.EqualValues(t, 3, f.starts.Load(), "the order of keys is no change")
		require.Empty(t, st.bus.Retained("fieldgate/d2/p"), "a point that is gone leaves nothing")
		require.NotEmpty(t, st.bus.Retained("fieldgate/d2/$state"))

		require.NoError(t, st.Apply([]bridges.Config{same}))
		synctest.Wait()
		require.EqualValues(t, 3, f.starts.Load())
		require.Empty(t, st.bus.Retained("fieldgate/d2/$state"))
		require.Empty(t, st.bus.Retained("fieldgate/$bridge/b2"))
		require.NotEmpty(t, st.bus.Retained("fieldgate/d1/p"))
		require.Len(t, st.Statuses(), 1)
		time.Sleep(2 * time.Minute)
		require.Empty(t, st.bus.Retained("fieldgate/$bridge/b2"), "what is gone stays gone")
	})
}

func TestSupervisor_MovesADeviceBetweenBridges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{run: func(ctx context.Context, h bridges.Host) error {
			_ = h.Report(ctx, bridges.Reading{Device: "d1", Point: "p", Value: bridges.Int(1), Quality: bridges.Good})
			return online(ctx, h)
		}}
		st := start(t, bridges.FieldRole, f, config("b1", device1))
		defer st.stop()
		require.NoError(t, st.Apply([]bridges.Config{config("b2", device1)}))
		synctest.Wait()
		require.NotEmpty(t, st.bus.Retained("fieldgate/d1/p"))
		require.NotContains(t, st.bus.Payloads("fieldgate/d1/p"), "", "its topics were never cleared")
		require.Empty(t, st.bus.Retained("fieldgate/$bridge/b1"))
	})
}

func TestSupervisor_DisabledBridgeTakesItsValuesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{run: online}
		st := start(t, bridges.FieldRole, f, config("b1", `{"enabled":false,"device":"d1","point":"p"}`))
		defer st.stop()
		require.Zero(t, f.starts.Load())
		require.Equal(t, bridges.Disabled, st.status(t, "b1").State)
		require.Contains(t, st.bus.Retained("fieldgate/d1/p"), `"error":"disabled"`)
		require.Contains(t, st.bus.Retained("fieldgate/d1/$state"), `"state":"disabled"`)
		require.Contains(t, st.bus.Retained("fieldgate/$bridge/b1"), `"state":"disabled"`)
		alarms, _ := st.alarms.List()
		require.Empty(t, alarms)
		require.NoError(t, st.Apply([]bridges.Config{config("b1", device1)}))
		synctest.Wait()
		require.Equal(t, bridges.Online, st.status(t, "b1").State)
	})
}

func TestSupervisor_ApplyRefusesASetThatCannotBe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := start(t, bridges.FieldRole, &fake{run: online}, config("b1", device1))
		defer st.stop()
		require.EqualError(t, st.Apply([]bridges.Config{config("a", `{"device":"d1"}`), config("a", `{"device":"d2"}`)}), `/1/id: "a" is used twice`)
		require.ErrorContains(t, st.Apply([]bridges.Config{{}}), "/0/id: is needed")
		require.EqualValues(t, 1, st.fake.starts.Load())
		require.Equal(t, bridges.Online, st.status(t, "b1").State, "nothing was done")
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

func TestSupervisor_SaysWhichKindIsMeant(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := config("b1", device1)
		c.Kind = "fale"
		st := start(t, bridges.FieldRole, &fake{run: online}, c)
		defer st.stop()
		require.Equal(t, bridges.Failed, st.status(t, "b1").State)
		require.Equal(t, `/kind: must be one of fake; did you mean "fake"?`, st.status(t, "b1").Reason)
		require.EqualError(t, st.Check(c), st.status(t, "b1").Reason)
	})
}

func TestSupervisor_UplinkKeepsAndForgetsItsSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{run: func(ctx context.Context, h bridges.Host) error {
			_, err := h.Attach(ctx, mqtt.Attachment{Durable: true, Subscriptions: []mqtt.Subscription{{Filter: "fieldgate/#", QoS: 1}}})
			if err != nil {
				return err
			}
			h.SetState(bridges.Connected, "")
			if err := h.Publish(ctx, &mqtt.Message{Topic: "fieldgate/x"}, nil); err != nil {
				return err
			}
			<-ctx.Done()
			return nil
		}}
		st := start(t, bridges.UplinkRole, f, config("cloud", `{"enabled":true}`))
		defer st.stop()
		require.Equal(t, "$uplink/cloud", st.bus.Attached()[0].Attachment.ClientID)
		require.Contains(t, st.bus.Retained("fieldgate/$uplink/cloud"), `"state":"connected"`)
		require.Positive(t, st.status(t, "cloud").Queue.Messages)

		disabled := config("cloud", `{"enabled":false}`)
		require.NoError(t, st.Apply([]bridges.Config{disabled}))
		require.Empty(t, st.bus.Attached(), "what the bridge left open is closed for it")
		require.Empty(t, st.bus.Forgotten(), "the queue outlives a pause")

		require.NoError(t, st.DropQueue(t.Context(), "cloud"))
		require.Equal(t, []string{"$uplink/cloud"}, st.bus.Forgotten())
		require.Equal(t, fault.NotFound, fault.CodeOf(st.DropQueue(t.Context(), "none")))

		require.NoError(t, st.Apply(nil))
		require.Equal(t, []string{"$uplink/cloud", "$uplink/cloud"}, st.bus.Forgotten())
		require.Empty(t, st.bus.Retained("fieldgate/$uplink/cloud"))
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

// nowhere is a broker that takes everything and keeps nothing.
type nowhere struct{}

func (nowhere) Publish(context.Context, *mqtt.Message, func(error)) error { return nil }
func (nowhere) Attach(context.Context, mqtt.Attachment) (bridges.Source, error) {
	return nil, errors.New("nobody is here")
}
func (nowhere) Forget(context.Context, string) error { return nil }
