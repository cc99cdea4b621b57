package broker

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"fieldgate/broker/mqtt"
	"fieldgate/broker/packet"
	"fieldgate/internal/fault"
)

// Limits of traces.
const (
	MaxTraces       = 8       // at once
	MaxTracePayload = 4 << 10 // bytes of each payload
	traceRoom       = 512     // events that wait for their reader; more are dropped and counted
	traceFilters    = 32      // filters or reason codes of one packet that are shown
	traceText       = 1 << 10 // bytes of a topic or another text that are shown
)

// ErrTraceEnded says that a trace has seen as many packets as it was asked for, or was closed.
var ErrTraceEnded = errors.New("the trace has ended")

// Kinds of a TraceEvent.
const (
	TraceIn     = "in"     // a packet from the client
	TraceOut    = "out"    // a packet to the client, when it is handed to the socket
	TraceClosed = "closed" // the connection ended
)

// TraceEvent is one control packet of the client, or the end of its connection. It
// never holds a password or authentication data. Long texts are cut.
type TraceEvent struct {
	Time      time.Time `json:"time"`
	Direction string    `json:"direction"` // TraceIn, TraceOut or TraceClosed
	Type      string    `json:"type,omitempty"`
	Bytes     int       `json:"bytes,omitempty"` // of the whole packet

	PacketID uint16 `json:"packet_id,omitempty"`
	Topic    string `json:"topic,omitempty"` // topic name of a PUBLISH; empty with only an alias
	Alias    uint16 `json:"topic_alias,omitempty"`
	QoS      *byte  `json:"qos,omitempty"`
	Retain   bool   `json:"retain,omitempty"`
	Dup      bool   `json:"dup,omitempty"`

	PayloadBytes *int   `json:"payload_bytes,omitempty"`
	Payload      []byte `json:"-"` // its beginning, when it was asked for

	Filters []TraceFilter `json:"filters,omitempty"`
	Reasons []TraceReason `json:"reasons,omitempty"`
	Connect *TraceConnect `json:"connect,omitempty"`
	Present *bool         `json:"session_present,omitempty"`

	Error string `json:"error,omitempty"` // why the packet is a bad one; how the connection ended
}

// TraceFilter is a topic filter of SUBSCRIBE or UNSUBSCRIBE.
type TraceFilter struct {
	Filter string `json:"filter"`
	QoS    *byte  `json:"qos,omitempty"`
}

// TraceReason is a reason code with its words.
type TraceReason struct {
	Code int    `json:"code"`
	Text string `json:"text"`
}

// TraceConnect is what a CONNECT asks for.
type TraceConnect struct {
	ClientID      string  `json:"client_id"`
	Protocol      string  `json:"protocol"` // "3.1", "3.1.1" or "5.0"
	CleanStart    bool    `json:"clean_start"`
	KeepAlive     int     `json:"keep_alive_seconds"`
	SessionExpiry *uint32 `json:"session_expiry_seconds,omitempty"` // 5.0
	Username      string  `json:"username,omitempty"`
	HasPassword   bool    `json:"has_password"`
	WillTopic     string  `json:"will_topic,omitempty"`
}

// Name gives the version as people write it.
func protocolName(v mqtt.Version) string {
	switch v {
	case mqtt.V31:
		return "3.1"
	case mqtt.V311:
		return "3.1.1"
	case mqtt.V5:
		return "5.0"
	}
	return ""
}

// Trace follows the control packets of one client identifier, over all connections
// that use it. Who is not traced pays for it with one look at a pointer a read and
// a write. All methods may be called at the same time.
type Trace struct {
	b       *Broker
	id      string
	payload int
	wake    chan struct{} // one place: there may be something

	mu      sync.Mutex
	events  []TraceEvent
	dropped int64
	left    int // events that it may still see
	ended   bool
}

