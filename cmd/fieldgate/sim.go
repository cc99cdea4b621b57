package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/spf13/cobra"

	"fieldgate/bridges/sim"
)

// simulation says where a simulated device is found.
type simulation struct {
	link     string
	tcp      string
	unit     uint8
	interval time.Duration
}

func newSim(std stdio) *cobra.Command {
	var s simulation
	cmd := group("sim", "Run a simulated device")
	cmd.Long = "Runs one simulated device on a pseudo-terminal, or over Modbus/TCP, and prints where it is found."
	cmd.PersistentFlags().StringVar(&s.link, "link", "", "a path under which the pseudo-terminal is found")
	for _, kind := range []struct{ name, short string }{{"meter", "A Modbus energy meter"}, {"relays", "A Modbus board with 8 relays and 8 inputs"}} {
		below := &cobra.Command{Use: kind.name, Short: kind.short, Args: wrongUse(cobra.NoArgs), RunE: func(cmd *cobra.Command, _ []string) error {
			return s.modbus(cmd.Context(), std, kind.name)
		}}
		below.Flags().Uint8Var(&s.unit, "unit", 1, "the unit identifier")
		below.Flags().StringVar(&s.tcp, "tcp", "", "serve Modbus/TCP on host:port instead; port 0 takes a free one")
		cmd.AddCommand(below)
	}
	scale := &cobra.Command{Use: "scale", Short: "A scale that sends lines of text", Args: wrongUse(cobra.NoArgs), RunE: func(cmd *cobra.Command, _ []string) error {
		return s.scale(cmd.Context(), std)
	}}
	scale.Flags().DurationVar(&s.interval, "interval", time.Second, "how often it speaks")
	cmd.AddCommand(scale)
	return cmd
}

func (s simulation) modbus(ctx context.Context, std stdio, name string) error {
	var device sim.Device = sim.NewMeter(time.Now)
	if name == "relays" {
		device = sim.NewRelays(time.Now)
	}
	units := map[byte]sim.Device{s.unit: device}
	if s.tcp != "" {
		l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", s.tcp)
		if err != nil {
			return err
		}
		fmt.Fprintln(std.out, l.Addr())
		return sim.ServeTCP(ctx, l, units)
	}
	wire, err := s.wire(std)
	if err != nil {
		return err
	}
	return sim.ServeRTU(ctx, wire, units)
}

func (s simulation) scale(ctx context.Context, std stdio) error {
	if s.interval <= 0 {
		return &usageError{errors.New("--interval must be more than 0s")}
	}
	wire, err := s.wire(std)
	if err != nil {
		return err
	}
	return sim.ServeScale(ctx, wire, time.Now, s.interval)
}

func (s simulation) wire(std stdio) (sim.PTY, error) {
	wire, err := sim.NewPTY(s.link)
	if err != nil {
		return nil, err
	}
	fmt.Fprintln(std.out, wire.Path())
	return wire, nil
}
