package config

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"

	"fieldgate/bridges"
	"fieldgate/bridges/homeassistant"
	"fieldgate/broker"
	"fieldgate/broker/access"
	"fieldgate/internal/fault"
	"fieldgate/storage"
)

// Limits of the managed settings.
const (
	maxItems     = 1000 // objects of a section
	maxRevisions = 1000 // that Revisions lists
)

const settingsPart = "settings" // in alarms

// Parts is whom the managed settings are for. A function gets all that its section
// holds, secrets in place, each time when something in the section changed.
type Parts struct {
	Bridges  func([]bridges.Config) error
	Uplinks  func([]bridges.Config) error
	Accounts func([]broker.Account)
	Access   func([]access.Rule)
	// HomeAssistant gets the defaults when nothing is set.
	HomeAssistant func(homeassistant.Settings)
}

// ManagerConfig is what a Manager works with. All of it must be set.
type ManagerConfig struct {
	State  *storage.State
	Kinds  []bridges.Kind                                // of bridges and uplinks
	Check  func(section Section, c bridges.Config) error // faults with pointers into the settings
	Hash   func(password string) (string, error)         // of an account
	Alarms *fault.Alarms
	Log    *slog.Logger
}

// Manager owns the managed settings: bridges, uplinks, accounts, access rules and home assistant. Each change
// is checked, stored as one numbered revision in one transaction, and handed to
// the parts. Secrets are kept apart from the settings and leave only to the
// parts. All methods may be called at the same time.
type Manager struct {
	state  *storage.State
	kinds  []bridges.Kind
	check  func(Section, bridges.Config) error
	hash   func(string) (string, error)
	alarms *fault.Alarms
	log    *slog.Logger

	changing sync.Mutex // held over a change, from reading to applying; before mu
	parts    Parts      // set by Start; guarded by changing

	mu  sync.RWMutex
	doc document
}

// NewManager reads the settings that are stored; what can't be read is an alarm and left out.
func NewManager(cfg ManagerConfig) *Manager {
	m := &Manager{state: cfg.State, kinds: cfg.Kinds, check: cfg.Check, hash: cfg.Hash, alarms: cfg.Alarms, log: cfg.Log}
	m.doc = m.load()
	return m
}

// load gives the newest revision that can be read.
func (m *Manager) load() document {
	revisions, err := m.state.Revisions(maxRevisions)
	if err != nil {
		m.alarms.Raise(settingsPart, fault.Internal, "the settings can't be read, the gateway runs without any; restore a backup: "+err.Error())
		return document{}
	}
	for i, r := range revisions {
		doc, err := m.revision(r.Number)
		if err == nil {
			if i > 0 {
				m.alarms.Raise(settingsPart, fault.Internal, fmt.Sprintf("revision %d of the settings can't be read, revision %d is used; look at the settings and save them", revisions[0].Number, r.Number))
			}
			return doc
		}
		m.log.Error("revision of the settings not readable", "revision", r.Number, "err", err)
	}
	if len(revisions) > 0 {
		m.alarms.Raise(settingsPart, fault.Internal, "no revision of the settings can be read, the gateway runs without any; restore a backup")
	}
	return document{}
}

func (m *Manager) revision(n int64) (document, error) {
	raw, err := m.state.Revision(n)
	if err != nil {
		return nil, err
	}
	return parseDocument(raw, nil)
}

// Start hands the settings to the parts, now and after every change.
func (m *Manager) Start(parts Parts) {
	m.changing.Lock()
	defer m.changing.Unlock()
	m.parts = parts
	for _, s := range sections() {
		m.apply(s)
	}
}

func (m *Manager) current() document {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.doc
}

// List gives the objects of a section in their order, as people may see them.
func (m *Manager) List(name string) []json.RawMessage {
	s, err := sectionNamed(name)
	if err != nil {
		return nil
	}
	items := m.current()[name]
	objects := make([]json.RawMessage, len(items))
	for i, it := range items {
		objects[i] = m.shown(s, it.raw)
	}
	return objects
}

