package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"

	"fieldgate/gateway"
	"fieldgate/gateway/config"
	"fieldgate/internal/fault"
)

const (
	apiPrefix   = "http://fieldgate/api/v1"
	apiTimeout  = 60 * time.Second
	maxResponse = 64 << 20
)

// client calls the REST interface: of the service that runs, through its socket,
// or of one that is built for the call when none runs.
type client struct {
	http  *http.Client
	close func() error
}

// withClient calls do with a client of the service that the host file describes.
func withClient(ctx context.Context, std stdio, host string, do func(*client) error) error {
	c, err := connect(ctx, host, std.err)
	if err != nil {
		return err
	}
	return errors.Join(do(c), c.close())
}

func connect(ctx context.Context, host string, warn io.Writer) (*client, error) {
	file, err := config.Load(named(host))
	if err != nil {
		return nil, err
	}
	c, err := dialService(ctx, file)
	if errors.Is(err, os.ErrPermission) {
		return nil, fmt.Errorf("open the socket in %s: permission denied; only root and the user that runs fieldgate may look after it", file.DataDir)
	}
	if err != nil {
		return inProcess(file, warn)
	}
	return c, nil
}

// running gives a client of the service that runs; an error when none does.
func running(ctx context.Context, file config.File) (*client, error) {
	c, err := dialService(ctx, file)
	if err != nil {
		return nil, fmt.Errorf("reach the service through its socket in %s: %w", file.DataDir, err)
	}
	return c, nil
}

func dialService(ctx context.Context, file config.File) (*client, error) {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return gateway.DialAdmin(ctx, file.DataDir)
	}
	conn, err := dial(ctx, "", "")
	if err != nil {
		return nil, err
	}
	_ = conn.Close() // it only showed that somebody listens
	transport := &http.Transport{DialContext: dial, DisableKeepAlives: true}
	return &client{http: &http.Client{Transport: transport, Timeout: apiTimeout}, close: func() error { return nil }}, nil
}

// events gives the server-sent events of a path to each until ctx ends, which is no error, or each fails.
func (c *client) events(ctx context.Context, path string, each func(event string, data []byte) error) error {
	response, err := c.stream(ctx, http.MethodGet, path, nil)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	lines := bufio.NewScanner(response.Body)
	lines.Buffer(nil, maxResponse)
	event := ""
	for lines.Scan() {
		line := lines.Text()
		if name, ok := strings.CutPrefix(line, "event: "); ok {
			event = name
		} else if data, ok := strings.CutPrefix(line, "data: "); ok {
			if err := each(event, []byte(data)); err != nil {
				return err
			}
		}
	}
	if ctx.Err() != nil {
		return nil
	}
	return errors.Join(lines.Err(), errors.New("the service has stopped"))
}

// inProcess builds the gateway without running it.
func inProcess(file config.File, warn io.Writer) (*client, error) {
	leave, err := becomeOwner(file.DataDir)
	if err != nil {
		return nil, err
	}
	log := slog.New(slog.NewTextHandler(warn, &slog.HandlerOptions{Level: slog.LevelWarn}))
	g, err := gateway.New(file, version, log)
	if err != nil {
		return nil, errors.Join(err, leave())
	}
	end := func() error { return errors.Join(g.Close(), leave()) }
	return &client{http: &http.Client{Transport: handlerTransport{g.Handler()}}, close: end}, nil
}

// becomeOwner lets root be the user whom the data directory belongs to, so that the
// service can read what is written here, until leave is called.
func becomeOwner(dataDir string) (leave func() error, err error) {
	stay := func() error { return nil }
	info, err := os.Stat(dataDir)
	if err != nil || os.Geteuid() != 0 {
		return stay, nil // who opens the storage tells what is wrong
	}
	owner, ok := info.Sys().(*syscall.Stat_t)
	if !ok || owner.Uid == 0 {
		return stay, nil
	}
	groups, err := syscall.Getgroups()
	if err != nil {
		return nil, fmt.Errorf("read the groups of this process: %w", err)
	}
	gid := os.Getegid()
	leave = func() error {
		return errors.Join(syscall.Setresuid(-1, 0, -1), syscall.Setresgid(-1, gid, -1), syscall.Setgroups(groups))
	}
	err = errors.Join(syscall.Setgroups([]int{int(owner.Gid)}), syscall.Setresgid(-1, int(owner.Gid), -1), syscall.Setresuid(-1, int(owner.Uid), -1))
	if err != nil {
		return nil, errors.Join(fmt.Errorf("become the owner of %s: %w", dataDir, err), leave())
	}
	return leave, nil
}

