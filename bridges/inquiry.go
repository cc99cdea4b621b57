package bridges

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"

	"fieldgate/internal/fault"
)

// Statuses gives a snapshot of every bridge, in the order of the settings.
func (s *Supervisor) Statuses() []Status {
	list := []Status{}
	for _, r := range s.list() {
		list = append(list, r.board.snapshot())
	}
	return list
}

// Devices lists the configured devices of all bridges, in the order of the
// settings. The caller must not change them.
func (s *Supervisor) Devices() []Device {
	list := []Device{}
	for _, r := range s.list() {
		list = append(list, r.board.devices...)
	}
	return list
}

// Values gives the last reading of every configured point, in the order of the
// settings. One that was not read since the start is Bad with ErrNoValueYet and the zero time.
func (s *Supervisor) Values() []Reading {
	list, _ := s.ValuesSince(0)
	return list
}

// ValuesSince gives the readings that came after the version, and the version to
// ask with the next time. 0 is before all.
func (s *Supervisor) ValuesSince(version uint64) ([]Reading, uint64) {
	now := s.version.Load() // first: what comes meanwhile is told again rather than missed
	list := []Reading{}
	for _, r := range s.list() {
		list = r.board.since(version, list)
	}
	return list, now
}

// Check says what is wrong with settings that are not in force yet: a fault.List
// with pointers into them, nil when they may be applied. Devices of other bridges
// count, those of the one with the same id do not.
func (s *Supervisor) Check(c Config) error {
	var faults Faults
	faults.CheckID("/id", c.ID)
	if err := faults.Err(); err != nil {
		return err
	}
	if _, err := s.build(c, slog.New(slog.DiscardHandler)); err != nil {
		return settingsFaults(err)
	}
	devices, err := s.devicesOf(c)
	if err != nil {
		return settingsFaults(err)
	}
	s.mu.Lock()
	others := slices.Clone(s.wanted)
	s.mu.Unlock()
	owners := newOwners()
	for _, other := range others {
		if other.ID == c.ID {
			continue
		}
		if theirs, err := s.devicesOf(other); err == nil {
			_ = owners.claim(other.ID, theirs) // theirs to fix
		}
	}
	return owners.claim(c.ID, devices)
}

// isFault tells whether err has words for a person.
func isFault(err error) bool {
	_, list := errors.AsType[fault.List](err)
	_, one := errors.AsType[*fault.Error](err)
	return list || one
}

// settingsFaults gives err as a fault.List whose words a person may read.
func settingsFaults(err error) error {
	if isFault(err) {
		return fault.All(err)
	}
	if crash, ok := errors.AsType[*panicError](err); ok {
		return fault.List{{Code: fault.Internal, Message: crash.Error(), Err: crash}}
	}
	return fault.List{{Code: fault.Invalid, Message: err.Error(), Err: err}}
}

// Test tries the settings, saved or not, for at most 30 s, and gives what was
// read; device names the one to try, all when empty. A running bridge with the same id is stopped
// meanwhile. Faults: those of Check; NotFound for the device; Conflict while
// another test of the id runs; Unreachable when the link failed, in words that say what to do.
func (s *Supervisor) Test(ctx context.Context, c Config, device string) ([]Reading, error) {
	b, err := s.build(c, s.log.With(string(s.role), c.ID, "kind", c.Kind, "test", true))
	if err != nil {
		return nil, settingsFaults(err)
	}
	tester, ok := b.(Tester)
	if !ok {
		return nil, fault.New(fault.Invalid, "the kind %s has no test", c.Kind)
	}
	devices, err := s.devicesOf(c)
	if err != nil {
		return nil, settingsFaults(err)
	}
	if device != "" && !slices.ContainsFunc(devices, func(d Device) bool { return d.ID == device }) {
		return nil, fault.New(fault.NotFound, "there is no device %s", device)
	}
	resume, err := s.pause(c.ID)
	if err != nil {
		return nil, err
	}
	defer resume()
	ctx, cancel := context.WithTimeout(ctx, testWithin)
	defer cancel()
	readings, err := test(ctx, tester, device)
	if err != nil {
		return nil, testFault(err)
	}
	return readings, nil
}

