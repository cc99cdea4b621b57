package bridges_test

import (
	"context"
	"encoding/json"
	"fmt"
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

// wall is a wall clock that a test sets.
type wall struct {
	start  time.Time
	offset atomic.Int64 // nanoseconds against the test's time
	synced atomic.Bool
}

func newWall() *wall {
	w := &wall{start: time.Now()}
	w.offset.Store(int64(time.Unix(10, 0).Sub(w.start.Round(0)))) // no battery: it began in 1970
	return w
}

func (w *wall) set(t time.Time) { w.offset.Store(int64(t.Sub(time.Now().Round(0)))) }

func (w *wall) clock() bridges.Clock {
	return bridges.Clock{
		Now:    func() time.Time { return time.Now().Round(0).Add(time.Duration(w.offset.Load())) },
		Uptime: func() time.Duration { return time.Minute + time.Since(w.start) },
		Synced: w.synced.Load, Boot: "b-1",
	}
}

// clocked is start with the wall clock.
func clocked(t *testing.T, w *wall, role bridges.Role, f *fake, settings string) *stage {
	st := &stage{fake: f, bus: &bridgestest.Bus{}, alarms: &fault.Alarms{}, log: &bridgestest.Log{}}
	st.Supervisor = bridges.NewSupervisor(role, []bridges.Kind{f.kind("fake")}, st.bus, st.alarms, st.log.Logger())
	st.SetClock(w.clock())
	require.NoError(t, st.Apply([]bridges.Config{config("b1", settings)}))
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- st.Run(ctx) }()
	st.stop = func() { cancel(); require.NoError(t, <-ended) }
	synctest.Wait()
	return st
}

// reporter is a bridge that reports the values it is given, as just read.
func reporter(values <-chan float64) *fake {
	return &fake{run: func(ctx context.Context, h bridges.Host) error {
		h.SetState(bridges.Online, "")
		h.SetDevice("d1", bridges.Online, "")
		for {
			select {
			case v := <-values:
				err := h.Report(ctx, bridges.Reading{Device: "d1", Point: "p", Value: bridges.Float(v), Quality: bridges.Good, Time: time.Now()})
				if err != nil {
					return err
				}
			case <-ctx.Done():
				return nil
			}
		}
	}}
}

const topic = "fieldgate/d1/p"

func payload(value, when, more string) string {
	return `{"value":` + value + `,"unit":"V","quality":"good","time":"` + when + `"` + more + `}`
}

func TestClock_StoredTimesAreCorrectedWhenItIsSet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, values := newWall(), make(chan float64)
		st := clocked(t, w, bridges.FieldRole, reporter(values), device1)
		defer st.stop()
		time.Sleep(5 * time.Second)
		values <- 1.5
		synctest.Wait()
		require.Equal(t, payload("1.5", "1970-01-01T00:00:15.000Z", `,"clock":"unsynced","boot":"b-1","uptime_ms":65000`), st.bus.Retained(topic))
		readings, version := st.ValuesSince(0)
		require.Equal(t, "b-1", readings[0].Boot)

		time.Sleep(10 * time.Second)
		w.set(time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC))
		w.synced.Store(true)
		time.Sleep(2 * time.Second)
		synctest.Wait()
		require.Equal(t, payload("1.5", "2026-11-22T09:59:50.000Z", ""), st.bus.Retained(topic), "10 s before the clock was set")
		readings, _ = st.ValuesSince(version)
		require.Len(t, readings, 1)
		require.Empty(t, readings[0].Boot)
		require.Equal(t, time.Date(2026, 11, 22, 9, 59, 50, 0, time.UTC), readings[0].Time.UTC())
		require.Contains(t, st.bus.Retained("fieldgate/d1/$state"), `"since":"2026-11-22T09:59:45`)
		require.Contains(t, st.bus.Retained("fieldgate/$bridge/b1"), `"since":"2026-11-22T09:59:45`)

		values <- 2
		synctest.Wait()
		require.Equal(t, payload("2", "2026-11-22T10:00:02.000Z", ""), st.bus.Retained(topic))
		require.Len(t, st.bus.Messages(topic), 3)
	})
}

func TestClock_JumpsLeaveStoredTimesAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, values := newWall(), make(chan float64)
		noon := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
		w.set(noon)
		w.synced.Store(true)
		st := clocked(t, w, bridges.FieldRole, reporter(values), `{"device":"d1","point":"p","heartbeat":"1m"}`)
		defer st.stop()
		for _, jump := range []struct {
			name   string
			to     time.Time
			value  float64
			passes bool
		}{
			{"the first", noon, 1, true},
			{"backwards by a day", noon.Add(-24 * time.Hour), 1, false},
			{"changed after it", noon.Add(-24 * time.Hour), 2, true},
			{"forwards by a year", noon.AddDate(1, 0, 0), 2, false},
			{"changed after that", noon.AddDate(1, 0, 0), 3, true},
		} {
			before := st.bus.Retained(topic)
			w.set(jump.to)
			time.Sleep(2 * time.Second)
			synctest.Wait()
			require.Equal(t, before, st.bus.Retained(topic), "%s: an old value got a new time", jump.name)
			values <- jump.value
			synctest.Wait()
			if !jump.passes { // the heartbeat goes by the time that passed, not by the clock
				require.Equal(t, before, st.bus.Retained(topic), jump.name)
				continue
			}
			require.Equal(t, payload(fmt.Sprint(jump.value), jump.to.Add(2*time.Second).Format("2006-01-02T15:04:05.000Z"), ""), st.bus.Retained(topic), jump.name)
		}
	})
}

func TestStale_AnOldValueIsSaidToBeOldOnceWithItsOwnTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, values := newWall(), make(chan float64)
		w.set(time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC))
		w.synced.Store(true)
		st := clocked(t, w, bridges.FieldRole, reporter(values), `{"device":"d1","point":"p","fresh":"10s","on_change":true}`)
		defer st.stop()
		good := payload("1", "2026-11-22T12:00:00.000Z", "")
		values <- 1
		time.Sleep(9 * time.Second)
		values <- 1 // held back, and still a sign of life
		time.Sleep(9 * time.Second)
		require.Equal(t, good, st.bus.Retained(topic))
		time.Sleep(time.Minute)
		synctest.Wait()
		stale := strings.Replace(payload("1", "2026-11-22T12:00:09.000Z", ""), "good", "stale", 1)
		require.Equal(t, []string{good, stale}, st.bus.Payloads(topic))
		values <- 1
		synctest.Wait()
		require.Equal(t, payload("1", "2026-11-22T12:01:18.000Z", ""), st.bus.Retained(topic), "news again, though it is the same value")
	})
}

func TestClock_AReadingTakenBeforeAJumpGetsItsTimeByTheNewClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWall()
		w.synced.Store(true)
		jumped := make(chan struct{})
		st := clocked(t, w, bridges.FieldRole, &fake{run: func(ctx context.Context, h bridges.Host) error {
			taken := time.Now()
			<-jumped
			_ = h.Report(ctx, bridges.Reading{Device: "d1", Point: "p", Value: bridges.Int(1), Quality: bridges.Good, Time: taken})
			<-ctx.Done()
			return nil
		}}, device1)
		defer st.stop()
		time.Sleep(3 * time.Second)
		w.set(time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC))
		close(jumped)
		synctest.Wait()
		require.Equal(t, payload("1", "2026-11-22T11:59:57.000Z", ""), st.bus.Retained(topic))
	})
}

