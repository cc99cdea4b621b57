package line

import (
	"fmt"
	"net"
	"slices"
	"strconv"
	"time"

	"fieldgate/bridges"
	"fieldgate/bridges/internal/port"
)

// Settings is the settings object of one bridge of this kind.
type Settings struct {
	bridges.Header
	Link     Link          `json:"link"`
	Timeout  time.Duration `json:"timeout"` // silence after which a device is offline; 0 for never
	Framing  Framing       `json:"framing"`
	Checksum Checksum      `json:"checksum"`
	Throttle time.Duration `json:"throttle"` // publish a device's lines at most once in this time, the newest
	Sample   Bytes         `json:"sample"`   // what a test takes in place of what the link brings; nothing else looks at it
	Devices  []Device      `json:"devices"`
}

// Link is exactly one of its fields.
type Link struct {
	Serial *Serial `json:"serial"`
	TCP    *TCP    `json:"tcp"`
}

// Serial is a serial port.
type Serial struct {
	Port   string `json:"port"`
	Baud   int    `json:"baud"`
	Format string `json:"format"` // data bits, parity, stop bits: "8N1"
	RS485  string `json:"rs485"`  // auto, on, off
}

// SetDefaults fills in 9600 8N1.
func (s *Serial) SetDefaults() { s.Baud, s.Format, s.RS485 = 9600, "8N1", string(port.RS485Auto) }

// TCP is a device or a serial server that listens.
type TCP struct {
	Address string `json:"address"` // host:port
}

// Device is what one way of parsing makes of the frames.
type Device struct {
	ID       string         `json:"id"`
	Enabled  *bool          `json:"enabled"`
	Topic    string         `json:"topic"`
	Payload  string         `json:"payload"`
	Document bool           `json:"document"` // all points in one message too
	Address  string         `json:"address"`  // where several devices are on the link
	Interval time.Duration  `json:"interval"` // of the requests; without any: as throttle
	Throttle *time.Duration `json:"throttle"` // in place of the bridge's
	Timeout  *time.Duration `json:"timeout"`  // in place of the bridge's
	Request  Bytes          `json:"request"`  // asks the device for its points
	Wait     time.Duration  `json:"wait"`     // for an answer
	Retries  int            `json:"retries"`  // of a request without a usable answer
	Parse    Parse          `json:"parse"`
	Points   []Point        `json:"points"`

	HomeAssistant *bool `json:"home_assistant"` // announce it there; nil follows the switch for all

	patience time.Duration // silence that is no fault: Timeout or the bridge's
	throttle time.Duration
	bound    int // cells
}

// SetDefaults fills in the payload, and how answers are awaited.
func (d *Device) SetDefaults() { d.Payload, d.Wait, d.Retries = "json", time.Second, 1 }

func (d *Device) enabled() bool { return d.Enabled == nil || *d.Enabled }

// fresh is how long a point's reading stays good when only others of the device are renewed.
func (d *Device) fresh(p *Point) time.Duration {
	const times, least = 5, 10 * time.Second
	every := max(d.patience, d.throttle)
	if p.request != "" {
		every = p.interval
	}
	if p.index < 0 || !p.enabled() || !d.enabled() || p.request == "" && d.patience == 0 {
		return 0
	}
	return max(times*every, least)
}

// polled tells whether anything of the device is asked for.
func (d *Device) polled() bool {
	return slices.ContainsFunc(d.Points, func(p Point) bool { return p.enabled() && p.request != "" })
}

// Limits of the settings.
const (
	maxDevices  = 64
	maxPoints   = 256
	maxRegex    = 2000
	maxUnit     = 32
	maxUnits    = 32
	maxEnum     = 256
	maxInvalid  = 32
	maxOverload = 32
	maxColumns  = 1000
	maxRequest  = 512
	maxSample   = 64 << 10
	maxAddress  = 64
	maxDuration = 24 * time.Hour
	minInterval = 20 * time.Millisecond
	maxWait     = time.Minute
	maxRetries  = 10

	defaultThrottle = 200 * time.Millisecond
	defaultInterval = time.Second
)

