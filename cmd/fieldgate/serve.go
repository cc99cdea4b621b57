package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"runtime/debug"
	"syscall"

	"github.com/spf13/cobra"

	"fieldgate/gateway"
	"fieldgate/gateway/config"
)

func newServe(std stdio, host *string) *cobra.Command {
	return &cobra.Command{
		Use:   "serve",
		Short: "Run the gateway",
		Long:  "Runs the gateway until SIGINT or SIGTERM; it stops within 10 s. A second signal ends it at once.",
		Args:  wrongUse(cobra.NoArgs),
		RunE:  func(cmd *cobra.Command, _ []string) error { return serve(cmd.Context(), std, *host) },
	}
}

func serve(ctx context.Context, std stdio, host string) error {
	file, err := config.Load(named(host))
	if err != nil {
		return err
	}
	log := slog.New(file.Log.Handler(std.err))
	if limit := gateway.MemoryLimit(os.DirFS("/")); limit > 0 && os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(limit)
		log.Info("memory limited", "bytes", limit)
	}
	g, err := gateway.New(file, version, log)
	if err != nil {
		return err
	}
	log.Info("fieldgate starts", "version", version, "data_dir", file.DataDir)
	err = g.RunUntilRestart(ctx)
	restart := errors.Is(err, gateway.ErrRestart)
	if restart {
		err = nil // what did not stop in time ends with the process
	}
	err = errors.Join(err, g.Close())
	log.Info("fieldgate stopped", "restart", restart)
	if restart {
		return errors.Join(err, again())
	}
	return err
}

// again begins the process anew with the binary that stands there now. systemd does
// that by itself (Restart=always), and would take a process that announced its end and goes on for a stuck one.
func again() error {
	if os.Getenv("NOTIFY_SOCKET") != "" {
		return nil
	}
	binary, err := os.Executable()
	if err != nil {
		return fmt.Errorf("restart: %w", err)
	}
	return fmt.Errorf("restart %s: %w", binary, syscall.Exec(binary, os.Args, os.Environ()))
}

func newCheck(std stdio, host *string) *cobra.Command {
	return &cobra.Command{
		Use:   "check",
		Short: "Check the host file",
		Long:  "Tells everything that is wrong with the host file, with file, line and key.",
		Args:  wrongUse(cobra.NoArgs),
		RunE: func(*cobra.Command, []string) error {
			name := named(*host)
			if _, err := config.Load(name); err != nil {
				return err
			}
			if name == "" {
				name = "no host file; the defaults"
			}
			fmt.Fprintln(std.out, name+": ok")
			return nil
		},
	}
}
