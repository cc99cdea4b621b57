package gateway

import (
	"context"
	"log/slog"
	"time"
)

// Stack is stack for tests.
type Stack struct{ *stack }

// NewStack makes a stack.
func NewStack(ctx context.Context) Stack { return Stack{newStack(ctx, slog.New(slog.DiscardHandler))} }

// Start starts a part.
func (s Stack) Start(name string, run func(context.Context) error) { s.start(name, run) }

// Stop stops all.
func (s Stack) Stop(within time.Duration) error { return s.stop(within) }

// Notify runs a notifier.
func Notify(ctx context.Context, every time.Duration, probe func(context.Context) bool, send func(string) (bool, error)) error {
	n := notifier{probe: probe, send: send, every: every, log: slog.New(slog.DiscardHandler)}
	return n.run(ctx)
}

// Patience asks for more time to start until end is called.
func Patience(send func(string) (bool, error)) (end func()) {
	return startPatience(send, slog.New(slog.DiscardHandler)).end
}

// DiskAlarm tells whether the spool waits for the disk.
func (g *Gateway) DiskAlarm() bool { return g.diskAlarm() }

// Probe asks for a sign of life.
func (g *Gateway) Probe(ctx context.Context) bool { return g.probe(ctx) }
