// Package line is the kind of bridge for devices that send lines of text by
// themselves: scales, weather stations, barcode readers. A regular expression per
// device finds the values. It must not know what is done with them.
package line

import (
	"context"
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

// flood is how many bytes are read in one pollEvery; a far side that sends more has
// to wait, and costs no more of the processor. The fastest serial port sends 80,000.
const flood = 200_000

// listener is what reads one open link.
type listener struct {
	wire     wire
	framer   *Framer
	counters *counters
	line     func(text string, at time.Time) // gets every whole line and the time at which it was complete
	idle     func(now time.Time)             // runs at least every pollEvery

	opened, last time.Time // last: when bytes came last
	window       time.Time // since when taken is counted
	taken        int       // bytes
}

// listen works until ctx is done or the link fails.
func (l *listener) listen(ctx context.Context) error {
	buf := make([]byte, 4096)
	l.opened = time.Now()
	for ctx.Err() == nil {
		n, err := l.wire.Read(buf)
		now := time.Now()
		if n > 0 {
			l.take(buf[:n], now)
		}
		if err != nil {
			return err
		}
		l.idle(now)
		l.slowDown(ctx, n, now)
	}
	return nil
}

// take cuts bytes into lines, and sees to it that no torn line is among them.
func (l *listener) take(data []byte, now time.Time) {
	switch {
	case l.last.IsZero() && now.Sub(l.opened) < quietStart:
		l.framer.Skip()
	case now.Sub(l.last) > lineGap && l.framer.Reset():
		l.counters.torn++
	}
	l.last = now
	l.counters.bytes += int64(len(data))
	l.framer.Push(data, func(bytes []byte) {
		l.counters.lines++
		l.line(strings.Trim(decodeText(bytes), "\r\n"), now)
	})
	l.counters.overlong += l.framer.Overlong
	l.framer.Overlong = 0
}

// slowDown waits out a flood.
func (l *listener) slowDown(ctx context.Context, n int, now time.Time) {
	passed := now.Sub(l.window)
	if passed >= pollEvery {
		l.window, l.taken = now, n
		return
	}
	if l.taken += n; l.taken > flood {
		sleep(ctx, pollEvery-passed)
	}
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
	l := listener{
		wire: w, framer: r.bridge.settings.Framing.framer(), counters: &r.counters,
		line: func(text string, at time.Time) { r.line(ctx, text, at) },
		idle: func(now time.Time) { r.idle(ctx, now) },
	}
	return l.listen(ctx)
}
