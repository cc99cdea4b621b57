package bridges

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"fieldgate/broker/mqtt"
	"fieldgate/internal/fault"
)

const (
	stopWithin    = time.Second      // a bridge must have ended this long after it was told to
	stateEvery    = time.Minute      // states and counters go out at least this often
	publishWithin = 5 * time.Second  // how long a state waits for a broker at its limit
	publishAgain  = 5 * time.Second  // pause before what could not be published is tried again
	testWithin    = 30 * time.Second // the longest test
	maxBridges    = 1000
	lookAtClock   = time.Second // while it is not right
	lookForStale  = 5 * time.Second
)

// Supervisor runs the bridges of one role: starts, watches, restarts and stops
// them, keeps what they report, and publishes their states. One bridge's faults
// never reach another. All methods may be called at the same time.
type Supervisor struct {
	role   Role
	kinds  []Kind
	bus    Bus
	alarms *fault.Alarms
	clock  Clock
	log    *slog.Logger

	changed   chan struct{} // holds 1: some state waits to be published
	version   atomic.Uint64 // of the readings
	histories histories

	applying sync.Mutex // held while a set of settings takes effect, before every other lock
	outgoing sync.Mutex // held while states go out, so that they go out in order and none after its topic was cleared

	mu      sync.Mutex // protects what follows
	ctx     context.Context
	phase   phase
	wanted  []Config
	runners []*runner // in the order of the settings
	testing map[string]bool
}

type phase byte

const (
	waiting phase = iota
	running
	ended
)

// NewSupervisor makes a supervisor for the kinds of one role. It panics when two kinds have the same name.
func NewSupervisor(role Role, kinds []Kind, bus Bus, alarms *fault.Alarms, log *slog.Logger) *Supervisor {
	names := map[string]bool{}
	for _, k := range kinds {
		if names[k.Name] {
			panic("bridges: two kinds are called " + k.Name)
		}
		names[k.Name] = true
	}
	return &Supervisor{
		role: role, kinds: kinds, bus: bus, alarms: alarms, clock: rightClock(), log: log,
		changed: make(chan struct{}, 1), testing: map[string]bool{},
	}
}

// SetClock gives the clock that readings' times are held against. It is to be called before all else;
// without it the clock counts as right.
func (s *Supervisor) SetClock(c Clock) { s.clock = c }

// Run starts what Apply was given, before or from now on, and works until ctx is
// done. It returns nil once all bridges have ended, or 1 s later. It may be called once.
func (s *Supervisor) Run(ctx context.Context) error {
	s.applying.Lock()
	s.mu.Lock()
	if s.phase != waiting {
		s.mu.Unlock()
		s.applying.Unlock()
		panic("bridges: the supervisor ran already")
	}
	s.ctx, s.phase = ctx, running
	s.mu.Unlock()
	s.reconcile(s.wanted)
	s.applying.Unlock()

	s.publishStates(ctx)

	s.applying.Lock()
	defer s.applying.Unlock()
	s.mu.Lock()
	s.phase = ended
	runners := s.runners
	s.mu.Unlock()
	stopAll(runners)
	return nil
}

// Apply makes the settings take effect: bridges that are new start, those that
// are gone stop and their retained topics are cleared and their durable sessions
// forgotten, those that changed restart, the others go on untouched. A bridge whose settings are
// wrong is Failed with the reason while the others run. An error means that nothing
// was done: an id is missing or used twice, or Run has ended.
func (s *Supervisor) Apply(configs []Config) error {
	if err := checkSet(configs); err != nil {
		return err
	}
	s.applying.Lock()
	defer s.applying.Unlock()
	s.mu.Lock()
	phase := s.phase
	if phase != ended {
		s.wanted = slices.Clone(configs)
	}
	s.mu.Unlock()
	switch phase {
	case ended:
		return fault.New(fault.Unavailable, "the gateway is stopping")
	case running:
		s.reconcile(configs)
	}
	return nil
}

func checkSet(configs []Config) error {
	if len(configs) > maxBridges {
		return fault.List{fault.New(fault.TooMany, "%d are configured, at most %d are allowed", len(configs), maxBridges)}
	}
	var faults Faults
	seen := map[string]bool{}
	for i, c := range configs {
		at := fmt.Sprintf("/%d/id", i)
		faults.CheckID(at, c.ID)
		if seen[c.ID] {
			faults.Add(at, fault.Conflict, "%q is used twice", c.ID)
		}
		seen[c.ID] = true
	}
	return faults.Err()
}

// reconcile goes from the runners that are to those that should be; applying is held.
func (s *Supervisor) reconcile(configs []Config) {
	s.mu.Lock()
	former := s.runners
	s.mu.Unlock()

	owners := newOwners()
	var next, fresh []*runner
	predecessor := map[*runner]*runner{}
	for _, c := range configs {
		devices, deviceErr := s.devicesOf(c)
		if deviceErr == nil {
			deviceErr = owners.claim(c.ID, devices)
		}
		i := slices.IndexFunc(former, func(r *runner) bool { return r.config.ID == c.ID })
		if i >= 0 && former[i].same(c, deviceErr) {
			next = append(next, former[i])
			continue
		}
		r := newRunner(s, c, devices, deviceErr)
		if i >= 0 {
			predecessor[r] = former[i]
		}
		next, fresh = append(next, r), append(fresh, r)
	}

	var gone []*runner // removed or replaced
	for _, r := range former {
		if !slices.Contains(next, r) {
			gone = append(gone, r)
		}
	}
	stopAll(gone)
	for r, former := range predecessor {
		r.board.inherit(former.board)
	}
	for _, r := range gone {
		r.tap.close()
		r.board.forgetHistories()
	}
	s.replace(next, gone)
	for _, r := range fresh {
		r.start(predecessor[r])
	}
	s.wake()
}