// OpenTrace begins to follow a client identifier, connected or not, for so many
// packets. Of each payload the first payload bytes are kept (at most
// MaxTracePayload); 0 for none. It fails with fault.TooMany when MaxTraces are
// open, and with fault.Invalid for an in-process session, which has no packets.
// Whoever opens it must Close it.
func (b *Broker) OpenTrace(clientID string, packets, payload int) (*Trace, error) {
	if clientID == "" || clientID[0] == '$' {
		return nil, fault.New(fault.Invalid, "only network clients exchange packets")
	}
	t := &Trace{b: b, id: clientID, payload: min(max(payload, 0), MaxTracePayload), wake: make(chan struct{}, 1), left: packets}
	if b.tracing.Add(1) > MaxTraces { // before the look at the connections: see watch
		b.tracing.Add(-1)
		return nil, fault.New(fault.TooMany, "%d traces are open already", MaxTraces)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.traces[clientID] = append(slices.Clone(b.traces[clientID]), t)
	b.tapAll(clientID)
	return t, nil
}

// Close ends the trace. It gives nil.
func (t *Trace) Close() error {
	t.mu.Lock()
	t.ended = true
	t.mu.Unlock()
	t.notify()
	b := t.b
	b.mu.Lock()
	defer b.mu.Unlock()
	list := b.traces[t.id]
	if !slices.Contains(list, t) {
		return nil
	}
	list = slices.DeleteFunc(slices.Clone(list), func(other *Trace) bool { return other == t })
	b.traces[t.id] = list
	if len(list) == 0 {
		delete(b.traces, t.id)
	}
	b.tapAll(t.id)
	b.tracing.Add(-1)
	return nil
}

// tapAll gives the connections of a client identifier the traces that there are; b.mu is held.
func (b *Broker) tapAll(clientID string) {
	for c := range b.conns {
		if id := c.clientID.Load(); id != nil && *id == clientID {
			c.setTap(b.traces[clientID])
		}
	}
}

func (c *conn) setTap(traces []*Trace) {
	if len(traces) == 0 {
		c.out.tap.Store(nil)
		return
	}
	c.out.tap.Store(&tap{version: c.version, traces: traces})
}

// watch lets those who trace the client identifier see the connection, from its CONNECT on.
func (c *conn) watch(connect []byte) {
	if c.b.tracing.Load() == 0 { // a trace that begins now finds the connection by its client identifier
		return
	}
	c.b.mu.Lock()
	c.setTap(c.b.traces[*c.clientID.Load()])
	c.b.mu.Unlock()
	if t := c.out.tap.Load(); t != nil {
		t.received(connect)
	}
}

// tap is what traces see of one connection. It does not change.
type tap struct {
	version mqtt.Version
	traces  []*Trace
}

// received shows one packet from the client, before it is handled.
func (t *tap) received(raw []byte) { t.show(TraceIn, raw) }

// sent shows whole packets to the client.
func (t *tap) sent(raw []byte) {
	for len(raw) > 0 {
		n, err := packet.Length(raw, 0)
		if err != nil || n == 0 || n > len(raw) {
			return
		}
		t.show(TraceOut, raw[:n])
		raw = raw[n:]
	}
}

// closed shows the end of the connection.
func (t *tap) closed(d *Departure) {
	e := TraceEvent{Time: d.Time, Direction: TraceClosed, Error: d.Cause}
	if d.Detail != "" {
		e.Error += ": " + d.Detail
	}
	if d.Reason != mqtt.Success {
		e.Reasons = []TraceReason{traceReason(d.Reason)}
	}
	for _, tr := range t.traces {
		tr.add(e)
	}
}

func (t *tap) show(direction string, raw []byte) {
	e := describePacket(raw, t.version)
	e.Time, e.Direction = time.Now(), direction
	whole := e.Payload
	for _, tr := range t.traces {
		e.Payload = nil
		if tr.payload > 0 {
			e.Payload = slices.Clone(whole[:min(len(whole), tr.payload)])
		}
		tr.add(e)
	}
}

// add keeps an event for the reader.
func (t *Trace) add(e TraceEvent) {
	t.mu.Lock()
	switch {
	case t.ended || t.left <= 0:
	case len(t.events) >= traceRoom:
		t.left--
		t.dropped++
	default:
		t.left--
		t.events = append(t.events, e)
	}
	t.mu.Unlock()
	t.notify()
}

func (t *Trace) notify() {
	select {
	case t.wake <- struct{}{}:
	default:
	}
}

// Next waits for events and gives them in their order, with the number of those that
// were dropped since the last call because the reader did not keep up. It fails with
// ErrTraceEnded after the last one, and with ctx.
func (t *Trace) Next(ctx context.Context) (events []TraceEvent, dropped int64, err error) {
	for {
		t.mu.Lock()
		events, dropped = t.events, t.dropped
		t.events, t.dropped = nil, 0
		ended := t.ended || t.left <= 0
		t.mu.Unlock()
		switch {
		case len(events) > 0 || dropped > 0:
			return events, dropped, nil
		case ended:
			return nil, 0, ErrTraceEnded
		}
		select {
		case <-t.wake:
		case <-ctx.Done():
			return nil, 0, ctx.Err()
		}
	}
}
