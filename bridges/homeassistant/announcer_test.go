package homeassistant_test

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"fieldgate/bridges"
	"fieldgate/bridges/homeassistant"
	"fieldgate/broker/mqtt"
	"fieldgate/internal/fault"
)

// retainer is a broker that only retains.
type retainer struct {
	mu       sync.Mutex
	retained map[string]*mqtt.Message
	sent     int
	down     bool
}

func (r *retainer) Publish(_ context.Context, m *mqtt.Message, _ func(error)) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.down {
		return errors.New("at its limit")
	}
	r.sent++
	r.retained[m.Topic] = m
	if len(m.Payload) == 0 {
		delete(r.retained, m.Topic)
	}
	return nil
}

func (r *retainer) Retained(filter, after string, limit int) (list []*mqtt.Message, more bool, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for topic, m := range r.retained {
		if mqtt.Match(filter, topic) && topic > after {
			list = append(list, m)
		}
	}
	slices.SortFunc(list, func(a, b *mqtt.Message) int { return strings.Compare(a.Topic, b.Topic) })
	return list[:min(limit, len(list))], len(list) > limit, nil
}

func (r *retainer) topics() (list []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for topic := range r.retained {
		list = append(list, topic)
	}
	slices.Sort(list)
	return list
}

func kindOf(devices ...bridges.Device) []bridges.Kind {
	return []bridges.Kind{{Name: "fake", Devices: func(bridges.Config) []bridges.Device { return devices }}}
}

// announced runs an announcer for the devices until nothing moves, and gives what is retained then.
func announced(t *testing.T, r *retainer, settings string, devices ...bridges.Device) {
	s, err := homeassistant.Decode(json.RawMessage(settings))
	require.NoError(t, err)
	a := homeassistant.New(r, kindOf(devices...), "1.0", slog.New(slog.DiscardHandler))
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- a.Run(ctx) }()
	a.SetSettings(s)
	synctest.Wait()
	a.SetBridges([]bridges.Config{{ID: "b", Kind: "fake"}})
	synctest.Wait()
	if r.down {
		r.mu.Lock()
		r.down = false
		r.mu.Unlock()
		time.Sleep(time.Minute)
		synctest.Wait()
	}
	cancel()
	require.NoError(t, <-ended)
}

func point(id, unit string, v bridges.ValueSet) bridges.Point {
	return bridges.Point{ID: id, Unit: unit, Values: &v}
}

var number = bridges.ValueSet{Form: bridges.NumberForm}

func TestAnnouncer_NamesNoTwoPointsAlike(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &retainer{retained: map[string]*mqtt.Message{}}
		var devices []bridges.Device
		for _, id := range []string{"a", "a-b", "a.b", "a_b", "a_p_b"} {
			d := bridges.Device{ID: id, Topic: "fieldgate/" + id}
			for _, p := range []string{"b-c", "b.c", "c", "b_c", "p_b"} {
				d.Points = append(d.Points, point(p, "V", number))
			}
			devices = append(devices, d)
		}
		announced(t, r, `{"enabled":true}`, devices...)
		require.Len(t, r.topics(), 5*5+1)
		unique := map[string]bool{}
		for topic, m := range r.retained {
			var c struct {
				UniqueID string `json:"unique_id"`
			}
			if topic != homeassistant.StateTopic {
				require.NoError(t, json.Unmarshal(m.Payload, &c))
				unique[c.UniqueID] = true
				require.Regexp(t, `^homeassistant/sensor/fieldgate/[a-zA-Z0-9_-]+/config$`, topic)
			}
		}
		require.Len(t, unique, 25)
	})
}

