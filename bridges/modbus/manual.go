package modbus

import (
	"cmp"
	"context"
	"encoding/hex"
	"encoding/json"
	"log/slog"
	"math"
	"time"

	"fieldgate/bridges"
	"fieldgate/bridges/internal/port"
)

// field is where requests by hand go: over a link of its own, or one that a bridge uses.
type field interface {
	// ask sends a request PDU and gives the answer's PDU, the time of its last byte and how long
	// it took. timeout 0 is that of the settings.
	ask(ctx context.Context, timeout time.Duration, unit int, function byte, data []byte) reply
	settings() *Settings
}

// reply is how a request by hand ended.
type reply struct {
	pdu  []byte // of the answer
	at   time.Time
	took time.Duration
	f    *failure // nil for an answer
}

// within makes the bus wait for another time than its settings say, until the call of restore.
func (b *bus) within(timeout time.Duration) (restore func()) {
	var now *time.Duration
	switch t := b.transport.(type) {
	case *rtu:
		now = &t.timeout
	case *mbap:
		now = &t.timeout
	}
	if now == nil || timeout == 0 {
		return func() {}
	}
	before := *now
	*now = timeout
	return func() { *now = before }
}

// askOnce is one request by hand on the bus.
func (b *bus) askOnce(timeout time.Duration, unit int, function byte, data []byte) reply {
	defer b.within(timeout)()
	begin := time.Now()
	pdu, at, f := b.ask(unit, function, data...)
	if f != nil && f.answered() {
		at = time.Now()
	}
	return reply{pdu: pdu, at: at, took: time.Since(begin), f: f}
}

// ownField is a link that was opened for the purpose.
type ownField struct {
	s   *Settings
	bus *bus
}

func (o ownField) settings() *Settings { return o.s }

func (o ownField) ask(_ context.Context, timeout time.Duration, unit int, function byte, data []byte) reply {
	return o.bus.askOnce(timeout, unit, function, data)
}

// sharedField is the link of a running bridge.
type sharedField struct{ run *run }

func (s sharedField) settings() *Settings { return s.run.bridge.settings }

func (s sharedField) ask(ctx context.Context, timeout time.Duration, unit int, function byte, data []byte) reply {
	answer := make(chan reply, 1) // the bus never waits for the caller
	s.run.errands.push(manual, func(b *bus, f *failure) {
		switch {
		case ctx.Err() != nil: // nothing moves after its caller was told that it did not
			answer <- reply{f: failureOf(ctx.Err())}
		case f != nil:
			answer <- reply{f: f}
		default:
			answer <- b.askOnce(timeout, unit, function, data)
		}
	})
	select {
	case r := <-answer:
		return r
	case <-ctx.Done():
		return reply{f: failureOf(ctx.Err())}
	}
}

// tools works by hand on a link that nobody else uses.
type tools struct{ *bridge }

var (
	_ bridges.Tools = tools{}
	_ bridges.Tools = (*bridge)(nil)
)

// newTools reads the settings of a link; what they say of devices does not matter.
func newTools(ports *port.Ports) func(bridges.Config, *slog.Logger) (bridges.Tools, error) {
	return func(c bridges.Config, log *slog.Logger) (bridges.Tools, error) {
		var keys map[string]json.RawMessage
		if err := bridges.Decode(c.Settings, &keys); err != nil {
			return nil, err
		}
		delete(keys, "devices")
		link, err := json.Marshal(keys)
		if err != nil {
			return nil, err
		}
		s := &Settings{Timeout: 500 * time.Millisecond, Retries: 1}
		var f bridges.Faults
		f.Decode(link, s)
		s.Link.check(&f)
		checkDuration(&f, "/timeout", s.Timeout, minTimeout, maxTimeout)
		checkDuration(&f, "/pause", s.Pause, 0, 10*time.Second)
		s.ID = cmp.Or(s.ID, "by hand")
		return tools{&bridge{settings: s, ports: ports, log: log}}, f.Err()
	}
}