func TestClock_CorrectsWhatWaitedForAnUplink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, got := newWall(), make(chan string, 10)
		st := clocked(t, w, bridges.UplinkRole, &fake{run: func(ctx context.Context, h bridges.Host) error {
			queue, err := h.Attach(ctx, mqtt.Attachment{Durable: true, Subscriptions: []mqtt.Subscription{{Filter: "#", QoS: 1}}})
			if err != nil {
				return err
			}
			for {
				list, err := queue.Next(ctx, 1)
				if err != nil {
					return nil
				}
				got <- string(list[0].Message.Payload)
			}
		}}, `{"point":""}`)
		defer st.stop()
		time.Sleep(2 * time.Minute)
		w.set(time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC))
		w.synced.Store(true)
		mark := `,"clock":"unsynced","boot":"b-1","uptime_ms":`
		for _, c := range []struct{ name, sent, want string }{
			{"of this run", payload("1", "1970-01-01T00:00:10.000Z", mark+"60000"), payload("1", "2026-11-22T11:58:00.000Z", "")},
			{"with an error behind it", payload("null", "1970-01-01T00:00:10.000Z", mark+`120000,"error":"timeout"`), payload("null", "2026-11-22T11:59:00.000Z", `,"error":"timeout"`)},
			{"of another run", payload("1", "1970-01-01T00:00:10.000Z", strings.Replace(mark, "b-1", "b-2", 1)+"60000"), ""},
			{"from the future", payload("1", "1970-01-01T00:00:10.000Z", mark+"999999999"), ""},
			{"no number", payload("1", "1970-01-01T00:00:10.000Z", mark+"x"), ""},
			{"cut off", `"` + mark + "60000", ""},
			{"none of ours", "21.5", ""},
		} {
			sent := []byte(c.sent)
			require.NoError(t, st.bus.Publish(t.Context(), &mqtt.Message{Topic: "fieldgate/d1/x", Payload: sent, QoS: 1}, nil))
			if c.want == "" {
				c.want = c.sent
			}
			for text := range got {
				if !strings.Contains(text, `"state"`) { // the uplink's own
					require.Equal(t, c.want, text, c.name)
					break
				}
			}
			require.Equal(t, c.sent, string(sent), "others hold the message too")
		}
	})
}

func FuzzClock_Correct(f *testing.F) {
	f.Add([]byte(payload("1", "1970-01-01T00:00:10.000Z", `,"clock":"unsynced","boot":"b-1","uptime_ms":6`)))
	f.Add([]byte(`{"value":"\",\"clock\":\"unsynced","time":null}`))
	w := newWall()
	w.synced.Store(true)
	clock := w.clock()
	f.Fuzz(func(t *testing.T, in []byte) {
		out := clock.Correct(in)
		if json.Valid(in) {
			require.True(t, json.Valid(out), "%s", out)
		}
	})
}

func TestUplink_AComplaintOfALinkThatWorksIsAnAlarm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		words := make(chan string)
		st := clocked(t, newWall(), bridges.UplinkRole, &fake{run: func(ctx context.Context, h bridges.Host) error {
			for {
				select {
				case w := <-words:
					h.SetState(bridges.Connected, w)
				case <-ctx.Done():
					return nil
				}
			}
		}}, `{"point":""}`)
		defer st.stop()
		words <- "1 message is set aside"
		synctest.Wait()
		list, _ := st.alarms.List()
		require.Len(t, list, 1)
		require.Contains(t, list[0].Message, "set aside")
		words <- ""
		synctest.Wait()
		list, _ = st.alarms.List()
		require.Empty(t, list)
	})
}

// A broker at its limit takes nothing for a while; what has become stale meanwhile is told afterwards.
func TestSupervisor_TellsLaterWhatTheBrokerDidNotTake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		values := make(chan float64, 1)
		f := reporter(values)
		var full atomic.Bool
		bus := &bridgestest.Bus{OnPublish: func(context.Context, *mqtt.Message) error {
			if full.Load() {
				return context.DeadlineExceeded
			}
			return nil
		}}
		s := bridges.NewSupervisor(bridges.FieldRole, []bridges.Kind{f.kind("fake")}, bus, &fault.Alarms{}, (&bridgestest.Log{}).Logger())
		require.NoError(t, s.Apply([]bridges.Config{config("b1", `{"device":"d1","point":"p","fresh":"12s"}`)}))
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- s.Run(ctx) }()
		synctest.Wait()
		values <- 1
		synctest.Wait()
		require.Contains(t, bus.Retained(topic), `"quality":"good"`)
		full.Store(true)
		time.Sleep(30 * time.Second)
		require.Contains(t, bus.Retained(topic), `"quality":"good"`)
		full.Store(false)
		time.Sleep(6 * time.Second)
		require.Contains(t, bus.Retained(topic), `"quality":"stale"`)
		stop()
		require.NoError(t, <-ended)
	})
}
