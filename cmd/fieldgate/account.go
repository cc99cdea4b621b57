package main

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
)

func newAccount(std stdio, host *string) *cobra.Command {
	return group("account", "MQTT logins",
		&cobra.Command{
			Use: "list", Short: "List the MQTT logins", Args: wrongUse(cobra.NoArgs),
			RunE: func(cmd *cobra.Command, _ []string) error {
				return list(cmd.Context(), std, *host, "/accounts", func(a mqttLogin) string {
					if !a.PasswordSet {
						return a.Username + "\tno password: nobody gets in with it; fieldgate account passwd gives it one"
					}
					if a.Enabled != nil && !*a.Enabled {
						return a.Username + "\tlocked"
					}
					return a.Username + "\tmay log in"
				})
			},
		},
		&cobra.Command{
			Use: "add NAME", Short: "Add an MQTT login; the password comes from standard input, or is made up when that is empty", Args: wrongUse(cobra.ExactArgs(1)),
			RunE: func(cmd *cobra.Command, args []string) error {
				return setPassword(cmd.Context(), std, *host, func(password string) request {
					return request{http.MethodPost, "/accounts", map[string]string{"username": args[0], "password": password}}
				})
			},
		},
		&cobra.Command{
			Use: "passwd NAME", Short: "Give an MQTT login another password, from standard input or made up", Args: wrongUse(cobra.ExactArgs(1)),
			RunE: func(cmd *cobra.Command, args []string) error {
				return setPassword(cmd.Context(), std, *host, func(password string) request {
					return request{http.MethodPatch, "/accounts/" + url.PathEscape(args[0]), map[string]string{"password": password}}
				})
			},
		},
		&cobra.Command{
			Use: "remove NAME", Short: "Remove an MQTT login", Args: wrongUse(cobra.ExactArgs(1)),
			RunE: func(cmd *cobra.Command, args []string) error {
				return send(cmd.Context(), std, *host, request{method: http.MethodDelete, path: "/accounts/" + url.PathEscape(args[0])})
			},
		},
	)
}

func newUser(std stdio, host *string) *cobra.Command {
	return group("user", "People who may open the page",
		&cobra.Command{
			Use: "list", Short: "List the people and their roles", Args: wrongUse(cobra.NoArgs),
			RunE: func(cmd *cobra.Command, _ []string) error {
				return list(cmd.Context(), std, *host, "/users", func(u pageUser) string { return u.Name + "\t" + u.Role })
			},
		},
		&cobra.Command{
			Use: "reset NAME", Short: "Give a person another password, from standard input or made up, and end their sessions", Args: wrongUse(cobra.ExactArgs(1)),
			RunE: func(cmd *cobra.Command, args []string) error {
				return setPassword(cmd.Context(), std, *host, func(password string) request {
					return request{http.MethodPatch, "/users/" + url.PathEscape(args[0]), map[string]string{"password": password}}
				})
			},
		},
	)
}

func newSetupCode(std stdio, host *string) *cobra.Command {
	return &cobra.Command{
		Use: "setup-code", Short: "Print the code that the first person needs on the page", Args: wrongUse(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			var answer struct{ Code string }
			err := withClient(cmd.Context(), std, *host, func(c *client) error {
				return c.call(cmd.Context(), http.MethodGet, "/setup/code", nil, &answer)
			})
			if err != nil {
				return err
			}
			fmt.Fprintln(std.out, answer.Code)
			return nil
		},
	}
}

// mqttLogin is an account as the REST interface lists it.
type mqttLogin struct {
	Username    string
	Enabled     *bool // nil is true
	PasswordSet bool  `json:"password_set"`
}

// pageUser is a person as the REST interface lists them.
type pageUser struct{ Name, Role string }

// list prints a line per item of a list; a tab in it begins the next column.
func list[T any](ctx context.Context, std stdio, host, path string, line func(T) string) error {
	return withClient(ctx, std, host, func(c *client) error {
		items, err := pages[T](ctx, c, path)
		if err != nil {
			return err
		}
		w := tabwriter.NewWriter(std.out, 0, 0, 2, ' ', 0)
		for _, item := range items {
			fmt.Fprintln(w, line(item))
		}
		return w.Flush()
	})
}

// request is one call of the REST interface.
type request struct {
	method, path string
	body         map[string]string
}

// setPassword reads a password, or makes one up and prints it.
func setPassword(ctx context.Context, std stdio, host string, with func(password string) request) error {
	password, err := readPassword(std.in)
	if err != nil {
		return err
	}
	madeUp := password == ""
	if madeUp {
		password = rand.Text()[:16]
	}
	if err := send(ctx, std, host, with(password)); err != nil {
		return err
	}
	if madeUp {
		fmt.Fprintln(std.out, "password:", password)
	}
	return nil
}

// readPassword takes the first line; a terminal is not waited for.
func readPassword(in io.Reader) (string, error) {
	if isTerminal(in) {
		return "", nil
	}
	line, err := bufio.NewReader(io.LimitReader(in, 1<<16)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return "", fmt.Errorf("read the password: %w", err)
	}
	return strings.TrimRight(line, "\r\n"), nil
}

func send(ctx context.Context, std stdio, host string, r request) error {
	var body []byte
	if r.body != nil {
		var err error
		if body, err = json.Marshal(r.body); err != nil {
			return err
		}
	}
	return withClient(ctx, std, host, func(c *client) error { return c.call(ctx, r.method, r.path, body, nil) })
}
