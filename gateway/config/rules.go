package config

import (
	"encoding/json"
	"strings"

	"fieldgate/bridges"
	"fieldgate/broker/access"
	"fieldgate/internal/fault"
)

// judgeRule gives what is wrong with an access rule.
func judgeRule(raw json.RawMessage) fault.List {
	var r access.Rule
	var faults bridges.Faults
	faults.Decode(raw, &r)
	faults.CheckID("/id", r.ID)
	for _, f := range r.Validate() {
		faults.Add(f.Field, f.Code, "%s", f.Message)
	}
	return fault.All(faults.Err())
}

// rules gives the access rules. One that can't be read denies everything to whom it
// is for: what it was to allow is not known, and what it was to deny must stay so.
func (m *Manager) rules(s section) []access.Rule {
	items := m.current()[s.name]
	rules := make([]access.Rule, 0, len(items))
	for _, it := range items {
		part := "access-rule/" + it.key
		if faults := judgeRule(it.raw); len(faults) > 0 {
			m.alarms.Raise(part, fault.Invalid, "it is wrong and denies everything until it is put right: "+strings.ReplaceAll(faults.Error(), "\n", "; "))
			var whose struct {
				Account string `json:"account"`
			}
			_ = json.Unmarshal(it.raw, &whose) // without an account it is for everybody
			rules = append(rules, access.Rule{ID: it.key, Account: whose.Account, Filter: "#", Deny: []access.Action{access.Read, access.Write}})
			continue
		}
		m.alarms.Clear(part)
		var r access.Rule
		if bridges.Decode(it.raw, &r) == nil { // judgeRule has read it
			rules = append(rules, r)
		}
	}
	return rules
}
