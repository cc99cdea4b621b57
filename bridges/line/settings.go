package line

import (
	"fmt"
	"net"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"fieldgate/bridges"
	"fieldgate/bridges/internal/port"
)

// Settings is the settings object of one bridge of this kind.
type Settings struct {
	bridges.Header
	Link    Link          `json:"link"`
	Timeout time.Duration `json:"timeout"` // silence after which a device is offline; 0 for never
	Framing Framing       `json:"framing"`
	Devices []Device      `json:"devices"`
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

// Framing says where a line ends.
type Framing struct {
	Delimiter string `json:"delimiter"`
	MaxLength int    `json:"max_length"` // bytes, delimiter not counted
}

func (f Framing) framer() *Framer { return NewFramer(f.Delimiter, f.MaxLength) }

// Device is what one regular expression makes of the lines.
type Device struct {
	ID       string         `json:"id"`
	Enabled  *bool          `json:"enabled"`
	Topic    string         `json:"topic"`
	Payload  string         `json:"payload"`
	Interval time.Duration  `json:"interval"` // publish at most once in this time, the newest; 0 for every line
	Timeout  *time.Duration `json:"timeout"`  // in place of the bridge's
	Parse    Parse          `json:"parse"`
	Points   []Point        `json:"points"`

	regex    *regexp.Regexp
	patience time.Duration // silence that is no fault: Timeout or the bridge's
}

// SetDefaults fills in the payload.
func (d *Device) SetDefaults() { d.Payload = "json" }

func (d *Device) enabled() bool { return d.Enabled == nil || *d.Enabled }

// Parse finds the values in a line.
type Parse struct {
	Regex   string `json:"regex"`
	Decimal string `json:"decimal"` // "." or ","
}

// Point is one value of a device.
type Point struct {
	ID        string  `json:"id"`
	Enabled   *bool   `json:"enabled"`
	Group     string  `json:"group"` // of the regex; default: the id, with _ for - and .
	Type      string  `json:"type"`
	Scale     float64 `json:"scale"`
	Offset    float64 `json:"offset"`
	Precision *int    `json:"precision"` // decimals
	Unit      string  `json:"unit"`

	Name bridges.Names `json:"name"` // for a person

	index int // of the group
}

// SetDefaults fills in the type and the scale.
func (p *Point) SetDefaults() { p.Type, p.Scale = "float64", 1 }

func (p *Point) enabled() bool { return p.Enabled == nil || *p.Enabled }

// Limits of the settings.
const (
	maxLineLength = 64 << 10
	maxDelimiter  = 16
	maxDevices    = 64
	maxPoints     = 256
	maxRegex      = 2000
	maxUnit       = 32
	maxDuration   = 24 * time.Hour
)

// decode reads and checks the settings. The settings are given even with faults, as far as they go.
func decode(c bridges.Config) (*Settings, error) {
	s := &Settings{
		Timeout: 10 * time.Second,
		Framing: Framing{Delimiter: "\r\n", MaxLength: 4096},
	}
	var f bridges.Faults
	f.Decode(c.Settings, s)
	s.Link.check(&f)
	checkDuration(&f, "/timeout", s.Timeout)
	checkLength(&f, "/framing/delimiter", s.Framing.Delimiter, 1, maxDelimiter)
	if strings.Contains(s.Framing.Delimiter, `\`) { // as single quotes in YAML leave it
		f.Add("/framing/delimiter", bridges.Invalid, `must be the bytes themselves, not a backslash and a letter; in YAML write it in double quotes: "\r\n"`)
	}
	bridges.CheckRange(&f, "/framing/max_length", s.Framing.MaxLength, 1, maxLineLength)
	checkCount(&f, "/devices", "device", len(s.Devices), maxDevices)
	for i := range s.Devices {
		d := &s.Devices[i]
		at := "/devices/" + strconv.Itoa(i)
		d.check(&f, at, s.Timeout)
		if slices.ContainsFunc(s.Devices[:i], func(x Device) bool { return x.ID == d.ID }) {
			f.Add(at+"/id", bridges.Invalid, "is used twice")
		}
	}
	return s, f.Err()
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

func (d *Device) check(f *bridges.Faults, at string, timeout time.Duration) {
	f.CheckID(at+"/id", d.ID)
	if d.Topic == "" {
		d.Topic = "fieldgate/" + d.ID
	}
	f.CheckTopic(at+"/topic", d.Topic)
	f.OneOf(at+"/payload", d.Payload, "json", "value")
	checkDuration(f, at+"/interval", d.Interval)
	d.patience = timeout
	if d.Timeout != nil {
		checkDuration(f, at+"/timeout", *d.Timeout)
		d.patience = *d.Timeout
	}
	if d.Parse.Decimal == "" {
		d.Parse.Decimal = "."
	}
	f.OneOf(at+"/parse/decimal", d.Parse.Decimal, ".", ",")
	d.checkRegex(f, at+"/parse/regex")
	checkCount(f, at+"/points", "point", len(d.Points), maxPoints)
	for i := range d.Points {
		p := &d.Points[i]
		below := at + "/points/" + strconv.Itoa(i)
		p.check(f, below, d.regex)
		if slices.ContainsFunc(d.Points[:i], func(x Point) bool { return x.ID == p.ID }) {
			f.Add(below+"/id", bridges.Invalid, "is used twice")
		}
	}
}

func (d *Device) checkRegex(f *bridges.Faults, at string) {
	checkLength(f, at, d.Parse.Regex, 1, maxRegex)
	if f.Has(at) {
		return
	}
	re, err := regexp.Compile(d.Parse.Regex)
	if err != nil {
		f.Add(at, bridges.Invalid, "is no regular expression: %s", strings.TrimPrefix(err.Error(), "error parsing regexp: "))
		return
	}
	d.regex = re
}

// check needs the device's regex; nil when that is wrong itself.
func (p *Point) check(f *bridges.Faults, at string, regex *regexp.Regexp) {
	f.CheckID(at+"/id", p.ID)
	f.OneOf(at+"/type", p.Type, "float64", "int64", "int", "string", "bool")
	if p.Type == "int" {
		p.Type = "int64"
	}
	if p.Scale == 0 {
		f.Add(at+"/scale", bridges.Invalid, "must not be 0")
	}
	if !p.isPlain() && (p.Type == "string" || p.Type == "bool") {
		f.Add(at+"/scale", bridges.Invalid, "only numbers have a scale and an offset, not a %s", p.Type)
	}
	if p.Precision != nil {
		bridges.CheckRange(f, at+"/precision", *p.Precision, 0, 15)
	}
	checkLength(f, at+"/unit", p.Unit, 0, maxUnit)
	group, field := p.Group, "/group"
	if group == "" {
		group, field = strings.NewReplacer("-", "_", ".", "_").Replace(p.ID), "/id"
	}
	if regex == nil || f.Has(at+field) {
		return
	}
	if p.index = regex.SubexpIndex(group); p.index < 0 {
		f.Add(at+field, bridges.Invalid, "the regex has no group (?P<%s>...); it has %s", group, groupNames(regex))
	}
}

func groupNames(regex *regexp.Regexp) string {
	names := slices.DeleteFunc(slices.Clone(regex.SubexpNames()), func(s string) bool { return s == "" })
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
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
	for _, d := range s.Devices {
		device := bridges.Device{ID: d.ID, Topic: d.Topic, Plain: d.Payload == "value"}
		for _, p := range d.Points {
			device.Points = append(device.Points, bridges.Point{ID: p.ID, Unit: p.Unit})
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
