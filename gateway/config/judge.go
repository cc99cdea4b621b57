package config

import (
	"fmt"

	"fieldgate/bridges"
	"fieldgate/bridges/homeassistant"
	"fieldgate/internal/fault"
)

// What is wrong with settings, before they are stored.

// judge gives what is wrong with one object of the document that shall be.
func (m *Manager) judge(s section, it item, next document, edits secretEdits) fault.List {
	if len(next[s.name]) > maxItems {
		return fault.List{fault.New(fault.TooMany, "there are %d %s, at most %d are allowed", len(next[s.name]), s.name, maxItems)}
	}
	switch s.name {
	case Accounts:
		return judgeAccount(it.raw)
	case AccessRules:
		return judgeRule(it.raw)
	case HomeAssistant:
		_, err := homeassistant.Decode(it.raw)
		return fault.All(err)
	}
	c, err := m.bridgeConfig(s, it, edits)
	if err != nil {
		return fault.All(err)
	}
	if err := m.check(s.name, c); err != nil {
		return fault.All(err)
	}
	return m.judgeDevices(s, c, next)
}

// bridgeConfig gives the configuration of a bridge or uplink, secrets in place.
func (m *Manager) bridgeConfig(s section, it item, edits secretEdits) (bridges.Config, error) {
	resolved, err := m.resolve(s, it.raw, edits)
	if err != nil {
		m.log.Debug("secret missing", s.singular, it.key, "err", err) // store has named the fault
	}
	return bridges.NewConfig(resolved, s.kind)
}

// judgeDevices finds devices whose id or topic belongs to another bridge.
func (m *Manager) judgeDevices(s section, c bridges.Config, next document) fault.List {
	ids, topics := map[string]string{}, map[string]string{}
	for _, other := range next[s.name] {
		if other.key == c.ID {
			continue
		}
		oc, err := bridges.NewConfig(other.raw, s.kind)
		if err != nil {
			continue // it does not run either
		}
		for _, d := range m.devices(oc) {
			ids[d.ID], topics[d.Topic] = oc.ID, oc.ID
		}
	}
	var faults fault.List
	for i, d := range m.devices(c) {
		if owner, taken := ids[d.ID]; taken {
			faults.Add(fmt.Sprintf("/devices/%d/id", i), fault.Conflict, "%q is the id of another device, on bridge %s", d.ID, owner)
		}
		if owner, taken := topics[d.Topic]; taken && d.Topic != "" {
			faults.Add(fmt.Sprintf("/devices/%d/topic", i), fault.Conflict, "%q is the topic of another device, on bridge %s", d.Topic, owner)
		}
	}
	return faults
}

func (m *Manager) devices(c bridges.Config) []bridges.Device {
	for _, k := range m.kinds {
		if k.Name == c.Kind && k.Devices != nil {
			return k.Devices(c)
		}
	}
	return nil
}
