package main

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"path/filepath"
	"strings"

	"fieldgate/bridges"
	"fieldgate/bridges/all"
	"fieldgate/bridges/template"
	"fieldgate/gateway"
	"fieldgate/gateway/config"
)

// How the commands below modbus reach a link: through the running service, or directly.

// settings are those of the link that the flags name; nil when they name a bridge.
func (l *modbusLink) settings() (json.RawMessage, error) {
	named := 0
	for _, flag := range []string{l.bridge, l.port, l.tcp, l.rtuTCP} {
		if flag != "" {
			named++
		}
	}
	if named != 1 {
		return nil, &usageError{errors.New("exactly one of --bridge, --port, --tcp and --rtu-over-tcp is needed")}
	}
	if l.timeout < 0 {
		return nil, &usageError{errors.New("--timeout must not be below 0s")}
	}
	var link map[string]any
	switch {
	case l.bridge != "":
		return nil, nil
	case l.port != "":
		link = map[string]any{"serial": map[string]any{"port": l.port, "baud": l.baud, "format": l.format, "ascii": l.ascii}}
	case l.tcp != "":
		link = map[string]any{"tcp": map[string]any{"address": l.tcp}}
	default:
		link = map[string]any{"rtu_over_tcp": map[string]any{"address": l.rtuTCP}}
	}
	return json.Marshal(map[string]any{"kind": "modbus", "link": link})
}

// service gives a client of the running service and the id of the bridge that has the link; an empty id when none has.
func (l *modbusLink) service(ctx context.Context) (*client, string, error) {
	file, err := config.Load(named(*l.host))
	if err != nil {
		return nil, "", err
	}
	c, err := running(ctx, file)
	if err != nil {
		if l.bridge == "" {
			return nil, "", nil // nobody runs, or for others: directly; a port that is in use says so
		}
		return nil, "", err
	}
	if l.bridge != "" {
		return c, l.bridge, nil
	}
	type bridge struct {
		ID      string
		Enabled *bool
		Link    struct {
			Serial     struct{ Port string }
			TCP        struct{ Address string }
			RTUOverTCP struct{ Address string } `json:"rtu_over_tcp"`
		}
	}
	list, err := pages[bridge](ctx, c, "/bridges")
	if err != nil {
		return nil, "", err
	}
	for _, b := range list {
		if b.Enabled != nil && !*b.Enabled {
			continue
		}
		if l.port != "" && samePort(l.port, b.Link.Serial.Port) || l.tcp != "" && sameHost(l.tcp, b.Link.TCP.Address) || l.rtuTCP != "" && sameHost(l.rtuTCP, b.Link.RTUOverTCP.Address) {
			return c, b.ID, nil
		}
	}
	return c, "", nil
}

// reach checks the flags, writes the question, and finds who has the link, as service does.
func (l *modbusLink) reach(ctx context.Context, question map[string]any) (q json.RawMessage, c *client, id string, err error) {
	if _, err = l.settings(); err != nil {
		return nil, nil, "", err
	}
	if q, err = json.Marshal(question); err != nil {
		return nil, nil, "", err
	}
	c, id, err = l.service(ctx)
	return q, c, id, err
}

func samePort(a, b string) bool {
	resolve := func(path string) string {
		if real, err := filepath.EvalSymlinks(path); err == nil {
			return real
		}
		return path
	}
	return b != "" && resolve(a) == resolve(b)
}

func sameHost(a, b string) bool {
	return b != "" && strings.TrimSuffix(a, ":502") == strings.TrimSuffix(b, ":502")
}

// direct gives the tools for the link itself, and the templates that may fit what they find.
func (l *modbusLink) direct() (bridges.Tools, *template.Set, error) {
	settings, err := l.settings()
	if err != nil {
		return nil, nil, err
	}
	templates := template.New(gateway.ReadTemplate, "")
	for _, k := range all.Kinds(templates) {
		if k.Name == "modbus" {
			t, err := k.Tools(bridges.Config{Kind: k.Name, Settings: settings}, slog.New(slog.DiscardHandler))
			return t, templates, err
		}
	}
	return nil, nil, errors.New("this build has no Modbus")
}
