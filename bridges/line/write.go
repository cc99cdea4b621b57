package line

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"fieldgate/bridges"
)

// Write says how a point is written. Its presence makes the point writable.
type Write struct {
	Command Bytes            `json:"command"` // "SP{value:.1f}\r"
	Ack     string           `json:"ack"`     // regular expression of an answer that says yes; empty: none comes
	Nack    string           `json:"nack"`    // of one that says no; empty: every other answer that is no line of a device
	Wait    time.Duration    `json:"wait"`    // for the answer; default: the device's
	Min     *float64         `json:"min"`
	Max     *float64         `json:"max"`
	Step    float64          `json:"step"`
	Values  map[string]Bytes `json:"values"` // what is sent in place of a value; no others are allowed

	command   template
	ack, nack *regexp.Regexp
	wait      time.Duration
}

func (w *Write) check(f *bridges.Faults, at string, p *Point, s *Settings) {
	checkLength(f, at+"/command", string(w.Command), 1, maxRequest)
	var err error
	if w.command, err = parseTemplate(string(w.Command)); err != nil {
		f.Add(at+"/command", bridges.Invalid, "%s", err)
	} else if w.command.has("checksum") && s.Checksum.Type == "none" {
		f.Add(at+"/command", bridges.Invalid, "has {checksum}, but the bridge has no checksum")
	}
	w.ack = checkPattern(f, at+"/ack", w.Ack)
	w.nack = checkPattern(f, at+"/nack", w.Nack)
	if w.Nack != "" && w.Ack == "" {
		f.Add(at+"/nack", bridges.Invalid, "needs ack beside it")
	}
	if w.Wait != 0 && (w.Wait < time.Millisecond || w.Wait > maxWait) {
		f.Add(at+"/wait", bridges.OutOfRange, `must be "1ms" to "1m"`)
	}
	isNumber := p.Type != "string" && p.Type != "raw" && p.Type != "bool" && p.Bit == nil && p.Enum == nil
	if !isNumber && (w.Min != nil || w.Max != nil || w.Step != 0) {
		f.Add(at+"/min", bridges.Invalid, "only numbers have min, max and step")
	}
	if w.Min != nil && w.Max != nil && *w.Min > *w.Max {
		f.Add(at+"/max", bridges.OutOfRange, "must not be less than min")
	}
	if w.Step < 0 {
		f.Add(at+"/step", bridges.OutOfRange, "must not be negative")
	}
	if len(w.Values) > maxEnum {
		f.Add(at+"/values", bridges.OutOfRange, "%d are too many, at most %d are allowed", len(w.Values), maxEnum)
	}
}

// checkPattern compiles an optional regular expression.
func checkPattern(f *bridges.Faults, at, text string) *regexp.Regexp {
	if text == "" {
		return nil
	}
	checkLength(f, at, text, 1, maxRegex)
	re, err := regexp.Compile(text)
	if err != nil {
		f.Add(at, bridges.Invalid, "is no regular expression: %s", regexWords(text, err))
		return nil
	}
	return re
}

func (d *Device) point(id string) *Point {
	for i := range d.Points {
		if d.Points[i].ID == id {
			return &d.Points[i]
		}
	}
	return nil
}

// refusal says why a command is not obeyed.
type refusal struct{ code, detail string }

// encode gives what is sent for a value, and the value as it is published then.
func (p *Point) encode(v bridges.Value) (send, published bridges.Value, no *refusal) {
	w := p.Write
	if w.Values != nil {
		text, ok := w.Values[v.String()]
		if !ok {
			return send, published, &refusal{codeOutOfRange, "must be one of " + strings.Join(slices.Sorted(maps.Keys(w.Values)), ", ")}
		}
		return bridges.Text(string(text)), v, nil
	}
	if p.Enum != nil {
		for raw, label := range p.Enum {
			if label == v.String() {
				return bridges.Text(raw), v, nil
			}
		}
		return send, published, &refusal{codeOutOfRange, "must be one of " + strings.Join(slices.Sorted(maps.Values(p.Enum)), ", ")}
	}
	switch p.Type {
	case "string", "raw":
		text := v.String()
		if len(text) > maxRequest || strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r == 0x7f }) {
			return send, published, &refusal{codeInvalid, fmt.Sprintf("must be a text of at most %d bytes without control characters", maxRequest)}
		}
		return bridges.Text(text), bridges.Text(text), nil
	case "bool":
		on, code := boolean(v.String())
		if code != "" {
			return send, published, &refusal{codeInvalid, "must be true or false"}
		}
		n, _ := on.Number()
		return bridges.Int(int64(n)), on, nil
	}
	return p.encodeNumber(v)
}

