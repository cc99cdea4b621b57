package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"fieldgate/gateway/config"
)

// The exit statuses.
const (
	statusDone   = 0
	statusFailed = 1
	statusUsage  = 2
)

// hostFile is read when it exists and nothing else is named.
const hostFile = "/etc/fieldgate/fieldgate.yaml"

// stdio is where a command reads and writes.
type stdio struct {
	in       io.Reader
	out, err io.Writer
}

// usageError is a command line that makes no sense.
type usageError struct{ err error }

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

// execute runs a command line and gives the exit status. Errors go to std.err.
func execute(ctx context.Context, std stdio, args []string) int {
	root := newRoot(std)
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return statusDone
	}
	if _, lines := errors.AsType[*config.FileError](err); lines {
		fmt.Fprintln(std.err, err) // each begins with its file and line, as editors know it
	} else {
		fmt.Fprintln(std.err, "fieldgate:", err)
	}
	if _, wrongUse := errors.AsType[*usageError](err); wrongUse {
		fmt.Fprintln(std.err, "fieldgate --help tells how it is used")
		return statusUsage
	}
	return statusFailed
}

func newRoot(std stdio) *cobra.Command {
	root := &cobra.Command{
		Use:           "fieldgate",
		Short:         "A gateway from field devices to MQTT",
		Long:          "fieldgate reads Modbus and serial devices, keeps their values in a durable MQTT broker, and passes them on to cloud brokers.",
		SilenceUsage:  true,
		SilenceErrors: true,
		Version:       version,
		Args:          wrongUse(cobra.NoArgs),
		RunE:          func(cmd *cobra.Command, _ []string) error { return &usageError{errors.New("a command is missing")} },
	}
	root.SetIn(std.in)
	root.SetOut(std.out)
	root.SetErr(std.err)
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return &usageError{err} })
	host := root.PersistentFlags().StringP("config", "c", "", "the host file (default "+hostFile+" when it exists)")
	root.AddCommand(
		newServe(std, host), newCheck(std, host), newDemo(std), newConfig(std, host), newAccount(std, host),
		newUser(std, host), newSetupCode(std, host), newBackup(std, host), newRestore(std, host), newSim(std), newModbus(std, host), newVersion(std),
	)
	addDocs(root)
	return root
}

// wrongUse makes what is wrong with the arguments a usage error.
func wrongUse(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if err := check(cmd, args); err != nil {
			return &usageError{err}
		}
		return nil
	}
}

// group is a command that only has others below it.
func group(use, short string, below ...*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{Use: use, Short: short, Args: wrongUse(cobra.NoArgs), RunE: func(cmd *cobra.Command, _ []string) error {
		return &usageError{fmt.Errorf("%s: a command is missing", cmd.CommandPath())}
	}}
	cmd.AddCommand(below...)
	return cmd
}

// named gives the host file to read: the one that was named, or the machine's when there is one.
func named(host string) string {
	if host != "" {
		return host
	}
	if _, err := os.Stat(hostFile); errors.Is(err, os.ErrNotExist) {
		return ""
	}
	return hostFile // who reads it says what is wrong
}

func newVersion(std stdio) *cobra.Command {
	return &cobra.Command{Use: "version", Short: "Print the version", Args: wrongUse(cobra.NoArgs), Run: func(*cobra.Command, []string) {
		fmt.Fprintln(std.out, "fieldgate", version)
	}}
}
