package line

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"fieldgate/bridges"
	"fieldgate/broker/mqtt"
)

// run is the state of one Run; only its goroutine touches it.
type run struct {
	bridge   *bridge
	host     bridges.Host
	devices  []*deviceRun // the enabled ones
	polls    []*poll
	counters counters
	told     counters // as they were given to the host
	toldAt   time.Time

	polledOnly bool      // every device is asked; what comes unasked belongs to nobody
	exchange   *exchange // that is under way, nil for none
	owed       *exchange // whose answer may still come
	owedUntil  time.Time
	doubt      *exchange // whose answer did not come even then; it may be on its way still
}

// deviceRun is what happens with one device.
type deviceRun struct {
	*Device
	isPolled  bool
	heard     time.Time // when its last line came, or the link opened
	unmatched int64     // lines since then that matched no device
	bad       string    // why its points are bad, empty when they are not
	sent      time.Time // when readings went out last
	waiting   []bridges.Reading
	budget    float64   // readings that may go out at once, see due
	holdOff   time.Time // not asked before
}

func newRun(b *bridge, host bridges.Host) *run {
	r := &run{bridge: b, host: host}
	for i := range b.settings.Devices {
		if d := &b.settings.Devices[i]; d.enabled() {
			x := &deviceRun{Device: d, isPolled: d.polled(), budget: burst}
			r.devices = append(r.devices, x)
			r.polls = append(r.polls, newPolls(x)...)
		}
	}
	r.polledOnly = len(r.polls) > 0 && !slices.ContainsFunc(r.devices, func(d *deviceRun) bool { return !d.isPolled && d.bound > 0 })
	return r
}

// work keeps the link open until ctx is done, which is no error, and takes commands meanwhile.
func (r *run) work(ctx context.Context) error {
	defer r.bridge.queue.Close()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	if list := r.subscriptions(); len(list) > 0 {
		source, err := r.host.Attach(ctx, mqtt.Attachment{Subscriptions: list})
		if err != nil {
			return err
		}
		var listener sync.WaitGroup
		listener.Go(func() { cancel(r.bridge.queue.Listen(ctx, source, r.host, r.bridge.log, r.deviceAt)) })
		defer func() {
			cancel(nil)
			listener.Wait()
			_ = source.Close() // volatile: nothing is kept
		}()
	}
	r.begin(ctx)
	for ctx.Err() == nil {
		err := r.connection(ctx)
		if ctx.Err() != nil {
			break
		}
		r.lost(ctx, err)
		r.rest(ctx, err)
	}
	if err := context.Cause(ctx); !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return nil
}

// rest waits before the link is opened again; commands are answered meanwhile.
func (r *run) rest(ctx context.Context, err error) {
	end := time.NewTimer(r.bridge.settings.Link.retry())
	defer end.Stop()
	for {
		r.bridge.queue.Refuse(bridges.ErrLink, err.Error())
		select {
		case <-ctx.Done():
			return
		case <-end.C:
			return
		case <-r.bridge.queue.News():
		}
	}
}

// connection opens the link and works until it is lost or ctx is done.
func (r *run) connection(ctx context.Context) error {
	w, err := r.bridge.open(ctx)
	if err != nil {
		return err
	}
	defer w.Close()
	r.bridge.queue.SetInterrupt(w.Interrupt)
	defer r.bridge.queue.SetInterrupt(nil)
	stop := context.AfterFunc(ctx, w.Interrupt)
	defer stop()
	r.counters.opened++
	r.up(time.Now())
	r.bridge.log.Debug("link open", "link", r.bridge.settings.Link)
	l := newListener(w, r.bridge.settings, &r.counters)
	l.frame = func(f Frame, body []byte, at time.Time) { r.frame(ctx, f, body, at) }
	l.wrong, l.dropped = r.damaged, r.showDropped
	return r.serve(ctx, l)
}

// serve works on an open link until it is lost or ctx is done.
func (r *run) serve(ctx context.Context, l *listener) error {
	for ctx.Err() == nil {
		if err := r.step(ctx, l, time.Now()); err != nil {
			return err
		}
	}
	return nil
}

