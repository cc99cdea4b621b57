package modbus

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"fieldgate/bridges"
	"fieldgate/bridges/internal/port"
)

// scanQuestion says where devices are looked for.
type scanQuestion struct {
	Units struct {
		From int `json:"from"`
		To   int `json:"to"`
	} `json:"units"`
	Formats    []scanFormat  `json:"formats"`   // of a serial line; the usual ones when there is none
	Functions  []int         `json:"functions"` // 3, 4: which reads are tried, until one is answered
	Address    int           `json:"address"`   // of the register that is read
	Timeout    time.Duration `json:"timeout"`
	AllFormats bool          `json:"all_formats"` // go on with other formats after one was right
	Identify   bool          `json:"identify"`    // ask what answers who it is
}

// scanFormat is one way to speak on a serial line.
type scanFormat struct {
	Baud   int    `json:"baud"`
	Format string `json:"format"`
}

// usualFormats are those that devices are shipped with, the likeliest first.
func usualFormats() []scanFormat {
	return []scanFormat{
		{9600, "8N1"}, {19200, "8E1"}, {9600, "8E1"}, {19200, "8N1"}, {38400, "8N1"}, {115200, "8N1"}, {4800, "8N1"}, {2400, "8N1"},
		{57600, "8N1"}, {9600, "8N2"}, {38400, "8E1"}, {115200, "8E1"}, {9600, "8O1"}, {2400, "8E1"}, {4800, "8E1"}, {1200, "8N1"},
	}
}

const (
	scanTimeout    = 250 * time.Millisecond
	maxScanTimeout = 5 * time.Second
	mostUncertain  = 3 // of one format: noise is everywhere when it is wrong
	mostLost       = 3 // links in a row
)

func parseScan(question json.RawMessage, l Link) (*scanQuestion, error) {
	q := &scanQuestion{Functions: []int{3, 4}, Timeout: scanTimeout, Identify: true}
	q.Units.From, q.Units.To = 1, 247
	var f bridges.Faults
	f.Decode(question, q)
	checkUnit(&f, "/units/from", q.Units.From, l)
	checkUnit(&f, "/units/to", q.Units.To, l)
	if q.Units.From > q.Units.To {
		f.Add("/units/to", bridges.OutOfRange, "must not be below from")
	}
	if len(q.Functions) == 0 || len(q.Functions) > 2 {
		f.Add("/functions", bridges.OutOfRange, "must be one or both of 3 and 4")
	}
	for i, function := range q.Functions {
		if function != 3 && function != 4 {
			f.Add(fmt.Sprintf("/functions/%d", i), bridges.Invalid, "must be 3 or 4: a scan only reads")
		}
	}
	bridges.CheckRange(&f, "/address", q.Address, 0, 1<<16-1)
	checkDuration(&f, "/timeout", q.Timeout, minTimeout, maxScanTimeout)
	if l.Serial == nil && len(q.Formats) > 0 {
		f.Add("/formats", bridges.Invalid, "only a serial link has formats; leave them out")
	}
	if len(q.Formats) > 64 {
		f.Add("/formats", bridges.OutOfRange, "at most 64 are tried")
	}
	for i, format := range q.Formats {
		at := fmt.Sprintf("/formats/%d", i)
		s := Serial{Port: "/dev/any", Baud: format.Baud, Format: format.Format, RS485: string(port.RS485Auto), ASCII: l.Serial != nil && l.Serial.ASCII}
		s.check(&f, at)
	}
	return q, f.Err()
}

// formatsOn are the formats to try on the link, its own before the usual ones; one that says nothing for a link without.
func (q *scanQuestion) formatsOn(l Link) []scanFormat {
	if l.Serial == nil {
		return []scanFormat{{}}
	}
	if len(q.Formats) > 0 {
		return q.Formats
	}
	own := scanFormat{l.Serial.Baud, l.Serial.Format}
	list := []scanFormat{own}
	for _, f := range usualFormats() {
		switch {
		case f == own:
		case l.Serial.ASCII && l.Serial.format.DataBits == 7:
			list = append(list, scanFormat{f.Baud, "7" + f.Format[1:]})
		default:
			list = append(list, f)
		}
	}
	return slices.Compact(list)
}

