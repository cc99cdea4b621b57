package bridges

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"fieldgate/internal/fault"
)

// Tools is what a person may do by hand on the link of a bridge. A Kind gives one
// that opens the link for each call; a Bridge that has these methods too shares its link while
// it runs. The questions are JSON objects that the kind judges: a fault.List with pointers into
// them says what is wrong. All methods may be called at the same time; they end with ctx.
type Tools interface {
	// Scan looks for devices without changing anything in them, and tells what it finds and how
	// far it is, from one goroutine. ErrNeedsPause: the running bridge can't share its link with this scan.
	Scan(ctx context.Context, question json.RawMessage, tell func(ScanStep)) error
	// ReadByHand reads once. An answer that is none is no error.
	ReadByHand(ctx context.Context, question json.RawMessage) (HandAnswer, error)
	// WriteByHand writes once. An answer that is none is no error.
	WriteByHand(ctx context.Context, question json.RawMessage) (HandAnswer, error)
}

// ErrNeedsPause tells that a running bridge must be stopped for what was asked for.
var ErrNeedsPause = errors.New("the bridge must be paused for this")

// HandAnswer is what a read or a write by hand gave; it is to be told as JSON.
type HandAnswer interface{ Answered() bool }

// ScanStep tells how far a scan is.
type ScanStep struct {
	Done, Total int    // requests; Total may shrink
	Words       string // what is tried now
	Found       *Found // nil when this step found nothing
	// Try reads points by hand from what was found, in the form of the kind's settings, with the settings of a device
	// around them: the value of each, none where it gave none. For the duration of the call of tell only. It may be nil.
	Try func(device map[string]json.RawMessage, points []json.RawMessage) []Value
}

// Found is a device that answered a scan.
type Found struct {
	Unit      int      `json:"unit"`
	Certain   bool     `json:"certain"` // false: something came that could not be read
	Baud      int      `json:"baud"`    // 0 when the link has no bit rate
	Format    string   `json:"format"`
	MS        float64  `json:"ms"`        // from the request to the answer
	Function  int      `json:"function"`  // function code that was answered
	Exception int      `json:"exception"` // 0 for none
	Words     string   `json:"words"`     // about the exception, or what came
	Vendor    string   `json:"vendor"`
	Product   string   `json:"product"`
	Revision  string   `json:"revision"`
	Templates []string `json:"templates"` // that fit, best first
}

// scanWithin bounds a scan whatever was asked for: 247 units in all formats with long timeouts.
const scanWithin = 2 * time.Hour

// Scan looks for devices on the link of the configured bridge with c's ID, or with an empty ID
// on that of c's settings, which need no devices. A running bridge shares its link if it
// can, else it is stopped meanwhile. Faults: those of the question or the settings;
// NotFound for the bridge; Forbidden when the kind has no tools; Conflict while another scan or test has it; Unreachable when the link failed.
func (s *Supervisor) Scan(ctx context.Context, c Config, question json.RawMessage, tell func(ScanStep)) error {
	ctx, cancel := context.WithTimeout(ctx, scanWithin)
	defer cancel()
	return s.byHand(ctx, c, func(t Tools) error { return t.Scan(ctx, question, tell) })
}

// ReadByHand reads once on the link that Scan would take, with its faults.
func (s *Supervisor) ReadByHand(ctx context.Context, c Config, question json.RawMessage) (a HandAnswer, err error) {
	ctx, cancel := context.WithTimeout(ctx, testWithin)
	defer cancel()
	err = s.byHand(ctx, c, func(t Tools) error { a, err = t.ReadByHand(ctx, question); return err })
	return a, err
}

// WriteByHand writes once on the link that Scan would take, with its faults.
func (s *Supervisor) WriteByHand(ctx context.Context, c Config, question json.RawMessage) (a HandAnswer, err error) {
	ctx, cancel := context.WithTimeout(ctx, testWithin)
	defer cancel()
	err = s.byHand(ctx, c, func(t Tools) error { a, err = t.WriteByHand(ctx, question); return err })
	return a, err
}

// byHand calls do with the tools of a running bridge, or with those that open the link.
func (s *Supervisor) byHand(ctx context.Context, c Config, do func(Tools) error) error {
	if c.ID != "" {
		r := s.find(c.ID)
		if r == nil {
			return fault.New(fault.NotFound, "there is no %s %s", s.role, c.ID)
		}
		c = r.config
		if shared, ok := r.runningBridge().(Tools); ok && !s.isTested(c.ID) {
			if err := s.use(shared, do); !errors.Is(err, ErrNeedsPause) {
				return handFault(err)
			}
		}
	}
	tools, err := s.toolsOf(c)
	if err != nil {
		return inBridge(c, err)
	}
	if c.ID != "" {
		resume, err := s.pause(c.ID)
		if err != nil {
			return err
		}
		defer resume()
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return handFault(s.use(tools, do))
}

func (s *Supervisor) use(t Tools, do func(Tools) error) (err error) {
	defer func() {
		if crash, ok := errors.AsType[*panicError](err); ok {
			s.log.Error("panic", "err", crash, "stack", crash.stack)
		}
	}()
	defer recovered(&err)
	return do(t)
}

// isTested tells whether somebody has stopped the bridge for a test or a scan.
func (s *Supervisor) isTested(id string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.testing[id]
}

// toolsOf gives the tools for settings.
func (s *Supervisor) toolsOf(c Config) (t Tools, err error) {
	defer recovered(&err)
	k, err := s.kind(c.Kind)
	switch {
	case err != nil:
		return nil, err
	case k.Tools == nil:
		return nil, fault.New(fault.Forbidden, "the kind %s has nothing to do by hand", c.Kind)
	}
	if t, err = k.Tools(c, s.log.With(string(s.role), c.ID, "kind", c.Kind, "by_hand", true)); err != nil {
		return nil, settingsFaults(err)
	}
	return t, nil
}

// inBridge makes pointers into settings that came with a question pointers into the question.
func inBridge(c Config, err error) error {
	if c.ID != "" {
		return err
	}
	list := fault.All(err)
	moved := make(fault.List, len(list))
	for i, f := range list {
		at := *f
		at.Field = "/bridge" + f.Field
		moved[i] = &at
	}
	return moved.Err()
}

// handFault gives the words of what failed; the end of the caller's patience stays what it is.
func handFault(err error) error {
	if err == nil || errors.Is(err, context.Canceled) {
		return err
	}
	return testFault(err)
}
