package main_test

import (
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestSystem_OutageLosesNothing takes the cloud broker away for 20 s while values flow: afterwards the
// cloud has every reading that a local subscriber saw, in its order.
func TestSystem_OutageLosesNothing(t *testing.T) {
	const outage = 20 * time.Second
	w, c, b := newWire(t), newCloud(t), newBox(t)
	remote := record(t, c.address, "recorder", "site-7/#")
	b.start()
	local := record(t, b.mqtt, "local", "fieldgate/#")
	b.apply(w.settings(c.address))
	awaitReading(t, remote, "site-7/meter/voltage", good)

	c.proc.stop(syscall.SIGTERM)
	before := len(local.messages())
	time.Sleep(outage)
	require.Greater(t, len(local.messages())-before, int(outage/time.Second), "readings while the cloud was away")
	c.start()
	await(t, "the uplink carries fresh readings again", func() bool {
		return len(remote.messages()) > len(local.messages())*9/10
	})
	w.unplug()
	awaitReading(t, local, "fieldgate/relays/lamp", func(r reading) bool { return r.Quality == "bad" })

	for _, point := range []string{"meter/voltage", "meter/temperature", "relays/lamp", "relays/setpoint"} {
		want := payloads(local, "fieldgate/"+point)
		require.Greater(t, len(want), 50)
		await(t, "the cloud has all of "+point, func() bool { return len(payloads(remote, "site-7/"+point)) >= len(want) })
		require.Equal(t, want, payloads(remote, "site-7/"+point))
	}
}

// payloads gives what a recorder got of a topic as it happened, a repetition of QoS 1 taken once: the
// time in each payload makes it unique.
func payloads(p *process, topic string) []string {
	seen := map[string]bool{}
	var list []string
	for _, m := range p.messages() {
		if m.topic == topic && !m.retained && !seen[m.payload] && strings.HasPrefix(m.payload, "{") {
			seen[m.payload] = true
			list = append(list, m.payload)
		}
	}
	return list
}