// handlerTransport answers requests by a handler in the process.
type handlerTransport struct{ handler http.Handler }

// RoundTrip implements http.RoundTripper. The body comes as the handler writes it;
// who gives it up ends the handler's writes and waits for it.
func (t handlerTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	in := r.Clone(r.Context())
	in.RequestURI, in.RemoteAddr = r.URL.RequestURI(), "127.0.0.1:0"
	if in.Body == nil {
		in.Body = http.NoBody
	}
	from, to := io.Pipe()
	w := &answer{header: http.Header{}, to: to, begun: make(chan struct{}), done: make(chan struct{})}
	go func() {
		defer close(w.done)
		t.handler.ServeHTTP(w, in)
		w.WriteHeader(http.StatusOK)
		_ = to.Close() // never fails
	}()
	<-w.begun
	return &http.Response{
		StatusCode: w.status, Status: fmt.Sprintf("%d %s", w.status, http.StatusText(w.status)),
		Header: w.sent, Body: &answerBody{from, w.done}, Request: r,
	}, nil
}

// answer is a http.ResponseWriter whose body is read by another goroutine.
type answer struct {
	header, sent http.Header
	status       int
	to           *io.PipeWriter
	begun        chan struct{} // closed when status and sent are set
	done         chan struct{} // closed when the handler has returned
	once         sync.Once
}

func (a *answer) Header() http.Header { return a.header }

func (a *answer) WriteHeader(status int) {
	a.once.Do(func() {
		a.status, a.sent = status, a.header.Clone()
		close(a.begun)
	})
}

func (a *answer) Write(b []byte) (int, error) {
	a.WriteHeader(http.StatusOK)
	return a.to.Write(b)
}

// answerBody is the other end of an answer.
type answerBody struct {
	*io.PipeReader
	done chan struct{}
}

// Close waits until the handler has returned.
func (b *answerBody) Close() error {
	err := b.PipeReader.Close()
	<-b.done
	return err
}

// call makes one request; body and answer are JSON. A *fault.Error or fault.List says why it was refused.
func (c *client) call(ctx context.Context, method, path string, body []byte, into any) error {
	r, err := http.NewRequestWithContext(ctx, method, apiPrefix+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	r.Header.Set("Accept", "application/json")
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	if method != http.MethodGet && method != http.MethodPost {
		r.Header.Set("If-Match", "*")
	}
	response, err := c.http.Do(r)
	if err != nil {
		return fmt.Errorf("ask the service: %w", err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, maxResponse))
	if err != nil {
		return fmt.Errorf("read the service's answer: %w", err)
	}
	if response.StatusCode >= http.StatusMultipleChoices {
		return refusal(response.Status, text)
	}
	if into == nil || len(text) == 0 {
		return nil
	}
	if raw, ok := into.(*json.RawMessage); ok {
		*raw = text
		return nil
	}
	if err := json.Unmarshal(text, into); err != nil {
		return fmt.Errorf("read the service's answer: %w", err)
	}
	return nil
}

// pages gives the items of all pages of a list.
func pages[T any](ctx context.Context, c *client, path string) (items []T, err error) {
	for path != "" {
		var page struct {
			Items []T
			Next  string
		}
		if err := c.call(ctx, http.MethodGet, path, nil, &page); err != nil {
			return nil, err
		}
		items = append(items, page.Items...)
		path = strings.TrimPrefix(page.Next, "/api/v1")
	}
	return items, nil
}

// refusal gives a problem+json as faults.
func refusal(status string, text []byte) error {
	var problem struct {
		Code   fault.Code
		Detail string
		Errors []struct {
			Pointer string
			Code    fault.Code
			Detail  string
		}
	}
	if json.Unmarshal(text, &problem) != nil || problem.Detail == "" && len(problem.Errors) == 0 {
		return fmt.Errorf("the service answered %s", status)
	}
	var faults fault.List
	for _, e := range problem.Errors {
		faults.Add(e.Pointer, e.Code, "%s", e.Detail)
	}
	if len(faults) > 0 {
		return faults
	}
	return fault.New(problem.Code, "%s", strings.TrimSpace(problem.Detail))
}
