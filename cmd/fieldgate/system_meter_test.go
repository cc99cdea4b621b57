package main_test

import (
	"context"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"fieldgate/bridges/sim"
	"fieldgate/bridges/template"
	"fieldgate/gateway"
)

// cabinet serves devices on one pseudo-terminal until the test's end and gives its path.
func cabinet(t *testing.T, units map[byte]sim.Device) string {
	t.Helper()
	link := filepath.Join(t.TempDir(), "cabinet")
	pty, err := sim.NewPTY(link)
	require.NoError(t, err)
	ctx, stop := context.WithCancel(context.Background())
	var serving sync.WaitGroup
	serving.Go(func() { _ = sim.ServeRTU(ctx, pty, units) })
	t.Cleanup(func() {
		stop()
		serving.Wait()
	})
	return link
}

// modelled simulates the device of a template that comes with the program.
func modelled(t *testing.T, id string) *sim.Sample {
	t.Helper()
	set := template.New(gateway.ReadTemplate, "")
	require.Empty(t, set.Load())
	known, ok := set.Get(id)
	require.True(t, ok, id)
	device, err := sim.NewSample(known)
	require.NoError(t, err)
	return device
}

// TestSystem_PersonWiresACabinet adds in Chromium, on one line, a meter by its model, a relay board by a
// search and another meter by hand with the byte order tried out; sees the frames; and switches a relay.
func TestSystem_PersonWiresACabinet(t *testing.T) {
	relays := modelled(t, "waveshare-relay-8ch")
	port := cabinet(t, map[byte]sim.Device{
		1: modelled(t, "eastron-sdm120"),
		3: relays,
		7: sim.NewMeter(time.Now),
	})
	b := newBox(t)
	b.start()
	awaitPort(t, b.admin)
	chromium(t, "cabinet", "FG_CABINET=1", "FG_URL=http://"+b.admin, "FG_SERIAL="+port)

	coils, refused := relays.ReadBits(sim.Coils, 1, 1)
	require.Equal(t, sim.OK, refused)
	require.Equal(t, []bool{true}, coils, "the page has switched relay 2 on")
}
