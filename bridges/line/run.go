package line

import (
	"context"
	"fmt"
	"strings"
	"time"

	"fieldgate/bridges"
)

// run is the state of one Run; only its goroutine touches it.
type run struct {
	bridge   *bridge
	host     bridges.Host
	devices  []*deviceRun // the enabled ones
	counters counters
	told     counters // as they were given to the host
	toldAt   time.Time
}

// deviceRun is what happens with one device.
type deviceRun struct {
	*Device
	heard     time.Time // when its last line came, or the link opened
	unmatched int64     // lines since then that matched no device
	bad       string    // why its points are bad, empty when they are not
	sent      time.Time // when readings went out last
	waiting   []bridges.Reading
	budget    float64 // readings that may go out at once, see spend
}

func newRun(b *bridge, host bridges.Host) *run {
	r := &run{bridge: b, host: host}
	for i := range b.settings.Devices {
		if d := &b.settings.Devices[i]; d.enabled() {
			r.devices = append(r.devices, &deviceRun{Device: d, budget: burst})
		}
	}
	return r
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
		d.heard, d.unmatched = now, 0
		if d.patience == 0 {
			r.host.SetDevice(d.ID, bridges.Online, "")
		}
	}
}

// lost says that the link is gone, and takes the values back.
func (r *run) lost(ctx context.Context, err error) {
	r.host.SetState(bridges.Offline, err.Error())
	now := time.Now()
	for _, d := range r.devices {
		r.silence(ctx, d, now, bridges.ErrLink, err.Error())
	}
	r.tellCounters(now)
}

// silence marks a device's points bad, once, and the device offline.
func (r *run) silence(ctx context.Context, d *deviceRun, now time.Time, code, reason string) {
	d.waiting = nil
	if d.bad != code {
		d.bad = code
		for i := range d.Points {
			if p := &d.Points[i]; p.enabled() {
				r.report(ctx, bridges.Reading{Device: d.ID, Point: p.ID, Quality: bridges.Bad, Error: code, Time: now})
			}
		}
	}
	r.host.SetDevice(d.ID, bridges.Offline, reason)
}

// line gives a line to every device whose regex it matches.
func (r *run) line(ctx context.Context, text string, at time.Time) {
	if strings.TrimSpace(text) == "" {
		return
	}
	matched := false
	for _, d := range r.devices {
		readings, ok := d.Device.read(text, at, &r.counters)
		if !ok {
			continue
		}
		matched = true
		d.heard, d.unmatched, d.bad = at, 0, ""
		r.host.SetDevice(d.ID, bridges.Online, "")
		r.pace(ctx, d, readings, at)
	}
	if matched {
		r.counters.matched++
		return
	}
	r.counters.unmatched++
	for _, d := range r.devices {
		d.unmatched++
	}
}

// read finds the device's values in a line; false when the line is not its own. A
// group that took no part in the match says nothing of its point.
func (d *Device) read(text string, at time.Time, c *counters) ([]bridges.Reading, bool) {
	groups := d.regex.FindStringSubmatchIndex(text)
	if groups == nil {
		return nil, false
	}
	readings := make([]bridges.Reading, 0, len(d.Points))
	for i := range d.Points {
		p := &d.Points[i]
		from, to := groups[2*p.index], groups[2*p.index+1]
		if !p.enabled() || from < 0 {
			continue
		}
		reading := bridges.Reading{Device: d.ID, Point: p.ID, Unit: p.Unit, Quality: bridges.Good, Time: at}
		v, ok := p.value(text[from:to], d.Parse.Decimal)
		if ok && !v.IsNone() {
			reading.Value = v
		} else {
			reading.Quality, reading.Error = bridges.Bad, bridges.ErrParse
			c.parseErrors++
		}
		readings = append(readings, reading)
	}
	return readings, true
}

// What a device without an interval may publish: lines at once, and lines per second.
const (
	burst = 100
	rate  = 50
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
	elapsed := now.Sub(d.sent)
	if d.Interval > 0 {
		if elapsed < d.Interval && !d.sent.IsZero() {
			return false
		}
		d.sent = now
		return true
	}
	d.budget = min(burst, d.budget+elapsed.Seconds()*rate)
	d.sent = now
	if d.budget < 1 {
		return false
	}
	d.budget--
	return true
}

// idle publishes what has become due and looks for devices that fell silent.
func (r *run) idle(ctx context.Context, now time.Time) {
	for _, d := range r.devices {
		r.flush(ctx, d, now)
		if silence := now.Sub(d.heard); d.patience > 0 && silence >= d.patience {
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
		return fmt.Sprintf("lines come, but for %v none matches parse.regex; check baud rate, format and the regex", d.patience)
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
