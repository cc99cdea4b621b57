package config

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"fieldgate/bridges"
	"fieldgate/internal/fault"
	"fieldgate/internal/ordered"
)

// maxSecret bounds a secret, in bytes: a password, or a key in PEM.
const maxSecret = 64 << 10

const secretsBucket = "secrets"

// reference is what stands in a document where a secret belongs: one of its members is set.
type reference struct {
	Secret string `json:"secret"` // kept in our own store under this name
	File   string `json:"file"`   // the whole file without a last line end
	Env    string `json:"env"`    // a variable of the environment
}

func (r reference) raw() json.RawMessage {
	return object{{Key: "secret", Value: ordered.Quote(r.Secret)}}.JSON()
}

// parseReference reads {"secret": NAME}, {"file": PATH} or {"env": NAME}.
func parseReference(raw json.RawMessage) (reference, *fault.Error) {
	var r reference
	wrong := fault.New(fault.Invalid, "must be a text, {file: PATH} or {env: NAME}")
	if len(raw) == 0 || raw[0] != '{' || bridges.Decode(raw, &r) != nil {
		return r, wrong
	}
	set := 0
	for _, word := range []string{r.Secret, r.File, r.Env} {
		if word != "" {
			set++
		}
	}
	if set != 1 {
		return r, wrong
	}
	return r, nil
}

// secretEdits are the secrets that one change stores.
type secretEdits map[string]string // by the key in the bucket

// secretKey is where a section's secret is kept.
func secretKey(section, name string) string { return section + "/" + name }

// secretName names the secret of an object's field: cloud-password.
func secretName(key, pointer string) string {
	return key + "-" + strings.ReplaceAll(strings.TrimPrefix(pointer, "/"), "/", "-")
}

// pointers lists where an object may hold secrets.
func (m *Manager) pointers(s section, raw json.RawMessage) []string {
	if s.name == Accounts {
		return []string{"/password"}
	}
	name := s.kind
	if o, err := parseObject(raw, ""); err == nil && o.Text("kind") != "" {
		name = o.Text("kind")
	}
	for _, k := range m.kinds {
		if k.Name == name {
			return k.Secrets
		}
	}
	return nil
}

// store takes the secrets out of an object that came from outside: what is text
// goes to edits, what is left out stays as it is in old. "password_set" beside a
// secret is taken away; false there drops the secret.
func (m *Manager) store(s section, it item, old json.RawMessage, edits secretEdits) (item, fault.List) {
	var faults fault.List
	for _, pointer := range m.pointers(s, it.raw) {
		drop := false
		it.raw = editAt(it.raw, pointer+"_set", func(v json.RawMessage) json.RawMessage {
			drop = string(v) == "false"
			return nil
		})
		kept := json.RawMessage(nil)
		if old != nil {
			editAt(old, pointer, func(v json.RawMessage) json.RawMessage { kept = v; return v })
		}
		it.raw = editAt(it.raw, pointer, func(v json.RawMessage) json.RawMessage {
			switch {
			case (v == nil || string(v) == "null") && drop:
				return nil
			case v == nil || string(v) == "null":
				return kept
			case v[0] == '"':
				return m.storeText(s, it.key, pointer, v, edits, &faults)
			}
			if err := m.checkReference(s, v, edits); err != nil {
				faults.Add(pointer, err.Code, "%s", err.Message)
			}
			return v
		})
	}
	ordered, err := inOrder(it.raw, s.name) // what edits added went to the end
	if err != nil {
		faults = append(faults, err)
	}
	it.raw = ordered
	return it, faults
}

func (m *Manager) storeText(s section, key, pointer string, v json.RawMessage, edits secretEdits, faults *fault.List) json.RawMessage {
	var text string
	if err := json.Unmarshal(v, &text); err != nil || len(text) > maxSecret {
		faults.Add(pointer, fault.OutOfRange, "must have at most %d bytes", maxSecret)
		return nil
	}
	if text == "" {
		return nil
	}
	if s.name == Accounts {
		hash, err := m.hash(text)
		if err != nil {
			*faults = append(*faults, relocate(pointer, err)...)
			return nil
		}
		text = hash
	}
	name := secretName(key, pointer)
	edits[secretKey(s.name, name)] = text
	return reference{Secret: name}.raw()
}

