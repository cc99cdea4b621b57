// Package bridgestest has what the tests of bridges have in common: a broker that
// only records, and the conformance suite that every kind must pass. It is
// imported by tests only.
package bridgestest

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"fieldgate/bridges"
	"fieldgate/broker/mqtt"
)

// Bus is a broker that records what is published and hands it to its attached
// sessions. Its zero value is ready; all methods may be called at the same time.
// The functions, where set, decide first: an error of theirs is the answer.
type Bus struct {
	OnPublish func(ctx context.Context, m *mqtt.Message) error
	OnAttach  func(ctx context.Context, a mqtt.Attachment) error
	OnForget  func(ctx context.Context, clientID string) error

	mu        sync.Mutex // protects what follows
	log       []*mqtt.Message
	retained  map[string]*mqtt.Message
	sources   []*Source
	forgotten []string
	news      chan struct{} // closed at the next change
}

var _ bridges.Bus = (*Bus)(nil)

// Publish records the message.
func (b *Bus) Publish(ctx context.Context, m *mqtt.Message, safe func(error)) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if b.OnPublish != nil {
		if err := b.OnPublish(ctx, m); err != nil {
			return err
		}
	}
	if err := mqtt.CheckName(m.Topic); err != nil {
		return err
	}
	b.mu.Lock()
	b.log = append(b.log, m)
	if m.Retain {
		if b.retained == nil {
			b.retained = map[string]*mqtt.Message{}
		}
		if len(m.Payload) == 0 {
			delete(b.retained, m.Topic)
		} else {
			b.retained[m.Topic] = m
		}
	}
	for _, s := range b.sources {
		s.offer(m, mqtt.MsgID(len(b.log)))
	}
	b.changed()
	b.mu.Unlock()
	if safe != nil {
		safe(nil)
	}
	return nil
}

// Attach opens a session that gets what is published from now on and matches.
func (b *Bus) Attach(ctx context.Context, a mqtt.Attachment) (bridges.Source, error) {
	if b.OnAttach != nil {
		if err := b.OnAttach(ctx, a); err != nil {
			return nil, err
		}
	}
	s := &Source{Attachment: a, bus: b}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.sources = append(b.sources, s)
	b.changed()
	return s, nil
}

// Forget records the client identifier.
func (b *Bus) Forget(ctx context.Context, clientID string) error {
	if b.OnForget != nil {
		if err := b.OnForget(ctx, clientID); err != nil {
			return err
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.forgotten = append(b.forgotten, clientID)
	b.changed()
	return nil
}

func (b *Bus) changed() {
	if b.news != nil {
		close(b.news)
		b.news = nil
	}
}

// Messages gives everything that was published to the topic filter, in order.
func (b *Bus) Messages(filter string) []*mqtt.Message {
	b.mu.Lock()
	defer b.mu.Unlock()
	var list []*mqtt.Message
	for _, m := range b.log {
		if mqtt.Match(filter, m.Topic) || filter == m.Topic {
			list = append(list, m)
		}
	}
	return list
}

// Payloads is Messages without all but the payloads.
func (b *Bus) Payloads(filter string) []string {
	var list []string
	for _, m := range b.Messages(filter) {
		list = append(list, string(m.Payload))
	}
	return list
}

// Retained gives the retained payload of the topic, empty when there is none.
func (b *Bus) Retained(topic string) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	if m := b.retained[topic]; m != nil {
		return string(m.Payload)
	}
	return ""
}

// Forgotten gives the client identifiers given to Forget.
func (b *Bus) Forgotten() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.forgotten)
}

// Attached gives the sessions that are open.
func (b *Bus) Attached() []*Source {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.sources)
}

// Await waits, at most 10 s, until done is true, asking again after each change; then the test fails.
func (b *Bus) Await(t testing.TB, what string, done func() bool) {
	t.Helper()
	limit := time.NewTimer(10 * time.Second)
	defer limit.Stop()
	for {
		b.mu.Lock()
		if b.news == nil {
			b.news = make(chan struct{})
		}
		news := b.news
		b.mu.Unlock()
		if done() {
			return
		}
		select {
		case <-news:
		case <-limit.C:
			t.Fatalf("waited 10 s for %s", what)
		}
	}
}

// AwaitRetained waits until the topic's retained payload holds every one of the texts.
func (b *Bus) AwaitRetained(t testing.TB, topic string, texts ...string) {
	t.Helper()
	b.Await(t, topic+" with "+strings.Join(texts, ", "), func() bool {
		payload := b.Retained(topic)
		return payload != "" && !slices.ContainsFunc(texts, func(s string) bool { return !strings.Contains(payload, s) })
	})
}

// Source is a session of a Bus.
type Source struct {
	Attachment mqtt.Attachment

	bus    *Bus
	queue  []mqtt.Delivery // protected by bus.mu, as what follows
	acked  []mqtt.MsgID
	closed bool
}

var _ bridges.Source = (*Source)(nil)

var errClosed = errors.New("the session is closed")

// offer queues a message that matches; bus.mu is held.
func (s *Source) offer(m *mqtt.Message, id mqtt.MsgID) {
	for _, sub := range s.Attachment.Subscriptions {
		if !mqtt.Match(sub.Filter, m.Topic) || sub.NoLocal && m.Origin == s.Attachment.ClientID {
			continue
		}
		given := *m
		given.ID = id
		s.queue = append(s.queue, mqtt.Delivery{Message: &given, PacketID: id.PacketID(), QoS: min(m.QoS, sub.QoS), Retain: m.Retain && sub.RetainAsPublished})
		return
	}
}

// Next waits for deliveries.
func (s *Source) Next(ctx context.Context, limit int) ([]mqtt.Delivery, error) {
	for {
		s.bus.mu.Lock()
		if n := min(limit, len(s.queue)); n > 0 {
			list := slices.Clone(s.queue[:n])
			s.queue = s.queue[n:]
			s.bus.mu.Unlock()
			return list, nil
		}
		closed := s.closed
		if s.bus.news == nil {
			s.bus.news = make(chan struct{})
		}
		news := s.bus.news
		s.bus.mu.Unlock()
		if closed {
			return nil, errClosed
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-news:
		}
	}
}

// Ack records the IDs.
func (s *Source) Ack(ids ...mqtt.MsgID) {
	s.bus.mu.Lock()
	defer s.bus.mu.Unlock()
	s.acked = append(s.acked, ids...)
	s.bus.changed()
}

// Acked gives what was acknowledged.
func (s *Source) Acked() []mqtt.MsgID {
	s.bus.mu.Lock()
	defer s.bus.mu.Unlock()
	return slices.Clone(s.acked)
}

// Usage counts what waits.
func (s *Source) Usage() mqtt.Usage {
	s.bus.mu.Lock()
	defer s.bus.mu.Unlock()
	return mqtt.Usage{Messages: int64(len(s.queue))}
}

// Close ends the session.
func (s *Source) Close() error {
	s.bus.mu.Lock()
	defer s.bus.mu.Unlock()
	s.closed = true
	s.bus.sources = slices.DeleteFunc(s.bus.sources, func(x *Source) bool { return x == s })
	s.bus.changed()
	return nil
}
