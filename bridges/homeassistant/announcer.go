package homeassistant

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"fieldgate/bridges"
	"fieldgate/broker/mqtt"
)

const (
	// StateTopic retains under which prefix and node ids we have announced: what is to be taken
	// back after a change is known from it, also when the gateway was off meanwhile.
	StateTopic = "fieldgate/$homeassistant"

	tryAgain      = 5 * time.Second  // pause after the broker did not take all
	publishWithin = 10 * time.Second // for one message
	pageSize      = 500              // retained messages asked for at once
	maxPlaces     = 16               // that are remembered
)

// Broker is what is asked of our broker.
type Broker interface {
	Publish(ctx context.Context, m *mqtt.Message, safe func(error)) error
	// Retained gives retained messages that match, by topic, after the given one; more tells that there are others.
	Retained(filter, after string, limit int) (list []*mqtt.Message, more bool, err error)
}

// Announcer keeps what is announced equal to the settings. All methods may be called at the same time.
type Announcer struct {
	broker  Broker
	kinds   []bridges.Kind
	version string
	log     *slog.Logger
	changed chan struct{} // holds 1: the settings are not what is announced

	mu       sync.Mutex // protects what follows
	settings Settings
	bridges  []bridges.Config
	given    int // of the two, which Run waits for
}

// Which of the settings were given.
const (
	gaveSettings = 1 << iota
	gaveBridges
)

// New makes an announcer; version is the gateway's.
func New(broker Broker, kinds []bridges.Kind, version string, log *slog.Logger) *Announcer {
	return &Announcer{broker: broker, kinds: kinds, version: version, log: log, changed: make(chan struct{}, 1)}
}

// SetBridges gives all bridges as they are set up now.
func (a *Announcer) SetBridges(list []bridges.Config) {
	a.change(func() { a.bridges, a.given = slices.Clone(list), a.given|gaveBridges })
}

// SetSettings gives the switch for all devices.
func (a *Announcer) SetSettings(s Settings) {
	a.change(func() { a.settings, a.given = s, a.given|gaveSettings })
}

func (a *Announcer) change(edit func()) {
	a.mu.Lock()
	edit()
	a.mu.Unlock()
	select {
	case a.changed <- struct{}{}:
	default:
	}
}

// Run announces and takes back until ctx is done, and returns nil then. It does nothing before both kinds of settings were given.
func (a *Announcer) Run(ctx context.Context) error {
	again := time.NewTimer(tryAgain)
	again.Stop()
	defer again.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-a.changed:
		case <-again.C:
		}
		if err := a.announce(ctx); err != nil && ctx.Err() == nil {
			a.log.Warn("not announced to home assistant", "err", err)
			again.Reset(tryAgain)
		}
	}
}

// place is where we announce.
type place struct {
	Prefix string `json:"prefix"`
	NodeID string `json:"node_id"`
}

func (p place) filter() string { return p.Prefix + "/+/" + p.NodeID + "/+/config" }

// announce makes what the broker retains equal to the settings.
func (a *Announcer) announce(ctx context.Context) error {
	a.mu.Lock()
	settings, configs, ready := a.settings, a.bridges, a.given == gaveSettings|gaveBridges
	a.mu.Unlock()
	if !ready {
		return nil
	}
	want := a.entities(settings, configs)
	here := place{settings.Prefix, settings.NodeID}
	before, known, err := a.places()
	if err != nil {
		return err
	}
	have := map[string][]byte{}
	for _, p := range before {
		if err := a.read(p, have); err != nil {
			return err
		}
	}
	if len(want) > 0 && !slices.Contains(before, here) {
		if err := a.read(here, have); err != nil {
			return err
		}
		before = append(before, here)
		if err := a.remember(ctx, before); err != nil { // before the first is announced
			return err
		}
		known = true
	}
	if err := a.update(ctx, have, want); err != nil {
		return err
	}
	switch {
	case len(want) == 0 && known:
		return a.publish(ctx, StateTopic, nil)
	case len(before) > 1:
		return a.remember(ctx, []place{here})
	}
	return nil
}

// update publishes the differences.
func (a *Announcer) update(ctx context.Context, have, want map[string][]byte) error {
	removed, told := 0, 0
	for _, topic := range slices.Sorted(maps.Keys(have)) {
		if _, stays := want[topic]; !stays {
			if err := a.publish(ctx, topic, nil); err != nil {
				return err
			}
			removed++
		}
	}
	for _, topic := range slices.Sorted(maps.Keys(want)) {
		if !bytes.Equal(have[topic], want[topic]) {
			if err := a.publish(ctx, topic, want[topic]); err != nil {
				return err
			}
			told++
		}
	}
	if removed+told > 0 {
		a.log.Info("announced to home assistant", "entities", len(want), "changed", told, "removed", removed)
	}
	return nil
}

// entities gives the messages by topic.
func (a *Announcer) entities(s Settings, configs []bridges.Config) map[string][]byte {
	all := map[string][]byte{}
	for _, c := range configs {
		for _, d := range a.devices(c) {
			if on := d.HomeAssistant; on != nil && *on || on == nil && s.Enabled {
				a.addEntities(all, s, d)
			}
		}
	}
	return all
}

func (a *Announcer) addEntities(all map[string][]byte, s Settings, d bridges.Device) {
	for _, p := range d.Points {
		if topic, payload, ok := entity(s, a.version, d, p); ok {
			all[topic] = payload
		}
	}
}

func (a *Announcer) devices(c bridges.Config) []bridges.Device {
	for _, k := range a.kinds {
		if k.Name == c.Kind && k.Devices != nil {
			return k.Devices(c)
		}
	}
	return nil
}

// places gives where we have announced; known tells that it is retained.
func (a *Announcer) places() (list []place, known bool, err error) {
	found, _, err := a.broker.Retained(StateTopic, "", 1)
	if err != nil || len(found) == 0 {
		return nil, false, err
	}
	var kept []place
	if json.Unmarshal(found[0].Payload, &kept) != nil {
		return nil, true, nil // a client wrote it
	}
	for _, p := range kept { // a client may have written it
		if mqtt.CheckName(p.Prefix) == nil && validNodeID(p.NodeID) && len(list) < maxPlaces {
			list = append(list, p)
		}
	}
	return list, true, nil
}

func (a *Announcer) remember(ctx context.Context, list []place) error {
	payload, err := json.Marshal(list)
	if err != nil {
		return err
	}
	return a.publish(ctx, StateTopic, payload)
}

// read adds what we have announced in a place.
func (a *Announcer) read(p place, into map[string][]byte) error {
	for after := ""; ; {
		list, more, err := a.broker.Retained(p.filter(), after, pageSize)
		if err != nil {
			return fmt.Errorf("read what is announced under %s: %w", p.Prefix, err)
		}
		for _, m := range list {
			if isOurs(m.Payload) {
				into[m.Topic] = m.Payload
			}
			after = m.Topic
		}
		if !more || len(list) == 0 {
			return nil
		}
	}
}

// publish retains a message; an empty payload takes the one that is there away.
func (a *Announcer) publish(ctx context.Context, topic string, payload []byte) error {
	ctx, cancel := context.WithTimeout(ctx, publishWithin)
	defer cancel()
	if err := a.broker.Publish(ctx, &mqtt.Message{Topic: topic, Payload: payload, QoS: mqtt.AtLeastOnce, Retain: true}, nil); err != nil {
		return fmt.Errorf("publish %s: %w", topic, err)
	}
	return nil
}