func (p *Point) encodeNumber(v bridges.Value) (send, published bridges.Value, no *refusal) {
	w := p.Write
	n, ok := v.Number()
	if _, isBool := v.AsBool(); !ok || isBool {
		return send, published, &refusal{codeNotANumber, "must be a number"}
	}
	low, high := -math.MaxFloat64, math.MaxFloat64
	if w.Min != nil {
		low = *w.Min
	}
	if w.Max != nil {
		high = *w.Max
	}
	switch {
	case (n < low || n > high) && w.Min != nil && w.Max != nil:
		return send, published, &refusal{codeOutOfRange, fmt.Sprintf("must be %v to %v", low, high)}
	case n < low:
		return send, published, &refusal{codeOutOfRange, fmt.Sprintf("must be %v or more", low)}
	case n > high:
		return send, published, &refusal{codeOutOfRange, fmt.Sprintf("must be %v or less", high)}
	}
	if w.Step > 0 {
		base := 0.0
		if w.Min != nil {
			base = low
		}
		if steps := (n - base) / w.Step; math.Abs(steps-math.Round(steps)) > 1e-6 {
			return send, published, &refusal{codeOutOfRange, fmt.Sprintf("must be %v and steps of %v", base, w.Step)}
		}
	}
	if p.isPlain() {
		return v, v, nil
	}
	raw := (n - p.Offset) / p.Scale
	if tidy, err := strconv.ParseFloat(strconv.FormatFloat(raw, 'g', 15, 64), 64); err == nil {
		raw = tidy
	}
	return bridges.Float(raw), v, nil
}

// inadmissible says why a command is refused before its value is looked at.
func inadmissible(c command, p *Point) *refusal {
	switch {
	case !c.Device.enabled():
		return &refusal{bridges.ErrDisabled, "the device is switched off"}
	case p == nil:
		return &refusal{codeUnknownPoint, "the device " + c.Device.ID + " has no such point"}
	case p.Write == nil:
		return &refusal{codeReadOnly, "the point can't be written; its settings have no write"}
	case !c.Expires.IsZero() && time.Now().After(c.Expires):
		return &refusal{codeExpired, "the command came too late"}
	}
	return nil
}

// execute obeys a command, or says why not. The error is that of a lost link.
func (r *run) execute(ctx context.Context, l *listener, c command) error {
	p := c.Device.point(c.Point)
	if no := inadmissible(c, p); no != nil {
		c.Refuse(no.code, no.detail)
		return nil
	}
	v, err := bridges.ParseValue(c.Value)
	if err != nil {
		c.Refuse(codeInvalid, err.Error())
		return nil
	}
	send, published, no := p.encode(v)
	if no != nil {
		c.Refuse(no.code, no.detail)
		return nil
	}
	s := r.bridge.settings
	request, err := p.Write.command.expand(c.Device.Address, send, &s.Checksum, len(s.Framing.Start))
	if err != nil {
		c.Refuse(codeInvalid, err.Error())
		return nil
	}
	r.counters.writes++
	return r.write(ctx, l, c, p, request, published)
}

// write sends a command and waits for what the device says to it.
func (r *run) write(ctx context.Context, l *listener, c command, p *Point, request []byte, published bridges.Value) error {
	w := p.Write
	if w.ack == nil {
		if err := r.send(ctx, l, request); err != nil {
			c.Refuse(bridges.ErrLink, err.Error())
			return err
		}
		c.Done(bridges.WriteResult{OK: true, Value: published, Took: time.Since(c.Since)})
		r.readBack(c.Device, p)
		return nil
	}
	var words string // of the device that refuses
	ok := false
	x := &exchange{request: request, wait: w.wait, once: true}
	x.match = func(f Frame, body []byte) bool {
		text := plainText(body)
		switch {
		case w.ack.MatchString(text):
			ok, words, x.result = true, "", "the command was obeyed"
		case w.nack != nil && !w.nack.MatchString(text), bytes.Equal(trimEnds(f.Bytes), trimEnds(request)), w.nack == nil && r.isReading(body):
			return false
		default:
			ok, words, x.result = false, Visible(body, 200), "the command was refused"
		}
		return true
	}
	at, err := r.ask(ctx, l, x)
	switch {
	case err != nil:
		c.Refuse(bridges.ErrLink, err.Error())
		return err
	case !at.IsZero() && ok:
		c.Done(bridges.WriteResult{OK: true, Value: published, Took: time.Since(c.Since)})
		r.acknowledged(ctx, c.Device, p, published, at)
	case !at.IsZero():
		r.counters.refused++
		c.Refuse(codeRefused, "the device answered "+words)
	case ctx.Err() != nil:
		c.Refuse(codeUnavailable, "the bridge has stopped")
	default:
		c.Refuse(x.code(), fmt.Sprintf("no answer to the command within %v", x.wait))
	}
	return nil
}

// acknowledged publishes what the device confirmed, or asks it for the point.
func (r *run) acknowledged(ctx context.Context, d *Device, p *Point, v bridges.Value, at time.Time) {
	if r.readBack(d, p) || !p.enabled() {
		return
	}
	r.report(ctx, bridges.Reading{Device: d.ID, Point: p.ID, Value: v, Quality: bridges.Good, Time: at})
	for _, x := range r.devices {
		if x.Device == d && !x.isPolled {
			r.alive(x, at) // it has spoken; if it falls silent, that is news
		}
	}
}

// readBack has the point's request sent next; false when it has none.
func (r *run) readBack(d *Device, p *Point) bool {
	for _, x := range r.polls {
		if x.device.Device == d && slices.Contains(x.points, p) {
			x.due = time.Now()
			return true
		}
	}
	return false
}

// isReading tells whether a device would take the body for values.
func (r *run) isReading(body []byte) bool {
	return slices.ContainsFunc(r.devices, func(d *deviceRun) bool {
		_, v := d.Parse.read(body, d.bound, d.Address)
		return v != otherForm
	})
}

func trimEnds(b []byte) []byte { return bytes.TrimRight(b, "\r\n") }
