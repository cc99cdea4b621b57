// Package line is the kind of bridge for devices that speak in lines, telegrams or
// records of their own over a serial port or TCP: scales, GPS receivers, barcode
// readers, weather stations, multimeters. They send by themselves or are asked. It
// must not know what is done with the values.
package line

import (
	"context"
	"encoding/json"
	"log/slog"
	"slices"

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
	queue    bridges.Commands[*Device]
	tap      *bridges.Tap // nil when nobody may look
}

var (
	_ bridges.Bridge = (*bridge)(nil)
	_ bridges.Tester = (*bridge)(nil)
	_ bridges.Writer = (*bridge)(nil)
)

// Run works until ctx is done and opens the link again whenever it is lost.
func (b *bridge) Run(ctx context.Context, host bridges.Host) error {
	return newRun(b, host).work(ctx)
}

// Write writes a point and waits for the device's answer.
func (b *bridge) Write(ctx context.Context, device, point string, value json.RawMessage) (bridges.WriteResult, error) {
	i := slices.IndexFunc(b.settings.Devices, func(d Device) bool { return d.ID == device })
	if i < 0 {
		return bridges.WriteResult{}, bridges.Fault(bridges.NotFound, "there is no device %s", device)
	}
	return b.queue.Ask(ctx, &b.settings.Devices[i], point, value)
}

// counters count since the bridge started.
type counters struct {
	opened, bytes, lines, matched, unmatched, overlong, torn, parseErrors, skipped int64
	badChecksums, garbage, foreign, requests, answers, timeouts, late, echoes      int64
	unasked, writes, refused                                                       int64
}

// line counts a frame that no request waited for.
func (c *counters) line(whose verdict) {
	switch whose {
	case own:
		c.matched++
	case unasked:
		c.unasked++
	case foreign:
		c.foreign++
	default:
		c.unmatched++
	}
}

func (c counters) snapshot() map[string]int64 {
	return map[string]int64{
		"opened": c.opened, "bytes": c.bytes, "lines": c.lines, "matched": c.matched, "unmatched": c.unmatched,
		"overlong": c.overlong, "torn": c.torn, "parse_errors": c.parseErrors, "skipped": c.skipped,
		"bad_checksums": c.badChecksums, "garbage_bytes": c.garbage, "foreign": c.foreign, "requests": c.requests,
		"answers": c.answers, "timeouts": c.timeouts, "late": c.late, "echoes": c.echoes, "unasked": c.unasked,
		"writes": c.writes, "refused": c.refused,
	}
}
