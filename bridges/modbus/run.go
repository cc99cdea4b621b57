package modbus

import (
	"context"
	"errors"
	"sync"
	"time"

	"fieldgate/bridges"
	"fieldgate/bridges/internal/port"
	"fieldgate/broker/mqtt"
)

// run is one Run of a bridge. Its goroutine owns the bus: it executes commands
// first, then the poll that has been due longest.
type run struct {
	bridge  *bridge
	host    bridges.Host
	devices []*deviceRun
	queue   queue
	counts  counts
	told    counts // as they were given to the host
	toldAt  time.Time
	seenAt  time.Time // when the link was last seen to be present
	linked  bool      // the link is open, or was a moment ago
}

// errStale ends a connection on which nothing is heard, for another one.
var errStale = errors.New("nothing is heard on this connection")

const (
	retrySerial  = 250 * time.Millisecond
	presentEvery = 250 * time.Millisecond
	countsEvery  = time.Second
	spreadOver   = time.Second // polls of a device begin within this time after the link is open
)

func newRun(b *bridge, host bridges.Host) *run {
	r := &run{bridge: b, host: host}
	for i := range b.settings.Devices {
		r.devices = append(r.devices, newDeviceRun(&b.settings.Devices[i]))
	}
	return r
}

func (r *run) device(id string) *deviceRun {
	for _, d := range r.devices {
		if d.ID == id {
			return d
		}
	}
	return nil
}

// work polls until ctx is done, which is no error.
func (r *run) work(ctx context.Context) error {
	defer r.queue.close()
	source, err := r.host.Attach(ctx, mqtt.Attachment{Subscriptions: r.subscriptions()})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	var listener sync.WaitGroup
	listener.Go(func() { cancel(r.listen(ctx, source)) })
	defer func() {
		cancel(nil)
		listener.Wait()
		_ = source.Close() // volatile: nothing is kept
	}()
	r.begin(ctx)
	for ctx.Err() == nil {
		answered := r.counts.answers
		err := r.connection(ctx)
		if ctx.Err() != nil {
			break
		}
		if errors.Is(err, errStale) || r.bridge.settings.Link.Serial == nil && r.counts.answers > answered {
			continue // a connection that worked and ended is worth another one at once
		}
		r.lost(ctx, err)
		r.rest(ctx, err)
	}
	if err := context.Cause(ctx); !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return nil
}

// begin tells of what is switched off.
func (r *run) begin(ctx context.Context) {
	now := time.Now()
	for _, d := range r.devices {
		switch {
		case !d.enabled():
			r.host.SetDevice(d.ID, bridges.Disabled, "")
		case len(d.blocks) == 0:
			r.host.SetDevice(d.ID, bridges.Disabled, "all its points are switched off")
		}
		for i := range d.Points {
			if p := &d.Points[i]; !p.enabled() || !d.enabled() {
				r.report(ctx, r.badReading(d, p, bridges.ErrDisabled, now))
			}
		}
	}
}

// connection opens the link and polls until it is lost.
func (r *run) connection(ctx context.Context) error {
	w, err := r.bridge.open(ctx)
	if err != nil {
		return err
	}
	defer w.Close()
	stop := context.AfterFunc(ctx, func() { _ = w.Close() })
	defer stop()
	r.queue.setInterrupt(w.Interrupt)
	defer r.queue.setInterrupt(nil)
	r.counts.opened++
	if !r.linked {
		r.up()
	}
	return r.serve(ctx, newBus(w, r.bridge.settings, &r.counts))
}

// up says that the link is open, and spreads the polls so that not all devices are due at once.
func (r *run) up() {
	r.linked = true
	r.host.SetState(bridges.Online, "")
	now := time.Now()
	for i, d := range r.devices {
		d.fails, d.holdOff = 0, time.Time{}
		for _, b := range d.blocks {
			phase := min(b.interval, spreadOver) * time.Duration(i) / time.Duration(len(r.devices))
			b.due, b.tries = now.Add(phase), 0
		}
	}
}

// lost says that the link is gone, and takes the values back.
func (r *run) lost(ctx context.Context, err error) {
	r.linked = false
	r.host.SetState(bridges.Offline, err.Error())
	now := time.Now()
	for _, d := range r.devices {
		if len(d.blocks) > 0 {
			r.take(ctx, d, bridges.ErrLink, err.Error(), now)
		}
	}
	r.tellCounts(now)
}

// rest waits before the link is opened again; commands are answered meanwhile.
func (r *run) rest(ctx context.Context, err error) {
	pause := tcpRetry
	if r.bridge.settings.Link.Serial != nil {
		pause = retrySerial
	}
	end := time.NewTimer(pause)
	defer end.Stop()
	for {
		for c, ok := r.queue.pop(); ok; c, ok = r.queue.pop() {
			c.done(c.refused(bridges.ErrLink, err.Error()))
		}
		select {
		case <-ctx.Done():
			return
		case <-end.C:
			return
		case <-r.queue.news():
		}
	}
}

