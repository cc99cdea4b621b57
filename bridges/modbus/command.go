package modbus

import (
	"context"
	"fmt"
	"slices"
	"time"

	"fieldgate/bridges"
	"fieldgate/broker/mqtt"
)

// The codes of a command that was not obeyed, beside those of encode and those of readings.
const (
	codeInvalid      = "invalid"
	codeReadOnly     = bridges.ErrReadOnly
	codeUnknownPoint = bridges.ErrUnknownPoint
	codeExpired      = bridges.ErrExpired
	codeVerify       = "verify" // the device holds another value than was written
	codeTooMany      = bridges.ErrTooMany
	codeUnavailable  = bridges.ErrUnavailable
	codeSuperseded   = bridges.ErrSuperseded
)

// command asks for a write.
type command = bridges.PendingCommand[*deviceRun]

// subscriptions are the command topics, those of devices that are switched off too: who asks gets an answer.
func (r *run) subscriptions() []mqtt.Subscription {
	var list []mqtt.Subscription
	for _, d := range r.devices {
		list = append(list, bridges.SetTopics(d.Topic))
	}
	return list
}

// deviceAt finds the device whose topic it is.
func (r *run) deviceAt(topic string) (*deviceRun, bool) {
	for _, d := range r.devices {
		if d.Topic == topic {
			return d, true
		}
	}
	return nil, false
}

// execute obeys a command, or says why not. The error is that of a lost link.
func (r *run) execute(ctx context.Context, b *bus, c command) error {
	p := c.Device.point(c.Point)
	if code, detail := inadmissible(c, p); code != "" {
		c.Refuse(code, detail)
		return nil
	}
	value, err := bridges.ParseValue(c.Value)
	if err != nil {
		c.Refuse(codeNotANumber, err.Error())
		return nil
	}
	written, wrong, f := r.write(b, c.Device, p, value, c.Expires)
	switch {
	case wrong != nil:
		c.Refuse(wrong.code, wrong.detail)
		return nil
	case f != nil:
		c.Refuse(f.code, f.words)
		if f.code == bridges.ErrLink {
			return f
		}
		return nil
	}
	if !p.Write.Verify {
		r.written(ctx, b, c, p, written)
		return nil
	}
	c.Device.wrote[p]++
	count := c.Device.wrote[p]
	r.errands.push(readBack, func(b *bus, f *failure) {
		switch {
		case f != nil:
			c.Refuse(f.code, "it was written, but not read back: "+f.words)
		case c.Device.wrote[p] != count:
			c.Refuse(codeSuperseded, "it was written, but a later command to the same point came before it was read back")
		default:
			r.readBack(ctx, b, c, p, written)
		}
	})
	return nil
}

// written says that a command was obeyed, and reports what the point is now.
func (r *run) written(ctx context.Context, b *bus, c command, p *Point, v bridges.Value) {
	c.Done(bridges.WriteResult{OK: true, Value: v, Took: time.Since(c.Since)})
	r.alive(c.Device)
	if !p.enabled() {
		return
	}
	r.report(ctx, bridges.Reading{
		Device: c.Device.ID, Point: p.ID,
		Value: v, Unit: p.Unit, Quality: bridges.Good, Time: b.at,
	})
	p.state.none = false // what is wrong with it is news again
	for _, x := range c.Device.blocks {
		if slices.Contains(x.points, p) {
			x.bad = ""
		}
	}
}

// readBack tells whether the device holds what was written. Other writes may go before it.
func (r *run) readBack(ctx context.Context, b *bus, c command, p *Point, written bridges.Value) {
	s := ownSpan(p)
	var answer []byte
	f := r.again(time.Time{}, func() (f *failure) { answer, _, f = b.read(c.Device.Unit, s); return f })
	if f != nil {
		c.Refuse(f.code, f.words)
		return
	}
	if holds := s.read(p, answer); !holds.Equal(written) {
		c.Refuse(codeVerify, fmt.Sprintf("the device holds %s after %s was written", holds, written))
		return
	}
	r.written(ctx, b, c, p, written)
}

// inadmissible says why a command is refused before its value is looked at.
func inadmissible(c command, p *Point) (code, detail string) {
	switch {
	case !c.Device.enabled():
		return bridges.ErrDisabled, "the device is switched off"
	case p == nil:
		return codeUnknownPoint, "the device " + c.Device.ID + " has no such point"
	case p.SunSpec != nil && !p.located:
		return codeUnavailable, "the point was not found in the device yet"
	case p.Write == nil:
		return codeReadOnly, "the point can't be written; its settings have no write"
	case !c.Expires.IsZero() && time.Now().After(c.Expires):
		return codeExpired, "the command came too late"
	}
	return "", ""
}

// write encodes and writes a value, and gives what the device should hold then.
func (r *run) write(b *bus, d *deviceRun, p *Point, v bridges.Value, expires time.Time) (bridges.Value, *refusal, *failure) {
	if p.isBit() {
		on, wrong := p.encodeBit(v)
		if wrong != nil {
			return bridges.Value{}, wrong, nil
		}
		if p.Table == Coil {
			return p.boolean(on), nil, r.again(expires, func() *failure { return b.writeCoil(d.Unit, p, on) })
		}
		bit := uint64(0)
		if on {
			bit = 1
		}
		return p.boolean(on), nil, r.writePart(b, d, p, p.part(bit), expires)
	}
	registers, wrong := p.encode(v)
	if wrong != nil {
		return bridges.Value{}, wrong, nil
	}
	if p.isPart() {
		return p.decode(registers), nil, r.writePart(b, d, p, p.part(p.number(registers)), expires)
	}
	return p.decode(registers), nil, r.again(expires, func() *failure { return b.writeRegisters(d.Unit, p, registers) })
}

func ownSpan(p *Point) *span {
	return &span{table: p.Table, address: p.Address, quantity: p.size(), points: []*Point{p}}
}

// again tries as often as the settings allow, until the time (zero for any).
func (r *run) again(expires time.Time, try func() *failure) *failure {
	f := try()
	for range r.bridge.settings.Retries {
		if f == nil || !f.mayPass() || !expires.IsZero() && time.Now().After(expires) {
			break
		}
		r.ledger.retries++
		f = try()
	}
	return f
}