// step does what is most urgent, or takes in what comes.
func (r *run) step(ctx context.Context, l *listener, now time.Time) error {
	r.idle(ctx, now)
	if !r.settled(now) {
		return l.once(ctx, earlier(r.wake(now), r.owedUntil))
	}
	if c, ok := r.bridge.queue.Pop(); ok {
		return r.execute(ctx, l, c)
	}
	x, due := r.next()
	if x == nil {
		return l.once(ctx, r.wake(now))
	}
	if due.After(now) {
		return l.once(ctx, earlier(r.wake(now), due))
	}
	return r.poll(ctx, l, x)
}

// wake is when something is due to be published, or to be looked after.
func (r *run) wake(now time.Time) time.Time {
	until := now.Add(pollEvery)
	for _, d := range r.devices {
		if d.waiting != nil {
			until = earlier(until, d.free())
		}
	}
	return until
}

// begin tells of what is switched off.
func (r *run) begin(ctx context.Context) {
	now := time.Now()
	for i := range r.bridge.settings.Devices {
		d := &r.bridge.settings.Devices[i]
		if !d.enabled() {
			r.host.SetDevice(d.ID, bridges.Disabled, "")
		}
		for j := range d.Points {
			if p := &d.Points[j]; !p.enabled() || !d.enabled() {
				r.report(ctx, bridges.Reading{Device: d.ID, Point: p.ID, Quality: bridges.Bad, Error: bridges.ErrDisabled, Time: now})
			}
		}
	}
}

// up says that the link is open; the devices have their time to be heard. One
// that may be silent for ever is there as far as anybody can know.
func (r *run) up(now time.Time) {
	r.host.SetState(bridges.Online, "")
	for _, d := range r.devices {
		d.heard, d.unmatched, d.holdOff = now, 0, time.Time{}
		if d.patience == 0 && !d.isPolled || d.bound == 0 {
			r.host.SetDevice(d.ID, bridges.Online, "")
		}
	}
	for _, x := range r.polls {
		x.due, x.tries = now, 0
	}
	r.owed = nil
}

// lost says that the link is gone, and takes the values back.
func (r *run) lost(ctx context.Context, err error) {
	r.host.SetState(bridges.Offline, err.Error())
	now := time.Now()
	for _, d := range r.devices {
		r.silence(ctx, d, now, bridges.ErrLink, err.Error())
	}
	for _, x := range r.polls {
		x.failing, x.reason = bridges.ErrLink, err.Error()
	}
	r.tellCounters(now)
}

// silence marks a device's points bad, once, and the device offline.
func (r *run) silence(ctx context.Context, d *deviceRun, now time.Time, code, reason string) {
	d.waiting = nil
	if d.bad != code {
		d.bad = code
		for i := range d.Points {
			if p := &d.Points[i]; p.enabled() && (p.index >= 0 || code == bridges.ErrLink) {
				r.report(ctx, bridges.Reading{Device: d.ID, Point: p.ID, Quality: bridges.Bad, Error: code, Time: now})
			}
		}
	}
	r.host.SetDevice(d.ID, bridges.Offline, reason)
}

// line gives a frame to every device that sends by itself and whose it is.
func (r *run) line(ctx context.Context, f Frame, body []byte, at time.Time) {
	whose, words := otherForm, ""
	for _, d := range r.devices {
		if d.bound == 0 {
			continue
		}
		cells, v := d.Parse.read(body, d.bound, d.Address)
		if v == own && d.isPolled {
			v = unasked
		}
		if whose = max(whose, v); v != own {
			continue
		}
		r.alive(d, at)
		readings := d.readings(cells, nil, at, &r.counters)
		if r.bridge.tap.Open() {
			words += valueWords(readings) + " "
		}
		r.pace(ctx, d, readings, at)
	}
	r.counters.line(whose)
	r.showLine(f, at, whose, strings.TrimSpace(words))
	if whose == own {
		return
	}
	for _, d := range r.devices {
		d.unmatched++
	}
}

// alive says that a device that sends by itself was heard.
func (r *run) alive(d *deviceRun, at time.Time) {
	d.heard, d.unmatched, d.bad = at, 0, ""
	r.host.SetDevice(d.ID, bridges.Online, "")
}

