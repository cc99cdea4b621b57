package line

import (
	"context"
	"fmt"
	"slices"
	"time"

	"fieldgate/bridges"
)

// poll is one request of a device and the points that its answer gives.
type poll struct {
	device   *deviceRun
	request  template
	text     string // of the request in the settings
	interval time.Duration
	points   []*Point
	due      time.Time
	tries    int
	failing  string // code, empty when the last answer was good
	reason   string
}

// newPolls gathers points with the same request and interval.
func newPolls(d *deviceRun) []*poll {
	var list []*poll
	for i := range d.Points {
		p := &d.Points[i]
		if !p.enabled() || p.request == "" || p.index < 0 {
			continue
		}
		at := slices.IndexFunc(list, func(x *poll) bool { return x.text == p.request && x.interval == p.interval })
		if at < 0 {
			t, _ := parseTemplate(p.request) // checked with the settings
			list = append(list, &poll{device: d, request: t, text: p.request, interval: p.interval})
			at = len(list) - 1
		}
		list[at].points = append(list[at].points, p)
	}
	return list
}

// next gives the poll that is due first, and when; nil when nothing is asked.
func (r *run) next() (first *poll, due time.Time) {
	for _, x := range r.polls {
		at := x.due
		if x.device.holdOff.After(at) {
			at = x.device.holdOff
		}
		if first == nil || at.Before(due) {
			first, due = x, at
		}
	}
	return first, due
}

// poll asks once. The error is that of a lost link.
func (r *run) poll(ctx context.Context, l *listener, x *poll) error {
	s := r.bridge.settings
	d := x.device
	request, err := x.request.expand(d.Address, bridges.Value{}, &s.Checksum, len(s.Framing.Start))
	if err != nil {
		return err // a request has no value that could be wrong
	}
	var readings []bridges.Reading
	ex := &exchange{request: request, wait: d.Wait}
	ex.match = func(f Frame, body []byte) bool {
		if string(trimEnds(f.Bytes)) == string(trimEnds(request)) {
			return false
		}
		cells, v := d.Parse.read(body, d.bound, d.Address)
		if v != own {
			return false
		}
		readings = d.readings(cells, x.points, time.Now(), &r.counters)
		if r.bridge.tap.Open() {
			ex.result = valueWords(readings)
		}
		return true
	}
	at, err := r.ask(ctx, l, ex)
	now := time.Now()
	switch {
	case err != nil:
		return err
	case ctx.Err() != nil:
		return nil
	case !at.IsZero():
		for i := range readings {
			readings[i].Time = at
		}
		r.good(ctx, x, readings, now)
	case x.failing == "" && x.tries < d.Retries:
		x.tries++
	default:
		r.failed(ctx, x, ex, now)
	}
	return nil
}

// good reports the values of an answer.
func (r *run) good(ctx context.Context, x *poll, readings []bridges.Reading, now time.Time) {
	d := x.device
	if x.failing != "" { // it is back: its other requests need not wait
		for _, other := range r.polls {
			if other.device == d && other.due.After(now) {
				other.due = now
			}
		}
	}
	x.tries, x.failing, x.reason = 0, "", ""
	x.due = x.due.Add(x.interval)
	if x.due.Before(now) {
		x.due = now
	}
	d.holdOff, d.bad, d.heard = time.Time{}, "", now
	r.tellPolled(d)
	r.report(ctx, readings...)
}

// failed takes the values of a request back, once for each reason, and leaves a
// silent device alone so that its waits take at most 5 % of the time that others need.
func (r *run) failed(ctx context.Context, x *poll, ex *exchange, now time.Time) {
	d := x.device
	code := ex.code()
	switch x.reason = ""; {
	case ex.damaged:
		x.reason = "the answers have wrong checksums; check baud rate, format, cable, and the checksum's settings"
	case ex.other != nil:
		x.reason = fmt.Sprintf("the answer %s is not what parse expects", Visible(ex.other, 80))
	default:
		x.reason = fmt.Sprintf("no answer within %v; check that the device is on, its address, the cable, baud rate and format", ex.wait)
	}
	if x.failing != code {
		x.failing = code
		var list []bridges.Reading
		for _, p := range x.points {
			list = append(list, bridges.Reading{Device: d.ID, Point: p.ID, Quality: bridges.Bad, Error: code, Time: now})
		}
		r.report(ctx, list...)
	}
	x.tries, x.due = 0, now.Add(x.interval)
	if r.othersAlive(d) {
		const share = 20
		d.holdOff = now.Add(max(x.interval, min(share*(ex.wait+owed(ex.wait)), time.Minute)))
	}
	r.tellPolled(d)
}

func (r *run) othersAlive(d *deviceRun) bool {
	return slices.ContainsFunc(r.polls, func(x *poll) bool { return x.device != d && x.failing == "" })
}

// tellPolled gives the device's state: online when every request was answered, offline when none was.
func (r *run) tellPolled(d *deviceRun) {
	good, bad, reason := 0, 0, ""
	for _, x := range r.polls {
		switch {
		case x.device != d:
		case x.failing == "":
			good++
		default:
			bad++
			reason = x.reason
		}
	}
	switch {
	case bad == 0:
		r.host.SetDevice(d.ID, bridges.Online, "")
	case good == 0:
		r.host.SetDevice(d.ID, bridges.Offline, reason)
	default:
		r.host.SetDevice(d.ID, bridges.Degraded, reason)
	}
}