// decode reads and checks the settings. The settings are given even with faults, as far as they go.
func decode(c bridges.Config) (*Settings, error) {
	s := &Settings{Timeout: 10 * time.Second, Throttle: defaultThrottle}
	s.Checksum.SetDefaults()
	var f bridges.Faults
	f.Decode(c.Settings, s)
	s.Link.check(&f)
	checkDuration(&f, "/timeout", s.Timeout)
	checkDuration(&f, "/throttle", s.Throttle)
	checkLength(&f, "/sample", string(s.Sample), 0, maxSample)
	if s.Checksum.Type == "" {
		s.Checksum.Type = s.usualChecksum()
	}
	s.Checksum.check(&f, "/checksum")
	s.Framing.check(&f, &s.Checksum)
	s.Framing.fresh = freshTCP
	if s.Link.Serial != nil {
		s.Framing.fresh = freshSerial
	}
	checkCount(&f, "/devices", "device", len(s.Devices), maxDevices)
	for i := range s.Devices {
		d := &s.Devices[i]
		at := "/devices/" + strconv.Itoa(i)
		d.check(&f, at, s)
		if slices.ContainsFunc(s.Devices[:i], func(x Device) bool { return x.ID == d.ID }) {
			f.Add(at+"/id", bridges.Invalid, "is used twice")
		}
	}
	return s, f.Err()
}

// usualChecksum is that of NMEA where only NMEA is parsed, else none.
func (s *Settings) usualChecksum() string {
	if len(s.Devices) == 0 || slices.ContainsFunc(s.Devices, func(d Device) bool { return !d.Parse.NMEA }) {
		return "none"
	}
	return "nmea"
}

func (l Link) check(f *bridges.Faults) {
	switch {
	case l.Serial == nil && l.TCP == nil:
		f.Add("/link", bridges.Required, `is needed: {"serial": {"port": "/dev/ttyUSB0"}} or {"tcp": {"address": "10.0.0.5:4001"}}`)
	case l.Serial != nil && l.TCP != nil:
		f.Add("/link", bridges.Invalid, "must be either serial or tcp, not both")
	case l.Serial != nil:
		l.Serial.check(f)
	default:
		host, port, err := net.SplitHostPort(l.TCP.Address)
		n, numErr := strconv.Atoi(port)
		if err != nil || host == "" || numErr != nil || n < 1 || n > 65535 {
			f.Add("/link/tcp/address", bridges.Invalid, "must be a host and a port from 1 to 65535, such as 10.0.0.5:4001")
		}
	}
}

func (s *Serial) check(f *bridges.Faults) {
	if s.Port == "" {
		f.Add("/link/serial/port", bridges.Required, "is needed, such as /dev/ttyUSB0")
	}
	bridges.CheckRange(f, "/link/serial/baud", s.Baud, port.MinBaud, port.MaxBaud)
	if _, err := port.ParseFormat(s.Format); err != nil {
		f.Add("/link/serial/format", bridges.Invalid, "%s", err)
	}
	f.OneOf("/link/serial/rs485", s.RS485, string(port.RS485Auto), string(port.RS485On), string(port.RS485Off))
}

