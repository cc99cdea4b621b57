package config

import (
	"strings"

	"fieldgate/bridges"
	"fieldgate/bridges/homeassistant"
	"fieldgate/internal/fault"
)

// What the parts get of the settings that stand.

// apply hands a section to its part. The caller holds changing.
func (m *Manager) apply(s section) {
	var err error
	switch s.name {
	case Bridges:
		if m.parts.Bridges != nil {
			err = m.parts.Bridges(m.configs(s))
		}
	case Uplinks:
		if m.parts.Uplinks != nil {
			err = m.parts.Uplinks(m.configs(s))
		}
	case Accounts:
		if m.parts.Accounts != nil {
			m.parts.Accounts(m.accounts(s))
		}
	case AccessRules:
		if m.parts.Access != nil {
			m.parts.Access(m.rules(s))
		}
	case HomeAssistant:
		if m.parts.HomeAssistant != nil {
			m.parts.HomeAssistant(m.homeAssistant())
		}
	}
	code := fault.Code("not_applied_" + s.name) // of its own: a change of another section does not put it right
	if err == nil {
		m.alarms.Clear(settingsPart, code)
		return
	}
	m.log.Error("settings not applied", "section", s.name, "err", err)
	m.alarms.Raise(settingsPart, code, "the "+s.name+" could not be applied; restart the gateway: "+err.Error())
}

// homeAssistant gives the switch for all devices; what is wrong in it is an alarm, and then it is off.
func (m *Manager) homeAssistant() homeassistant.Settings {
	const part = "home-assistant"
	settings, err := homeassistant.Decode(m.current().find(HomeAssistant, SingleKey))
	if err != nil {
		m.alarms.Raise(part, fault.Invalid, "its settings are wrong, the defaults are used: "+strings.ReplaceAll(err.Error(), "\n", "; "))
		settings, _ = homeassistant.Decode(nil) // the defaults are right
		return settings
	}
	m.alarms.Clear(part)
	return settings
}

// configs gives a section's bridges with their secrets. One that can't be read or
// whose secret is missing is in it all the same: it shows as failed, with the reason.
func (m *Manager) configs(s section) []bridges.Config {
	items := m.current()[s.name]
	configs := make([]bridges.Config, 0, len(items))
	for _, it := range items {
		part := s.singular + "/" + it.key
		resolved, err := m.resolve(s, it.raw, nil)
		if err != nil {
			m.alarms.Raise(part, fault.NotFound, "a secret is missing: "+strings.ReplaceAll(err.Error(), "\n", "; "))
		} else {
			m.alarms.Clear(part, fault.NotFound)
		}
		c, err := bridges.NewConfig(resolved, s.kind)
		if err != nil && !bridges.ValidID(it.key) {
			m.alarms.Raise(part, fault.Invalid, "its settings are wrong: "+err.Error())
			continue
		}
		if err != nil {
			c = bridges.Config{ID: it.key, Kind: c.Kind, Settings: resolved}
		}
		configs = append(configs, c)
	}
	return configs
}
