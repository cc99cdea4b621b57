package bridges

import (
	"sync"
	"sync/atomic"
	"time"

	"fieldgate/internal/fault"
)

// Frame is what went over a bridge's link, for a person to read.
type Frame struct {
	Time      time.Time `json:"time"`
	Direction string    `json:"direction"` // FrameRequest...
	Unit      int       `json:"unit"`
	Function  int       `json:"function"` // function code, 0 where there is none
	Name      string    `json:"name"`     // what the function code does
	Address   int       `json:"address"`
	Quantity  int       `json:"quantity"`
	Hex       string    `json:"hex"`    // as on the wire
	Text      string    `json:"text"`   // with names of control characters, where the device speaks in text
	Values    []int     `json:"values"` // of the registers or bits, as they came
	Exception int       `json:"exception"`
	Problem   string    `json:"problem"` // empty, ErrTimeout or ProblemCRC...
	Words     string    `json:"words"`
	MS        float64   `json:"ms"` // of an answer: since its request had left
}

// Directions of frames.
const (
	FrameRequest = "request"
	FrameAnswer  = "answer" // or what a device sent by itself
	FrameOther   = "other"
)

// Problems of frames, beside the codes of readings.
const (
	ProblemCRC     = "crc"     // a checksum is wrong
	ProblemFrame   = "frame"   // it is no frame
	ProblemForeign = "foreign" // somebody else's
	ProblemLate    = "late"    // the request that it answers was given up
	ProblemEarly   = "early"   // it came faster than the line can carry it
)

// Tap is where a bridge's frames can be seen. A nil Tap is one that nobody looks at; all
// methods may be called at the same time.
type Tap struct {
	open atomic.Bool // somebody looks

	mu      sync.Mutex // protects what follows
	readers map[*func(Frame)]bool
	closed  bool
	gone    chan struct{}
}

// Tapped is a Bridge that shows what goes over its link. SetTap is called before Run.
type Tapped interface{ SetTap(t *Tap) }

func newTap() *Tap { return &Tap{readers: map[*func(Frame)]bool{}, gone: make(chan struct{})} }

// Open tells whether anybody looks; frames need not be made when nobody does.
func (t *Tap) Open() bool { return t != nil && t.open.Load() }

// Tell shows a frame to all who look.
func (t *Tap) Tell(f Frame) {
	if !t.Open() {
		return
	}
	if f.Values == nil {
		f.Values = []int{}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for emit := range t.readers {
		(*emit)(f)
	}
}

// maxWatchers is how many may look at one bridge.
const maxWatchers = 8

func (t *Tap) watch(emit func(Frame)) (stop func(), err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.readers) >= maxWatchers {
		return nil, fault.New(fault.TooMany, "%d look at this bridge already", maxWatchers)
	}
	key := &emit
	t.readers[key] = true
	t.open.Store(true)
	return func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		delete(t.readers, key)
		t.open.Store(len(t.readers) > 0)
	}, nil
}

// close says that no frame will come any more.
func (t *Tap) close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.closed {
		t.closed = true
		close(t.gone)
	}
}

// Watch gives the frames on the link of a configured bridge to emit, which must not block, until
// stop is called; gone is closed when the bridge was removed or got other settings. Restarts of the
// bridge do not end it. Faults: NotFound, TooMany, Forbidden when its kind shows none.
func (s *Supervisor) Watch(id string, emit func(Frame)) (stop func(), gone <-chan struct{}, err error) {
	r := s.find(id)
	if r == nil {
		return nil, nil, fault.New(fault.NotFound, "there is no %s %s", s.role, id)
	}
	if b := r.runningBridge(); b != nil {
		if _, ok := b.(Tapped); !ok {
			return nil, nil, fault.New(fault.Forbidden, "the kind %s shows no frames", r.config.Kind)
		}
	}
	stop, err = r.tap.watch(emit)
	return stop, r.tap.gone, err
}
