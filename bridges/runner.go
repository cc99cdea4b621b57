package bridges

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"fieldgate/internal/fault"
)

const (
	backOffMin = 250 * time.Millisecond
	backOffMax = 30 * time.Second
	healthy    = time.Minute // a bridge that ran this long starts again at once
)

// runner is one configured bridge: its life, and what it said last.
type runner struct {
	s        *Supervisor
	config   Config
	meaning  [sha256.Size]byte // of the settings
	conflict error             // why it must not run: its kind is unknown, or a device is another bridge's
	log      *slog.Logger
	board    *board
	tap      *Tap

	mu     sync.Mutex // protects what follows
	cancel context.CancelFunc
	done   chan struct{} // closed once the bridge has ended
	bridge Bridge        // while it runs
}

func newRunner(s *Supervisor, c Config, devices []Device, conflict error) *runner {
	if conflict != nil {
		devices = nil // they are not its own
	}
	log := s.log.With(string(s.role), c.ID, "kind", c.Kind)
	return &runner{
		s: s, config: c, meaning: meaning(c.Settings), conflict: conflict,
		log: log, board: newBoard(s, c, devices, log), tap: newTap(),
	}
}

// same tells whether the runner may go on with these settings.
func (r *runner) same(c Config, conflict error) bool {
	return r.config.Kind == c.Kind && r.config.Disabled == c.Disabled && r.meaning == meaning(c.Settings) &&
		fmt.Sprint(r.conflict) == fmt.Sprint(conflict)
}

// start lets the bridge run once its predecessor, if any, has ended. The caller holds applying.
func (r *runner) start(predecessor *runner) {
	if r.config.Disabled {
		r.disabled()
		return
	}
	var wait <-chan struct{}
	if predecessor != nil {
		_, wait = predecessor.life()
	}
	b, err := r.build()
	if err != nil {
		r.unfit(err)
	}
	r.s.mu.Lock()
	parent := r.s.ctx
	r.s.mu.Unlock()
	ctx, cancel := context.WithCancel(parent)
	done := make(chan struct{})
	r.mu.Lock()
	if wait == nil {
		wait = r.done // its own former life
	}
	r.cancel, r.done = cancel, done
	r.mu.Unlock()
	go func() { // stopAll waits for it
		defer close(done)
		defer cancel()
		r.live(ctx, wait, b)
	}()
}

// life gives what ends the bridge and what tells that it has ended; nil when it never ran.
func (r *runner) life() (context.CancelFunc, <-chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.cancel, r.done
}

// stopAll ends bridges and waits for them, all at once, at most 1 s.
func stopAll(runners []*runner) {
	for _, r := range runners {
		if cancel, _ := r.life(); cancel != nil {
			cancel()
		}
	}
	deadline := time.NewTimer(stopWithin)
	defer deadline.Stop()
	late := false
	for _, r := range runners {
		_, done := r.life()
		if done == nil {
			continue
		}
		if !late {
			select {
			case <-done:
				continue
			case <-deadline.C:
				late = true
			}
		}
		select {
		case <-done:
		default:
			r.log.Error("did not stop in time", "limit", stopWithin)
		}
	}
}

func (r *runner) build() (Bridge, error) {
	if r.conflict != nil {
		return nil, r.conflict
	}
	return r.s.build(r.config, r.log)
}

// live runs the bridge, again and again, until ctx is done. first is the bridge
// of the first round, nil when it could not be built.
func (r *runner) live(ctx context.Context, predecessor <-chan struct{}, first Bridge) {
	if predecessor != nil {
		<-predecessor // two of them must not hold one port
	}
	next := first
	for attempt := 0; ctx.Err() == nil; attempt++ {
		if next != nil {
			started := time.Now()
			err := r.round(ctx, next)
			if ctx.Err() != nil {
				return
			}
			if time.Since(started) >= healthy {
				attempt = 0
			}
			r.ended(err)
		}
		if !sleep(ctx, backOff(attempt)) {
			return
		}
		var err error
		if next, err = r.build(); err != nil {
			r.unfit(err)
		}
	}
}