func (d *Device) check(f *bridges.Faults, at string, s *Settings) {
	f.CheckID(at+"/id", d.ID)
	if d.Topic == "" {
		d.Topic = "fieldgate/" + d.ID
	}
	f.CheckTopic(at+"/topic", d.Topic)
	f.OneOf(at+"/payload", d.Payload, "json", "value")
	checkDuration(f, at+"/interval", d.Interval)
	d.patience, d.throttle = s.Timeout, s.Throttle
	if d.Timeout != nil {
		checkDuration(f, at+"/timeout", *d.Timeout)
		d.patience = *d.Timeout
	}
	if d.Interval > 0 {
		d.throttle = d.Interval
	}
	if d.Throttle != nil {
		checkDuration(f, at+"/throttle", *d.Throttle)
		d.throttle = *d.Throttle
	}
	if d.Wait < time.Millisecond || d.Wait > maxWait {
		f.Add(at+"/wait", bridges.OutOfRange, `must be "1ms" to "1m"`)
	}
	bridges.CheckRange(f, at+"/retries", d.Retries, 0, maxRetries)
	checkLength(f, at+"/address", d.Address, 0, maxAddress)
	checkRequest(f, at+"/request", d.Request, s)
	d.Parse.check(f, at+"/parse", d.Address)
	if d.Parse.address >= 0 {
		d.bound = d.Parse.address + 1
	}
	checkCount(f, at+"/points", "point", len(d.Points), maxPoints)
	for i := range d.Points {
		p := &d.Points[i]
		below := at + "/points/" + strconv.Itoa(i)
		p.check(f, below, d, s)
		if slices.ContainsFunc(d.Points[:i], func(x Point) bool { return x.ID == p.ID }) {
			f.Add(below+"/id", bridges.Invalid, "is used twice")
		}
		d.bound = max(d.bound, p.index+1, p.unitIndex+1)
	}
}

func checkRequest(f *bridges.Faults, at string, request Bytes, s *Settings) {
	checkLength(f, at, string(request), 0, maxRequest)
	t, err := parseTemplate(string(request))
	switch {
	case err != nil:
		f.Add(at, bridges.Invalid, "%s", err)
	case t.has("value"):
		f.Add(at, bridges.Invalid, "has {value}, which only write.command knows")
	case t.has("checksum") && s.Checksum.Type == "none":
		f.Add(at, bridges.Invalid, "has {checksum}, but the bridge has no checksum")
	}
}

func checkDuration(f *bridges.Faults, at string, d time.Duration) {
	if d < 0 || d > maxDuration {
		f.Add(at, bridges.OutOfRange, `must be "0s" to "24h"`)
	}
}

func checkLength(f *bridges.Faults, at, text string, low, high int) {
	switch {
	case len(text) == 0 && low > 0:
		f.Add(at, bridges.Required, "is needed")
	case len(text) < low || len(text) > high:
		f.Add(at, bridges.OutOfRange, "must have %d to %d bytes", low, high)
	}
}

func checkCount(f *bridges.Faults, at, what string, n, most int) {
	switch {
	case n == 0:
		f.Add(at, bridges.Required, "at least one %s is needed", what)
	case n > most:
		f.Add(at, bridges.OutOfRange, "%d are too many, at most %d are allowed", n, most)
	}
}

// devices lists what the settings define, also when they are wrong elsewhere.
func devices(c bridges.Config) []bridges.Device {
	s, _ := decode(c) // the faults are told by New
	var list []bridges.Device
	var values bridges.ValueSets
	for _, d := range s.Devices {
		device := bridges.Device{ID: d.ID, Topic: d.Topic, Plain: d.Payload == "value", Document: d.Document, HomeAssistant: d.HomeAssistant}
		for _, p := range d.Points {
			device.Points = append(device.Points, bridges.Point{
				ID: p.ID, Unit: p.Unit, Name: p.Name, Publish: p.PublishRule.Worth(), Fresh: d.fresh(&p),
				Values: values.Keep(p.values()), Writable: p.Write != nil, Disabled: !p.enabled(),
			})
		}
		list = append(list, device)
	}
	return list
}

// link names the link for errors: "/dev/ttyUSB1, 9600 8N1".
func (l Link) String() string {
	if l.Serial != nil {
		return fmt.Sprintf("%s, %d %s", l.Serial.Port, l.Serial.Baud, l.Serial.Format)
	}
	return l.TCP.Address
}
