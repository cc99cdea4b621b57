package config

import (
	"encoding/json"
	"fmt"
	"slices"
)

// Which of the stored secrets the settings need.

// touched tells of objects that refer to a secret that is stored anew.
func (m *Manager) touched(next document, edits secretEdits) func(section, key string) bool {
	return func(name, key string) bool {
		s, _ := sectionNamed(name) // changes come from sections()
		return slices.ContainsFunc(m.references(s, next.find(name, key)), func(ref string) bool {
			_, stored := edits[ref]
			return stored
		})
	}
}

// references lists the stored secrets that an object needs, by their keys.
func (m *Manager) references(s section, raw json.RawMessage) []string {
	var keys []string
	for _, pointer := range m.pointers(s, raw) {
		editAt(raw, pointer, func(v json.RawMessage) json.RawMessage {
			if r, err := parseReference(v); err == nil && r.Secret != "" {
				keys = append(keys, secretKey(s.name, r.Secret))
			}
			return v
		})
	}
	return keys
}

// unused lists the stored secrets that nothing in the document needs any more.
func (m *Manager) unused(next document, edits secretEdits) ([]string, error) {
	stored, err := m.state.List(secretsBucket)
	if err != nil {
		return nil, fmt.Errorf("list the secrets: %w", err)
	}
	needed := map[string]bool{}
	for _, s := range sections() {
		for _, it := range next[s.name] {
			for _, key := range m.references(s, it.raw) {
				needed[key] = true
			}
		}
	}
	var gone []string
	for key := range stored {
		if _, fresh := edits[key]; !needed[key] && !fresh {
			gone = append(gone, key)
		}
	}
	return gone, nil
}
