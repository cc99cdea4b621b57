package broker

import (
	"context"
	"errors"
	"net"
	"time"

	"fieldgate/broker/listen"
	"fieldgate/internal/fault"
)

// How long a listener that can't be opened is left alone.
const (
	reopenFirst = time.Second
	reopenMost  = 30 * time.Second
	acceptPause = 100 * time.Millisecond // after an error of accept, such as too many open files
)

// listen opens one listener, again and again when that fails, and serves it until ctx is done.
func (b *Broker) listen(ctx context.Context, cfg listen.Config) {
	part := "mqtt/" + cfg.Address
	log := b.log.With("listener", cfg.Address)
	for pause := reopenFirst; ; pause = min(2*pause, reopenMost) {
		ln, err := listen.Open(ctx, cfg, part, b.alarms, log)
		if err == nil {
			b.alarms.Clear(part)
			log.Info("listening", "address", ln.Addr().String())
			b.accept(ctx, ln, cfg.Address)
			b.alarms.Clear(part)
			return
		}
		if ctx.Err() != nil {
			return
		}
		if pause == reopenFirst {
			log.Error("listener can't be opened; trying again until it can", "err", err)
		}
		b.alarms.Raise(part, fault.Unavailable, err.Error())
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
	}
}

// accept serves who connects until ctx is done.
func (b *Broker) accept(ctx context.Context, ln *listen.Listener, name string) {
	stop := context.AfterFunc(ctx, func() { _ = ln.Close() })
	defer stop()
	b.mu.Lock()
	b.doors = append(b.doors, ln)
	b.mu.Unlock()
	broken := false
	for {
		nc, err := ln.Accept()
		switch {
		case err == nil:
			broken = false
			b.serveConn(nc, name, ln)
		case ctx.Err() != nil || errors.Is(err, net.ErrClosed):
			return
		default:
			if !broken {
				b.log.Error("connections can't be accepted", "listener", name, "err", err)
			}
			broken = true
			time.Sleep(acceptPause)
		}
	}
}

// Addrs gives the addresses of the listeners that are open, with the real port
// where port 0 was asked for.
func (b *Broker) Addrs() []net.Addr {
	b.mu.Lock()
	defer b.mu.Unlock()
	addrs := make([]net.Addr, len(b.doors))
	for i, ln := range b.doors {
		addrs[i] = ln.Addr()
	}
	return addrs
}