// replace puts the new runners in place and clears what the old ones left behind.
func (s *Supervisor) replace(next, gone []*runner) {
	s.outgoing.Lock()
	defer s.outgoing.Unlock()
	s.mu.Lock()
	s.runners = next
	ctx := s.ctx
	s.mu.Unlock()

	topics, ids := map[string]bool{}, map[string]bool{}
	for _, r := range next {
		ids[r.config.ID] = true
		for _, t := range r.board.topics() {
			topics[t] = true
		}
	}
	for _, r := range gone {
		for _, t := range r.board.topics() {
			if !topics[t] {
				s.publish(ctx, &mqtt.Message{Topic: t, QoS: mqtt.AtLeastOnce, Retain: true})
			}
		}
		if !ids[r.config.ID] {
			s.alarms.Clear(s.role.Part(r.config.ID))
			s.forget(ctx, r.board.sessionIDs())
			s.log.Info("removed", string(s.role), r.config.ID)
		}
	}
}

func (s *Supervisor) forget(ctx context.Context, sessions []string) {
	ctx, cancel := context.WithTimeout(ctx, publishWithin)
	defer cancel()
	for _, id := range sessions {
		if err := s.bus.Forget(ctx, id); err != nil {
			s.log.Warn("session not forgotten", "client_id", id, "err", err)
		}
	}
}

// publish hands a message to the broker; false when it could not, which is logged.
func (s *Supervisor) publish(ctx context.Context, m *mqtt.Message) bool {
	ctx, cancel := context.WithTimeout(ctx, publishWithin)
	defer cancel()
	if err := s.bus.Publish(ctx, m, nil); err != nil {
		s.log.Debug("state not published", "topic", m.Topic, "err", err)
		return false
	}
	return true
}

// publishStates sends states on change, and all of them now and then, until ctx is done.
func (s *Supervisor) publishStates(ctx context.Context) {
	tick := time.NewTicker(stateEvery)
	defer tick.Stop()
	again := time.NewTimer(publishAgain)
	defer again.Stop()
	clock := time.NewTicker(lookAtClock)
	defer clock.Stop()
	stale := time.NewTicker(lookForStale)
	defer stale.Stop()
	wrong := !s.clock.Synced()
	if !wrong {
		clock.Stop()
	}
	for {
		all := false
		select {
		case <-ctx.Done():
			return
		case <-stale.C:
			for _, r := range s.list() {
				r.markStale(ctx)
			}
			continue
		case <-clock.C:
			if wrong && s.clock.Synced() {
				wrong = false
				clock.Stop()
				s.clockSet(ctx)
			}
		case <-tick.C:
			all = true
		case <-s.changed:
		case <-again.C:
		}
		if !s.publishPending(ctx, all) {
			again.Reset(publishAgain)
		}
	}
}

// clockSet publishes again what went out with a time that was wrong.
func (s *Supervisor) clockSet(ctx context.Context) {
	corrected := 0
	for _, r := range s.list() {
		corrected += r.clockSet(ctx)
	}
	s.log.Info("clock set", "role", string(s.role), "corrected", corrected)
	s.wake()
}

// publishPending sends the states that changed, or all; false when the broker did not take one.
func (s *Supervisor) publishPending(ctx context.Context, all bool) bool {
	s.outgoing.Lock()
	defer s.outgoing.Unlock()
	done := true
	for _, r := range s.list() {
		for _, out := range r.board.pendingStates(all) {
			if !s.publish(ctx, out.message) {
				r.board.retryState(out.device)
				done = false
			}
		}
	}
	return done
}

// wake lets publishStates look for changes.
func (s *Supervisor) wake() {
	select {
	case s.changed <- struct{}{}:
	default:
	}
}

func (s *Supervisor) list() []*runner {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.runners
}

func (s *Supervisor) find(id string) *runner {
	for _, r := range s.list() {
		if r.config.ID == id {
			return r
		}
	}
	return nil
}

// kind gives the kind of that name, or says which are known.
func (s *Supervisor) kind(name string) (Kind, error) {
	names := make([]string, len(s.kinds))
	for i, k := range s.kinds {
		if k.Name == name {
			return k, nil
		}
		names[i] = k.Name
	}
	var faults Faults
	faults.OneOf("/kind", name, names...)
	return Kind{}, faults.Err()
}

// build checks the settings and makes the bridge; a panic in the kind is an error.
func (s *Supervisor) build(c Config, log *slog.Logger) (b Bridge, err error) {
	defer recovered(&err)
	k, err := s.kind(c.Kind)
	if err != nil {
		return nil, err
	}
	return k.New(c, log)
}

// devicesOf lists the devices of the settings; a panic in the kind is an error.
func (s *Supervisor) devicesOf(c Config) (devices []Device, err error) {
	defer recovered(&err)
	k, err := s.kind(c.Kind)
	if err != nil || k.Devices == nil {
		return nil, err
	}
	devices = slices.Clone(k.Devices(c))
	for i := range devices {
		devices[i].Bridge = c.ID
	}
	return devices, nil
}

// meaning is the same for settings that mean the same.
func meaning(settings json.RawMessage) [sha256.Size]byte {
	d := json.NewDecoder(bytes.NewReader(settings))
	d.UseNumber()
	var v any
	if d.Decode(&v) != nil {
		return sha256.Sum256(settings)
	}
	text, err := json.Marshal(v)
	if err != nil {
		return sha256.Sum256(settings)
	}
	return sha256.Sum256(text)
}