// readings gives the values of a frame for the points, all that nobody asks for when
// these are nil. A field that took no part says nothing of its point.
func (d *Device) readings(cells []cell, points []*Point, at time.Time, c *counters) []bridges.Reading {
	readings := make([]bridges.Reading, 0, len(d.Points))
	for i := range d.Points {
		p := &d.Points[i]
		if !p.enabled() || p.index < 0 || !cells[p.index].here || points != nil && !slices.Contains(points, p) {
			continue
		}
		reading := bridges.Reading{Device: d.ID, Point: p.ID, Unit: p.Unit, Quality: bridges.Good, Time: at}
		v, code := p.read(cells, &d.Parse)
		if code == "" && v.IsNone() {
			code = bridges.ErrParse
		}
		if code == "" {
			reading.Value = v
		} else {
			reading.Quality, reading.Error = bridges.Bad, code
			c.parseErrors++
		}
		readings = append(readings, reading)
	}
	return readings
}

// What a device without a throttle may publish: frames at once, and frames per second.
const (
	burst = 500
	rate  = 500
)

// pace publishes now, or keeps the newest readings until the device may publish again.
func (r *run) pace(ctx context.Context, d *deviceRun, readings []bridges.Reading, now time.Time) {
	if d.waiting != nil {
		r.counters.skipped++
	}
	d.waiting = merge(d.waiting, readings)
	r.flush(ctx, d, now)
}

// merge puts newer readings in place of those of the same points.
func merge(waiting, newer []bridges.Reading) []bridges.Reading {
next:
	for _, n := range newer {
		for i := range waiting {
			if waiting[i].Point == n.Point {
				waiting[i] = n
				continue next
			}
		}
		waiting = append(waiting, n)
	}
	return waiting
}

// flush publishes what waits, if it is due.
func (r *run) flush(ctx context.Context, d *deviceRun, now time.Time) {
	if d.waiting == nil || !d.due(now) {
		return
	}
	r.report(ctx, d.waiting...)
	d.waiting = nil
}

// due tells whether the device may publish now, and counts that it does.
func (d *deviceRun) due(now time.Time) bool {
	if d.throttle > 0 {
		if now.Before(d.free()) {
			return false
		}
		d.sent = now
		return true
	}
	d.budget = min(burst, d.budget+now.Sub(d.sent).Seconds()*rate)
	d.sent = now
	if d.budget < 1 {
		return false
	}
	d.budget--
	return true
}

// free is when the device may publish again.
func (d *deviceRun) free() time.Time {
	if d.throttle > 0 {
		return d.sent.Add(d.throttle)
	}
	return d.sent.Add(time.Second / rate)
}

// idle publishes what has become due and looks for devices that fell silent.
func (r *run) idle(ctx context.Context, now time.Time) {
	for _, d := range r.devices {
		r.flush(ctx, d, now)
		if silence := now.Sub(d.heard); !d.isPolled && d.bound > 0 && d.patience > 0 && silence >= d.patience {
			r.silence(ctx, d, now, bridges.ErrTimeout, d.silenceWords())
		}
	}
	if now.Sub(r.toldAt) >= time.Second {
		r.tellCounters(now)
	}
}

// silenceWords must stay the same while the silence lasts, or each change would be told.
func (d *deviceRun) silenceWords() string {
	if d.unmatched > 0 {
		return fmt.Sprintf("lines come, but for %v none matches parse; check baud rate, format and parse", d.patience)
	}
	return fmt.Sprintf("no line for %v; check that the device is on and sends by itself, the cable, baud rate and format", d.patience)
}

func (r *run) tellCounters(now time.Time) {
	if r.counters != r.told {
		r.told, r.toldAt = r.counters, now
		r.host.SetCounters(r.counters.snapshot())
	}
}

// report gives readings to the host. That they could not be published is the
// broker's trouble, which it shows itself; the next line is as good.
func (r *run) report(ctx context.Context, readings ...bridges.Reading) {
	if err := r.host.Report(ctx, readings...); err != nil && ctx.Err() == nil {
		r.bridge.log.Debug("readings not published", "err", err)
	}
}