// with opens the link for do.
func (t tools) with(ctx context.Context, s *Settings, do func(field) error) error {
	b := &bridge{settings: s, ports: t.ports, log: t.log}
	w, err := b.open(ctx)
	if err != nil {
		return bridges.Fault(bridges.Unreachable, "%s%s", err, b.otherPorts(err))
	}
	defer w.Close()
	stop := context.AfterFunc(ctx, func() { _ = w.Close() })
	defer stop()
	return do(ownField{s: s, bus: newBus(w, s, &ledger{}, newDebts())})
}

// shared gives the link of the bridge while it runs.
func (b *bridge) shared() (field, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.run == nil {
		return nil, bridges.Fault("unavailable", "the bridge does not run")
	}
	return sharedField{b.run}, nil
}

// ReadByHand reads on a link of its own.
func (t tools) ReadByHand(ctx context.Context, question json.RawMessage) (bridges.HandAnswer, error) {
	return onLink(ctx, t, question, readByHand)
}

// WriteByHand writes on a link of its own.
func (t tools) WriteByHand(ctx context.Context, question json.RawMessage) (bridges.HandAnswer, error) {
	return onLink(ctx, t, question, writeByHand)
}

// ReadByHand reads on the link of the running bridge, before its polls and behind its writes.
func (b *bridge) ReadByHand(ctx context.Context, question json.RawMessage) (bridges.HandAnswer, error) {
	return beside(ctx, b, question, readByHand)
}

// WriteByHand writes on the link of the running bridge, before its polls and behind its other writes.
func (b *bridge) WriteByHand(ctx context.Context, question json.RawMessage) (bridges.HandAnswer, error) {
	return beside(ctx, b, question, writeByHand)
}

// work is what is done by hand once the question is understood.
type work func(context.Context, field) bridges.HandAnswer

func onLink(ctx context.Context, t tools, question json.RawMessage, parse func(json.RawMessage, Link) (work, error)) (a bridges.HandAnswer, err error) {
	do, err := parse(question, t.bridge.settings.Link)
	if err != nil {
		return nil, err
	}
	err = t.with(ctx, t.bridge.settings, func(f field) error { a = do(ctx, f); return ctx.Err() })
	return a, err
}

func beside(ctx context.Context, b *bridge, question json.RawMessage, parse func(json.RawMessage, Link) (work, error)) (bridges.HandAnswer, error) {
	do, err := parse(question, b.settings.Link)
	if err != nil {
		return nil, err
	}
	f, err := b.shared()
	if err != nil {
		return nil, err
	}
	a := do(ctx, f)
	return a, ctx.Err()
}

// place is where something is read or written by hand.
type place struct {
	Unit      int           `json:"unit"`
	Table     Table         `json:"table"`
	Location  Address       `json:"address"`
	Addresses string        `json:"addresses"` // wire, manual: how the address is meant
	Timeout   time.Duration `json:"timeout"`

	address int
}

func (p *place) check(f *bridges.Faults, l Link, size int) {
	checkUnit(f, "/unit", p.Unit, l)
	if p.Addresses != "" {
		f.OneOf("/addresses", p.Addresses, asOnWire, asManuals)
	}
	var err error
	if p.address, p.Table, err = p.Location.resolve(p.Table, p.Addresses); err != nil {
		f.Add("/address", bridges.Invalid, "%s", err)
	}
	p.Table = cmp.Or(p.Table, Holding)
	bridges.CheckRange(f, "/address", p.address, 0, max(0, 1<<16-size))
	if p.Timeout != 0 {
		checkDuration(f, "/timeout", p.Timeout, minTimeout, maxByHand)
	}
}

// maxByHand is the longest that a person may let an answer take.
const maxByHand = 10 * time.Second

func checkUnit(f *bridges.Faults, at string, unit int, l Link) {
	low, high := 1, 247
	if l.TCP != nil {
		low, high = 0, 255
	}
	bridges.CheckRange(f, at, unit, low, high)
}

