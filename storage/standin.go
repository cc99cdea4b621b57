package storage

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"

	"fieldgate/broker/mqtt"
	"fieldgate/broker/session"
	"fieldgate/internal/fault"
)

// maxStandInFile bounds what is copied of one file: the copy stands in RAM.
const maxStandInFile = 64 << 20

// StandIn is what the gateway goes on with while its data directory can't be used,
// so that there is a page that says so: a copy, in a temporary directory, of what can
// be read of the settings, and a spool that keeps nothing and says so to everybody
// who asks it to. Close it.
type StandIn struct {
	dir   string
	state *State
	found bool
	spool *refusing
}

// OpenStandIn makes one for the data directory, which cause says to be unusable.
// names are the files and directories beside state.db that go along where they can be
// read. It fails when no directory for temporary files can be written to either.
func OpenStandIn(dataDir string, cause error, names []string, log *slog.Logger) (*StandIn, error) {
	dir, err := temporaryDir()
	if err != nil {
		return nil, errors.Join(cause, err)
	}
	s := &StandIn{dir: dir, spool: &refusing{cause: fault.New(fault.Unavailable, "nothing can be kept: %v", cause)}}
	s.found = copyFile(dataDir, dir, "state.db") == nil
	if s.found {
		_ = copyFile(dataDir, dir, "state.db-wal") // there may be none
	}
	for _, name := range names {
		if err := copyTree(dataDir, dir, name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			log.Warn("not readable either", "file", filepath.Join(dataDir, name), "err", err)
		}
	}
	quiet := &fault.Alarms{} // a damaged copy is not what a person has to care for now
	if s.state, err = openState(filepath.Join(dir, "state.db"), quiet, log); err != nil {
		return nil, errors.Join(cause, err, os.RemoveAll(dir))
	}
	if damaged, _ := quiet.List(); len(damaged) > 0 {
		s.found = false
	}
	return s, nil
}

// Dir is where all that would be kept in the data directory goes for now.
func (s *StandIn) Dir() string { return s.dir }

// HasSettings tells whether the settings could be read. Without them nobody can log in.
func (s *StandIn) HasSettings() bool { return s.found }

// State gives the copy of the settings; what is changed in it is lost.
func (s *StandIn) State() *State { return s.state }

// Spool gives the store that refuses what is to be kept.
func (s *StandIn) Spool() session.Spool { return s.spool }

// Close removes all of it.
func (s *StandIn) Close() error {
	s.state.close()
	return os.RemoveAll(s.dir)
}

// temporaryDir makes a directory in the first place that takes one.
func temporaryDir() (string, error) {
	var all error
	for _, parent := range []string{os.Getenv("RUNTIME_DIRECTORY"), os.TempDir(), "/dev/shm", "/run"} {
		if parent == "" {
			continue
		}
		dir, err := os.MkdirTemp(parent, "fieldgate-standin-")
		if err == nil {
			return dir, nil
		}
		all = errors.Join(all, err)
	}
	return "", all
}

// copyTree copies a file, or a directory of files.
func copyTree(from, to, name string) error {
	info, err := os.Stat(filepath.Join(from, name))
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return copyFile(from, to, name)
	}
	if err := os.Mkdir(filepath.Join(to, name), 0o700); err != nil {
		return err
	}
	entries, err := os.ReadDir(filepath.Join(from, name))
	for _, e := range entries {
		if e.Type().IsRegular() {
			err = errors.Join(err, copyFile(from, to, filepath.Join(name, e.Name())))
		}
	}
	return err
}

func copyFile(from, to, name string) (err error) {
	in, err := os.Open(filepath.Join(from, name))
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }()
	out, err := os.OpenFile(filepath.Join(to, name), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	n, err := io.Copy(out, io.LimitReader(in, maxStandInFile+1))
	if n > maxStandInFile {
		err = fmt.Errorf("%s is larger than %d MiB", name, maxStandInFile>>20)
	}
	if err = errors.Join(err, out.Close()); err != nil {
		_ = os.Remove(out.Name()) // half of it would be taken for a damaged one
	}
	return err
}

// Usable tells why the data directory can't be used, nil when Open is worth a try.
// It changes nothing but its modification time; nobody may use the directory meanwhile.
func Usable(cfg Config) error {
	if err := makeDir(cfg.DataDir); err != nil {
		return err
	}
	lock, err := takeLock(cfg.DataDir)
	if err != nil {
		return err
	}
	defer func() { _ = lock.release() }()
	for _, name := range []string{"state.db", "state.db-wal", "spool.db", "spool.db-wal"} {
		file, err := os.OpenFile(filepath.Join(cfg.DataDir, name), os.O_RDWR, 0)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		if err := file.Close(); err != nil {
			return err
		}
	}
	probe, err := os.CreateTemp(cfg.DataDir, "probe-")
	if err != nil {
		return err
	}
	_, err = probe.Write(make([]byte, pageSize))
	err = cmp.Or(err, probe.Sync())
	return errors.Join(err, probe.Close(), os.Remove(probe.Name()))
}

// refusing is a session.Spool that keeps nothing. It has no sessions, so nothing is
// owed to anybody; messages that nobody waits for pass, all else is refused in words.
type refusing struct {
	cause error

	mu   sync.Mutex
	last mqtt.MsgID
}

var _ session.Spool = (*refusing)(nil)

func (r *refusing) Append(e session.Entry, safe func(error)) mqtt.MsgID {
	if e.Tentative {
		return 0
	}
	if safe != nil {
		safe(r.cause)
	}
	if e.Message.QoS > mqtt.AtMostOnce && !e.Unhurried {
		return 0
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.last++
	e.Message.ID = r.last
	return r.last
}

func (r *refusing) Apply(c session.Change, safe func(error)) {
	if safe == nil {
		return
	}
	if c.Session == 0 && c.Put == nil {
		safe(nil) // nothing is to be kept
		return
	}
	safe(r.cause)
}

func (r *refusing) Load(v session.Visitor) error {
	if v.Next != nil {
		v.Next(1)
	}
	return nil
}

func (r *refusing) Page(session.ID, mqtt.MsgID, int, int) ([]session.Queued, error) { return nil, nil }
func (r *refusing) Acked(session.ID, mqtt.MsgID)                                    {}
func (r *refusing) SetLimits(session.ID, session.Limits)                            {}
func (r *refusing) Usage(session.ID) mqtt.Usage                                     { return mqtt.Usage{} }
func (r *refusing) Losses() session.Losses                                          { return session.Losses{} }
