package demo

import (
	"context"
	_ "embed" // for the settings
	"errors"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"fieldgate/bridges/sim"
)

// The unit identifiers on the simulated bus, and how often the scale speaks.
const (
	meterUnit  = 1
	relaysUnit = 2
	scaleEvery = 500 * time.Millisecond
)

//go:embed demo.yaml
var settingsYAML string

// devices is what hangs on the simulated wires: a bus with an energy meter and a
// relay board, and a scale that sends text.
type devices struct {
	bus, scale sim.PTY
}

// plugIn makes the wires.
func plugIn(dir string) (*devices, error) {
	bus, err := sim.NewPTY(filepath.Join(dir, "ttyCabinet"))
	if err != nil {
		return nil, err
	}
	scale, err := sim.NewPTY(filepath.Join(dir, "ttyScale"))
	if err != nil {
		return nil, errors.Join(err, bus.Close())
	}
	return &devices{bus: bus, scale: scale}, nil
}

// run lets the devices answer and speak until ctx is done.
func (d *devices) run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		return sim.ServeRTU(ctx, d.bus, map[byte]sim.Device{meterUnit: sim.NewMeter(time.Now), relaysUnit: sim.NewRelays(time.Now)})
	})
	group.Go(func() error { return sim.ServeScale(ctx, d.scale, time.Now, scaleEvery) })
	return group.Wait()
}

func (d *devices) unplug() error { return errors.Join(d.bus.Close(), d.scale.Close()) }

// settings is the managed settings for these devices and the cloud at the address.
func (d *devices) settings(cloud string) []byte {
	return []byte(strings.NewReplacer("CABINET", d.bus.Path(), "SCALE", d.scale.Path(), "CLOUD", cloud).Replace(settingsYAML))
}
