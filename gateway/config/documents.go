package config

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"fieldgate/internal/fault"
)

// Export gives all sections as one object. Of a stored secret it holds the name,
// {"secret": "cloud-password"}: applied again where it came from, the secret stays.
func (m *Manager) Export(context.Context) (json.RawMessage, error) {
	return m.current().raw(), nil
}

// Revision gives all sections as they stood with a revision, as Export does; fault.NotFound when it is not kept.
func (m *Manager) Revision(_ context.Context, number int64) (json.RawMessage, error) {
	doc, err := m.revision(number)
	if err != nil {
		return nil, err
	}
	return doc.raw(), nil
}

// applied is the answer to Apply and Restore.
type applied struct {
	Revision int64    `json:"revision"` // that stands now
	Changes  []change `json:"changes"`
	Diff     string   `json:"diff"` // of the YAML, for people
}

// Apply makes the settings equal to doc; a section that doc does not mention stays
// as it is. It answers with the revision, what changed, and the difference as YAML.
// A dry run only tells. Faults are a fault.List with pointers into doc.
func (m *Manager) Apply(_ context.Context, author string, doc json.RawMessage, dryRun bool) (json.RawMessage, error) {
	m.changing.Lock()
	defer m.changing.Unlock()
	next, err := parseDocument(doc, m.current())
	if err != nil {
		return nil, err
	}
	return m.replace(author, "", next, mentioned(doc), dryRun)
}

// mentioned tells which sections a document has.
func mentioned(doc json.RawMessage) func(string) bool {
	top, err := parseObject(doc, "")
	return func(section string) bool { return err == nil && top.has(section) }
}

// Restore makes the settings those of a revision, as a new revision, and answers
// like Apply; a dry run only tells. Passwords are not part of revisions: those of objects that still
// exist stay, others are missing until they are set anew.
func (m *Manager) Restore(_ context.Context, author string, revision int64, dryRun bool) (json.RawMessage, error) {
	m.changing.Lock()
	defer m.changing.Unlock()
	next, err := m.revision(revision)
	if err != nil {
		return nil, err
	}
	for _, s := range sections() {
		for i, it := range next[s.name] {
			next[s.name][i].raw = m.withoutMissing(s, it.raw)
		}
	}
	return m.replace(author, fmt.Sprintf("restore revision %d", revision), next, func(string) bool { return false }, dryRun)
}

// withoutMissing takes references to secrets that are not kept any more out of an
// object of a revision; an account keeps its reference, for without it, it would not be valid.
func (m *Manager) withoutMissing(s section, raw json.RawMessage) json.RawMessage {
	if s.name == Accounts {
		return raw
	}
	for _, pointer := range m.pointers(s, raw) {
		raw = editAt(raw, pointer, func(v json.RawMessage) json.RawMessage {
			if r, err := parseReference(v); err == nil && r.Secret != "" {
				if _, err := m.fetch(s, r, nil); err != nil {
					return nil
				}
			}
			return v
		})
	}
	return raw
}

// replace checks the sections that judge names and commits. The caller holds changing.
func (m *Manager) replace(author, words string, next document, judged func(section string) bool, dryRun bool) (json.RawMessage, error) {
	before := m.current()
	edits := secretEdits{}
	var faults fault.List
	for _, s := range sections() {
		if !judged(s.name) {
			continue
		}
		for i, it := range next[s.name] {
			stored, wrong := m.store(s, it, before.find(s.name, it.key), edits)
			next[s.name][i] = stored
			faults = append(faults, relocate(s.pointer(i), wrong.Err())...)
		}
		for i, it := range next[s.name] {
			faults = join(faults, relocate(s.pointer(i), m.judge(s, it, next, edits).Err()))
		}
	}
	if err := faults.Err(); err != nil {
		return nil, err
	}
	answer := applied{Changes: before.changes(next, m.touched(next, edits))}
	answer.Diff = diffChanges(answer.Changes)
	var err error
	if dryRun {
		answer.Revision, err = m.newest()
	} else {
		answer.Revision, _, err = m.commit(author, words, next, edits)
	}
	if err != nil {
		return nil, err
	}
	return json.Marshal(answer)
}

// Revisions lists what was changed, newest first.
func (m *Manager) Revisions(context.Context) (json.RawMessage, error) {
	type entry struct {
		Revision int64     `json:"revision"`
		Time     time.Time `json:"time"`
		Author   string    `json:"author"`
		Summary  string    `json:"summary"`
	}
	revisions, err := m.state.Revisions(maxRevisions)
	if err != nil {
		return nil, fmt.Errorf("list the revisions: %w", err)
	}
	entries := make([]entry, len(revisions))
	for i, r := range revisions {
		entries[i] = entry{r.Number, r.Time.UTC(), r.Author, r.Summary}
	}
	return json.Marshal(entries)
}

// diffChanges shows changes as lines of YAML, - before and + after.
func diffChanges(changes []change) string {
	var b strings.Builder
	for _, c := range changes {
		fmt.Fprintf(&b, "%s %s/%s\n", c.Action, c.Section, c.ID)
		for _, line := range diffLines(yamlLines(c.before), yamlLines(c.after)) {
			b.WriteString(line + "\n")
		}
	}
	return b.String()
}

func yamlLines(raw json.RawMessage) []string {
	if raw == nil {
		return nil
	}
	return strings.Split(strings.TrimSuffix(string(ToYAML(list([]json.RawMessage{raw}))), "\n"), "\n")
}
