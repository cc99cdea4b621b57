package config

import (
	"encoding/json"
	"errors"
	"strings"

	"fieldgate/bridges"
	"fieldgate/broker"
	"fieldgate/internal/fault"
)

// MQTT logins.

// account is one MQTT login as it is stored.
type account struct {
	Username string          `json:"username"`
	Enabled  *bool           `json:"enabled"` // nil is true
	Password json.RawMessage `json:"password"`
}

const maxUsername = 256 // bytes

func judgeAccount(raw json.RawMessage) fault.List {
	var a account
	var faults bridges.Faults
	faults.Decode(raw, &a)
	if len(a.Username) > maxUsername || strings.ContainsFunc(a.Username, func(r rune) bool { return r < ' ' || r == 0x7f || r == 0xfffd }) {
		faults.Add("/username", fault.Invalid, "must have at most %d bytes and no control characters", maxUsername)
	}
	if a.Password == nil {
		faults.Add("/password", fault.Required, "is needed")
	}
	return fault.All(faults.Err())
}

// accounts gives the logins; one whose password is missing can't log in.
func (m *Manager) accounts(s section) []broker.Account {
	items := m.current()[s.name]
	accounts := make([]broker.Account, 0, len(items))
	for _, it := range items {
		var a account
		resolved, err := m.resolve(s, it.raw, nil)
		err = errors.Join(err, bridges.Decode(resolved, &a))
		var hash string
		if err == nil {
			err = json.Unmarshal(a.Password, &hash)
		}
		part := "account/" + it.key
		if err != nil || hash == "" {
			m.alarms.Raise(part, fault.NotFound, "its password is missing; set it anew")
			continue
		}
		m.alarms.Clear(part)
		accounts = append(accounts, broker.Account{Username: a.Username, PasswordHash: hash, Disabled: a.Enabled != nil && !*a.Enabled})
	}
	return accounts
}
