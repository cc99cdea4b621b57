package uplink

import "sync/atomic"

// counters count since the gateway's start.
type counters struct {
	sent         atomic.Int64 // PUBLISH written to the cloud, repetitions included
	acknowledged atomic.Int64 // by the cloud
	received     atomic.Int64 // PUBLISH from the cloud
	refused      atomic.Int64 // messages that the cloud will never take: refused by reason code or too large
	unmapped     atomic.Int64 // messages that no entry of out or in gives a name on the other side
	postponed    atomic.Int64 // refusals by a reason that may pass
	aside        atomic.Int64 // messages that are set aside now
	disconnects  atomic.Int64 // ended connections and tries to connect
}

func (c *counters) snapshot() map[string]int64 {
	return map[string]int64{
		"sent":         c.sent.Load(),
		"acknowledged": c.acknowledged.Load(),
		"received":     c.received.Load(),
		"refused":      c.refused.Load(),
		"unmapped":     c.unmapped.Load(),
		"postponed":    c.postponed.Load(),
		"set_aside":    c.aside.Load(),
		"disconnects":  c.disconnects.Load(),
	}
}
