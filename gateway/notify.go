package gateway

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"

	"fieldgate/broker/session"
	"fieldgate/internal/fault"
	"fieldgate/storage"
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
	return &notifier{probe: probe, send: sdNotify, every: timeout / 3, log: log}
}

// sdNotify tells systemd a state; false without systemd.
func sdNotify(state string) (told bool, err error) { return daemon.SdNotify(false, state) }

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

// How long systemd is asked to wait for the start, and how often.
const (
	startExtension = time.Minute
	startAgain     = 20 * time.Second
)

// patience asks systemd to wait for the start as long as it lasts: to save what can be read of a large file that is
// damaged takes minutes, and a gateway that was killed meanwhile would begin again for ever.
type patience struct {
	cancel context.CancelFunc
	asking sync.WaitGroup
}

func startPatience(send func(state string) (bool, error), log *slog.Logger) *patience {
	ctx, cancel := context.WithCancel(context.Background())
	p := &patience{cancel: cancel}
	ask := func() bool {
		told, err := send(fmt.Sprintf("EXTEND_TIMEOUT_USEC=%d", startExtension.Microseconds()))
		if err != nil {
			log.Warn("systemd not told", "err", err)
		}
		return told && err == nil
	}
	p.asking.Go(func() {
		tick := time.NewTicker(startAgain)
		defer tick.Stop()
		for ask() {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
		}
	})
	return p
}

// end may be called again.
func (p *patience) end() {
	p.cancel()
	p.asking.Wait()
}

// probe tells whether broker and spool answer. While the disk takes nothing they may not, and the spool says so
// itself; a restart would not heal the disk, only take the page down.
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
			return g.diskAlarm()
		}
	}
	return true
}

// diskAlarm tells whether the spool waits for a disk that takes nothing.
func (g *Gateway) diskAlarm() bool {
	alarms, _ := g.alarms.List()
	return slices.ContainsFunc(alarms, func(a fault.Alarm) bool {
		return a.Part == "spool" && (a.Code == storage.NotCommitted || a.Code == storage.LowDisk)
	})
}
