package modbus

import (
	"cmp"
	"fmt"
	"net"
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
	Timeout time.Duration `json:"timeout"` // from the request's last byte to the answer, 10ms to 60s
	Retries int           `json:"retries"` // of a request without a usable answer, 0 to 10
	Pause   time.Duration `json:"pause"`   // between an answer and the next request, on top of 3.5 characters, 0 to 10s
	Devices []Device      `json:"devices"`
}

// Link is exactly one of its fields.
type Link struct {
	Serial     *Serial `json:"serial"`       // Modbus RTU
	TCP        *TCP    `json:"tcp"`          // Modbus/TCP
	RTUOverTCP *TCP    `json:"rtu_over_tcp"` // RTU frames through a serial server
}

// Serial is a serial port.
type Serial struct {
	Port   string `json:"port"`   // path, best one below /dev/serial/by-id
	Baud   int    `json:"baud"`   // bits per second
	Format string `json:"format"` // data bits, parity, stop bits: "8N1"
	RS485  string `json:"rs485"`  // auto, on, off
	ASCII  bool   `json:"ascii"`  // Modbus ASCII in place of RTU

	format port.Format
}

// SetDefaults fills in 9600 8N1.
func (s *Serial) SetDefaults() { s.Baud, s.Format, s.RS485 = 9600, "8N1", string(port.RS485Auto) }

// TCP is a device or gateway that listens.
type TCP struct {
	Address     string `json:"address"`     // host or host:port; the port of Modbus/TCP is 502
	Outstanding int    `json:"outstanding"` // requests under way at once, 1 to 16; Modbus/TCP only
}

// outstanding is how many requests may be under way at once.
func (l Link) outstanding() int {
	if l.TCP == nil {
		return 1
	}
	return max(1, l.TCP.Outstanding)
}

// Device is one unit on the bus.
type Device struct {
	ID       string        `json:"id"`
	Enabled  *bool         `json:"enabled"`
	Unit     int           `json:"unit"`     // unit identifier, 1 to 247; over TCP 0 to 255
	Interval time.Duration `json:"interval"` // of its polls, 10ms to 24h
	Topic    string        `json:"topic"`
	Payload  string        `json:"payload"`  // json, value
	Document bool          `json:"document"` // all points in one message too
	MaxRead  int           `json:"max_read"` // registers in one read, 1 to 125
	Pause    time.Duration `json:"pause"`    // between its answer and its next poll, 0 to 10s
	Points   []Point       `json:"points"`

	Addresses string `json:"addresses"` // how its points' addresses are meant: wire, manual; empty refuses what can be both
	Order     Order  `json:"order"`     // of its points

	HomeAssistant *bool `json:"home_assistant"` // announce it there; nil follows the switch for all
}

// SetDefaults fills in unit 1, an interval of a second, and what most devices can do.
func (d *Device) SetDefaults() {
	d.Unit, d.Interval, d.Payload, d.MaxRead, d.Order = 1, time.Second, "json", maxRegisters, ABCD
}

func (d *Device) enabled() bool { return d.Enabled == nil || *d.Enabled }

// Limits of the settings.
const (
	maxDevices   = 247
	maxPoints    = 2000 // of a device
	maxUnitText  = 32
	maxRegisters = 125  // of one read [Modbus Application Protocol V1.1b3 6.3]
	maxBits      = 2000 // of one read [6.1]
	maxPath      = 255
	minTimeout   = 10 * time.Millisecond
	maxTimeout   = time.Minute
	minInterval  = 10 * time.Millisecond
	maxInterval  = 24 * time.Hour
	defaultPort  = "502"
	// maxOutstanding is how many requests a connection carries at once [Modbus messaging on TCP/IP V1.0b 4.4.1.2].
	maxOutstanding = 16
)

// decode reads and checks the settings. The settings are given even with faults, as far as they go.
func decode(c bridges.Config) (*Settings, error) {
	s := &Settings{Timeout: 500 * time.Millisecond, Retries: 1}
	var f bridges.Faults
	f.Decode(c.Settings, s)
	s.Link.check(&f)
	checkDuration(&f, "/timeout", s.Timeout, minTimeout, maxTimeout)
	bridges.CheckRange(&f, "/retries", s.Retries, 0, 10)
	checkDuration(&f, "/pause", s.Pause, 0, 10*time.Second)
	switch n := len(s.Devices); {
	case n == 0:
		f.Add("/devices", bridges.Required, "at least one is needed")
	case n > maxDevices:
		f.Add("/devices", bridges.OutOfRange, "at most %d devices are allowed on a bridge", maxDevices)
	}
	ids := map[string]bool{}
	for i := range s.Devices {
		at := fmt.Sprintf("/devices/%d", i)
		d := &s.Devices[i]
		d.check(&f, at, s.Link.TCP != nil)
		checkUnique(&f, at+"/id", d.ID, ids)
	}
	return s, f.Err()
}

