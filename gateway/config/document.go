package config

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"fieldgate/bridges"
	"fieldgate/internal/fault"
	"fieldgate/internal/ordered"
)

// section is a kind of objects among the managed settings.
type section struct {
	name     string // "bridges"
	singular string // "bridge", for summaries and alarms
	key      string // the member that names an object
	kind     string // of bridge, where the object need not say it
	single   bool   // it is one object, not a list; its key is SingleKey
}

// SingleKey is the name of the object of a section that has only one.
const SingleKey = "settings"

// Section names a section of the managed settings.
type Section = string

// The sections.
const (
	Bridges     Section = "bridges"
	Uplinks     Section = "uplinks"
	Accounts    Section = "accounts"
	AccessRules Section = "access_rules"
	// HomeAssistant is one object; without it nothing is announced but what devices ask for.
	HomeAssistant Section = "home_assistant"
)

// uplinkKind is the kind of bridge that every uplink is.
const uplinkKind = "uplink"

// sections in the order of the document.
func sections() []section {
	return []section{
		{name: Bridges, singular: "bridge", key: "id"},
		{name: Uplinks, singular: "uplink", key: "id", kind: uplinkKind},
		{name: Accounts, singular: "account", key: "username"},
		{name: AccessRules, singular: "access rule", key: "id"},
		{name: HomeAssistant, singular: "home assistant", single: true},
	}
}

func sectionNamed(name string) (section, error) {
	for _, s := range sections() {
		if s.name == name {
			return s, nil
		}
	}
	return section{}, fault.New(fault.NotFound, "there is no section %s", name)
}

// item is one object as it is stored: where a secret belongs stands {"secret": NAME}.
type item struct {
	key string
	raw json.RawMessage // in the order of inOrder
}

// document is the managed settings. It is never changed once others see it.
type document map[string][]item

// parseDocument reads a document; its objects are not judged beyond having a name
// of their own. Sections that it does not mention are taken from base.
func parseDocument(raw json.RawMessage, base document) (document, error) {
	top, err := parseObject(raw, "")
	if err != nil {
		return nil, fault.List{err}
	}
	doc := document{}
	var faults fault.List
	for _, s := range sections() {
		value := top.Get(s.name)
		switch {
		case !top.Has(s.name):
			doc[s.name] = base[s.name]
		case string(value) != "null" && s.single:
			if it, err := newItem(s, value, "/"+s.name); err != nil {
				faults = append(faults, err)
			} else {
				doc[s.name] = []item{it}
			}
		case string(value) != "null":
			doc[s.name] = parseSection(s, value, &faults)
		}
		top.Remove(s.name)
	}
	for _, m := range top {
		words := "there is no such section; known are bridges, uplinks, accounts, access_rules and home_assistant"
		if near, ok := bridges.Nearest(m.Key, []string{Bridges, Uplinks, Accounts, AccessRules, HomeAssistant}); ok {
			words = fmt.Sprintf("there is no such section; did you mean %q?", near)
		}
		faults.Add("/"+escapePointer(m.Key), fault.UnknownKey, "%s", words)
	}
	return doc, faults.Err()
}

func parseSection(s section, raw json.RawMessage, faults *fault.List) []item {
	var values []json.RawMessage
	if json.Unmarshal(raw, &values) != nil {
		faults.Add("/"+s.name, fault.Invalid, "must be a list")
		return nil
	}
	items := make([]item, 0, len(values))
	for i, value := range values {
		at := fmt.Sprintf("/%s/%d", s.name, i)
		it, err := newItem(s, value, at)
		switch {
		case err != nil:
			*faults = append(*faults, err)
		case find(items, it.key) >= 0:
			faults.Add(at+"/"+s.key, fault.Conflict, "%q is the name of another %s already", it.key, s.singular)
		default:
			items = append(items, it)
		}
	}
	return items
}

// newItem reads an object of a section; the fault's pointer begins with at.
func newItem(s section, raw json.RawMessage, at string) (item, *fault.Error) {
	ordered, err := inOrder(raw, s.name)
	if err != nil {
		return item{}, fault.At(at+err.Field, err.Code, "%s", err.Message)
	}
	o, err := parseObject(ordered, at)
	if err != nil {
		return item{}, err
	}
	if s.single {
		return item{key: SingleKey, raw: ordered}, nil
	}
	key := o.Text(s.key)
	if key == "" {
		return item{}, fault.At(at+"/"+s.key, fault.Required, "is needed, as text")
	}
	return item{key: key, raw: ordered}, nil
}

// pointer is where the object with that index stands in the document.
func (s section) pointer(index int) string {
	if s.single {
		return "/" + s.name
	}
	return fmt.Sprintf("/%s/%d", s.name, index)
}

func find(items []item, key string) int {
	return slices.IndexFunc(items, func(it item) bool { return it.key == key })
}

func (d document) find(section, key string) json.RawMessage {
	if i := find(d[section], key); i >= 0 {
		return d[section][i].raw
	}
	return nil
}

// with gives a copy of the document in which the object stands, or does not when raw is nil.
func (d document) with(section string, it item) document {
	next := document{}
	for name, items := range d {
		next[name] = items
	}
	items := slices.Clone(d[section])
	switch i := find(items, it.key); {
	case it.raw == nil && i >= 0:
		items = slices.Delete(items, i, i+1)
	case it.raw == nil:
	case i >= 0:
		items[i] = it
	default:
		items = append(items, it)
	}
	next[section] = items
	return next
}

func (d document) raw() json.RawMessage {
	var o object
	for _, s := range sections() {
		if s.single {
			if raw := d.find(s.name, SingleKey); raw != nil {
				o.Set(s.name, raw)
			}
			continue
		}
		values := make([]json.RawMessage, len(d[s.name]))
		for i, it := range d[s.name] {
			values[i] = it.raw
		}
		o.Set(s.name, ordered.List(values))
	}
	return o.JSON()
}

// change is one object that differs between two documents.
type change struct {
	Action  string `json:"action"` // add, change, remove
	Section string `json:"section"`
	ID      string `json:"id"`

	before, after json.RawMessage
}

// changes lists what turns the document into next; touched tells of objects whose
// secrets differ though their text does not.
func (d document) changes(next document, touched func(section, key string) bool) []change {
	found := []change{}
	for _, s := range sections() {
		for _, it := range d[s.name] {
			if next.find(s.name, it.key) == nil {
				found = append(found, change{"remove", s.name, it.key, it.raw, nil})
			}
		}
		for _, it := range next[s.name] {
			before := d.find(s.name, it.key)
			switch {
			case before == nil:
				found = append(found, change{"add", s.name, it.key, nil, it.raw})
			case !bytes.Equal(before, it.raw) || touched(s.name, it.key):
				found = append(found, change{"change", s.name, it.key, before, it.raw})
			}
		}
	}
	return found
}

// summary says in a line what was changed.
func summary(changes []change) string {
	const most = 5
	words := make([]string, 0, most)
	for i, c := range changes {
		if i == most {
			words = append(words, fmt.Sprintf("and %d more", len(changes)-most))
			break
		}
		s, _ := sectionNamed(c.Section) // changes come from sections()
		words = append(words, strings.TrimSuffix(c.Action+" "+s.singular+" "+c.ID, " "+SingleKey))
	}
	return strings.Join(words, ", ")
}
