package config

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"fieldgate/internal/fault"
)

// FileError is every fault of one file, in the order of its lines.
type FileError struct{ Faults []FileFault }

// FileFault is one fault of a file.
type FileFault struct {
	File string // as it was named
	Line int    // counted from 1; of the key, or of what stands around a key that is missing
	Key  string // mqtt.listeners[0].address; empty when it is about the whole
	Text string
}

// Error gives a line per fault: `fieldgate.yaml:12: mqtt.max_inflght: there is no such key`.
func (e *FileError) Error() string {
	texts := make([]string, len(e.Faults))
	for i, f := range e.Faults {
		texts[i] = f.String()
	}
	return strings.Join(texts, "\n")
}

// String gives the fault as compilers do: file, line, key, text.
func (f FileFault) String() string {
	if f.Key == "" {
		return fmt.Sprintf("%s:%d: %s", f.File, f.Line, f.Text)
	}
	return fmt.Sprintf("%s:%d: %s: %s", f.File, f.Line, f.Key, f.Text)
}

// InFile gives err, which came of reading the named YAML text, its lines: faults
// with JSON pointers become a *FileError. Other errors stay as they are.
func (l Lines) InFile(name string, err error) error {
	if faults, ok := errors.AsType[fault.List](err); ok {
		return l.inFile(name, faults)
	}
	if f, ok := errors.AsType[*fault.Error](err); ok {
		return l.inFile(name, fault.List{f})
	}
	return err
}

func (l Lines) inFile(name string, faults fault.List) *FileError {
	e := &FileError{Faults: make([]FileFault, len(faults))}
	for i, f := range faults {
		e.Faults[i] = FileFault{File: name, Line: l.Of(f.Field), Key: keyPath(f.Field), Text: f.Message}
	}
	e.sort()
	return e
}

func (e *FileError) sort() {
	slices.SortStableFunc(e.Faults, func(a, b FileFault) int { return a.Line - b.Line })
}

// join adds what a later check found, except where a fault stands already: what
// could not be read need not be judged again.
func join(known, more fault.List) fault.List {
	all := slices.Clone(known)
	for _, e := range more {
		if !slices.ContainsFunc(known, func(k *fault.Error) bool { return k.Field == e.Field }) {
			all = append(all, e)
		}
	}
	return all
}
