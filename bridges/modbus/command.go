package modbus

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"fieldgate/bridges"
	"fieldgate/broker/mqtt"
)

// The codes of a command that was not obeyed, beside those of encode and those of readings.
const (
	codeInvalid      = "invalid"
	codeReadOnly     = "read_only"
	codeUnknownPoint = "unknown_point"
	codeExpired      = "expired"
	codeVerify       = "verify" // the device holds another value than was written
	codeTooMany      = "too_many"
	codeUnavailable  = "unavailable"
	codeSuperseded   = "superseded" // a later command to the same point came before this one was written
)

// command asks for a write.
type command struct {
	device  *deviceRun
	point   string
	value   json.RawMessage
	since   time.Time // when it came
	expires time.Time // zero for never
	done    func(bridges.WriteResult)
}

func (c command) refused(code, detail string) bridges.WriteResult {
	return bridges.WriteResult{Code: bridges.Code(code), Detail: detail, Took: time.Since(c.since)}
}

// queue holds the commands that wait for the bus, in order. Its zero value is
// ready; all methods may be called at the same time.
type queue struct {
	mu        sync.Mutex
	list      []command
	interrupt func() // wakes the bus, nil while the link is down
	arrived   chan struct{}
	closed    bool
}

const maxCommands = 1000

// push queues the command; done is called for it in any case, once.
func (q *queue) push(c command) {
	if c.since.IsZero() {
		c.since = time.Now()
	}
	old := q.supersede(c)
	code, detail := q.add(c)
	for _, o := range old {
		o.done(o.refused(codeSuperseded, "a later command to the same point came first"))
	}
	if code != "" {
		c.done(c.refused(code, detail))
	}
}

// supersede takes the commands out that c makes pointless: the last one wins.
func (q *queue) supersede(c command) (old []command) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.list = slices.DeleteFunc(q.list, func(o command) bool {
		if o.device != c.device || o.point != c.point {
			return false
		}
		old = append(old, o)
		return true
	})
	return old
}

func (q *queue) add(c command) (code, detail string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	switch {
	case q.closed:
		return codeUnavailable, "the bridge does not run"
	case len(q.list) >= maxCommands:
		return codeTooMany, "too many commands wait for the bus"
	}
	q.list = append(q.list, c)
	if q.interrupt != nil {
		q.interrupt()
	}
	if q.arrived != nil {
		close(q.arrived)
		q.arrived = nil
	}
	return "", ""
}

func (q *queue) pop() (command, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.list) == 0 {
		return command{}, false
	}
	c := q.list[0]
	q.list = q.list[1:]
	return c, true
}

// news gives a channel that is closed at the next push, at once when something waits.
func (q *queue) news() <-chan struct{} {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.list) > 0 {
		ready := make(chan struct{})
		close(ready)
		return ready
	}
	if q.arrived == nil {
		q.arrived = make(chan struct{})
	}
	return q.arrived
}

func (q *queue) setInterrupt(f func()) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.interrupt = f
}

// close refuses what waits and what comes.
func (q *queue) close() {
	q.mu.Lock()
	q.closed = true
	left := q.list
	q.list = nil
	q.mu.Unlock()
	for _, c := range left {
		c.done(c.refused(codeUnavailable, "the bridge has stopped"))
	}
}

// subscriptions are the command topics. Retained commands are never asked for: a
// restart must not switch a relay.
func (r *run) subscriptions() []mqtt.Subscription {
	const noRetained = 2
	var list []mqtt.Subscription
	for _, d := range r.devices {
		if d.enabled() {
			list = append(list, mqtt.Subscription{Filter: d.Topic + "/+/set", QoS: mqtt.AtLeastOnce, RetainAsPublished: true, RetainHandling: noRetained})
		}
	}
	return list
}

// listen takes commands from the broker until ctx is done, which is no error.
func (r *run) listen(ctx context.Context, source bridges.Source) error {
	const atOnce = 64
	for {
		deliveries, err := source.Next(ctx, atOnce)
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
		for _, d := range deliveries {
			r.set(ctx, d)
			if d.QoS > mqtt.AtMostOnce {
				source.Ack(d.Message.ID)
			}
		}
	}
}

// set queues a command that came under a /set topic.
func (r *run) set(ctx context.Context, delivery mqtt.Delivery) {
	m := delivery.Message
	d, point, ours := r.target(m.Topic)
	if !ours {
		return
	}
	if m.Retain || delivery.Retain {
		r.bridge.log.Warn("retained command ignored: publish it without retain", "topic", m.Topic)
		return
	}
	read, err := bridges.ParseCommand(m.Payload)
	result := bridges.AnswerTo(m, d.Topic+"/"+point+"/result")
	c := command{device: d, point: point, value: read.Value, since: time.Now(), done: func(w bridges.WriteResult) {
		result.Payload = w.AppendJSON(nil, read.ID)
		if err := r.host.Publish(ctx, result, nil); err != nil && ctx.Err() == nil {
			r.bridge.log.Warn("result not published", "topic", result.Topic, "err", err)
		}
	}}
	if err != nil {
		c.done(c.refused(codeInvalid, err.Error()))
		return
	}
	if read.Expires > 0 {
		accepted := m.Accepted
		if accepted.IsZero() {
			accepted = c.since
		}
		c.expires = accepted.Add(read.Expires)
	}
	r.queue.push(c)
}

