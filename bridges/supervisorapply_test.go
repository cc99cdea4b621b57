package bridges_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"fieldgate/bridges"
	"fieldgate/broker/mqtt"
	"fieldgate/internal/fault"
)

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

func TestSupervisor_APointThatIsNotPublishedAnyMoreLeavesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{run: func(ctx context.Context, h bridges.Host) error {
			_ = h.Report(ctx, bridges.Reading{Device: "d1", Point: "p", Value: bridges.Int(1), Quality: bridges.Good})
			return online(ctx, h)
		}}
		st := start(t, bridges.FieldRole, f, config("b1", device1))
		defer st.stop()
		require.NotEmpty(t, st.bus.Retained("fieldgate/d1/p"))
		require.NoError(t, st.Apply([]bridges.Config{config("b1", `{"device":"d1","point":"p","publish":false}`)}))
		synctest.Wait()
		require.Empty(t, st.bus.Retained("fieldgate/d1/p"))
	})
}

// A device's document, or a point called set, must not lie on the topics of another device's point.
func TestSupervisor_RefusesATopicWithTwoMeanings(t *testing.T) {
	kind := bridges.Kind{
		Name: "topics", Title: "topics",
		New: func(bridges.Config, *slog.Logger) (bridges.Bridge, error) { return fakeBridge{&fake{run: online}}, nil },
		Devices: func(c bridges.Config) (list []bridges.Device) {
			if json.Unmarshal(c.Settings, &list) != nil {
				return nil
			}
			return list
		},
	}
	const plant, document = `{"ID":"plant","Topic":"a/plant","Points":[{"ID":"power"}]}`, `{"ID":"power","Topic":"a/plant/power","Document":true,"Points":[{"ID":"x"}]}`
	for _, c := range []struct {
		name, first, second, at string
	}{
		{"a document", plant, document, "/devices/0/topic"},
		{"a document, the other way round", document, plant, "/devices/0/topic"},
		{"both on one bridge", ``, plant + "," + document, "/devices/1/topic"},
		{"a point called set", plant, `{"ID":"power","Topic":"a/plant/power","Points":[{"ID":"set"}]}`, "/devices/0/topic"},
		{"levels below a point's", plant, `{"ID":"power","Topic":"a/plant/power","Points":[{"ID":"x"}]}`, ""},
		{"a document beside points", plant, `{"ID":"energy","Topic":"a/plant/energy","Document":true,"Points":[{"ID":"x"}]}`, ""},
		{"a topic of one level", `{"ID":"b","Topic":"b","Points":[{"ID":"x"}]}`, `{"ID":"c","Topic":"c","Document":true,"Points":[{"ID":"x"}]}`, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := bridges.NewSupervisor(bridges.FieldRole, []bridges.Kind{kind}, nowhere{}, &fault.Alarms{}, slog.New(slog.DiscardHandler))
			require.NoError(t, s.Apply([]bridges.Config{{ID: "b1", Kind: "topics", Settings: json.RawMessage("[" + c.first + "]")}}))
			err := s.Check(bridges.Config{ID: "b2", Kind: "topics", Settings: json.RawMessage("[" + c.second + "]")})
			if c.at == "" {
				require.NoError(t, err)
				return
			}
			require.Equal(t, c.at, fault.All(err)[0].Field)
			require.ErrorContains(t, err, "could not be told from each other")
		})
	}
}
