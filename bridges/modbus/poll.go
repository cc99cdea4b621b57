package modbus

import (
	"context"
	"time"

	"fieldgate/bridges"
)

// poll reads one block, or asks for it. The error is that of a lost link.
func (r *run) poll(ctx context.Context, b *bus, x *block, start time.Time) (lost error) {
	if d := x.device; d.lostMap(start) {
		x = d.forgetMap(start)
	}
	if x.discovery {
		return r.find(ctx, b, x, start)
	}
	x.flying = true
	x.device.flying++
	b.poll(x.device.Unit, &x.span, func(data []byte, at time.Time, f *failure) {
		x.flying = false
		x.device.flying--
		now := time.Now()
		x.device.restUntil = now.Add(x.device.Pause)
		if f != nil && f.code == bridges.ErrLink {
			lost = f
			return
		}
		r.polled(ctx, b, x, data, at, f, now.Sub(start))
	})
	return lost
}

// polled takes in how a poll ended, and what time of the bus it took.
func (r *run) polled(ctx context.Context, b *bus, x *block, data []byte, at time.Time, f *failure, cost time.Duration) {
	now := time.Now()
	switch {
	case f == nil:
		r.schedule.measured(x, cost/time.Duration(r.bridge.settings.Link.outstanding()))
		r.good(ctx, x, data, at)
	case f.mayPass() && x.device.failing == "" && x.tries < r.bridge.settings.Retries:
		x.tries++
		r.ledger.retry(byte(x.device.Unit))
		x.device.holdOff = now.Add(b.transport.retryAfter(f))
	case f.answered():
		r.refused(ctx, x, f, now)
	default:
		rest := b.transport.retryAfter(f)
		cost = min(cost, 2*r.bridge.settings.Timeout) // more is not the bus's time: we were held up
		r.schedule.failed(x.device, cost, rest, now)
		r.schedule.done(x, now)
		r.take(ctx, x.device, f.code, x.device.silence(f, r.bridge.settings.Link), now)
	}
}

// good reports a block's values.
func (r *run) good(ctx context.Context, x *block, answer []byte, at time.Time) {
	readings := make([]bridges.Reading, 0, len(x.points))
	for _, p := range x.points {
		if reading, tell := r.reading(x, p, x.read(p, answer), at); tell {
			readings = append(readings, reading)
		}
	}
	x.refused, x.bad, x.known, x.doubted, x.refusals = nil, "", true, false, 0
	r.alive(x.device) // first: it makes all blocks due, this one too
	r.schedule.done(x, time.Now())
	r.report(ctx, readings...)
}

// reading makes a reading of a value; one that is no number is told once.
func (r *run) reading(x *block, p *Point, v bridges.Value, at time.Time) (reading bridges.Reading, tell bool) {
	if v.IsNone() {
		told := p.state.none && x.bad == ""
		p.state.none = true
		return r.badReading(x.device, p, p.state.why, at), !told
	}
	p.state.none = false
	return bridges.Reading{Device: x.device.ID, Point: p.ID, Value: v, Unit: p.Unit, Quality: bridges.Good, Time: at}, true
}

func (r *run) badReading(d *deviceRun, p *Point, code string, at time.Time) bridges.Reading {
	return bridges.Reading{Device: d.ID, Point: p.ID, Unit: p.Unit, Quality: bridges.Bad, Error: code, Time: at}
}

// refused handles an exception: the device is there, but these points are not. A
// read of several points is halved until those that the device has are found. One that
// was read before is asked for once more: the exception may be another's.
func (r *run) refused(ctx context.Context, x *block, f *failure, now time.Time) {
	r.alive(x.device)
	if hole := f.exception == 2 || f.exception == 3; hole && x.known && !x.doubted {
		x.doubted = true
		return
	} else if hole && len(x.points) > 1 {
		x.device.split(x)
		return
	}
	x.refused = f
	x.refusals++
	r.bad(ctx, x, f.code, now)
	r.schedule.done(x, now)
	r.tell(x.device)
}

// alive says that the device has answered.
func (r *run) alive(d *deviceRun) {
	r.schedule.answered(d, time.Now())
	r.tell(d)
}

// tell gives the device's state to the host, if it changed.
func (r *run) tell(d *deviceRun) {
	state, reason := d.health()
	r.setDevice(d, state, reason)
}

func (r *run) setDevice(d *deviceRun, state bridges.State, reason string) {
	if d.state != state || d.reason != reason {
		d.state, d.reason = state, reason
		r.host.SetDevice(d.ID, state, reason)
	}
}

// take makes all points of a device bad, once for each code.
func (r *run) take(ctx context.Context, d *deviceRun, code, reason string, now time.Time) {
	if d.failing == "" {
		d.failedAt = now
	}
	d.failing = code
	for i := range d.Points {
		d.Points[i].state.known = false // it may come back with another power of ten
	}
	r.setDevice(d, bridges.Offline, reason)
	for _, x := range d.blocks {
		x.refused = nil
		r.bad(ctx, x, code, now)
	}
}

// bad makes a block's points bad, once for each code.
func (r *run) bad(ctx context.Context, x *block, code string, now time.Time) {
	if x.bad == code {
		return
	}
	x.bad = code
	readings := make([]bridges.Reading, 0, len(x.points))
	for _, p := range x.points {
		readings = append(readings, r.badReading(x.device, p, code, now))
	}
	r.report(ctx, readings...)
}

// report gives readings to the host. That they could not be published is the
// broker's trouble, which it shows itself; the next ones are as good.
func (r *run) report(ctx context.Context, readings ...bridges.Reading) {
	if err := r.host.Report(ctx, readings...); err != nil && ctx.Err() == nil {
		r.bridge.log.Debug("readings not published", "err", err)
	}
}
