package bridges_test

import (
	"context"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"fieldgate/bridges"
	"fieldgate/bridges/bridgestest"
	"fieldgate/internal/fault"
)

// meterKind has one device with two published points and a silent one.
func meterKind(run func(ctx context.Context, h bridges.Host) error) bridges.Kind {
	type settings struct {
		bridges.Header
		Document bool `json:"document"`
		Plain    bool `json:"plain"`
	}
	return bridges.Kind{
		Name: "meter", Title: "meter",
		New: func(c bridges.Config, _ *slog.Logger) (bridges.Bridge, error) {
			return fakeBridge{&fake{run: run}}, nil
		},
		Devices: func(c bridges.Config) []bridges.Device {
			var s settings
			if bridges.Decode(c.Settings, &s) != nil {
				return nil
			}
			return []bridges.Device{{ID: "m", Topic: "fieldgate/m", Document: s.Document, Plain: s.Plain, Points: []bridges.Point{
				{ID: "u", Unit: "V"}, {ID: "p"}, {ID: "hidden", Publish: &bridges.PublishRule{Publish: new(false)}},
			}}}
		},
	}
}

func TestSupervisor_PublishesADeviceAsOneDocument(t *testing.T) {
	begin := time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)
	good := func(point string, v int64, second int) bridges.Reading {
		return bridges.Reading{Device: "m", Point: point, Value: bridges.Int(v), Quality: bridges.Good, Time: begin.Add(time.Duration(second) * time.Second)}
	}
	bad := func(point string, second int) bridges.Reading {
		return bridges.Reading{Device: "m", Point: point, Quality: bridges.Bad, Error: bridges.ErrTimeout, Time: begin.Add(time.Duration(second) * time.Second)}
	}
	for _, tt := range []struct {
		name, settings string
		reports        [][]bridges.Reading
		want           string
	}{
		{
			"one read", `{"kind":"meter","document":true}`, [][]bridges.Reading{{good("u", 230, 0), good("p", 5, 0), good("hidden", 1, 0)}},
			`{"time":"2026-11-22T10:00:00.000Z","points":{"u":{"value":230,"unit":"V","quality":"good"},"p":{"value":5,"quality":"good"}}}`,
		},
		{
			"two reads: the older value keeps its time", `{"kind":"meter","document":true}`, [][]bridges.Reading{{good("u", 230, 0)}, {good("p", 5, 1)}},
			`{"time":"2026-11-22T10:00:01.000Z","points":{"u":{"value":230,"unit":"V","quality":"good","time":"2026-11-22T10:00:00.000Z"},"p":{"value":5,"quality":"good"}}}`,
		},
		{
			"a bad point", `{"kind":"meter","document":true}`, [][]bridges.Reading{{good("u", 230, 0), bad("p", 0)}},
			`{"time":"2026-11-22T10:00:00.000Z","points":{"u":{"value":230,"unit":"V","quality":"good"},"p":{"value":null,"quality":"bad","error":"timeout"}}}`,
		},
		{
			"bare values", `{"kind":"meter","document":true,"plain":true}`, [][]bridges.Reading{{good("u", 230, 0), bad("p", 0)}},
			`{"time":"2026-11-22T10:00:00.000Z","points":{"u":230,"p":null}}`,
		},
		{
			"bare values of two reads: none of another moment", `{"kind":"meter","document":true,"plain":true}`, [][]bridges.Reading{{good("u", 230, 0)}, {good("p", 5, 1)}},
			`{"time":"2026-11-22T10:00:01.000Z","points":{"u":null,"p":5}}`,
		},
		{"nothing that is published", `{"kind":"meter","document":true}`, [][]bridges.Reading{{good("hidden", 1, 0)}}, ""},
		{"not asked for", `{"kind":"meter"}`, [][]bridges.Reading{{good("u", 230, 0)}}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				kind := meterKind(func(ctx context.Context, h bridges.Host) error {
					for _, r := range tt.reports {
						if err := h.Report(ctx, r...); err != nil {
							return err
						}
					}
					return online(ctx, h)
				})
				bus := &bridgestest.Bus{}
				s := bridges.NewSupervisor(bridges.FieldRole, []bridges.Kind{kind}, bus, &fault.Alarms{}, slog.New(slog.DiscardHandler))
				require.NoError(t, s.Apply([]bridges.Config{{ID: "b", Kind: "meter", Settings: []byte(tt.settings)}}))
				ctx, cancel := context.WithCancel(t.Context())
				ended := make(chan error)
				go func() { ended <- s.Run(ctx) }()
				synctest.Wait()
				require.Equal(t, tt.want, bus.Retained("fieldgate/m"))
				require.NoError(t, s.Apply([]bridges.Config{{ID: "b", Kind: "meter", Settings: []byte(`{"kind":"meter"}`)}}))
				synctest.Wait()
				require.Empty(t, bus.Retained("fieldgate/m"), "switched off, nothing old is left")
				cancel()
				require.NoError(t, <-ended)
			})
		})
	}
}

// Between two looks at a real clock time passes: the points of one read stay of one moment.
func TestSupervisor_ADocumentOnARealClockIsOfOneMoment(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		taken := time.Now()
		kind := meterKind(func(ctx context.Context, h bridges.Host) error {
			_ = h.Report(ctx, bridges.Reading{Device: "m", Point: "u", Value: bridges.Int(230), Quality: bridges.Good, Time: taken},
				bridges.Reading{Device: "m", Point: "p", Value: bridges.Int(5), Quality: bridges.Good, Time: taken})
			return online(ctx, h)
		})
		bus := &bridgestest.Bus{}
		s := bridges.NewSupervisor(bridges.FieldRole, []bridges.Kind{kind}, bus, &fault.Alarms{}, slog.New(slog.DiscardHandler))
		looks := time.Duration(0)
		s.SetClock(bridges.Clock{
			Now:    func() time.Time { looks++; return time.Now().Add(looks) },
			Uptime: func() time.Duration { return time.Minute }, Synced: func() bool { return true },
		})
		require.NoError(t, s.Apply([]bridges.Config{{ID: "b", Kind: "meter", Settings: []byte(`{"kind":"meter","document":true,"plain":true}`)}}))
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- s.Run(ctx) }()
		synctest.Wait()
		require.Contains(t, bus.Retained("fieldgate/m"), `"points":{"u":230,"p":5}`)
		cancel()
		require.NoError(t, <-ended)
	})
}
