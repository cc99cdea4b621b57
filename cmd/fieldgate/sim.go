package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"fieldgate/bridges/all"
	"fieldgate/bridges/sim"
	"fieldgate/bridges/template"
	"fieldgate/gateway"
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
	cmd.Use = "sim [TEMPLATE]"
	cmd.Long = "Runs one simulated device on a pseudo-terminal, or over Modbus/TCP, and prints where it is found. " +
		"With the id of a template (eastron-sdm630), or the file of one (./my-meter.yaml), it is a device of that model that holds the template's samples."
	cmd.Args = wrongUse(cobra.MaximumNArgs(1))
	missing := cmd.RunE
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return missing(cmd, args)
		}
		return s.template(cmd.Context(), std, args[0])
	}
	cmd.Flags().Uint8Var(&s.unit, "unit", 1, "the unit identifier")
	cmd.Flags().StringVar(&s.tcp, "tcp", "", "serve Modbus/TCP on host:port instead; port 0 takes a free one")
	cmd.Flags().DurationVar(&s.interval, "interval", time.Second, "how often a device of the kind line speaks")
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
	return s.serve(ctx, std, device)
}

// template simulates a device of a template that comes with the program, or of a file.
func (s simulation) template(ctx context.Context, std stdio, name string) error {
	t, err := templateOf(name)
	if err != nil {
		return err
	}
	if t.Kind == "line" {
		return s.lines(ctx, std, t)
	}
	device, err := sim.NewSample(t)
	if err != nil {
		return fmt.Errorf("simulate %s: %w", t.ID, err)
	}
	return s.serve(ctx, std, device)
}

// templateOf reads a file, which its kind judges, where the name is that of one.
func templateOf(name string) (*template.Template, error) {
	set := template.New(gateway.ReadTemplate, "")
	if strings.HasSuffix(name, ".yaml") {
		all.Kinds(set)
		return set.ReadFile(name)
	}
	t, known := set.Get(name)
	if !known {
		return nil, &usageError{fmt.Errorf("there is no template %s; there are %s", name, strings.Join(ids(set), ", "))}
	}
	return t, nil
}

func ids(set *template.Set) []string {
	var list []string
	for _, t := range set.List() {
		list = append(list, t.ID)
	}
	return list
}

func (s simulation) lines(ctx context.Context, std stdio, t *template.Template) error {
	if s.interval <= 0 {
		return &usageError{errors.New("--interval must be more than 0s")}
	}
	wire, err := s.wire(std)
	if err != nil {
		return err
	}
	lines, asked := sim.Lines(t)
	if asked {
		return sim.ServeAnswers(ctx, wire, '\n', lines)
	}
	return sim.ServeLines(ctx, wire, lines, s.interval)
}

func (s simulation) serve(ctx context.Context, std stdio, device sim.Device) error {
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
