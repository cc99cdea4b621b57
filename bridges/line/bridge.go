// Package line is the kind of bridge for devices that send lines of text by
// themselves: scales, weather stations, barcode readers. A regular expression per
// device finds the values. It must not know what is done with them.
package line

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"fieldgate/bridges"
	"fieldgate/bridges/internal/port"
)

// Kind is the line bridge; its serial ports come from ports. Its settings are documented in README.md.
func Kind(ports *port.Ports) bridges.Kind {
	return bridges.Kind{
		Name:  "line",
		Title: "Text lines over a serial port or TCP",
		New: func(c bridges.Config, log *slog.Logger) (bridges.Bridge, error) {
			s, err := decode(c)
			if err != nil {
				return nil, err
			}
			return &bridge{settings: s, ports: ports, log: log}, nil
		},
		Devices: devices,
	}
}

type bridge struct {
	settings *Settings
	ports    *port.Ports
	log      *slog.Logger
}

var (
	_ bridges.Bridge = (*bridge)(nil)
	_ bridges.Tester = (*bridge)(nil)
)

// Run reads lines until ctx is done and opens the link again whenever it is lost.
func (b *bridge) Run(ctx context.Context, host bridges.Host) error {
	r := newRun(b, host)
	r.begin(ctx)
	for ctx.Err() == nil {
		err := r.connection(ctx)
		if ctx.Err() != nil {
			break
		}
		r.lost(ctx, err)
		if !sleep(ctx, b.settings.Link.retry()) {
			break
		}
	}
	return nil
}

// The rules that keep a torn line from being taken for a value.
const (
	// A line's bytes follow each other; what comes after a pause belongs to the next line.
	lineGap = time.Second
	// After the link is opened the first bytes are the beginning of a line only
	// when nothing came for this long; else they are the end of one.
	quietStart = 100 * time.Millisecond
)

// listen reads w and gives every whole line with the time at which it was complete, until ctx is done or the
// link fails. idle runs at least every pollEvery.
func listen(ctx context.Context, w wire, framing Framing, c *counters, line func(text string, at time.Time), idle func(now time.Time)) (*Framer, error) {
	framer := NewFramer(framing.Delimiter, framing.MaxLength)
	buf := make([]byte, 4096)
	opened, last := time.Now(), time.Time{}
	for ctx.Err() == nil {
		n, err := w.Read(buf)
		now := time.Now()
		if n > 0 {
			switch {
			case last.IsZero() && now.Sub(opened) < quietStart:
				framer.Skip()
			case now.Sub(last) > lineGap && framer.Reset():
				c.torn++
			}
			last = now
			c.bytes += int64(n)
			framer.Push(buf[:n], func(bytes []byte) {
				c.lines++
				line(strings.Trim(decodeText(bytes), "\r\n"), now)
			})
			c.overlong += framer.Overlong
			framer.Overlong = 0
		}
		if err != nil {
			return framer, err
		}
		idle(now)
	}
	return framer, nil
}

// counters count since the bridge started.
type counters struct {
	opened, bytes, lines, matched, unmatched, overlong, torn, parseErrors, skipped int64
}

func (c counters) snapshot() map[string]int64 {
	return map[string]int64{
		"opened": c.opened, "bytes": c.bytes, "lines": c.lines, "matched": c.matched, "unmatched": c.unmatched,
		"overlong": c.overlong, "torn": c.torn, "parse_errors": c.parseErrors, "skipped": c.skipped,
	}
}

// sleep waits; false when ctx ended first.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// connection opens the link and works until it is lost or ctx is done.
func (r *run) connection(ctx context.Context) error {
	w, err := r.bridge.open(ctx)
	if err != nil {
		return err
	}
	defer w.Close()
	r.counters.opened++
	r.up(time.Now())
	r.bridge.log.Debug("link open", "link", r.bridge.settings.Link)
	_, err = listen(ctx, w, r.bridge.settings.Framing, &r.counters,
		func(text string, at time.Time) { r.line(ctx, text, at) },
		func(now time.Time) { r.idle(ctx, now) })
	if err != nil {
		return fmt.Errorf("%w (opened again as soon as it is back)", err)
	}
	return nil
}
