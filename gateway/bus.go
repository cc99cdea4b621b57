package gateway

import (
	"context"
	"encoding/json"
	"sync/atomic"

	"fieldgate/bridges"
	"fieldgate/bridges/homeassistant"
	"fieldgate/broker"
	"fieldgate/broker/mqtt"
	"fieldgate/gateway/config"
	"fieldgate/internal/fault"
	"fieldgate/webui/api"
)

// bus is the broker as the bridges and the page see it, also before there is one.
type bus struct{ broker atomic.Pointer[broker.Broker] }

var (
	_ bridges.Bus          = (*bus)(nil)
	_ homeassistant.Broker = (*bus)(nil)
)

func (b *bus) get() (*broker.Broker, error) {
	if loaded := b.broker.Load(); loaded != nil {
		return loaded, nil
	}
	return nil, fault.New(fault.Unavailable, "the broker does not run yet")
}

// Publish implements bridges.Bus.
func (b *bus) Publish(ctx context.Context, m *mqtt.Message, safe func(error)) error {
	loaded, err := b.get()
	if err != nil {
		return err
	}
	return loaded.Publish(ctx, m, safe)
}

// Attach implements bridges.Bus.
func (b *bus) Attach(ctx context.Context, a mqtt.Attachment) (bridges.Source, error) {
	loaded, err := b.get()
	if err != nil {
		return nil, err
	}
	local, err := loaded.Attach(ctx, a)
	if err != nil {
		return nil, err // not a *Local that is nil inside an interface
	}
	return local, nil
}

// Forget implements bridges.Bus.
func (b *bus) Forget(ctx context.Context, clientID string) error {
	loaded, err := b.get()
	if err != nil {
		return err
	}
	return loaded.Forget(ctx, clientID)
}

// Retained implements homeassistant.Broker.
func (b *bus) Retained(filter, after string, limit int) ([]*mqtt.Message, bool, error) {
	loaded, err := b.get()
	if err != nil {
		return nil, false, err
	}
	return loaded.Retained(filter, after, limit)
}

// peers is the broker for the page.
func (b *bus) peers() (api.Broker, error) {
	loaded, err := b.get()
	if err != nil {
		return nil, err // not a *Broker that is nil inside an interface
	}
	return loaded, nil
}

// Clients implements api.Clients.
func (b *bus) Clients() []broker.ClientInfo {
	if loaded := b.broker.Load(); loaded != nil {
		return loaded.Clients()
	}
	return nil
}

// trial is a supervisor whose Test takes stored secrets where settings say that one is set.
type trial struct {
	*bridges.Supervisor
	settings *config.Manager
	section  config.Section
}

// Test implements api.Links.
func (t trial) Test(ctx context.Context, c bridges.Config, device string) ([]bridges.Reading, error) {
	resolved, err := t.settings.Resolve(t.section, json.RawMessage(c.Settings))
	if err != nil {
		return nil, err
	}
	return t.Supervisor.Test(ctx, resolved, device)
}
