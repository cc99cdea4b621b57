package gateway

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"
)

// stack runs parts and stops them in the reverse order of their start.
type stack struct {
	ctx   context.Context // of the parts: with the values of Run's, without its end
	log   *slog.Logger
	parts []part
}

type part struct {
	name   string
	cancel context.CancelFunc
	done   chan struct{} // closed when its Run has returned
}

func newStack(ctx context.Context, log *slog.Logger) *stack {
	return &stack{ctx: context.WithoutCancel(ctx), log: log}
}

// start runs a part until stop.
func (s *stack) start(name string, run func(context.Context) error) {
	ctx, cancel := context.WithCancel(s.ctx)
	p := part{name: name, cancel: cancel, done: make(chan struct{})}
	s.parts = append(s.parts, p)
	go func() { // stop waits for it
		defer close(p.done)
		if err := run(ctx); err != nil && ctx.Err() == nil {
			s.log.Error("part ended", "part", name, "err", err)
		}
	}()
}

// stop ends the parts, the last one first, each before the next; those that have
// not ended when the time is over are named in the error.
func (s *stack) stop(within time.Duration) error {
	deadline := time.NewTimer(within)
	defer deadline.Stop()
	var late []string
	over := false
	for _, p := range slices.Backward(s.parts) {
		p.cancel()
		if over {
			select {
			case <-p.done:
			default:
				late = append(late, p.name)
			}
			continue
		}
		select {
		case <-p.done:
		case <-deadline.C:
			over = true
			late = append(late, p.name)
		}
	}
	if len(late) > 0 {
		return fmt.Errorf("stop within %v: %s did not end", within, strings.Join(late, ", "))
	}
	return nil
}