// outcome is what answers to reads and writes by hand have in common.
type outcome struct {
	OK        bool      `json:"ok"`
	MS        float64   `json:"ms"`
	Error     string    `json:"error"`
	Code      string    `json:"code"`
	Exception int       `json:"exception"`
	Unit      int       `json:"unit"`
	Table     Table     `json:"table"`
	Address   int       `json:"address"`
	Quantity  int       `json:"quantity"`
	Time      time.Time `json:"time"` // when the answer's last byte came
	Raw       string    `json:"raw"`  // hexadecimal digits of the registers or packed bits
}

// Answered tells whether the device did what was asked.
func (o *outcome) Answered() bool { return o.OK }

// milliseconds has three decimals at most.
func milliseconds(d time.Duration) float64 { return math.Round(float64(d)/1e3) / 1e3 }

func (o *outcome) take(r reply, link Link) {
	o.MS, o.OK = milliseconds(r.took), r.f == nil
	o.Time = r.at.UTC()
	if o.Time.IsZero() {
		o.Time = time.Now().UTC()
	}
	if r.f == nil {
		return
	}
	o.Error, o.Code, o.Exception = r.f.words, r.f.code, int(r.f.exception)
	if r.f.code == bridges.ErrTimeout || r.f.code == codeFrame || r.f.code == codeCRC {
		o.Error += "; check that the device is on, its unit identifier, " + link.advice()
	}
}

// readAnswer is what a read by hand gave.
type readAnswer struct {
	outcome
	Function  int        `json:"function"` // function code that was sent
	Registers []register `json:"registers"`
	Bits      []bit      `json:"bits"`
	Decodes   []reading  `json:"decodes"`
	Said      []said     `json:"said"` // by function codes beside those of the tables
}

func newReadAnswer() *readAnswer {
	return &readAnswer{Registers: []register{}, Bits: []bit{}, Decodes: []reading{}, Said: []said{}}
}

type register struct {
	Address  int    `json:"address"`
	Hex      string `json:"hex"`
	Unsigned uint16 `json:"unsigned"`
	Signed   int16  `json:"signed"`
}

type bit struct {
	Address int  `json:"address"`
	Value   bool `json:"value"`
}

func readByHand(question json.RawMessage, l Link) (work, error) {
	var q struct {
		functionQuestion
		Quantity int `json:"quantity"`
	}
	var f bridges.Faults
	q.Unit, q.Quantity = 1, 1
	f.Decode(question, &q)
	if q.Function != 0 {
		q.functionQuestion.check(&f, l)
		return q.do, f.Err()
	}
	q.place.check(&f, l, max(q.Quantity, 1))
	most := maxRegisters
	if q.Table.bits() {
		most = maxBits
	}
	bridges.CheckRange(&f, "/quantity", q.Quantity, 1, most)
	if err := f.Err(); err != nil {
		return nil, err
	}
	return func(ctx context.Context, on field) bridges.HandAnswer {
		a := newReadAnswer()
		a.Function = int(q.Table.functionCode())
		a.Unit, a.Table, a.Address, a.Quantity = q.Unit, q.Table, q.address, q.Quantity
		s := &span{table: q.Table, address: q.address, quantity: q.Quantity}
		r := on.ask(ctx, q.Timeout, q.Unit, q.Table.functionCode(), s.request())
		var data []byte
		if r.f == nil {
			data, r.f = s.data(r.pdu)
		}
		if a.take(r, on.settings().Link); r.f == nil {
			a.decode(data)
		}
		return a
	}, nil
}

func (a *readAnswer) decode(data []byte) {
	a.Raw = hex.EncodeToString(data)
	if a.Table.bits() {
		for i := range a.Quantity {
			a.Bits = append(a.Bits, bit{Address: a.Address + i, Value: data[i/8]>>(i%8)&1 == 1})
		}
		return
	}
	a.Registers = registersOf(a.Address, data)
	a.Decodes = allDecodes(a.Address, data)
}

func registersOf(first int, data []byte) []register {
	list := make([]register, 0, len(data)/2)
	for i := range len(data) / 2 {
		n := uint16(data[2*i])<<8 | uint16(data[2*i+1])
		list = append(list, register{Address: first + i, Hex: hex.EncodeToString(data[2*i : 2*i+2]), Unsigned: n, Signed: int16(n)})
	}
	return list
}
