package bridges

import (
	"cmp"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"fieldgate/broker/mqtt"
	"fieldgate/internal/fault"
)

// board is what a bridge said last: its state and counters, its devices' states
// and every point's last reading.
type board struct {
	config    Config
	role      Role
	devices   []Device
	version   *atomic.Uint64 // of the readings of all bridges
	alarms    *fault.Alarms
	wake      func() // after a state changed
	began     time.Time
	clock     Clock
	histories *histories // of all bridges
	log       *slog.Logger

	telling sync.Mutex // held while readings are kept and published, so that the last one that goes out is the newest; before mu

	mu       sync.Mutex // protects what follows
	status   stated
	counters map[string]int64
	states   map[string]*stated // of the devices
	points   []lastReading      // of devices, in their order
	places   places
	units    map[*Point]string // where another one is reported than the settings said
	queue    Source            // the durable session while it is attached
	usage    *mqtt.Usage       // of the queue when it was last seen
	sessions []string          // durable ones that were attached
}

// stated is a state with its history, as far as it matters.
type stated struct {
	state    State
	since    time.Time
	reason   string
	code     fault.Code       // of the alarm, when the state is a fault
	counters map[string]int64 // of a device
	pending  bool             // to be published
	told     string           // the failure that was logged last, until all is well again
}

const notReadYet = "not read yet"

func newBoard(s *Supervisor, c Config, devices []Device, log *slog.Logger) *board {
	now := time.Now()
	b := &board{
		config: c, role: s.role, devices: devices, version: &s.version, alarms: s.alarms, wake: s.wake, began: now, clock: s.clock, histories: &s.histories, log: log,
		status: stated{state: Connecting, since: now.UTC(), pending: true},
		states: map[string]*stated{},
	}
	count := 0
	for _, d := range devices {
		count += len(d.Points)
		b.states[d.ID] = &stated{state: Offline, since: now.UTC(), reason: notReadYet}
	}
	b.points, b.places = make([]lastReading, count), placesOf(devices)
	for s := range b.slots() {
		*s.last = lastReading{topic: s.device.Topic + "/" + s.point.ID, plain: s.device.Plain, ruled: newRuled(s.point.Publish), version: b.version.Add(1)}
		s.last.set(Reading{Quality: Bad, Error: ErrNoValueYet})
	}
	return b
}

// setState keeps the bridge's state; code is that of the alarm when it is a fault.
func (b *board) setState(s State, code fault.Code, reason string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.status.code = code
	if b.status.is(s, reason) {
		return
	}
	b.status.set(s, reason, b.log)
	b.alarm()
	b.wake()
}

// setDevice keeps a device's state; one that the settings do not have is ignored.
func (b *board) setDevice(device string, s State, reason string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	d, known := b.states[device]
	if !known || d.is(s, reason) { // the usual case, after every poll
		return
	}
	d.set(s, reason, b.log.With("device", device))
	b.alarm()
	b.wake()
}

// is tells whether nothing would change.
func (x *stated) is(s State, reason string) bool {
	return x.state == s && x.reason == limitText(reason, maxReason)
}

// set keeps a state. A failure is logged once, however often it comes back before
// all is well again.
func (x *stated) set(s State, reason string, log *slog.Logger) {
	reason = limitText(reason, maxReason)
	if x.state != s {
		x.since = time.Now().UTC()
	}
	x.state, x.reason, x.pending = s, reason, true
	failure := string(s) + reason
	switch {
	case s == Connecting:
		log.Debug("state changed", "state", s)
	case !s.isFault():
		log.Info("state changed", "state", s, "reason", reason)
		x.told = ""
	case failure == x.told:
		log.Debug("state changed", "state", s, "reason", reason)
	default:
		log.Warn("state changed", "state", s, "reason", reason)
		x.told = failure
	}
}

// isFault tells whether a person should know of the state.
func (s State) isFault() bool {
	return s == Offline || s == Disconnected || s == Failed || s == Degraded
}

// alarm raises or clears the bridge's alarm; mu is held. While a link is being
// made again the alarm stands as it is.
func (b *board) alarm() {
	if b.status.state == Connecting {
		return
	}
	code, message := b.status.code, cmp.Or(b.status.reason, string(b.status.state))
	if s := b.status.state; s == Connected {
		code, message = fault.Unreachable, b.status.reason // a link that works, and does not do all that it should
	} else if s != Failed && s != Offline && s != Disconnected {
		code, message = fault.Unreachable, b.lostDevices()
	}
	part := b.role.Part(b.config.ID)
	for _, other := range []fault.Code{fault.Invalid, fault.Internal, fault.Unreachable} {
		if other != code || message == "" {
			b.alarms.Clear(part, other)
		}
	}
	if message != "" {
		b.alarms.Raise(part, code, message)
	}
}