// target finds whose command topic it is.
func (r *run) target(topic string) (d *deviceRun, point string, ours bool) {
	base, isSet := strings.CutSuffix(topic, "/set")
	i := strings.LastIndexByte(base, '/')
	if !isSet || i < 0 {
		return nil, "", false
	}
	for _, d := range r.devices {
		if d.enabled() && d.Topic == base[:i] {
			return d, base[i+1:], true
		}
	}
	return nil, "", false
}

// execute obeys a command, or says why not. The error is that of a lost link.
func (r *run) execute(ctx context.Context, b *bus, c command) error {
	p := c.device.point(c.point)
	if code, detail := c.inadmissible(p); code != "" {
		c.done(c.refused(code, detail))
		return nil
	}
	value, err := bridges.ParseValue(c.value)
	if err != nil {
		c.done(c.refused(codeNotANumber, err.Error()))
		return nil
	}
	written, wrong, f := r.write(b, c.device, p, value)
	switch {
	case wrong != nil:
		c.done(c.refused(wrong.code, wrong.detail))
		return nil
	case f != nil:
		c.done(c.refused(f.code, f.words))
		if f.code == bridges.ErrLink {
			return f
		}
		return nil
	}
	if !p.Write.Verify {
		r.written(ctx, b, c, p, written)
		return nil
	}
	c.device.wrote[p]++
	count := c.device.wrote[p]
	r.errands.push(readBack, func(b *bus, f *failure) {
		switch {
		case f != nil:
			c.done(c.refused(f.code, "it was written, but not read back: "+f.words))
		case c.device.wrote[p] != count:
			c.done(c.refused(codeSuperseded, "it was written, but a later command to the same point came before it was read back"))
		default:
			r.readBack(ctx, b, c, p, written)
		}
	})
	return nil
}

// written says that a command was obeyed, and reports what the point is now.
func (r *run) written(ctx context.Context, b *bus, c command, p *Point, v bridges.Value) {
	c.done(bridges.WriteResult{OK: true, Value: v, Took: time.Since(c.since)})
	r.alive(c.device)
	if p.enabled() {
		r.report(ctx, bridges.Reading{
			Device: c.device.ID, Point: p.ID,
			Value: v, Unit: p.Unit, Quality: bridges.Good, Time: b.at,
		})
	}
}

// readBack tells whether the device holds what was written. Other writes may go before it.
func (r *run) readBack(ctx context.Context, b *bus, c command, p *Point, written bridges.Value) {
	s := ownSpan(p)
	var answer []byte
	f := r.again(func() (f *failure) { answer, _, f = b.read(c.device.Unit, s); return f })
	if f != nil {
		c.done(c.refused(f.code, f.words))
		return
	}
	if holds := s.read(p, answer); !holds.Equal(written) {
		c.done(c.refused(codeVerify, fmt.Sprintf("the device holds %s after %s was written", holds, written)))
		return
	}
	r.written(ctx, b, c, p, written)
}

// inadmissible says why a command is refused before its value is looked at.
func (c command) inadmissible(p *Point) (code, detail string) {
	switch {
	case !c.device.enabled():
		return bridges.ErrDisabled, "the device is switched off"
	case p == nil:
		return codeUnknownPoint, "the device " + c.device.ID + " has no such point"
	case p.SunSpec != nil && !p.located:
		return codeUnavailable, "the point was not found in the device yet"
	case p.Write == nil:
		return codeReadOnly, "the point can't be written; its settings have no write"
	case !c.expires.IsZero() && time.Now().After(c.expires):
		return codeExpired, "the command came too late"
	}
	return "", ""
}

// write encodes and writes a value, and gives what the device should hold then.
func (r *run) write(b *bus, d *deviceRun, p *Point, v bridges.Value) (bridges.Value, *refusal, *failure) {
	if p.isBit() {
		on, wrong := p.encodeBit(v)
		if wrong != nil {
			return bridges.Value{}, wrong, nil
		}
		if p.Table == Coil {
			return p.boolean(on), nil, r.again(func() *failure { return b.writeCoil(d.Unit, p, on) })
		}
		return p.boolean(on), nil, r.writeBit(b, d, p, on)
	}
	registers, wrong := p.encode(v)
	if wrong != nil {
		return bridges.Value{}, wrong, nil
	}
	return p.decode(registers), nil, r.again(func() *failure { return b.writeRegisters(d.Unit, p, registers) })
}

func ownSpan(p *Point) *span {
	return &span{table: p.Table, address: p.Address, quantity: p.size(), points: []*Point{p}}
}

// again tries as often as the settings allow.
func (r *run) again(try func() *failure) *failure {
	f := try()
	for range r.bridge.settings.Retries {
		if f == nil || !f.mayPass() {
			break
		}
		r.ledger.retries++
		f = try()
	}
	return f
}
