package broker

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"fieldgate/broker/mqtt"
	"fieldgate/internal/fault"
)

// Disconnect ends the connection of a network client, as the person who is named
// wants it: a client of 5.0 is told 0x98, its will is published, its session stays
// as long as it lives on. It fails with fault.NotFound when there is none.
func (b *Broker) Disconnect(clientID, by string) error {
	b.mu.Lock()
	var holder *conn
	if cl := b.clients[clientID]; cl != nil {
		holder = cl.owner
	}
	b.mu.Unlock()
	if holder == nil {
		return fault.New(fault.NotFound, "no client with this identifier is connected")
	}
	holder.end(ending{text: "disconnected by " + by, reason: mqtt.AdministrativeAction})
	return nil
}

// EndSession ends the session of a network client with its connection,
// subscriptions and queue; it returns when that is committed. It fails with
// fault.NotFound when there is none, with fault.Conflict for an in-process one,
// which belongs to a bridge or an uplink, with ctx, or with the spool's error.
func (b *Broker) EndSession(ctx context.Context, clientID, by string) error {
	if strings.HasPrefix(clientID, "$") {
		return fault.New(fault.Conflict, "this session belongs to a part of the gateway; remove the bridge or uplink instead")
	}
	for kicked := false; ; kicked = true {
		b.mu.Lock()
		cl := b.clients[clientID]
		switch {
		case cl == nil && kicked: // it ended with its connection
			b.mu.Unlock()
			return nil
		case cl == nil:
			b.mu.Unlock()
			return fault.New(fault.NotFound, "there is no session with this client identifier")
		case cl.owner == nil:
			delete(b.clients, clientID)
			b.mu.Unlock()
			return b.endByHand(ctx, cl, by)
		}
		holder := cl.owner
		b.mu.Unlock()
		holder.end(ending{text: "the session was ended by " + by, reason: mqtt.AdministrativeAction})
		select {
		case <-holder.done:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (b *Broker) endByHand(ctx context.Context, cl *client, by string) error {
	wait := b.endSession(cl, ctx.Done())
	b.endWill(cl.id, true)
	b.log.Info("session ended", "client_id", cl.id, "by", by)
	if err := wait(); err != nil {
		return orContext(ctx, fmt.Errorf("end session: %w", err))
	}
	return nil
}

// QueuedMessage is one message that a session is owed.
type QueuedMessage struct {
	*mqtt.Message
	QoS      mqtt.QoS // of the delivery
	Inflight bool     // it was sent and is not acknowledged
}

// PeekQueue gives what a durable session is owed after the message ID, in order, and
// takes nothing away: at most limit messages and, unless the first alone is longer,
// maxBytes of payload. It fails with fault.NotFound when there is no such session.
// A session that is not durable keeps nothing that could be looked at: the list is empty.
func (b *Broker) PeekQueue(clientID string, after mqtt.MsgID, limit, maxBytes int) ([]QueuedMessage, error) {
	b.mu.Lock()
	cl := b.clients[clientID]
	b.mu.Unlock()
	if cl == nil {
		return nil, fault.New(fault.NotFound, "there is no session with this client identifier")
	}
	if !cl.isDurable() {
		return nil, nil
	}
	page, err := b.spool.Page(cl.sid, after, limit, maxBytes)
	if err != nil {
		return nil, fmt.Errorf("read the queue of a session: %w", err)
	}
	list := make([]QueuedMessage, len(page))
	cl.mu.Lock()
	defer cl.mu.Unlock()
	for i, q := range page {
		f, flies := cl.window.Find(q.Message.ID.PacketID())
		list[i] = QueuedMessage{Message: q.Message, QoS: q.QoS, Inflight: flies && f.ID == q.Message.ID}
	}
	return list, nil
}

// Retained gives retained messages that match the topic filter, by topic, after the
// given one: at most limit; more tells that there are others. It fails with a fault
// for what is no topic filter.
func (b *Broker) Retained(filter, after string, limit int) (list []*mqtt.Message, more bool, err error) {
	if err := mqtt.CheckFilter(filter); err != nil {
		return nil, false, fault.New(fault.Invalid, "the topic filter %v", err)
	}
	now := time.Now()
	for m := range b.retained.Match(filter) {
		if (after == "" || m.Topic > after) && !hasExpired(m, now) {
			list = append(list, m)
		}
	}
	slices.SortFunc(list, func(a, b *mqtt.Message) int { return strings.Compare(a.Topic, b.Topic) })
	if len(list) > limit {
		list, more = list[:limit], true
	}
	return list, more, nil
}

// Level is one word of topic names below a prefix.
type Level struct {
	Name     string
	Topic    string        // the prefix and the name
	Retained *mqtt.Message // of the topic itself, nil for none
	Below    int           // topics with a retained message under it
}

// Levels gives the words that follow the prefix in the topics of retained messages,
// by name. The prefix is empty or ends with a slash.
func (b *Broker) Levels(prefix string) ([]Level, error) {
	filters := []string{prefix + "#"}
	if prefix == "" {
		filters = append(filters, "$SYS/#")
	} else if err := mqtt.CheckName(prefix); err != nil {
		return nil, fault.New(fault.Invalid, "the prefix %v", err)
	}
	levels := map[string]*Level{}
	for _, filter := range filters {
		for m := range b.retained.Match(filter) {
			rest, under := strings.CutPrefix(m.Topic, prefix)
			if !under { // a/# finds a too
				continue
			}
			name, _, deeper := strings.Cut(rest, "/")
			l := levels[name]
			if l == nil {
				l = &Level{Name: name, Topic: prefix + name}
				levels[name] = l
			}
			if deeper {
				l.Below++
			} else {
				l.Retained = m
			}
		}
	}
	list := make([]Level, 0, len(levels))
	for _, l := range levels {
		list = append(list, *l)
	}
	slices.SortFunc(list, func(a, b Level) int { return strings.Compare(a.Name, b.Name) })
	return list, nil
}
