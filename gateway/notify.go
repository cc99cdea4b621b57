package gateway

import (
	"context"
	"log/slog"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"

	"fieldgate/broker/session"
)

// notifier tells systemd that the gateway is ready, lives, and stops. Without
// systemd it does nothing.
type notifier struct {
	probe func(ctx context.Context) bool
	send  func(state string) (bool, error)
	every time.Duration // between signs of life; 0 when nobody waits for them
	log   *slog.Logger
}

func newNotifier(probe func(context.Context) bool, log *slog.Logger) *notifier {
	timeout, err := daemon.SdWatchdogEnabled(false)
	if err != nil {
		log.Warn("watchdog off", "err", err)
	}
	return &notifier{probe: probe, send: func(state string) (bool, error) { return daemon.SdNotify(false, state) }, every: timeout / 3, log: log}
}

func (n *notifier) run(ctx context.Context) error {
	n.tell(daemon.SdNotifyReady)
	defer n.tell(daemon.SdNotifyStopping)
	if n.every <= 0 {
		<-ctx.Done()
		return nil
	}
	tick := time.NewTicker(n.every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		probe, cancel := context.WithTimeout(ctx, n.every)
		alive := n.probe(probe)
		cancel()
		if alive {
			n.tell(daemon.SdNotifyWatchdog)
		} else if ctx.Err() == nil {
			n.log.Error("no sign of life from the broker or the spool")
		}
	}
}

func (n *notifier) tell(state string) {
	if _, err := n.send(state); err != nil {
		n.log.Warn("systemd not told", "state", state, "err", err)
	}
}

// probe tells whether broker and spool answer. A spool that has raised an alarm
// knows what it waits for; a restart would not heal the disk, only take the page down.
func (g *Gateway) probe(ctx context.Context) bool {
	answer := make(chan struct{}, 2) // one place for each
	go g.spool().Apply(session.Change{}, func(error) { answer <- struct{}{} })
	go func() { // ends with the broker's lock, or the process
		g.bus.Clients()
		answer <- struct{}{}
	}()
	for range 2 {
		select {
		case <-answer:
		case <-ctx.Done():
			return g.spoolAlarm()
		}
	}
	return true
}

func (g *Gateway) spoolAlarm() bool {
	alarms, _ := g.alarms.List()
	for _, a := range alarms {
		if a.Part == "spool" {
			return true
		}
	}
	return false
}
