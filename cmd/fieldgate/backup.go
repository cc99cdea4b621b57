package main

import (
	"cmp"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
)

func newBackup(std stdio, host *string) *cobra.Command {
	var settingsOnly bool
	cmd := &cobra.Command{
		Use:   "backup FILE",
		Short: "Write a backup of everything to a file (- for standard output)",
		Long: "Writes settings, logins, templates, sessions, retained messages and queues to a file that only its owner may read: it holds secrets. " +
			"The service may run meanwhile; the backup holds what was safe when it began.",
		Args: wrongUse(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			return backup(cmd.Context(), std, *host, args[0], !settingsOnly)
		},
	}
	cmd.Flags().BoolVar(&settingsOnly, "settings-only", false, "without sessions, retained messages and queues")
	return cmd
}

func newRestore(std stdio, host *string) *cobra.Command {
	return &cobra.Command{
		Use:   "restore FILE",
		Short: "Take a backup back (- for standard input)",
		Long: "Puts a backup into the place of what the gateway keeps; that stays in data_dir/before-restore. A service that runs starts anew with it. " +
			"A backup without messages leaves sessions and queues as they are.",
		Args: wrongUse(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error { return restore(cmd.Context(), std, *host, args[0]) },
	}
}

// backup writes beside the file and renames at the end: half a backup has no name. The files are those of who asks:
// only the client may have to be somebody else.
func backup(ctx context.Context, std stdio, host, name string, messages bool) error {
	download := func(to io.Writer) error {
		return withClient(ctx, std, host, func(c *client) error { return c.download(ctx, to, messages) })
	}
	if name == "-" {
		return download(std.out)
	}
	draft, err := os.CreateTemp(filepath.Dir(name), "."+filepath.Base(name)+".part-*")
	if err != nil {
		return err
	}
	if err = download(draft); err == nil {
		err = draft.Sync()
	}
	if err = errors.Join(err, draft.Close()); err == nil {
		err = os.Rename(draft.Name(), name)
	}
	if err != nil {
		return errors.Join(err, os.Remove(draft.Name()))
	}
	fmt.Fprintf(std.out, "%s written; it holds secrets\n", name)
	return nil
}

// download writes a backup and sees that its end has come.
func (c *client) download(ctx context.Context, to io.Writer, messages bool) error {
	response, err := c.stream(ctx, http.MethodGet, fmt.Sprintf("/backups/now?messages=%t", messages), nil)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	zip, err := gzip.NewReader(io.TeeReader(response.Body, to))
	if err == nil {
		_, err = io.Copy(io.Discard, zip)
	}
	if err != nil {
		return fmt.Errorf("the backup is not whole: %w", err)
	}
	return nil
}

func restore(ctx context.Context, std stdio, host, name string) error {
	in := std.in
	if name != "-" {
		file, err := os.Open(name)
		if err != nil {
			return err
		}
		defer file.Close()
		in = file
	}
	return withClient(ctx, std, host, func(c *client) error { return c.restore(ctx, std, in) })
}

func (c *client) restore(ctx context.Context, std stdio, in io.Reader) error {
	response, err := c.stream(ctx, http.MethodPost, "/restore", in)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	words := "restored; the service starts anew with it"
	if _, alone := c.http.Transport.(handlerTransport); alone {
		words = "restored; the service takes it when it starts"
	}
	fmt.Fprintln(std.out, words)
	return nil
}

// stream makes a request whose body or answer may be large and take long.
func (c *client) stream(ctx context.Context, method, path string, body io.Reader) (*http.Response, error) {
	r, err := http.NewRequestWithContext(ctx, method, apiPrefix+path, cmp.Or(body, io.Reader(http.NoBody)))
	if err != nil {
		return nil, err
	}
	if body != nil {
		r.Header.Set("Content-Type", "application/gzip")
	}
	patient := http.Client{Transport: c.http.Transport}
	response, err := patient.Do(r)
	if err != nil {
		return nil, fmt.Errorf("ask the service: %w", err)
	}
	if response.StatusCode < http.StatusMultipleChoices {
		return response, nil
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, maxResponse))
	if err != nil {
		return nil, fmt.Errorf("read the service's answer: %w", err)
	}
	return nil, refusal(response.Status, text)
}
