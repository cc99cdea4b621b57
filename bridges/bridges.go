// Package bridges runs the bridges, the gateway's links to the field and to the
// clouds; each kind is one folder below. It owns what every kind has in common:
// settings, readings and their payloads, status, supervision. It must not know
// any kind, any store, or the broker behind Bus.
package bridges

import (
	"context"
	"encoding/json"
	"log/slog"
	"time"

	"fieldgate/broker/mqtt"
)

// Bus is what a bridge may ask of the broker.
type Bus interface {
	// Publish hands a message to the broker and returns as soon as it is accepted,
	// in the order of the calls; it waits only while the broker is at its limit of
	// uncommitted bytes. safe, when not nil, runs once the message is safe; it must not block.
	Publish(ctx context.Context, m *mqtt.Message, safe func(error)) error
	// Attach opens an in-process session.
	Attach(ctx context.Context, a mqtt.Attachment) (Source, error)
	// Forget ends a durable session with its queue; nil when there is none.
	Forget(ctx context.Context, clientID string) error
}

// Source is an attached session: *broker.Local.
type Source interface {
	// Next waits for deliveries and gives 1 to limit of them, in order.
	Next(ctx context.Context, limit int) ([]mqtt.Delivery, error)
	// Ack says that deliveries of QoS 1 and 2 are done for good. Only then do they leave the queue.
	Ack(ids ...mqtt.MsgID)
	// Usage tells what the queue holds.
	Usage() mqtt.Usage
	// Close detaches; a durable session goes on gathering.
	Close() error
}

// Host is what a running bridge works with: the bus, and the places where it
// says what it sees. All methods may be called at the same time. Once Run's ctx is
// done, readings and states are dropped: a link that the bridge closes is no news
// of the field. After Run has returned nothing goes out any more.
//
// Client identifiers given to Attach and Forget are the bridge's own name space:
// the empty one is the usual, and the broker sees SessionID of it.
type Host interface {
	Bus
	// Report publishes readings under their topics, as far as the points' PublishRules let them pass, and keeps all for the page. An
	// empty Topic, Unit stands for what Kind.Devices says. A point that Kind.Devices
	// does not list is an error.
	Report(ctx context.Context, readings ...Reading) error
	// SetDevice publishes and keeps a device's state; reason is for a person, empty when all is well.
	SetDevice(device string, s State, reason string)
	// SetState publishes and keeps the bridge's own state.
	SetState(s State, reason string)
	// SetCounters keeps the bridge's counters (names in snake_case); published with the state.
	SetCounters(c map[string]int64)
	// SetDeviceCounters keeps a device's counters (names in snake_case), for its status.
	SetDeviceCounters(device string, c map[string]int64)
}

// Bridge is one configured bridge. Run works until ctx is done and then returns
// nil within 1 s; an error makes the supervisor start it again after a back-off.
type Bridge interface {
	Run(ctx context.Context, host Host) error
}

// Tester is a Bridge that can try its settings once, while it does not run.
// device names the one to try, all when empty. Readings of points that could not
// be read carry the error; an error means that the link itself failed, in words
// that say what to do.
type Tester interface {
	Test(ctx context.Context, device string) ([]Reading, error)
}

// Kind is one kind of bridge.
type Kind struct {
	Name  string // "modbus"
	Title string // "Modbus RTU and TCP"
	// Secrets are the JSON pointers of settings that leave the gateway never ("/password").
	Secrets []string
	// New checks the settings (fault.List with pointers into them, all faults at
	// once) and builds the bridge; it opens and starts nothing. It is called again
	// before each restart, so a Bridge runs once.
	New func(c Config, log *slog.Logger) (Bridge, error)
	// Devices lists what the settings define, in their order and with what is
	// disabled, for topics, names and the page; what can be read of wrong settings.
	// nil when the kind has no devices.
	Devices func(c Config) []Device
	// Tools gives what a person may do by hand on the link of the settings, which need have
	// no devices; each call opens the link, which must be free. Faults as those of New. nil when there is nothing.
	Tools func(c Config, log *slog.Logger) (Tools, error)
}

// Config is one bridge as it stands in the managed settings.
type Config struct {
	ID       string
	Kind     string          // the name of a Kind
	Disabled bool            // "enabled": false
	Settings json.RawMessage // the whole object, id, kind and enabled included, for the kind to Decode
}

// Device is what the page needs to know of a configured device.
type Device struct {
	Bridge string // set by the supervisor
	ID     string
	Topic  string // of which its points' topics and $state are the levels below
	Plain  bool   // "payload: value"
	// Document is for one retained message on Topic with all points, after each report, beside those of the points.
	Document bool
	Points   []Point

	Manufacturer  string // of its template, empty without one
	Model         string
	HomeAssistant *bool // its own switch for Home Assistant; nil follows the one for all
}

// Point is what the page needs to know of a configured point.
type Point struct {
	ID   string
	Unit string
	Name Names // for a person, may be nil
	// Publish says which of its readings the supervisor publishes; nil for all. It must not be changed.
	Publish *PublishRule
	// Fresh is how long a good reading stays good without a newer one; then it is published once as stale, with its own time. 0 for ever.
	Fresh    time.Duration
	Values   *ValueSet // nil when it is not known; it must not be changed
	Writable bool
	Disabled bool // it is not read
}
