// Package logring keeps the last log records in memory, for people who have no
// shell on the machine. It must not know who logs or who reads.
package logring

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"
)

// maxText bounds the message and each attribute of a record, in bytes.
const maxText = 2 << 10

// Record is one log record. Seq rises by one from record to record, from 1.
type Record struct {
	Seq     uint64
	Time    time.Time
	Level   slog.Level
	Message string
	Attrs   []Attr
}

// Attr is a name and a value in words.
type Attr struct{ Name, Value string }

// Ring holds the last records. All methods may be called at the same time.
type Ring struct {
	mu      sync.Mutex
	records []Record // in a circle; next is where the oldest stands
	next    int
	seq     uint64
}

// New makes a ring of so many records, at least 1.
func New(size int) *Ring { return &Ring{records: make([]Record, max(size, 1))} }

// Handler gives a handler that keeps what next would log, and lets it log it.
func (r *Ring) Handler(next slog.Handler) slog.Handler { return &handler{ring: r, next: next} }

// Since gives the records behind seq that the ring still has and choose wants, oldest
// first: the last ones when they are more than limit.
func (r *Ring) Since(seq uint64, limit int, choose func(*Record) bool) []Record {
	r.mu.Lock()
	defer r.mu.Unlock()
	var found []Record
	for i := range r.records { // newest first
		one := &r.records[(r.next-1-i+2*len(r.records))%len(r.records)]
		if one.Seq <= seq || len(found) == limit { // an empty place has 0
			break
		}
		if choose(one) {
			found = append(found, *one)
		}
	}
	slices.Reverse(found)
	return found
}

func (r *Ring) add(one Record) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.seq++
	one.Seq = r.seq
	r.records[r.next] = one
	r.next = (r.next + 1) % len(r.records)
}

// handler is a slog.Handler.
type handler struct {
	ring  *Ring
	next  slog.Handler
	attrs []Attr
	group string // with its dot
}

// Enabled implements slog.Handler.
func (h *handler) Enabled(ctx context.Context, level slog.Level) bool {
	return h.next.Enabled(ctx, level)
}

// Handle implements slog.Handler.
func (h *handler) Handle(ctx context.Context, record slog.Record) error {
	attrs := slices.Clip(h.attrs)
	record.Attrs(func(a slog.Attr) bool {
		attrs = h.with(attrs, h.group, a)
		return true
	})
	h.ring.add(Record{Time: record.Time, Level: record.Level, Message: short(record.Message), Attrs: attrs})
	return h.next.Handle(ctx, record)
}

// WithAttrs implements slog.Handler.
func (h *handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	more := *h
	more.next = h.next.WithAttrs(attrs)
	more.attrs = slices.Clip(h.attrs)
	for _, a := range attrs {
		more.attrs = h.with(more.attrs, h.group, a)
	}
	return &more
}

// WithGroup implements slog.Handler.
func (h *handler) WithGroup(name string) slog.Handler {
	more := *h
	more.next = h.next.WithGroup(name)
	if name != "" {
		more.group += name + "."
	}
	return &more
}

// with appends an attribute, those of a group one by one.
func (h *handler) with(attrs []Attr, group string, a slog.Attr) []Attr {
	v := a.Value.Resolve()
	if v.Kind() == slog.KindGroup {
		if a.Key != "" {
			group += a.Key + "."
		}
		for _, inner := range v.Group() {
			attrs = h.with(attrs, group, inner)
		}
		return attrs
	}
	if a.Key == "" {
		return attrs
	}
	return append(attrs, Attr{Name: group + a.Key, Value: short(v.String())})
}

func short(s string) string {
	if len(s) <= maxText {
		return s
	}
	return s[:maxText] + "…"
}
