package modbus

import (
	"context"
	"errors"
	"sync"
	"time"

	"fieldgate/bridges"
	"fieldgate/bridges/internal/port"
	"fieldgate/broker/mqtt"
)

// run is one Run of a bridge. Its goroutine owns the bus: it executes commands
// first, then errands, then the poll whose deadline is the nearest.
type run struct {
	bridge   *bridge
	host     bridges.Host
	devices  []*deviceRun
	schedule *schedule
	queue    bridges.Commands[*deviceRun]
	errands  errands
	ledger   ledger
	debts    *debts
	others   time.Duration // bus time of commands and errands since weighedAt
	weighed  time.Time     // when the demand was compared with the time
	toldAt   time.Time     // when counters were given to the host
	seenAt   time.Time     // when the link was last seen to be present
	linked   bool          // the link is open, or was a moment ago
	reason   string        // of the bridge's state while the link is open
}

// errStale ends a connection on which nothing is heard, for another one.
var errStale = errors.New("nothing is heard on this connection")

const (
	retrySerial  = 100 * time.Millisecond
	presentEvery = 250 * time.Millisecond
	countsEvery  = time.Second
)

func newRun(b *bridge, host bridges.Host) *run {
	r := &run{bridge: b, host: host, debts: newDebts()}
	for i := range b.settings.Devices {
		r.devices = append(r.devices, newDeviceRun(&b.settings.Devices[i], b.settings.Link))
	}
	r.schedule = newSchedule(r.devices)
	return r
}

func (r *run) device(id string) *deviceRun {
	for _, d := range r.devices {
		if d.ID == id {
			return d
		}
	}
	return nil
}

// work polls until ctx is done, which is no error.
func (r *run) work(ctx context.Context) error {
	defer r.queue.Close()
	defer r.errands.close()
	source, err := r.host.Attach(ctx, mqtt.Attachment{Subscriptions: r.subscriptions()})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	var listener sync.WaitGroup
	listener.Go(func() { cancel(r.queue.Listen(ctx, source, r.host, r.bridge.log, r.deviceAt)) })
	defer func() {
		cancel(nil)
		listener.Wait()
		_ = source.Close() // volatile: nothing is kept
	}()
	r.begin(ctx)
	for ctx.Err() == nil {
		answered := r.ledger.answers
		err := r.connection(ctx)
		if ctx.Err() != nil {
			break
		}
		if errors.Is(err, errStale) || r.bridge.settings.Link.Serial == nil && r.ledger.answers > answered {
			continue // a connection that worked and ended is worth another one at once
		}
		r.lost(ctx, err)
		r.rest(ctx, err)
	}
	if err := context.Cause(ctx); !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return nil
}

// begin tells of what is switched off.
func (r *run) begin(ctx context.Context) {
	now := time.Now()
	for _, d := range r.devices {
		switch {
		case !d.enabled():
			r.host.SetDevice(d.ID, bridges.Disabled, "")
		case len(d.blocks) == 0 && d.Unit == broadcast:
			r.host.SetDevice(d.ID, bridges.Online, "")
		case len(d.blocks) == 0:
			r.host.SetDevice(d.ID, bridges.Disabled, "all its points are switched off")
		}
		for i := range d.Points {
			if p := &d.Points[i]; !p.enabled() || !d.enabled() {
				r.report(ctx, r.badReading(d, p, bridges.ErrDisabled, now))
			}
		}
	}
}

// connection opens the link and polls until it is lost.
func (r *run) connection(ctx context.Context) error {
	w, err := r.bridge.open(ctx)
	if err != nil {
		return err
	}
	defer w.Close()
	stop := context.AfterFunc(ctx, func() { _ = w.Close() })
	defer stop()
	r.queue.SetInterrupt(w.Interrupt)
	defer r.queue.SetInterrupt(nil)
	r.errands.setInterrupt(w.Interrupt)
	defer r.errands.setInterrupt(nil)
	r.ledger.opened++
	r.ledger.tap = r.bridge.tap
	if !r.linked {
		r.up()
	}
	r.schedule.grounded()
	return r.serve(ctx, newBus(w, r.bridge.settings, &r.ledger, r.debts))
}

// up says that the link is open, and makes all polls due.
func (r *run) up() {
	r.linked, r.reason = true, ""
	r.host.SetState(bridges.Online, "")
	r.schedule.begin(time.Now())
}

// lost says that the link is gone, and takes the values back.
func (r *run) lost(ctx context.Context, err error) {
	r.linked = false
	r.host.SetState(bridges.Offline, err.Error())
	now := time.Now()
	for _, d := range r.devices {
		if len(d.blocks) > 0 {
			r.take(ctx, d, bridges.ErrLink, err.Error(), now)
		}
	}
	r.tellCounts(now)
}

// rest waits before the link is opened again; commands are answered meanwhile.
func (r *run) rest(ctx context.Context, err error) {
	pause := tcpRetry
	if r.bridge.settings.Link.Serial != nil {
		pause = retrySerial
	}
	end := time.NewTimer(pause)
	defer end.Stop()
	for {
		r.queue.Refuse(bridges.ErrLink, err.Error())
		r.errands.refuse(gone(err))
		select {
		case <-ctx.Done():
			return
		case <-end.C:
			return
		case <-r.queue.News():
		case <-r.errands.news():
		}
	}
}

// serve works on an open link until it is lost or ctx is done.
func (r *run) serve(ctx context.Context, b *bus) error {
	for ctx.Err() == nil {
		now := time.Now()
		if now.Sub(r.toldAt) >= countsEvery {
			r.weigh(now)
			r.tellCounts(now)
		}
		if now.Sub(r.seenAt) >= presentEvery {
			if r.seenAt = now; !b.wire.Present() {
				return port.ErrGone
			}
		}
		if err := r.step(ctx, b, now); err != nil {
			return err
		}
		if b.transport.stale() {
			return errStale
		}
	}
	return nil
}

// step does what is most urgent.
func (r *run) step(ctx context.Context, b *bus, now time.Time) error {
	if c, ok := r.queue.Pop(); ok {
		err := r.execute(ctx, b, c)
		r.others += time.Since(now)
		return err
	}
	if do := r.errands.pop(); do != nil {
		do(b, nil)
		r.others += time.Since(now)
		return nil
	}
	until := now.Add(presentEvery)
	if !b.transport.full() {
		next, wake := r.schedule.next(now)
		if next != nil {
			return r.poll(ctx, b, next, now)
		}
		until = earlier(until, wake)
	}
	return b.transport.attend(until)
}

// weigh tells when the intervals ask for more time than the bus has.
func (r *run) weigh(now time.Time) {
	if since := now.Sub(r.weighed); !r.weighed.IsZero() && since > 0 {
		r.schedule.weigh(float64(r.others) / float64(since))
	}
	r.weighed, r.others = now, 0
	reason := r.schedule.overload()
	if reason == r.reason {
		return
	}
	r.reason = reason
	if reason == "" {
		r.host.SetState(bridges.Online, "")
	} else {
		r.host.SetState(bridges.Degraded, reason)
	}
}

func (r *run) tellCounts(now time.Time) {
	r.host.SetCounters(r.ledger.snapshot(now))
	for _, d := range r.devices {
		if c := r.ledger.units[byte(d.Unit)]; c != nil && *c != d.told {
			d.told = *c
			r.host.SetDeviceCounters(d.ID, c.snapshot())
		}
	}
	r.toldAt = now
}
