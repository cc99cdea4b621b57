package main

import (
	"log/slog"

	"github.com/spf13/cobra"

	"fieldgate/gateway/demo"
)

func newDemo(std stdio) *cobra.Command {
	cfg := demo.Config{Version: version, Out: std.out}
	verbose := false
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Show the gateway with simulated devices and a simulated cloud",
		Long: "Shows the gateway with an energy meter, a relay board and a scale that are simulated, and a second broker as the cloud. " +
			"Everything lives in a temporary folder that is removed at the end.",
		Args: wrongUse(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			level := slog.LevelError
			if verbose {
				level = slog.LevelInfo
			}
			cfg.Log = slog.New(slog.NewTextHandler(std.err, &slog.HandlerOptions{Level: level}))
			return demo.Run(cmd.Context(), cfg)
		},
	}
	cmd.Flags().StringVar(&cfg.Admin, "admin", "127.0.0.1:8080", "where the page is served; port 0 takes a free one")
	cmd.Flags().StringVar(&cfg.MQTT, "mqtt", "127.0.0.1:1883", "where the local broker listens; port 0 takes a free one")
	cmd.Flags().BoolVarP(&verbose, "verbose", "v", false, "show the gateway's log")
	return cmd
}
