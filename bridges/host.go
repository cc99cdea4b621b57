package bridges

import (
	"context"
	"errors"
	"slices"
	"sync"

	"fieldgate/broker/mqtt"
	"fieldgate/internal/fault"
)

// host is the Host of one run of a bridge. It ends with the run, so that nothing
// a straggler says comes after what the next run says.
type host struct {
	r   *runner
	ctx context.Context // of the run

	mu      sync.Mutex // protects what follows
	sources []Source
	closed  bool
}

var _ Host = (*host)(nil)

var errEnded = errors.New("the bridge has ended")

func (h *host) ended() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.closed
}

// stopping tells whether the bridge was told to end. What it sees while it closes
// its link is no news of the field.
func (h *host) stopping() bool { return h.ctx.Err() != nil || h.ended() }

func (h *host) Publish(ctx context.Context, m *mqtt.Message, safe func(error)) error {
	if h.ended() {
		return errEnded
	}
	return h.r.s.bus.Publish(ctx, m, safe)
}

func (h *host) Attach(ctx context.Context, a mqtt.Attachment) (Source, error) {
	a.ClientID = h.r.s.role.SessionID(h.r.config.ID, a.ClientID)
	src, err := h.r.s.bus.Attach(ctx, a)
	if err != nil {
		return nil, err
	}
	own := &ownSource{Source: src, h: h}
	h.mu.Lock()
	closed := h.closed
	if !closed {
		h.sources = append(h.sources, own)
	}
	h.mu.Unlock()
	if closed {
		return nil, errors.Join(errEnded, src.Close())
	}
	if a.Durable {
		h.r.board.attached(a.ClientID, own)
	}
	return own, nil
}

func (h *host) Forget(ctx context.Context, clientID string) error {
	return h.r.s.bus.Forget(ctx, h.r.s.role.SessionID(h.r.config.ID, clientID))
}

func (h *host) Report(ctx context.Context, readings ...Reading) error {
	if h.stopping() {
		return errEnded
	}
	h.r.board.telling.Lock()
	defer h.r.board.telling.Unlock()
	var first error
	var kept []Reading // for documents
	documented, news, at := h.r.board.hasDocuments(), false, h.r.board.clock.stamp()
	for _, in := range readings {
		out, publish, err := h.r.board.keep(in, at)
		if publish {
			news = true
			if err = h.r.s.bus.Publish(ctx, out.Message(), nil); err != nil {
				h.r.board.owe(out)
			}
		}
		if first == nil {
			first = err
		}
		if documented {
			kept = append(kept, out)
		}
	}
	if !documented || !news {
		return first
	}
	for _, m := range h.r.board.documents(kept) {
		if err := h.r.s.bus.Publish(ctx, m, nil); err != nil && first == nil {
			first = err
		}
	}
	return first
}

func (h *host) SetDevice(device string, s State, reason string) {
	if !h.stopping() {
		h.r.board.setDevice(device, s, reason)
	}
}

func (h *host) SetState(s State, reason string) {
	if !h.stopping() {
		h.r.board.setState(s, fault.Unreachable, reason)
	}
}

func (h *host) SetCounters(c map[string]int64) {
	if !h.stopping() {
		h.r.board.setCounters(c)
	}
}

func (h *host) SetDeviceCounters(device string, c map[string]int64) {
	if !h.stopping() {
		h.r.board.setDeviceCounters(device, c)
	}
}

// close ends the run: what the bridge left attached is closed.
func (h *host) close() {
	h.mu.Lock()
	h.closed = true
	left := slices.Clone(h.sources)
	h.mu.Unlock()
	for _, src := range left {
		if err := src.Close(); err != nil {
			h.r.log.Debug("session not detached", "err", err)
		}
	}
}

func (h *host) detached(src Source) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.sources = slices.DeleteFunc(h.sources, func(x Source) bool { return x == src })
}

// ownSource is a Source that its host closes when the bridge did not.
type ownSource struct {
	Source
	h    *host
	once sync.Once
	err  error
}

// Next puts times right that a clock told before it was set: what goes to a cloud is right even when it had to wait.
func (o *ownSource) Next(ctx context.Context, limit int) ([]mqtt.Delivery, error) {
	list, err := o.Source.Next(ctx, limit)
	s := o.h.r.s
	if s.role != UplinkRole {
		return list, err
	}
	for i := range list {
		m := list[i].Message
		if right := s.clock.Correct(m.Payload); len(right) != len(m.Payload) {
			corrected := *m // others hold the message too
			corrected.Payload = right
			list[i].Message = &corrected
		}
	}
	return list, err
}

func (o *ownSource) Close() error {
	o.once.Do(func() {
		o.h.r.board.detached(o, o.Usage())
		o.h.detached(o)
		o.err = o.Source.Close()
	})
	return o.err
}