// Change runs edit on the object as people may see it, nil when there is none,
// and stores what comes back; nil deletes. A secret in it is text that replaces,
// missing when it stays, and gone with "password_set": false. It gives the object
// as it stands then. Faults are a fault.List with pointers into the object.
func (m *Manager) Change(_ context.Context, author, name, key string, edit func(old json.RawMessage) (json.RawMessage, error)) (json.RawMessage, error) {
	s, err := sectionNamed(name)
	if err != nil {
		return nil, err
	}
	m.changing.Lock()
	defer m.changing.Unlock()
	doc := m.current()
	stored := doc.find(name, key)
	old := json.RawMessage(nil)
	if stored != nil {
		old = m.shown(s, stored)
	}
	wanted, err := edit(old)
	if err != nil {
		return nil, err
	}
	if wanted == nil {
		_, _, err := m.commit(author, "", doc.with(name, item{key: key}), nil)
		return nil, err
	}
	it, bad := newItem(s, wanted, "")
	if bad != nil {
		return nil, fault.List{bad}
	}
	if it.key != key {
		return nil, fault.List{fault.At("/"+s.key, fault.Invalid, "must be %s, for it can't be changed", key)}
	}
	edits := secretEdits{}
	it, faults := m.store(s, it, stored, edits)
	next := doc.with(name, it)
	faults = join(faults, m.judge(s, it, next, edits))
	if err := faults.Err(); err != nil {
		return nil, err
	}
	if _, _, err := m.commit(author, "", next, edits); err != nil {
		return nil, err
	}
	return m.shown(s, it.raw), nil
}

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

// commit stores the document as a revision and hands what changed to the parts.
// Without a summary it says what changed. The caller holds changing.
func (m *Manager) commit(author, words string, next document, edits secretEdits) (int64, []change, error) {
	before := m.current()
	changes := before.changes(next, m.touched(next, edits))
	if len(changes) == 0 {
		n, err := m.newest()
		return n, changes, err
	}
	if words == "" {
		words = summary(changes)
	}
	unused, err := m.unused(next, edits)
	if err != nil {
		return 0, nil, err
	}
	var number int64
	err = m.state.Update(func(tx *storage.Tx) error {
		for key, text := range edits {
			if err := tx.Put(secretsBucket, key, []byte(text)); err != nil {
				return err
			}
		}
		for _, key := range unused {
			if err := tx.Delete(secretsBucket, key); err != nil {
				return err
			}
		}
		number, err = tx.AddRevision(author, words, next.raw())
		return err
	})
	if err != nil {
		return 0, nil, fmt.Errorf("store the settings: %w", err)
	}
	m.mu.Lock()
	m.doc = next
	m.mu.Unlock()
	m.alarms.Clear(settingsPart)
	m.log.Info("settings changed", "revision", number, "author", author, "summary", words)
	for _, s := range sections() {
		if slices.ContainsFunc(changes, func(c change) bool { return c.Section == s.name }) {
			m.apply(s)
		}
	}
	return number, changes, nil
}

func (m *Manager) newest() (int64, error) {
	revisions, err := m.state.Revisions(1)
	if err != nil || len(revisions) == 0 {
		return 0, err
	}
	return revisions[0].Number, nil
}

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
	if err != nil {
		m.log.Error("settings not applied", "section", s.name, "err", err)
		m.alarms.Raise(settingsPart, fault.Internal, "the "+s.name+" could not be applied; restart the gateway: "+err.Error())
	}
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

// Trusted tells whether the settings are the newest that were stored, and not what is left after damage.
func (m *Manager) Trusted() bool {
	n, err := m.newest()
	if err != nil || n == 0 {
		return false
	}
	_, err = m.revision(n)
	return err == nil
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

// SerialPortUsers gives the bridge of each serial port that one is set up to use.
func (m *Manager) SerialPortUsers() map[string]string {
	users := map[string]string{}
	for _, it := range m.current()[Bridges] {
		var b struct {
			Link struct {
				Serial struct {
					Port string `json:"port"`
				} `json:"serial"`
			} `json:"link"`
		}
		if json.Unmarshal(it.raw, &b) == nil && b.Link.Serial.Port != "" {
			users[b.Link.Serial.Port] = it.key
		}
	}
	return users
}

// Resolve puts stored secrets into settings that somebody tries: where they say
// "password_set": true or nothing, those of the saved object with the same id are taken.
func (m *Manager) Resolve(name string, settings json.RawMessage) (bridges.Config, error) {
	s, err := sectionNamed(name)
	if err != nil {
		return bridges.Config{}, err
	}
	it, bad := newItem(s, settings, "")
	if bad != nil {
		return bridges.Config{}, fault.List{bad}
	}
	edits := secretEdits{}
	it, faults := m.store(s, it, m.current().find(name, it.key), edits)
	if err := faults.Err(); err != nil {
		return bridges.Config{}, err
	}
	resolved, err := m.resolve(s, it.raw, edits)
	if err != nil {
		return bridges.Config{}, fault.New(fault.NotFound, "%s", err)
	}
	return bridges.NewConfig(resolved, s.kind)
}

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