// fitsRunning tells whether a bridge that runs on the link can share it with the scan.
func (q *scanQuestion) fitsRunning(l Link) bool {
	if l.Serial == nil {
		return true
	}
	own := scanFormat{l.Serial.Baud, l.Serial.Format}
	return len(q.Formats) == 0 && !q.AllFormats || len(q.Formats) == 1 && q.Formats[0] == own
}

// Scan looks for devices beside the polls of the running bridge, in its own format.
func (b *bridge) Scan(ctx context.Context, question json.RawMessage, tell func(bridges.ScanStep)) error {
	link := b.settings.Link
	q, err := parseScan(question, link)
	if err != nil {
		return err
	}
	if !q.fitsRunning(link) {
		return bridges.ErrNeedsPause
	}
	f, err := b.shared()
	if err != nil {
		return err
	}
	format := scanFormat{}
	if link.Serial != nil {
		format = scanFormat{link.Serial.Baud, link.Serial.Format}
	}
	s := newScanner(q, tell, 1)
	if _, err = s.format(ctx, f, format); err == nil {
		s.end()
	}
	return err
}

// Scan looks for devices on a link that nobody else uses.
func (t tools) Scan(ctx context.Context, question json.RawMessage, tell func(bridges.ScanStep)) error {
	link := t.bridge.settings.Link
	q, err := parseScan(question, link)
	if err != nil {
		return err
	}
	formats := q.formatsOn(link)
	s := newScanner(q, tell, len(formats))
	for _, format := range formats {
		found, err := s.onOwn(ctx, t, format)
		if err != nil {
			return err
		}
		if found && !q.AllFormats {
			break
		}
	}
	s.end()
	return nil
}

// onOwn tries one format on a link of its own, which is opened again when it is lost: some devices hang up
// when they are asked for a unit that they are not.
func (s *scanner) onOwn(ctx context.Context, t tools, format scanFormat) (found bool, err error) {
	settings := *t.bridge.settings
	settings.Timeout = s.q.Timeout
	if serial := settings.Link.Serial; serial != nil {
		as := *serial
		as.Baud, as.Format = format.Baud, format.Format
		if as.format, err = port.ParseFormat(format.Format); err != nil {
			return false, bridges.Fault(bridges.Invalid, "%s", err)
		}
		settings.Link.Serial = &as
	}
	s.unit = s.q.Units.From
	for s.unit <= s.q.Units.To {
		before := s.unit
		err := t.with(ctx, &settings, func(f field) error {
			some, err := s.format(ctx, f, format)
			found = found || some
			return err
		})
		if err != nil && (ctx.Err() != nil || settings.Link.Serial != nil || s.lost >= mostLost || s.unit == before) {
			return found, err
		}
	}
	return found, nil
}

// scanner is a scan that goes on.
type scanner struct {
	q     *scanQuestion
	tell  func(bridges.ScanStep)
	done  int
	total int
	words string
	unit  int // the next to ask
	lost  int // links in a row
}

func newScanner(q *scanQuestion, tell func(bridges.ScanStep), formats int) *scanner {
	return &scanner{q: q, tell: tell, unit: q.Units.From, total: formats * (q.Units.To - q.Units.From + 1) * len(q.Functions)}
}

// end leaves out what was not needed any more.
func (s *scanner) end() {
	s.total = s.done
	s.step(nil, nil)
}

func (s *scanner) step(found *bridges.Found, try func(map[string]json.RawMessage, []json.RawMessage) []bridges.Value) {
	s.tell(bridges.ScanStep{Done: s.done, Total: s.total, Words: s.words, Found: found, Try: try})
}