// round runs the bridge once. It always returns an error unless ctx is done.
func (r *runner) round(ctx context.Context, b Bridge) (err error) {
	ctx, cancel := context.WithCancel(ctx)
	h := &host{r: r, ctx: ctx}
	if t, ok := b.(Tapped); ok {
		t.SetTap(r.tap)
	}
	r.setBridge(b)
	defer func() {
		cancel()
		r.setBridge(nil)
		h.close()
	}()
	defer recovered(&err)
	if err := b.Run(ctx, h); err != nil {
		return err
	}
	return errors.New("ended by itself")
}

func (r *runner) setBridge(b Bridge) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.bridge = b
}

// runningBridge gives the bridge while it runs, else nil.
func (r *runner) runningBridge() Bridge {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.bridge
}

// unfit says that the bridge could not be built: its settings are to blame.
func (r *runner) unfit(err error) { r.down(Failed, fault.Invalid, err) }

// ended says that Run came back with an error.
func (r *runner) ended(err error) { r.down(r.s.role.lost(), fault.Unreachable, err) }

// down says that the bridge does not run now, and why; a panic is nobody's fault but ours.
func (r *runner) down(state State, code fault.Code, err error) {
	if crash, ok := errors.AsType[*panicError](err); ok {
		state, code = Failed, fault.Internal
		r.log.Error("panic", "err", crash, "stack", crash.stack)
	}
	r.board.setState(state, code, err.Error())
	for _, d := range r.board.devices {
		r.board.setDevice(d.ID, Offline, err.Error())
	}
	r.publishBad(ErrFailed)
}

// disabled says that the bridge is switched off.
func (r *runner) disabled() {
	r.board.setState(Disabled, "", "")
	for _, d := range r.board.devices {
		r.board.setDevice(d.ID, Disabled, "")
	}
	r.publishBad(ErrDisabled)
}

// publishBad takes back the values that nobody looks after any more.
func (r *runner) publishBad(code string) {
	r.s.mu.Lock()
	ctx := r.s.ctx
	r.s.mu.Unlock()
	r.board.telling.Lock()
	defer r.board.telling.Unlock()
	changed := r.board.makeBad(code)
	if !r.tell(ctx, changed) {
		return
	}
	for _, m := range r.board.documents(changed) {
		if !r.s.publish(ctx, m) {
			return
		}
	}
}

// tell publishes readings; false when the broker is stopping, or at its limit: the rest then waits for markStale.
func (r *runner) tell(ctx context.Context, list []Reading) bool {
	for i, reading := range list {
		if !r.s.publish(ctx, reading.Message()) {
			r.board.owe(list[i:]...)
			return false
		}
	}
	return true
}

// backOff is the pause before the next attempt, with jitter.
func backOff(attempt int) time.Duration {
	limit := min(backOffMin<<min(attempt, 16), backOffMax)
	return max(backOffMin, limit/2+rand.N(limit/2))
}

// sleep waits; false when ctx ended first.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// panicError is a panic that was caught at the supervisor's boundary.
type panicError struct {
	value any
	stack string
}

func (e *panicError) Error() string {
	return fmt.Sprintf("a mistake in the program stopped it: %v", e.value)
}

// recovered turns a panic into an error; to be deferred.
func recovered(err *error) {
	if v := recover(); v != nil {
		*err = &panicError{value: v, stack: string(debug.Stack())}
	}
}

const maxReason = 500 // bytes

// limitText cuts a text that is too long for a status at the edge of a character.
func limitText(text string, most int) string {
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "") + "…"
}

// clockSet publishes readings again whose times were wrong, and tells how many.
func (r *runner) clockSet(ctx context.Context) int {
	r.board.telling.Lock()
	defer r.board.telling.Unlock()
	corrected := r.board.clockSet()
	r.tell(ctx, corrected)
	return len(corrected)
}

// markStale publishes what has become stale, and what did not get through before. It never waits for a bridge that is
// just publishing: that one is alive.
func (r *runner) markStale(ctx context.Context) {
	if !r.board.telling.TryLock() {
		return
	}
	defer r.board.telling.Unlock()
	r.tell(ctx, append(r.board.takeOwed(), r.board.makeStale()...))
}
