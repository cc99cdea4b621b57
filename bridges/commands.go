package bridges

import (
	"context"
	"encoding/json"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"fieldgate/broker/mqtt"
	"fieldgate/internal/fault"
)

// The codes of a command that never got as far as its device.
const (
	ErrSuperseded  = "superseded"  // a later command to the same point came before this one was written
	ErrTooMany     = "too_many"    // MaxCommands wait already
	ErrUnavailable = "unavailable" // the bridge does not run

	ErrReadOnly     = "read_only"     // the settings of the point have no write
	ErrUnknownPoint = "unknown_point" // the device has no such point
	ErrExpired      = "expired"       // its time was over before its turn came
)

// MaxCommands is how many commands may wait for one link.
const MaxCommands = 1000

// PendingCommand asks a bridge to write a point. D is how the kind knows its devices.
type PendingCommand[D comparable] struct {
	Device  D
	Point   string
	Value   json.RawMessage
	Since   time.Time // when it came
	Expires time.Time // zero for never
	Done    func(WriteResult)
}

// Refuse answers with the reason why the command was not obeyed.
func (c PendingCommand[D]) Refuse(code, detail string) {
	c.Done(WriteResult{Code: fault.Code(code), Detail: detail, Took: time.Since(c.Since)})
}

// Commands holds the commands that wait for a link, in the order in which they came;
// of those to one point only the last. Its zero value is ready; all methods may be
// called at the same time.
type Commands[D comparable] struct {
	mu        sync.Mutex // protects what follows
	list      []PendingCommand[D]
	interrupt func()        // wakes who waits on the link, nil while it is down
	arrived   chan struct{} // closed by the next Push; nil when nobody waits
	closed    bool
}

// Push queues the command; its Done is called in any case, once.
func (q *Commands[D]) Push(c PendingCommand[D]) {
	if c.Since.IsZero() {
		c.Since = time.Now()
	}
	old, code, detail := q.add(c)
	for _, o := range old {
		o.Refuse(ErrSuperseded, "a later command to the same point came first")
	}
	if code != "" {
		c.Refuse(code, detail)
	}
}

// Ask queues the command and waits for what became of it. It is not obeyed after the end of ctx that is set in
// time: nothing moves after its caller was told that it did not. An error is that of ctx.
func (q *Commands[D]) Ask(ctx context.Context, device D, point string, value json.RawMessage) (WriteResult, error) {
	answer := make(chan WriteResult, 1) // the link never waits for the caller
	c := PendingCommand[D]{Device: device, Point: point, Value: value, Done: func(w WriteResult) { answer <- w }}
	if deadline, ok := ctx.Deadline(); ok {
		c.Expires = deadline
	}
	q.Push(c)
	select {
	case w := <-answer:
		return w, nil
	case <-ctx.Done():
		return WriteResult{}, ctx.Err()
	}
}

// add gives the commands that c made pointless, and why c itself was not taken.
func (q *Commands[D]) add(c PendingCommand[D]) (old []PendingCommand[D], code, detail string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return nil, ErrUnavailable, "the bridge does not run"
	}
	q.list = slices.DeleteFunc(q.list, func(o PendingCommand[D]) bool {
		if o.Device != c.Device || o.Point != c.Point {
			return false
		}
		old = append(old, o)
		return true
	})
	if len(q.list) >= MaxCommands {
		return old, ErrTooMany, "too many commands wait for the link"
	}
	q.list = append(q.list, c)
	if q.interrupt != nil {
		q.interrupt()
	}
	if q.arrived != nil {
		close(q.arrived)
		q.arrived = nil
	}
	return old, "", ""
}

// Pop takes the oldest command; false when none waits.
func (q *Commands[D]) Pop() (PendingCommand[D], bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.list) == 0 {
		return PendingCommand[D]{}, false
	}
	c := q.list[0]
	q.list = q.list[1:]
	return c, true
}

// News gives a channel that is closed at the next Push, at once when something waits.
func (q *Commands[D]) News() <-chan struct{} {
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

// SetInterrupt says what Push calls to wake who waits on the link; nil while it is down.
func (q *Commands[D]) SetInterrupt(f func()) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.interrupt = f
}

// Refuse answers all that wait.
func (q *Commands[D]) Refuse(code, detail string) {
	q.mu.Lock()
	left := q.list
	q.list = nil
	q.mu.Unlock()
	for _, c := range left {
		c.Refuse(code, detail)
	}
}

// Close refuses what waits and what comes.
func (q *Commands[D]) Close() {
	q.mu.Lock()
	q.closed = true
	q.mu.Unlock()
	q.Refuse(ErrUnavailable, "the bridge has stopped")
}

// SetTopics is the subscription to the command topics of a device's points. Retained
// commands are never asked for: a restart must not switch a relay.
func SetTopics(deviceTopic string) mqtt.Subscription {
	const noRetained = 2
	return mqtt.Subscription{Filter: deviceTopic + "/+/set", QoS: mqtt.AtLeastOnce, RetainAsPublished: true, RetainHandling: noRetained}
}

// Listen queues the commands that come from the broker, until ctx is done, which is no
// error. device finds whose topic it is. Results are published through host.
func (q *Commands[D]) Listen(ctx context.Context, source Source, host Host, log *slog.Logger, device func(topic string) (D, bool)) error {
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
			q.take(ctx, host, log, d, device)
			if d.QoS > mqtt.AtMostOnce {
				source.Ack(d.Message.ID)
			}
		}
	}
}

// take queues what came, when it is a command to one of our devices.
func (q *Commands[D]) take(ctx context.Context, host Host, log *slog.Logger, d mqtt.Delivery, device func(topic string) (D, bool)) {
	topic, point, ok := target(d.Message.Topic)
	if !ok {
		return
	}
	if whose, ours := device(topic); ours {
		q.set(ctx, host, log, d, whose, topic+"/"+point+"/result", point)
	}
}

// set queues a command that came under a /set topic.
func (q *Commands[D]) set(ctx context.Context, host Host, log *slog.Logger, delivery mqtt.Delivery, device D, resultTopic, point string) {
	m := delivery.Message
	if m.Retain || delivery.Retain {
		log.Warn("retained command ignored: publish it without retain", "topic", m.Topic)
		return
	}
	read, err := ParseCommand(m.Payload)
	result := AnswerTo(m, resultTopic)
	c := PendingCommand[D]{Device: device, Point: point, Value: read.Value, Since: time.Now(), Done: func(w WriteResult) {
		result.Payload = w.AppendJSON(nil, read.ID)
		if err := host.Publish(ctx, result, nil); err != nil && ctx.Err() == nil {
			log.Warn("result not published", "topic", result.Topic, "err", err)
		}
	}}
	if err != nil {
		c.Refuse(string(Invalid), err.Error())
		return
	}
	if read.Expires > 0 {
		accepted := m.Accepted
		if accepted.IsZero() {
			accepted = c.Since
		}
		c.Expires = accepted.Add(read.Expires)
	}
	q.Push(c)
}

// target splits a command topic into the device's topic and the point.
func target(topic string) (device, point string, ok bool) {
	base, isSet := strings.CutSuffix(topic, "/set")
	i := strings.LastIndexByte(base, '/')
	if !isSet || i < 0 {
		return "", "", false
	}
	return base[:i], base[i+1:], true
}