func checkUnique(f *bridges.Faults, at, id string, seen map[string]bool) {
	if seen[id] && id != "" {
		f.Add(at, bridges.Invalid, "%s is used twice", id)
	}
	seen[id] = true
}

func checkDuration(f *bridges.Faults, at string, d, low, high time.Duration) {
	if d < low || d > high {
		f.Add(at, bridges.OutOfRange, "must be %v to %v", low, high)
	}
}

func (l *Link) check(f *bridges.Faults) {
	n := 0
	for _, present := range []bool{l.Serial != nil, l.TCP != nil, l.RTUOverTCP != nil} {
		if present {
			n++
		}
	}
	if n != 1 {
		f.Add("/link", bridges.Required, "exactly one of serial, tcp and rtu_over_tcp is needed")
	}
	if l.Serial != nil {
		l.Serial.check(f, "/link/serial")
	}
	if l.TCP != nil {
		l.TCP.check(f, "/link/tcp")
		l.TCP.Outstanding = cmp.Or(l.TCP.Outstanding, 1)
		bridges.CheckRange(f, "/link/tcp/outstanding", l.TCP.Outstanding, 1, maxOutstanding)
	}
	if l.RTUOverTCP != nil {
		l.RTUOverTCP.check(f, "/link/rtu_over_tcp")
	}
}

func (s *Serial) check(f *bridges.Faults, at string) {
	switch {
	case s.Port == "":
		f.Add(at+"/port", bridges.Required, "is needed, such as /dev/ttyUSB0")
	case !strings.HasPrefix(s.Port, "/") || len(s.Port) > maxPath || strings.ContainsRune(s.Port, 0):
		f.Add(at+"/port", bridges.Invalid, "must be a path such as /dev/ttyUSB0")
	}
	bridges.CheckRange(f, at+"/baud", s.Baud, port.MinBaud, port.MaxBaud)
	format, err := port.ParseFormat(s.Format)
	if err != nil {
		f.Add(at+"/format", bridges.Invalid, "%s", err)
	} else if format.DataBits != 8 && !s.ASCII {
		f.Add(at+"/format", bridges.Invalid, "Modbus RTU needs 8 data bits, such as 8N1 or 8E1")
	}
	s.format = format
	f.OneOf(at+"/rs485", s.RS485, string(port.RS485Auto), string(port.RS485On), string(port.RS485Off))
}

func (t *TCP) check(f *bridges.Faults, at string) {
	if t.Address == "" {
		f.Add(at+"/address", bridges.Required, "is needed, such as 10.0.0.5:502")
		return
	}
	host, number, err := net.SplitHostPort(t.Address)
	if err != nil {
		host, number = strings.Trim(t.Address, "[]"), defaultPort
	}
	if n, err := strconv.Atoi(number); err != nil || n < 1 || n > 65535 || host == "" || len(host) > maxPath || strings.ContainsAny(host, " /\x00") {
		f.Add(at+"/address", bridges.Invalid, "must be a host and a port, such as 10.0.0.5:502")
		return
	}
	t.Address = net.JoinHostPort(host, number)
}

func (d *Device) check(f *bridges.Faults, at string, tcp bool) {
	f.CheckID(at+"/id", d.ID)
	low, high := broadcast, 247
	if tcp {
		low, high = 0, 255
	}
	bridges.CheckRange(f, at+"/unit", d.Unit, low, high)
	checkDuration(f, at+"/interval", d.Interval, minInterval, maxInterval)
	d.Topic = cmp.Or(d.Topic, "fieldgate/"+d.ID)
	f.CheckTopic(at+"/topic", d.Topic)
	f.OneOf(at+"/payload", d.Payload, "json", "value")
	bridges.CheckRange(f, at+"/max_read", d.MaxRead, 1, maxRegisters)
	checkDuration(f, at+"/pause", d.Pause, 0, 10*time.Second)
	if d.Addresses != "" {
		f.OneOf(at+"/addresses", d.Addresses, asOnWire, asManuals)
	}
	switch n := len(d.Points); {
	case n == 0:
		f.Add(at+"/points", bridges.Required, "at least one is needed")
	case n > maxPoints:
		f.Add(at+"/points", bridges.OutOfRange, "at most %d points are allowed", maxPoints)
	}
	ids := map[string]bool{}
	for i := range d.Points {
		below := fmt.Sprintf("%s/points/%d", at, i)
		d.Points[i].check(f, below, d)
		checkUnique(f, below+"/id", d.Points[i].ID, ids)
	}
	for i := range d.Points {
		d.Points[i].link(f, fmt.Sprintf("%s/points/%d", at, i), d)
	}
}
