package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"

	"github.com/spf13/cobra"

	"fieldgate/gateway/config"
)

// maxSettings bounds a file of managed settings, in bytes.
const maxSettings = 4 << 20

func newConfig(std stdio, host *string) *cobra.Command {
	var dryRun bool
	apply := &cobra.Command{
		Use:   "apply FILE",
		Short: "Make the managed settings equal to a YAML file (- for standard input)",
		Long: "Makes bridges, uplinks, accounts and access rules equal to a YAML or JSON file; a section that it does not mention stays. " +
			"Only what changed is restarted. Everything that is wrong is told with file, line and key, and nothing is changed then.",
		Args: wrongUse(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			return applyFile(cmd.Context(), std, *host, args[0], dryRun)
		},
	}
	apply.Flags().BoolVar(&dryRun, "dry-run", false, "only show what would change")
	return group("config", "Export and apply the managed settings",
		&cobra.Command{
			Use: "export", Short: "Print the managed settings as YAML, without secrets", Args: wrongUse(cobra.NoArgs),
			RunE: func(cmd *cobra.Command, _ []string) error { return export(cmd.Context(), std, *host) },
		},
		apply,
		&cobra.Command{
			Use: "diff FILE", Short: "Show what applying a file would change", Args: wrongUse(cobra.ExactArgs(1)),
			RunE: func(cmd *cobra.Command, args []string) error {
				return applyFile(cmd.Context(), std, *host, args[0], true)
			},
		},
	)
}

func export(ctx context.Context, std stdio, host string) error {
	var doc json.RawMessage
	err := withClient(ctx, std, host, func(c *client) error { return c.call(ctx, http.MethodGet, "/config", nil, &doc) })
	if err != nil {
		return err
	}
	_, err = std.out.Write(config.ToYAML(doc))
	return err
}

// applyFile sends a file and shows what changed.
func applyFile(ctx context.Context, std stdio, host, name string, dryRun bool) error {
	src, err := readSettings(std, name)
	if err != nil {
		return err
	}
	doc, at, err := config.FromYAML(name, src)
	if err != nil {
		return err
	}
	path := "/config/apply"
	if dryRun {
		path += "?dry_run=true"
	}
	var answer struct {
		Revision int64
		Diff     string
	}
	err = withClient(ctx, std, host, func(c *client) error {
		return at.InFile(name, c.call(ctx, http.MethodPost, path, doc, &answer))
	})
	if err != nil {
		return err
	}
	switch {
	case answer.Diff == "":
		fmt.Fprintln(std.out, "nothing changes")
	case dryRun:
		fmt.Fprint(std.out, answer.Diff)
	default:
		fmt.Fprintf(std.out, "%srevision %d\n", answer.Diff, answer.Revision)
	}
	return nil
}

func readSettings(std stdio, name string) ([]byte, error) {
	in := std.in
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		in = f
	}
	src, err := io.ReadAll(io.LimitReader(in, maxSettings+1))
	if err == nil && len(src) > maxSettings {
		err = fmt.Errorf("%s has more than %d bytes", name, maxSettings)
	}
	return src, err
}