// lostDevices names the devices that are offline, for an alarm.
func (b *board) lostDevices() string {
	const most = 5
	var words []string
	lost := 0
	for _, d := range b.devices {
		if x := b.states[d.ID]; x.state == Offline && x.told != "" {
			if lost++; lost <= most {
				words = append(words, fmt.Sprintf("device %s: %s", d.ID, x.reason))
			}
		}
	}
	if lost > most {
		words = append(words, fmt.Sprintf("and %d more", lost-most))
	}
	return strings.Join(words, "; ")
}

func (b *board) setCounters(c map[string]int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.counters = maps.Clone(c)
}

func (b *board) setDeviceCounters(device string, c map[string]int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if d, known := b.states[device]; known {
		d.counters = maps.Clone(c)
	}
}

// clockSet puts the times right that the clock told before it was set, and gives the readings whose messages had them.
func (b *board) clockSet() []Reading {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.status.since = b.clock.again(b.status.since)
	b.status.pending = true
	for _, d := range b.states {
		d.since = b.clock.again(d.since)
		d.pending = d.pending || d.state != Offline || d.reason != notReadYet
	}
	var corrected []Reading
	for s := range b.slots() {
		p := s.last
		if !p.unsynced {
			continue
		}
		p.at, p.unsynced = b.clock.at(p.uptime).UnixNano(), false
		p.version = b.version.Add(1)
		if !p.ruled.silent() && !p.plain {
			corrected = append(corrected, b.reading(s))
		}
	}
	return corrected
}

// snapshot gives the status for the page.
func (b *board) snapshot() Status {
	b.mu.Lock()
	s := b.state()
	for _, d := range b.devices {
		x := b.states[d.ID]
		s.Devices = append(s.Devices, DeviceStatus{ID: d.ID, State: x.state, Since: x.since, Reason: x.reason, Counters: maps.Clone(x.counters)})
	}
	queue := b.queue
	s.Queue = b.usage
	b.mu.Unlock()
	if queue != nil { // asked without the lock: the answer may have to wait for the broker
		u := queue.Usage()
		s.Queue = &u
	}
	return s
}

func (b *board) state() Status {
	c := b.config
	counters := maps.Clone(b.counters)
	if counters == nil {
		counters = map[string]int64{}
	}
	return Status{ID: c.ID, Kind: c.Kind, State: b.status.state, Since: b.status.since, Reason: b.status.reason, Counters: counters}
}

// outState is a state on its way out.
type outState struct {
	device  string // empty for the bridge's own
	message *mqtt.Message
}

// pendingStates gives the states to publish: those that changed, and the bridge's own with all.
func (b *board) pendingStates(all bool) []outState {
	b.mu.Lock()
	defer b.mu.Unlock()
	var out []outState
	if b.status.pending || all {
		b.status.pending = false
		topic := b.role.StateTopic(b.config.ID)
		out = append(out, outState{message: stateMessage(topic, b.state().appendStatePayload(nil))})
	}
	for _, d := range b.devices {
		x := b.states[d.ID]
		if !x.pending {
			continue
		}
		x.pending = false
		payload := DeviceStatus{State: x.state, Since: x.since, Reason: x.reason}.appendStatePayload(nil)
		out = append(out, outState{device: d.ID, message: stateMessage(d.Topic+"/$state", payload)})
	}
	return out
}

func stateMessage(topic string, payload []byte) *mqtt.Message {
	return &mqtt.Message{Topic: topic, Payload: payload, QoS: mqtt.AtLeastOnce, Retain: true}
}

// retryState puts a state that could not be published back in line for the next round.
func (b *board) retryState(device string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if device == "" {
		b.status.pending = true
	} else if d, known := b.states[device]; known {
		d.pending = true
	}
}

// topics lists every retained topic that the bridge may have left; a point that is not published has none.
func (b *board) topics() []string {
	list := []string{b.role.StateTopic(b.config.ID)}
	for _, d := range b.devices {
		if d.Document {
			list = append(list, d.Topic)
		}
		list = append(list, d.Topic+"/$state")
		for _, p := range d.Points {
			if !p.Silent() {
				list = append(list, d.Topic+"/"+p.ID)
			}
		}
	}
	return list
}

// attached notes a durable session.
func (b *board) attached(clientID string, queue Source) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !slices.Contains(b.sessions, clientID) {
		b.sessions = append(b.sessions, clientID)
	}
	b.queue = queue
}

// detached keeps the last usage of a durable session that was closed.
func (b *board) detached(queue Source, last mqtt.Usage) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.queue == queue {
		b.queue, b.usage = nil, &last
	}
}

// sessionIDs lists the sessions that the broker may keep for the bridge.
func (b *board) sessionIDs() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	base := b.role.SessionID(b.config.ID, "")
	if slices.Contains(b.sessions, base) {
		return slices.Clone(b.sessions)
	}
	return append([]string{base}, b.sessions...)
}

// emptied says that the durable session is gone.
func (b *board) emptied() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.usage != nil {
		b.usage = &mqtt.Usage{}
	}
}