func test(ctx context.Context, t Tester, device string) (readings []Reading, err error) {
	defer recovered(&err)
	return t.Test(ctx, device)
}

func testFault(err error) error {
	switch {
	case isFault(err):
		return err
	case errors.Is(err, context.DeadlineExceeded):
		return &fault.Error{Code: fault.Unreachable, Message: fmt.Sprintf("no answer within %v", testWithin), Err: err}
	}
	if crash, ok := errors.AsType[*panicError](err); ok {
		return &fault.Error{Code: fault.Internal, Message: crash.Error(), Err: crash}
	}
	return &fault.Error{Code: fault.Unreachable, Message: err.Error(), Err: err}
}

// pause stops the bridge with the id, if it runs, until resume is called.
func (s *Supervisor) pause(id string) (resume func(), err error) {
	s.mu.Lock()
	busy := s.testing[id]
	s.testing[id] = true
	s.mu.Unlock()
	if busy {
		return nil, fault.New(fault.Conflict, "a test of %s runs already", id)
	}
	s.applying.Lock()
	defer s.applying.Unlock()
	r := s.find(id)
	if r != nil {
		stopAll([]*runner{r})
	}
	return func() { s.resume(id, r) }, nil
}

// resume starts what pause stopped, unless Apply replaced it meanwhile.
func (s *Supervisor) resume(id string, r *runner) {
	s.applying.Lock()
	defer s.applying.Unlock()
	s.mu.Lock()
	delete(s.testing, id)
	again := r != nil && s.phase == running && slices.Contains(s.runners, r)
	s.mu.Unlock()
	if again {
		r.start(nil)
	}
}

// DropQueue ends the durable session of a bridge or uplink with all that it
// holds. A running one is stopped meanwhile. fault.NotFound when there is none with the id.
func (s *Supervisor) DropQueue(ctx context.Context, id string) error {
	resume, err := s.pause(id)
	if err != nil {
		return err
	}
	defer resume()
	r := s.find(id)
	if r == nil {
		return fault.New(fault.NotFound, "there is no %s %s", s.role, id)
	}
	for _, session := range r.board.sessionIDs() {
		if err := s.bus.Forget(ctx, session); err != nil {
			return fmt.Errorf("forget session %s: %w", session, err)
		}
	}
	r.board.emptied()
	return nil
}

// Write writes a point through the bridge that runs its device. The result tells
// how it went; an error means that it could not be tried: fault.NotFound,
// fault.Unavailable while the bridge does not run, fault.Forbidden when its kind cannot write.
func (s *Supervisor) Write(ctx context.Context, device, point string, value json.RawMessage) (result WriteResult, err error) {
	r, known := s.owner(device, point)
	switch {
	case r == nil:
		return WriteResult{}, fault.New(fault.NotFound, "there is no device %s", device)
	case !known:
		return WriteResult{}, fault.New(fault.NotFound, "device %s has no point %s", device, point)
	}
	b := r.runningBridge()
	if b == nil {
		return WriteResult{}, fault.New(fault.Unavailable, "the %s %s does not run now", s.role, r.config.ID)
	}
	w, ok := b.(Writer)
	if !ok {
		return WriteResult{}, fault.New(fault.Forbidden, "devices of the kind %s cannot be written", r.config.Kind)
	}
	defer func() {
		if crash, ok := errors.AsType[*panicError](err); ok {
			r.log.Error("panic", "err", crash, "stack", crash.stack)
			err = &fault.Error{Code: fault.Internal, Message: crash.Error(), Err: crash}
		}
	}()
	defer recovered(&err)
	return w.Write(ctx, device, point, value)
}

// owner gives the runner of the device, nil when there is none, and whether it has the point.
func (s *Supervisor) owner(device, point string) (r *runner, known bool) {
	for _, r := range s.list() {
		for _, d := range r.board.devices {
			if d.ID == device {
				return r, slices.ContainsFunc(d.Points, func(p Point) bool { return p.ID == point })
			}
		}
	}
	return nil, false
}
