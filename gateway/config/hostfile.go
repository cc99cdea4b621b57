package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"

	"fieldgate/bridges"
	"fieldgate/broker"
	"fieldgate/internal/fault"
	"fieldgate/storage"
	"fieldgate/webui"
)

// maxHostFile bounds the host file, in bytes.
const maxHostFile = 1 << 20

// File is the host file: the settings of the machine, which only its
// administrator changes. Every key may be left out.
type File struct {
	Name    string              `json:"-"`        // of the file, empty without one
	DataDir string              `json:"data_dir"` // where everything is kept
	Log     Log                 `json:"log"`
	MQTT    broker.Config       `json:"mqtt"`
	Spool   storage.SpoolConfig `json:"spool"`
	Admin   webui.Config        `json:"admin"`
}

// Log says what is logged and how.
type Log struct {
	Level  string `json:"level"`  // debug, info, warn, error
	Format string `json:"format"` // text, json
}

// Defaults is the host file that says nothing.
func Defaults() File {
	kept := storage.Default()
	return File{
		DataDir: kept.DataDir,
		Log:     Log{Level: "info", Format: "text"},
		MQTT:    broker.DefaultConfig(),
		Spool:   kept.Spool,
		Admin:   webui.DefaultConfig(),
	}
}

// Load reads the host file; no name gives the defaults. Everything that is wrong
// in the file comes at once as a *FileError.
func Load(name string) (File, error) {
	if name == "" {
		return Defaults().composed(), nil
	}
	src, err := readHostFile(name)
	if err != nil {
		return File{}, err
	}
	return Parse(name, src)
}

func readHostFile(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		if cause, ok := errors.AsType[*fs.PathError](err); ok {
			err = cause.Err
		}
		return nil, fmt.Errorf("read host file %s: %w", name, err)
	}
	defer f.Close()
	src, err := io.ReadAll(io.LimitReader(f, maxHostFile+1))
	if err != nil {
		return nil, fmt.Errorf("read host file %s: %w", name, err)
	}
	if len(src) > maxHostFile {
		return nil, fmt.Errorf("read host file %s: it has more than %d bytes", name, maxHostFile)
	}
	return src, nil
}

// Parse reads the text of a host file; name is for the errors.
func Parse(name string, src []byte) (File, error) {
	raw, at, err := FromYAML(name, src)
	if err != nil {
		return File{}, err
	}
	file := Defaults()
	faults := fault.All(bridges.Decode(raw, &file))
	file = file.composed()
	file.Name = name
	faults = join(faults, file.validate())
	if err := faults.Err(); err != nil {
		return File{}, at.InFile(name, err)
	}
	return file, nil
}

// composed hands data_dir to the parts that keep something there.
func (f File) composed() File {
	f.Admin.DataDir = f.DataDir
	return f
}

// Storage gives the share of the storage.
func (f File) Storage() storage.Config {
	return storage.Config{DataDir: f.DataDir, Spool: f.Spool}
}

// validate asks the parts.
func (f File) validate() fault.List {
	var all fault.List
	all = append(all, f.Log.validate()...)
	all = append(all, fault.All(f.Storage().Validate())...)
	all = append(all, relocate("/mqtt", f.MQTT.Validate())...)
	all = append(all, relocate("/admin", f.Admin.Validate())...)
	return all
}

func (l Log) validate() fault.List {
	var faults bridges.Faults
	faults.OneOf("/log/level", l.Level, "debug", "info", "warn", "error")
	faults.OneOf("/log/format", l.Format, "text", "json")
	return fault.All(faults.Err())
}

// Handler makes the log's handler; the settings must be valid.
func (l Log) Handler(w io.Writer) slog.Handler {
	var level slog.Level
	_ = level.UnmarshalText([]byte(l.Level)) // one of validate's
	options := &slog.HandlerOptions{Level: level}
	if l.Format == "json" {
		return slog.NewJSONHandler(w, options)
	}
	return slog.NewTextHandler(w, options)
}