// serve works on an open link until it is lost or ctx is done.
func (r *run) serve(ctx context.Context, b *bus) error {
	for ctx.Err() == nil {
		now := time.Now()
		if now.Sub(r.toldAt) >= countsEvery {
			r.tellCounts(now)
		}
		if now.Sub(r.seenAt) >= presentEvery {
			if r.seenAt = now; !b.wire.Present() {
				return port.ErrGone
			}
		}
		var err error
		if c, ok := r.queue.pop(); ok {
			err = r.execute(ctx, b, c)
		} else if next, due := r.next(now); next != nil && !due.After(now) {
			err = r.poll(ctx, b, next)
		} else {
			err = r.idle(b, now, due)
		}
		if err != nil {
			return err
		}
		if b.transport.stale() {
			return errStale
		}
	}
	return nil
}

// next gives the block that is due first, and when; with no block the time is some while ahead.
func (r *run) next(now time.Time) (*block, time.Time) {
	var first *block
	at := now.Add(countsEvery)
	for _, d := range r.devices {
		for _, b := range d.blocks {
			if due := later(b.due, d.holdOff); due.Before(at) || first == nil && due.Equal(at) {
				first, at = b, due
			}
		}
	}
	return first, at
}

// idle listens while nothing is due, so that a late answer is not taken for the next one's and an unplug is seen at once.
func (r *run) idle(b *bus, now, until time.Time) error {
	var buf [maxADU]byte
	n, err := b.wire.Listen(buf[:], earlier(until, now.Add(presentEvery)))
	switch {
	case err == nil:
		b.transport.heard(buf[:n], time.Now())
	case errors.Is(err, port.ErrTimeout), errors.Is(err, port.ErrInterrupted):
	default:
		return err
	}
	return nil
}

// poll reads one block. The error is that of a lost link.
func (r *run) poll(ctx context.Context, b *bus, x *block) error {
	answer, at, f := b.read(x.device.Unit, &x.span)
	now := time.Now()
	switch {
	case f == nil:
		r.good(ctx, x, answer, at)
	case f.code == bridges.ErrLink:
		return f
	case f.mayPass() && x.device.failing == "" && x.tries < r.bridge.settings.Retries:
		x.tries++
		r.counts.retries++
		x.device.holdOff = now.Add(b.transport.retryAfter(f))
	case f.answered():
		r.refused(ctx, x, f, now)
	default:
		r.failed(ctx, b, x, f, now)
	}
	return nil
}

// good reports a block's values.
func (r *run) good(ctx context.Context, x *block, answer []byte, at time.Time) {
	readings := make([]bridges.Reading, 0, len(x.points))
	for _, p := range x.points {
		if reading, tell := r.reading(x, p, x.read(p, answer), at); tell {
			readings = append(readings, reading)
		}
	}
	x.refused, x.bad = nil, ""
	r.done(x)
	r.alive(x.device)
	r.report(ctx, readings...)
}

// reading makes a reading of a value; one that is no number is told once.
func (r *run) reading(x *block, p *Point, v bridges.Value, at time.Time) (reading bridges.Reading, tell bool) {
	if v.IsNone() {
		told := x.no[p] && x.bad == ""
		x.no[p] = true
		return r.badReading(x.device, p, p.state.why, at), !told
	}
	delete(x.no, p)
	return bridges.Reading{Device: x.device.ID, Point: p.ID, Value: v, Unit: p.Unit, Quality: bridges.Good, Time: at}, true
}

func (r *run) badReading(d *deviceRun, p *Point, code string, at time.Time) bridges.Reading {
	return bridges.Reading{Device: d.ID, Point: p.ID, Unit: p.Unit, Quality: bridges.Bad, Error: code, Time: at}
}

// done gives the block its next time: an interval after the last, or now when the bus is overloaded.
func (r *run) done(x *block) {
	x.tries = 0
	x.due = later(x.due.Add(x.interval), time.Now())
}

// refused handles an exception: the device is there, but these points are not. A
// read of several points is halved until those that the device has are found.
func (r *run) refused(ctx context.Context, x *block, f *failure, now time.Time) {
	r.alive(x.device)
	if len(x.points) > 1 && (f.exception == 2 || f.exception == 3) {
		x.device.split(x)
		return
	}
	x.refused = f
	r.bad(ctx, x, f.code, now)
	r.done(x)
	r.tell(x.device)
}

// failed handles a device that gave no usable answer, retries included.
func (r *run) failed(ctx context.Context, b *bus, x *block, f *failure, now time.Time) {
	d := x.device
	d.fails++
	d.holdOff = now.Add(max(r.backOff(d), b.transport.retryAfter(f)))
	r.done(x)
	r.take(ctx, d, f.code, d.silence(f, r.bridge.settings.Link), now)
}

// backOff is how long a device that does not answer is left alone: its interval
// while nobody else needs the bus, else longer and longer until its timeouts take at most 5 % of the time.
func (r *run) backOff(d *deviceRun) time.Duration {
	const share = 20
	interval := d.shortest()
	for _, other := range r.devices {
		if other != d && other.enabled() && other.failing == "" {
			return max(interval, min(interval<<min(d.fails, 10), share*r.bridge.settings.Timeout))
		}
	}
	return interval
}

// alive says that the device has answered: if it had not, all its blocks are due.
func (r *run) alive(d *deviceRun) {
	d.holdOff, d.fails = time.Time{}, 0
	if d.failing != "" {
		d.failing = ""
		now := time.Now()
		for _, b := range d.blocks {
			b.due = earlier(b.due, now)
		}
	}
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
	d.failing = code
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

func (r *run) tellCounts(now time.Time) {
	if r.counts != r.told {
		r.told = r.counts
		r.host.SetCounters(r.counts.snapshot())
	}
	r.toldAt = now
}
