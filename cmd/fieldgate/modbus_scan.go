package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"fieldgate/bridges"
)

// The commands below modbus that go on for a while.

// scan looks for devices through the service or directly, and prints each as it is found.
func (l *modbusLink) scan(ctx context.Context, question map[string]any) error {
	q, c, id, err := l.reach(ctx, question)
	if err != nil {
		return err
	}
	if !l.json {
		fmt.Fprintf(l.std.out, "%-5s %-12s %-9s %-30s %s\n", "UNIT", "FORMAT", "MS", "IS", "TEMPLATES")
	}
	if id != "" {
		return l.follow(ctx, c, id, q)
	}
	t, templates, err := l.direct()
	if err != nil {
		return err
	}
	return t.Scan(ctx, q, func(s bridges.ScanStep) {
		if s.Found == nil {
			return
		}
		templates.Guess(ctx, "modbus", s)
		if text, err := json.Marshal(s.Found); err == nil {
			l.printFound(text)
		}
	})
}

// follow runs a scan as a job of the service, and cancels it when ctx ends.
func (l *modbusLink) follow(ctx context.Context, c *client, id string, question json.RawMessage) error {
	type state struct {
		ID          string
		State       string
		Error       string
		ResultCount int `json:"result_count"`
		Results     []json.RawMessage
	}
	var now state
	if err := c.call(ctx, http.MethodPost, "/bridges/"+url.PathEscape(id)+"/scan", question, &now); err != nil {
		return err
	}
	job := "/jobs/" + now.ID
	for shown := 0; ; {
		for _, r := range now.Results {
			l.printFound(r)
		}
		shown += len(now.Results)
		switch now.State {
		case "done":
			return nil
		case "running":
		default:
			return errors.New("the scan was " + now.State + ": " + now.Error)
		}
		select {
		case <-ctx.Done():
			cancel, stop := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
			defer stop()
			return errors.Join(ctx.Err(), c.call(cancel, http.MethodPost, job+"/cancel", nil, nil))
		case <-time.After(200 * time.Millisecond):
		}
		now = state{}
		if err := c.call(ctx, http.MethodGet, job+"?after="+strconv.Itoa(shown), nil, &now); err != nil {
			return err
		}
	}
}

// monitor prints frames until ctx ends.
func (l *modbusLink) monitor(ctx context.Context) error {
	_, c, id, err := l.reach(ctx, nil)
	switch {
	case err != nil:
		return err
	case id == "":
		return errors.New("no bridge of a running service has this link: the monitor shows what a bridge does")
	}
	return c.events(ctx, "/bridges/"+url.PathEscape(id)+"/monitor", func(event string, data []byte) error {
		if event != "frames" {
			return errors.New("the bridge was removed or got other settings")
		}
		return l.printFrames(data)
	})
}
