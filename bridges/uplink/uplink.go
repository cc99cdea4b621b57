// Package uplink is the kind of bridge whose far side is a cloud broker. An
// uplink reads a durable in-process session of our own broker, so what waits for
// a dead link waits in the spool and nowhere else: at most a window of messages
// is in memory, and a message leaves the queue only when the cloud acknowledged
// it. It must not know how the broker keeps the session.
package uplink

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"time"

	"fieldgate/bridges"
	"fieldgate/broker/mqtt"
)

// Kind is the uplink. Its settings are documented in README.md.
var Kind = bridges.Kind{
	Name:    "uplink",
	Title:   "Uplink to a cloud broker",
	Secrets: []string{"/password"},
	New:     newUplink,
}

// The pause between two tries to connect, or to send a message that the cloud does not take now, doubles from the first to the last, each shortened at
// random by up to half so that a thousand gateways do not come back in the same second.
const (
	firstPause = time.Second
	lastPause  = time.Minute
	// steady is how long a connection must last for the next failure to begin with firstPause again.
	steady = 30 * time.Second
)

type uplink struct {
	cfg      Config
	cloud    address
	out, in  []mapping
	log      *slog.Logger
	counters counters

	suspicion  suspicion // of Run alone
	complaints complaints

	firstPause, lastPause time.Duration // between two tries
}

var (
	_ bridges.Bridge = (*uplink)(nil)
	_ bridges.Tester = (*uplink)(nil)
)

func newUplink(c bridges.Config, log *slog.Logger) (bridges.Bridge, error) {
	cfg, err := decode(c)
	if err != nil {
		return nil, err
	}
	cloud, err := parseURL(cfg.URL)
	if err != nil {
		return nil, err
	}
	u := &uplink{cfg: cfg, cloud: cloud, log: log, firstPause: firstPause, lastPause: lastPause}
	for _, o := range cfg.Out {
		u.out = append(u.out, mapping{o.Filter, o.LocalPrefix, o.RemotePrefix})
	}
	for _, in := range cfg.In {
		u.in = append(u.in, mapping{in.Filter, in.RemotePrefix, in.LocalPrefix})
	}
	return u, nil
}

// ClientID is the identity of an uplink's queue in our own broker. It depends on
// the uplink's id alone, so that a change of host, filters or credentials keeps the queue.
func ClientID(id string) string { return "$uplink/" + id }

// Run carries messages both ways until ctx is done; it connects again for ever.
func (u *uplink) Run(ctx context.Context, host bridges.Host) error {
	queue, err := host.Attach(ctx, u.attachment())
	if err != nil {
		return err
	}
	defer queue.Close()
	host.SetState(bridges.Connecting, "")
	w := newWindow(queue, u.firstPause, u.lastPause)
	pause := u.firstPause
	for {
		began := time.Now()
		err := u.connection(ctx, host, w)
		if ctx.Err() != nil {
			return nil
		}
		u.counters.disconnects.Add(1)
		host.SetState(bridges.Disconnected, explain(err))
		if time.Since(began) > steady {
			pause = u.firstPause
		}
		if !sleep(ctx, pause/2+rand.N(pause/2)) {
			return nil
		}
		pause = min(2*pause, u.lastPause)
	}
}

// attachment names the queue. NoLocal keeps commands that came down from going up again.
func (u *uplink) attachment() mqtt.Attachment {
	a := mqtt.Attachment{
		ClientID:    ClientID(u.cfg.ID),
		Durable:     true,
		MaxMessages: u.cfg.Queue.MaxMessages,
		MaxBytes:    int64(u.cfg.Queue.MaxBytes),
		MaxAge:      u.cfg.Queue.MaxAge,
		Reject:      u.cfg.Queue.Full == "reject",
	}
	for _, o := range u.cfg.Out {
		a.Subscriptions = append(a.Subscriptions, mqtt.Subscription{
			Filter: o.Filter, QoS: o.QoS, NoLocal: true, RetainAsPublished: true, RetainHandling: 1,
		})
	}
	return a
}

// connection dials, serves until the link fails or ctx is done, and says why it ended.
func (u *uplink) connection(ctx context.Context, host bridges.Host, w *window) error {
	conn, accepted, err := u.connect(ctx)
	if err != nil {
		return err
	}
	u.log.Info("uplink connected", "remote", u.cloud.host)
	u.complaints.deny("")
	host.SetState(bridges.Connected, u.complaints.words())
	l := newLink(u, conn, host, w, accepted)
	err = l.run(ctx)
	if ctx.Err() == nil {
		u.log.Warn("uplink lost", "remote", u.cloud.host, "err", err)
		if id := u.suspicion.closed(l, err); id != 0 {
			u.setAside(w, id, "the cloud closes the connection upon it")
		}
	}
	return err
}

// setAside leaves a message that the cloud does not take in the queue and goes on behind it.
func (u *uplink) setAside(w *window, id mqtt.MsgID, why string) {
	m, ok := w.setAside(id)
	if !ok {
		u.log.Error("message not set aside: too many are", "limit", maxAside)
		return
	}
	n := w.asides()
	u.counters.aside.Store(int64(n))
	u.complaints.setAside(n, m.Topic)
	u.log.Error("message set aside", "topic", m.Topic, "bytes", len(m.Payload), "why", why)
}

// Test connects once with the settings, says goodbye, and tells in words what went wrong.
// It uses the uplink's own client identifier, so the uplink must not run meanwhile.
func (u *uplink) Test(ctx context.Context, _ string) ([]bridges.Reading, error) {
	conn, _, err := u.connect(ctx)
	if err != nil {
		return nil, bridges.Fault(bridges.Unreachable, "%s", explain(err))
	}
	return nil, goodbye(conn, u.cfg.Version)
}

func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
