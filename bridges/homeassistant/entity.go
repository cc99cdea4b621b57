package homeassistant

import (
	"bytes"
	"encoding/json"
	"math"
	"strings"

	"fieldgate/bridges"
)

// config is the payload of a discovery message. Keys and their meaning are those of Home Assistant's
// documentation of MQTT discovery and of its components sensor, binary_sensor, switch, number, select and text.
type config struct {
	Name              string         `json:"name"`
	UniqueID          string         `json:"unique_id"`
	StateTopic        string         `json:"state_topic"`
	ValueTemplate     string         `json:"value_template,omitempty"`
	Availability      []availability `json:"availability"`
	CommandTopic      string         `json:"command_topic,omitempty"`
	CommandTemplate   string         `json:"command_template,omitempty"`
	QoS               int            `json:"qos"`
	DeviceClass       string         `json:"device_class,omitempty"`
	StateClass        string         `json:"state_class,omitempty"`
	UnitOfMeasurement string         `json:"unit_of_measurement,omitempty"`
	PayloadOn         string         `json:"payload_on,omitempty"`
	PayloadOff        string         `json:"payload_off,omitempty"`
	StateOn           string         `json:"state_on,omitempty"`
	StateOff          string         `json:"state_off,omitempty"`
	Min               *float64       `json:"min,omitempty"`
	Max               *float64       `json:"max,omitempty"`
	Step              *float64       `json:"step,omitempty"`
	Mode              string         `json:"mode,omitempty"`
	Options           []string       `json:"options,omitempty"`
	Device            device         `json:"device"`
	Origin            origin         `json:"origin"`
}

type availability struct {
	Topic         string `json:"topic"`
	ValueTemplate string `json:"value_template"`
}

type device struct {
	Identifiers  []string `json:"identifiers"`
	Name         string   `json:"name"`
	Manufacturer string   `json:"manufacturer,omitempty"`
	Model        string   `json:"model,omitempty"`
}

type origin struct {
	Name            string `json:"name"`
	SoftwareVersion string `json:"sw_version"`
}

// originName tells our messages from those of others.
const originName = "fieldgate"

const (
	// A value that is none is rendered as the word None, which Home Assistant shows as unknown.
	valueTemplate = "{{ value_json.value }}"
	boolTemplate  = "{{ 'None' if value_json.value is none else ('ON' if value_json.value else 'OFF') }}"
	stateTemplate = "{{ 'online' if value_json.state in ['online', 'degraded'] else 'offline' }}"
	textCommand   = "{{ {'value': value} | to_json }}"
	// noLimit stands for the limits that a number without any has: Home Assistant's own are 1 and 100.
	noLimit = 1e9
	// leastStep is the finest step that Home Assistant takes.
	leastStep = 0.001
)

// objectID names a point in topics and identifiers: no two points have the same, for ids have no capital
// letters, and Home Assistant takes no full stop.
func objectID(device, point string) string {
	return strings.ReplaceAll(device, ".", "_DOT_") + "_P_" + strings.ReplaceAll(point, ".", "_DOT_")
}

// entity gives the topic and the payload that announce a point. ok is false for one that is not published.
func entity(s Settings, version string, d bridges.Device, p bridges.Point) (topic string, payload []byte, ok bool) {
	if p.Disabled || p.Silent() {
		return "", nil, false
	}
	id := objectID(d.ID, p.ID)
	c := config{
		Name: p.Name.In("en"), UniqueID: s.NodeID + "_" + id,
		StateTopic:   d.Topic + "/" + p.ID,
		Availability: []availability{{Topic: d.Topic + "/$state", ValueTemplate: stateTemplate}},
		QoS:          1,
		Device: device{
			Identifiers: []string{s.NodeID + "_" + strings.ReplaceAll(d.ID, ".", "_DOT_")}, Name: d.ID,
			Manufacturer: d.Manufacturer, Model: d.Model,
		},
		Origin: origin{Name: originName, SoftwareVersion: version},
	}
	if c.Name == "" {
		c.Name = p.ID
	}
	if !d.Plain {
		c.ValueTemplate = valueTemplate
	}
	if p.Writable {
		c.CommandTopic = c.StateTopic + "/set"
	}
	component := c.fill(d.Plain, p)
	return s.Prefix + "/" + component + "/" + s.NodeID + "/" + id + "/config", encode(c), true
}

// fill adds what depends on the kind of value, and gives Home Assistant's component for it.
func (c *config) fill(plain bool, p bridges.Point) (component string) {
	var values bridges.ValueSet
	if p.Values != nil {
		values = *p.Values
	}
	switch values.Form {
	case bridges.BoolForm:
		c.StateOn, c.StateOff = "ON", "OFF"
		if plain {
			c.StateOn, c.StateOff = "true", "false"
		} else {
			c.ValueTemplate = boolTemplate
		}
		if p.Writable {
			c.PayloadOn, c.PayloadOff = "true", "false"
			return "switch"
		}
		c.PayloadOn, c.PayloadOff, c.StateOn, c.StateOff = c.StateOn, c.StateOff, "", ""
		return "binary_sensor"
	case bridges.NumberForm:
		c.UnitOfMeasurement = haUnit(p.Unit)
		c.DeviceClass = deviceClass(c.UnitOfMeasurement)
		if p.Writable {
			c.limits(values)
			return "number"
		}
		c.StateClass = stateClass(c.DeviceClass)
		return "sensor"
	}
	if !p.Writable {
		return "sensor"
	}
	c.CommandTemplate = textCommand
	if len(values.Labels) > 0 {
		c.Options = values.Labels
		return "select"
	}
	return "text"
}

// limits says what a command may be.
func (c *config) limits(v bridges.ValueSet) {
	low, high, step := -noLimit, noLimit, v.Step
	if v.Min != nil {
		low = *v.Min
	}
	if v.Max != nil {
		high = *v.Max
	}
	if low >= high { // Home Assistant wants a range
		high = low + math.Max(1, step)
	}
	switch {
	case step == 0 && v.Whole:
		step = 1
	case step < leastStep:
		step = leastStep
	}
	c.Min, c.Max, c.Step, c.Mode = &low, &high, &step, "box"
}

// encode writes a config, whose types can't fail, with < > & as they are.
func encode(c config) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	_ = e.Encode(c) // strings and finite numbers into memory have no error
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

// isOurs tells whether a retained message is one of ours.
func isOurs(payload []byte) bool {
	var c struct {
		Origin struct {
			Name string `json:"name"`
		} `json:"origin"`
	}
	return json.Unmarshal(payload, &c) == nil && c.Origin.Name == originName
}