func TestAnnouncer_SaysOnlyWhatIsNew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &retainer{retained: map[string]*mqtt.Message{}}
		foreign := &mqtt.Message{Topic: "homeassistant/sensor/fieldgate/mine/config", Payload: []byte(`{"name":"somebody's own"}`)}
		r.retained[foreign.Topic] = foreign
		d := bridges.Device{ID: "d", Topic: "fieldgate/d", Points: []bridges.Point{point("p", "V", number), point("q", "A", number)}}
		r.down = true
		announced(t, r, `{"enabled":true}`, d)
		require.Equal(t, 3, r.sent, "two points and where they are")
		announced(t, r, `{"enabled":true}`, d)
		require.Equal(t, 3, r.sent, "a restart says nothing anew")
		d.Points = d.Points[:1]
		announced(t, r, `{"enabled":true}`, d)
		require.Equal(t, 4, r.sent)
		announced(t, r, `{"enabled":true,"prefix":"ha/x","node_id":"n"}`, d)
		require.Equal(t, []string{"fieldgate/$homeassistant", "ha/x/sensor/n/d_P_p/config", foreign.Topic}, r.topics())
		announced(t, r, `{}`, d)
		require.Equal(t, []string{foreign.Topic}, r.topics(), "what others announced stays")
	})
}

func TestAnnouncer_Payloads(t *testing.T) {
	low, high := 5.0, 5.0
	for _, c := range []struct {
		name  string
		plain bool
		point bridges.Point
		topic string
		parts []string
	}{
		{"energy", false, point("e", "kWh", number), "sensor", []string{`"device_class":"energy","state_class":"total","unit_of_measurement":"kWh"`}},
		{"a unit in doubt", false, point("e", "%", number), "sensor", []string{`"state_class":"measurement","unit_of_measurement":"%"`}},
		{"no unit", false, point("e", "1", number), "sensor", []string{`"qos":1,"state_class":"measurement","device":`}},
		{"a bare number", true, point("e", "V", number), "sensor", []string{`"state_topic":"t/e","availability"`}},
		{"a bare bool", true, point("e", "", bridges.ValueSet{Form: bridges.BoolForm}), "binary_sensor", []string{`"payload_on":"true","payload_off":"false"`}},
		{"whole, without limits", false, bridges.Point{ID: "e", Writable: true, Values: &bridges.ValueSet{Form: bridges.NumberForm, Whole: true}}, "number", []string{`"min":-1000000000,"max":1000000000,"step":1,"mode":"box"`}},
		{"no room", false, bridges.Point{ID: "e", Writable: true, Values: &bridges.ValueSet{Form: bridges.NumberForm, Min: &low, Max: &high}}, "number", []string{`"min":5,"max":6,"step":0.001`}},
		{"labels", false, bridges.Point{ID: "e", Writable: true, Values: &bridges.ValueSet{Form: bridges.TextForm, Labels: []string{"a<b", "c"}}}, "select", []string{`"options":["a<b","c"]`, `"command_template":"{{ {'value': value} | to_json }}"`}},
		{"text", false, bridges.Point{ID: "e", Writable: true, Values: &bridges.ValueSet{Form: bridges.TextForm}}, "text", []string{`"command_topic":"t/e/set"`}},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := &retainer{retained: map[string]*mqtt.Message{}}
				announced(t, r, `{"enabled":true}`, bridges.Device{ID: "d", Topic: "t", Plain: c.plain, Points: []bridges.Point{c.point}})
				m := r.retained["homeassistant/"+c.topic+"/fieldgate/d_P_e/config"]
				require.NotNil(t, m, "%v", r.topics())
				require.True(t, m.Retain)
				for _, part := range c.parts {
					require.Contains(t, string(m.Payload), part)
				}
			})
		})
	}
}

func TestDecode_FaultsNameTheField(t *testing.T) {
	_, err := homeassistant.Decode(json.RawMessage(`{"enabled":1,"prefix":"a/#","node_id":"a/b","colour":1}`))
	var fields []string
	for _, f := range fault.All(err) {
		fields = append(fields, f.Field)
	}
	require.ElementsMatch(t, []string{"/enabled", "/prefix", "/node_id", "/colour"}, fields)
}
