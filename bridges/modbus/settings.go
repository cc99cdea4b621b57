package modbus

import (
	"cmp"
	"fmt"
	"net"
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
	MaxRead  int           `json:"max_read"` // registers in one read, 1 to 125
	Pause    time.Duration `json:"pause"`    // between its answer and its next poll, 0 to 10s
	Points   []Point       `json:"points"`
}

// SetDefaults fills in unit 1, an interval of a second, and what most devices can do.
func (d *Device) SetDefaults() {
	d.Unit, d.Interval, d.Payload, d.MaxRead = 1, time.Second, "json", maxRegisters
}

func (d *Device) enabled() bool { return d.Enabled == nil || *d.Enabled }

// Point is one value of a device.
type Point struct {
	ID        string         `json:"id"`
	Enabled   *bool          `json:"enabled"`
	Table     Table          `json:"table"`
	Address   int            `json:"address"` // 0-based, as on the wire
	Type      Type           `json:"type"`
	Order     Order          `json:"order"`
	Bit       *int           `json:"bit"`   // of the register, 0 is the lowest; makes the point a bool
	Scale     float64        `json:"scale"` // value = register * scale + offset
	Offset    float64        `json:"offset"`
	Precision *int           `json:"precision"` // decimals, 0 to 15
	Unit      string         `json:"unit"`
	Interval  *time.Duration `json:"interval"` // in place of the device's
	Write     *Write         `json:"write"`    // its presence makes the point writable

	decimals int // to round to; -1 for none
}

// SetDefaults fills in the table, the order and the scale.
func (p *Point) SetDefaults() { p.Table, p.Order, p.Scale = Holding, ABCD, 1 }

func (p *Point) enabled() bool { return p.Enabled == nil || *p.Enabled }

// isBit tells whether the value is a single bit: a coil, an input, or a bit of a register.
func (p *Point) isBit() bool { return p.Table.bits() || p.Bit != nil }

// exact tells whether an integer goes through unchanged.
func (p *Point) exact() bool { return p.Scale == 1 && p.Offset == 0 }

// Write says what may be written to a point.
type Write struct {
	Min      *float64 `json:"min"`
	Max      *float64 `json:"max"`
	Step     *float64 `json:"step"`     // allowed are min + n * step; 0 + n * step without a min
	Verify   bool     `json:"verify"`   // read back and compare
	Function int      `json:"function"` // function code: 5, 15 (coils), 6, 16 (registers); 0 takes the one that fits
}

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
	switch n := len(d.Points); {
	case n == 0:
		f.Add(at+"/points", bridges.Required, "at least one is needed")
	case n > maxPoints:
		f.Add(at+"/points", bridges.OutOfRange, "at most %d points are allowed", maxPoints)
	}
	ids := map[string]bool{}
	for i := range d.Points {
		below := fmt.Sprintf("%s/points/%d", at, i)
		d.Points[i].check(f, below, d.MaxRead)
		checkUnique(f, below+"/id", d.Points[i].ID, ids)
	}
}

func (p *Point) check(f *bridges.Faults, at string, maxRead int) {
	f.CheckID(at+"/id", p.ID)
	f.OneOf(at+"/table", string(p.Table), string(Coil), string(DiscreteInput), string(Holding), string(Input))
	p.checkType(f, at)
	bridges.CheckRange(f, at+"/address", p.Address, 0, 1<<16-p.size())
	if !p.Table.bits() && p.size() > maxRead {
		f.Add(at+"/type", bridges.Invalid, "%s needs %d registers, more than the device's max_read", p.Type, p.size())
	}
	if p.Scale == 0 {
		f.Add(at+"/scale", bridges.OutOfRange, "must not be 0")
	}
	p.decimals = -1
	if p.Precision != nil {
		bridges.CheckRange(f, at+"/precision", *p.Precision, 0, maxDecimals)
		p.decimals = *p.Precision
	} else if p.Type.integer() && !p.exact() {
		p.decimals = min(max(decimals(p.Scale), decimals(p.Offset)), maxDecimals)
	}
	if len(p.Unit) > maxUnitText {
		f.Add(at+"/unit", bridges.OutOfRange, "must have at most %d bytes", maxUnitText)
	}
	if p.Interval != nil {
		checkDuration(f, at+"/interval", *p.Interval, minInterval, maxInterval)
	}
	if p.Write != nil {
		p.checkWrite(f, at+"/write")
	}
}

// checkType fills in what a point without a type is.
func (p *Point) checkType(f *bridges.Faults, at string) {
	if p.Bit != nil {
		bridges.CheckRange(f, at+"/bit", *p.Bit, 0, 15)
		if p.Table.bits() {
			f.Add(at+"/bit", bridges.Invalid, "a %s has no bits; leave it out", p.Table)
		}
	}
	if p.isBit() {
		p.Type = cmp.Or(p.Type, TypeBool)
		if p.Type != TypeBool {
			f.Add(at+"/type", bridges.Invalid, "a single bit is a bool; leave the type out")
		}
	}
	p.Type = cmp.Or(p.Type, TypeInt16)
	f.OneOf(at+"/type", string(p.Type), typeNames()...)
	f.OneOf(at+"/order", string(p.Order), string(ABCD), string(CDAB), string(BADC), string(DCBA))
	if p.Type == TypeBool && !p.exact() {
		f.Add(at+"/scale", bridges.Invalid, "a bool has no scale and no offset")
	}
}

func (p *Point) checkWrite(f *bridges.Faults, at string) {
	w := p.Write
	if p.Table == DiscreteInput || p.Table == Input {
		f.Add(at, bridges.Invalid, "a point of the table %s can't be written; only coil and holding can", p.Table)
	}
	if w.Min != nil && w.Max != nil && *w.Min > *w.Max {
		f.Add(at+"/max", bridges.OutOfRange, "must not be below min")
	}
	if w.Step != nil && *w.Step <= 0 {
		f.Add(at+"/step", bridges.OutOfRange, "must be above 0")
	}
	allowed := []int{0, 6, 16}
	switch {
	case p.Table.bits():
		allowed = []int{0, 5, 15}
	case p.size() > 1:
		allowed = []int{0, 16}
	}
	if !slices.Contains(allowed, w.Function) {
		f.Add(at+"/function", bridges.Invalid, "must be one of %v for this point; 0 takes the one that fits", allowed)
	}
}
