package line

import (
	"context"
	"encoding/json"
	"strings"
	"sync"
	"time"

	"fieldgate/bridges"
	"fieldgate/broker/mqtt"
)

// The codes of a command that was not obeyed, beside those of readings.
const (
	codeOutOfRange   = "out_of_range"
	codeReadOnly     = "read_only"
	codeUnknownPoint = "unknown_point"
	codeExpired      = "expired"
	codeRefused      = "refused" // by the device, in its words
	codeTooMany      = "too_many"
	codeUnavailable  = "unavailable"
)

// command asks for a write.
type command struct {
	device  *Device
	point   string
	value   json.RawMessage
	since   time.Time // when it came
	expires time.Time // zero for never
	done    func(bridges.WriteResult)
}

func (c command) refuse(code, detail string) {
	c.done(bridges.WriteResult{Code: bridges.Code(code), Detail: detail, Took: time.Since(c.since)})
}

// queue holds the commands that wait for the link, in order. All methods may be
// called at the same time.
type queue struct {
	arrived chan struct{} // has room for one: something waits

	mu        sync.Mutex // protects what follows
	list      []command
	interrupt func() // wakes the link's reader, nil while the link is down
	closed    bool
}

const maxCommands = 1000

// push queues the command; its done is called in any case, once.
func (q *queue) push(c command) {
	if code, detail := q.add(c); code != "" {
		c.refuse(code, detail)
	}
}

func (q *queue) add(c command) (code, detail string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	switch {
	case q.closed:
		return codeUnavailable, "the bridge does not run"
	case len(q.list) >= maxCommands:
		return codeTooMany, "too many commands wait for the link"
	}
	q.list = append(q.list, c)
	if q.interrupt != nil {
		q.interrupt()
	}
	select {
	case q.arrived <- struct{}{}:
	default:
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
		c.refuse(codeUnavailable, "the bridge has stopped")
	}
}

// subscriptions are the command topics. Retained commands are never asked for: a
// restart must not switch anything.
func (r *run) subscriptions() []mqtt.Subscription {
	const noRetained = 2
	var list []mqtt.Subscription
	for _, d := range r.devices {
		if d.writable() {
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
	d, point := r.target(m.Topic)
	if d == nil {
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
		c.refuse(codeInvalid, err.Error())
		return
	}
	if read.Expires > 0 {
		accepted := m.Accepted
		if accepted.IsZero() {
			accepted = c.since
		}
		c.expires = accepted.Add(read.Expires)
	}
	r.bridge.queue.push(c)
}

// target finds whose command topic it is; nil for none of ours.
func (r *run) target(topic string) (d *Device, point string) {
	base, isSet := strings.CutSuffix(topic, "/set")
	i := strings.LastIndexByte(base, '/')
	if !isSet || i < 0 {
		return nil, ""
	}
	for _, d := range r.devices {
		if d.Topic == base[:i] {
			return d.Device, base[i+1:]
		}
	}
	return nil, ""
}
