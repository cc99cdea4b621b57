package bridges_test

import (
	"context"
	"encoding/json"
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
			return []bridges.Device{{ID: s.Device, Topic: topic, Points: []bridges.Point{{ID: s.Point, Unit: "V", Writable: true, Publish: s.PublishRule.Worth(), Fresh: s.Fresh}}}}
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

// nowhere is a broker that takes everything and keeps nothing.
type nowhere struct{}

func (nowhere) Publish(context.Context, *mqtt.Message, func(error)) error { return nil }

func (nowhere) Attach(context.Context, mqtt.Attachment) (bridges.Source, error) {
	return nil, errors.New("nobody is here")
}

func (nowhere) Forget(context.Context, string) error { return nil }
