package config

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
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
	m.alarms.Clear(settingsPart, fault.Internal) // what was stored is what stands
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

// Trusted tells whether the settings are the newest that were stored, and not what is left after damage.
func (m *Manager) Trusted() bool {
	n, err := m.newest()
	if err != nil || n == 0 {
		return false
	}
	_, err = m.revision(n)
	return err == nil
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