// relocate puts the faults of one field at the pointer.
func relocate(pointer string, err error) fault.List {
	var moved fault.List
	for _, f := range fault.All(err) {
		moved = append(moved, &fault.Error{Code: f.Code, Field: pointer + f.Field, Message: f.Message, Err: f.Err})
	}
	return moved
}

func (m *Manager) checkReference(s section, v json.RawMessage, edits secretEdits) *fault.Error {
	r, err := parseReference(v)
	if err != nil {
		return err
	}
	if s.name == Accounts && r.Secret == "" {
		return fault.New(fault.Invalid, "must be a text; only its hash is kept")
	}
	if r.Secret == "" {
		_, err := m.fetch(s, r, edits)
		if err != nil {
			return fault.New(fault.Invalid, "%s", err)
		}
		return nil
	}
	if _, err := m.fetch(s, r, edits); err != nil {
		return fault.New(fault.NotFound, "no secret named %s is kept here; give the text, {file: PATH} or {env: NAME}", r.Secret)
	}
	return nil
}

// fetch gives the secret that is referred to.
func (m *Manager) fetch(s section, r reference, edits secretEdits) (string, error) {
	switch {
	case r.File != "":
		return readSecret(r.File)
	case r.Env != "":
		value, set := os.LookupEnv(r.Env)
		if !set {
			return "", fmt.Errorf("the environment has no variable %s", r.Env)
		}
		return value, nil
	}
	key := secretKey(s.name, r.Secret)
	if text, ok := edits[key]; ok {
		return text, nil
	}
	text, err := m.state.Get(secretsBucket, key)
	if err != nil {
		return "", fmt.Errorf("read secret %s: %w", r.Secret, err)
	}
	return string(text), nil
}

func readSecret(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		if cause, ok := errors.AsType[*os.PathError](err); ok {
			err = cause.Err
		}
		return "", fmt.Errorf("read secret file %s: %w", path, err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxSecret+1))
	if err != nil {
		return "", fmt.Errorf("read secret file %s: %w", path, err)
	}
	if len(text) > maxSecret {
		return "", fmt.Errorf("read secret file %s: it has more than %d bytes", path, maxSecret)
	}
	return strings.TrimSuffix(strings.TrimSuffix(string(text), "\n"), "\r"), nil
}

// resolve gives a stored object with its secrets in place. A secret that can't be
// had is left out and named in the error; the object is usable all the same.
func (m *Manager) resolve(s section, raw json.RawMessage, edits secretEdits) (json.RawMessage, error) {
	var failed []error
	for _, pointer := range m.pointers(s, raw) {
		raw = editAt(raw, pointer, func(v json.RawMessage) json.RawMessage {
			if v == nil || v[0] == '"' {
				return v
			}
			r, bad := parseReference(v)
			if bad != nil {
				return v // the kind says what is wrong with it
			}
			text, err := m.fetch(s, r, edits)
			if err != nil {
				failed = append(failed, err)
				return nil
			}
			return ordered.Quote(text)
		})
	}
	return raw, errors.Join(failed...)
}

// shown gives a stored object as people may see it: without names of secrets,
// with "password_set" where one is set. Files and variables are no secrets.
func (m *Manager) shown(s section, raw json.RawMessage) json.RawMessage {
	for _, pointer := range m.pointers(s, raw) {
		set := false
		raw = editAt(raw, pointer, func(v json.RawMessage) json.RawMessage {
			set = v != nil
			if r, err := parseReference(v); err == nil && r.Secret == "" {
				return v
			}
			return nil
		})
		if set {
			raw = editAt(raw, pointer+"_set", func(json.RawMessage) json.RawMessage { return json.RawMessage("true") })
		}
	}
	if ordered, err := inOrder(raw, s.name); err == nil {
		raw = ordered
	}
	return raw
}
