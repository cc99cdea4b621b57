package template

import (
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"fieldgate/bridges"
	"fieldgate/internal/fault"
)

//go:embed devices/*.yaml
var devices embed.FS

// Read gives the one document of a YAML text as JSON; name is for its errors. located
// gives faults with JSON pointers into the document the name and the lines.
type Read func(name string, text []byte) (doc json.RawMessage, located func(error) error, err error)

// Set is all templates. All methods may be called at the same time.
type Set struct {
	read Read
	dir  string // of the own ones, empty for none

	mu    sync.Mutex // protects what follows
	kinds []bridges.Kind
	known map[string]*Template // that came with the program and were read
	own   map[string]*Template
}

// New gives the templates that come with the program, and the own ones in dir once
// Load was called; dir may be missing, and is empty when there are none.
func New(read Read, dir string) *Set {
	return &Set{read: read, dir: dir, known: map[string]*Template{}, own: map[string]*Template{}}
}

const suffix = ".yaml"

// Load reads the own templates anew. A bad one is left out and told with file, line and field; the others go on.
func (s *Set) Load() []error {
	if s.dir == "" {
		return nil
	}
	entries, err := os.ReadDir(s.dir)
	if errors.Is(err, fs.ErrNotExist) {
		entries, err = nil, nil
	}
	if err != nil {
		return []error{fmt.Errorf("read the templates: %w", err)}
	}
	var wrong []error
	own := map[string]*Template{}
	for _, e := range entries {
		if e.IsDir() || !strings.HasSuffix(e.Name(), suffix) || strings.HasPrefix(e.Name(), ".") {
			continue
		}
		path := filepath.Join(s.dir, e.Name())
		t, err := s.ReadFile(path)
		if err != nil {
			wrong = append(wrong, err)
			continue
		}
		own[t.ID] = t
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.own = own
	return wrong
}

// ReadFile reads an own template from anywhere without keeping it. What is wrong with it is told with file, line and field.
func (s *Set) ReadFile(path string) (*Template, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.Size() > MaxSize {
		return nil, fmt.Errorf("%s: has more than %d bytes", path, MaxSize)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	doc, located, err := s.read(path, text)
	if err != nil {
		return nil, err
	}
	t, err := s.decode(strings.TrimSuffix(filepath.Base(path), suffix), doc)
	if err != nil {
		return nil, located(err)
	}
	t.Own, t.text = true, text
	return t, nil
}

// decode reads a template and has its kind judge it. id is what the file's name says. The error is a fault.List with pointers into doc.
func (s *Set) decode(id string, doc json.RawMessage) (*Template, error) {
	t := &Template{}
	var f bridges.Faults
	f.Decode(doc, t)
	t.check(&f)
	if t.ID != id && !f.Has("/id") {
		f.Add("/id", bridges.Invalid, "must be %s, as the file is named", id)
	}
	if err := f.Err(); err != nil {
		return nil, err
	}
	return t, s.judge(t)
}

// judge has the kind look at a device that is nothing but the template.
func (s *Set) judge(t *Template) error {
	s.mu.Lock()
	kinds := slices.Clone(s.kinds)
	s.mu.Unlock()
	i := slices.IndexFunc(kinds, func(k bridges.Kind) bool { return k.Name == t.Kind })
	if i < 0 {
		var names []string
		for _, k := range kinds {
			names = append(names, k.Name)
		}
		return fault.List{fault.At("/kind", fault.Invalid, "must be one of %s", strings.Join(names, ", "))}
	}
	c, err := bridges.NewConfig(mustJSON(t.example()), "")
	if err == nil {
		_, err = kinds[i].New(c, slog.New(slog.DiscardHandler))
	}
	if err == nil {
		return nil
	}
	var faults fault.List
	for _, e := range fault.All(err) {
		faults = append(faults, fault.At(ownPointer(e.Field), e.Code, "%s", e.Message))
	}
	return faults
}

// Get gives the template with the id; an own one goes before one that came with the program.
func (s *Set) Get(id string) (*Template, bool) {
	s.mu.Lock()
	t, ok := s.own[id]
	if !ok {
		t, ok = s.known[id]
	}
	s.mu.Unlock()
	if ok || !bridges.ValidID(id) {
		return t, ok
	}
	text, err := devices.ReadFile("devices/" + id + suffix)
	if err != nil {
		return nil, false
	}
	if t, err = s.builtIn(id, text); err != nil {
		return nil, false // a test reads them all
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.known[id] = t
	return t, true
}

// builtIn reads a template that came with the program; the tests had its kind judge it.
func (s *Set) builtIn(id string, text []byte) (*Template, error) {
	doc, located, err := s.read(id+suffix, text)
	if err != nil {
		return nil, err
	}
	t := &Template{}
	var f bridges.Faults
	f.Decode(doc, t)
	t.check(&f)
	if err := f.Err(); err != nil {
		return nil, located(err)
	}
	t.text = text
	return t, nil
}

// List gives all templates in the order of their ids.
func (s *Set) List() []*Template {
	s.mu.Lock()
	all := maps.Clone(s.own)
	s.mu.Unlock()
	entries, _ := devices.ReadDir("devices") // embedded: it is there
	for _, e := range entries {
		id := strings.TrimSuffix(e.Name(), suffix)
		if t, ok := s.Get(id); ok && all[id] == nil {
			all[id] = t
		}
	}
	list := slices.Collect(maps.Values(all))
	slices.SortFunc(list, func(a, b *Template) int { return strings.Compare(a.ID, b.ID) })
	return list
}

// Check reads an own template without keeping it; the error is that of Put.
func (s *Set) Check(id string, text []byte) (*Template, error) {
	switch {
	case !bridges.ValidID(id):
		return nil, fault.At("/id", fault.Invalid, "must be 1 to 64 of a-z, 0-9, - _ . that begin with a letter or digit")
	case len(text) > MaxSize:
		return nil, fault.New(fault.OutOfRange, "must have at most %d bytes", MaxSize)
	}
	doc, _, err := s.read(id+suffix, text)
	if err != nil {
		return nil, fault.List{fault.New(fault.Invalid, "%s", err)}
	}
	t, err := s.decode(id, doc)
	if err != nil {
		return nil, err
	}
	t.Own, t.text = true, text
	return t, nil
}

// Put checks an own template and keeps it; its file is written before it returns. Faults:
// a fault.List with pointers into what the text says. Bridges take it when they start next.
func (s *Set) Put(id string, text []byte) (*Template, error) {
	if s.dir == "" {
		return nil, fault.New(fault.Unavailable, "there is no data directory")
	}
	t, err := s.Check(id, text)
	if err != nil {
		return nil, err
	}
	if err := s.write(id, text); err != nil {
		return nil, fmt.Errorf("write the template %s: %w", id, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.own[id] = t
	return t, nil
}

// write replaces a file as a whole, or not at all.
func (s *Set) write(id string, text []byte) error {
	if err := os.MkdirAll(s.dir, 0o750); err != nil {
		return err
	}
	f, err := os.CreateTemp(s.dir, ".new-*")
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), filepath.Join(s.dir, id+suffix))
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}

// Remove ends an own template; fault.NotFound when there is none with the id.
func (s *Set) Remove(id string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.own[id] == nil {
		return fault.New(fault.NotFound, "there is no own template %s", id)
	}
	if err := os.Remove(filepath.Join(s.dir, id+suffix)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove the template %s: %w", id, err)
	}
	delete(s.own, id)
	return nil
}
