package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"runtime/debug"

	"github.com/spf13/cobra"

	"fieldgate/gateway"
	"fieldgate/gateway/config"
	"fieldgate/internal/fault"
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
	for {
		g, err := gateway.New(file, version, log)
		if broken, is := errors.AsType[*gateway.DataDirError](err); is && fault.CodeOf(err) != fault.Conflict {
			g, err = gateway.NewStandIn(file, version, log, broken.Err)
		}
		if err != nil {
			return err
		}
		log.Info("fieldgate starts", "version", version, "data_dir", file.DataDir)
		err = errors.Join(g.Run(ctx), g.Close())
		log.Info("fieldgate stopped")
		// systemd has been told that it stops: it starts the service again by itself
		if err != nil || ctx.Err() != nil || !g.StartAnew() || os.Getenv("NOTIFY_SOCKET") != "" {
			return err
		}
		file = reloaded(host, file, log)
	}
}

// reloaded reads the host file again. One that is wrong now leaves what was read before: the page must come up.
func reloaded(host string, last config.File, log *slog.Logger) config.File {
	file, err := config.Load(named(host))
	if err != nil {
		log.Error("host file can't be used; the gateway goes on with the one that it has", "err", err)
		return last
	}
	return file
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