// format asks the units from s.unit on; the error is that of a link that was lost at the unit before s.unit, or the context's.
func (s *scanner) format(ctx context.Context, on field, format scanFormat) (found bool, err error) {
	uncertain := 0
	for ; s.unit <= s.q.Units.To; s.unit++ {
		x := bridges.Found{Unit: s.unit, Baud: format.Baud, Format: format.Format, Templates: []string{}}
		answer, err := s.ask(ctx, on, &x)
		if err != nil {
			s.unit++
			return found, err
		}
		switch {
		case !answer && x.Words == "":
			continue
		case !answer:
			if uncertain++; uncertain > mostUncertain {
				continue
			}
			s.step(&x, nil)
			continue
		}
		found = true
		if s.q.Identify {
			id := s.identity(ctx, on, x.Unit)
			x.Vendor, x.Product, x.Revision = id.Vendor, id.Product, id.Revision
		}
		s.step(&x, func(device map[string]json.RawMessage, points []json.RawMessage) []bridges.Value {
			return tryPoints(ctx, on, s.q.Timeout, x.Unit, device, points)
		})
	}
	return found, nil
}

// ask looks whether the unit of x is there.
func (s *scanner) ask(ctx context.Context, on field, x *bridges.Found) (answer bool, err error) {
	s.words = fmt.Sprintf("unit %d", x.Unit)
	if x.Baud > 0 {
		s.words = fmt.Sprintf("%d %s, unit %d", x.Baud, x.Format, x.Unit)
	}
	before := s.done
	defer func() { s.done = before + len(s.q.Functions) }()
	for _, function := range s.q.Functions {
		s.step(nil, nil)
		r := on.ask(ctx, s.q.Timeout, x.Unit, byte(function), (&span{address: s.q.Address, quantity: 1}).request())
		s.done++
		if ctx.Err() != nil {
			return false, ctx.Err()
		}
		x.MS, x.Function = milliseconds(r.took), function
		switch {
		case r.f == nil:
			s.lost = 0
			x.Certain = true
			return true, nil
		case r.f.answered():
			s.lost = 0
			x.Certain, x.Exception, x.Words = true, int(r.f.exception), r.f.words
			return true, nil
		case r.f.code == bridges.ErrLink:
			if s.lost++; s.lost >= mostLost || on.settings().Link.Serial != nil {
				return false, bridges.Fault(bridges.Unreachable, "%s", r.f.words)
			}
			return false, r.f
		case r.f.code == codeCRC || r.f.code == codeFrame:
			x.Words = r.f.words
		}
	}
	return false, nil
}

// identity asks a unit who it is, as bus.identity does.
func (s *scanner) identity(ctx context.Context, on field, unit int) bridges.Identity {
	const basic, first = 1, 0
	if r := on.ask(ctx, s.q.Timeout, unit, funcDevice, []byte{meiDeviceID, basic, first}); r.f == nil {
		if id, ok := deviceIdentity(r.pdu); ok {
			return id
		}
	}
	if r := on.ask(ctx, s.q.Timeout, unit, funcServerID, nil); r.f == nil {
		return serverIdentity(r.pdu)
	}
	return bridges.Identity{}
}

// tryPoints reads points as a device of these settings has them; what can't be read is none.
func tryPoints(ctx context.Context, on field, timeout time.Duration, unit int, device map[string]json.RawMessage, points []json.RawMessage) []bridges.Value {
	values := make([]bridges.Value, len(points))
	settings := map[string]json.RawMessage{}
	for key, value := range device {
		settings[key] = value
	}
	list, err := json.Marshal(points)
	if err != nil {
		return values
	}
	settings["id"], settings["points"] = json.RawMessage(`"tried"`), list
	raw, err := json.Marshal(settings)
	if err != nil {
		return values
	}
	d := &Device{}
	d.SetDefaults()
	var f bridges.Faults
	f.Decode(raw, d)
	d.Unit = unit
	link := on.settings().Link
	d.check(&f, "", link.TCP != nil)
	if f.Err() != nil {
		return values
	}
	for _, x := range newDeviceRun(d, link).blocks {
		if x.discovery || ctx.Err() != nil {
			continue
		}
		r := on.ask(ctx, cmp.Or(timeout, scanTimeout), unit, x.table.functionCode(), x.request())
		data := []byte(nil)
		if r.f == nil {
			data, r.f = x.data(r.pdu)
		}
		if r.f != nil {
			continue
		}
		for _, p := range x.points {
			if i := slices.IndexFunc(d.Points, func(q Point) bool { return q.ID == p.ID }); i >= 0 && i < len(values) {
				values[i] = x.read(p, data)
			}
		}
	}
	return values
}
