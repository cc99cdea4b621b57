package broker

import (
	"math"
	"strconv"
	"strings"
	"time"

	"fieldgate/broker/access"
	"fieldgate/broker/listen"
	"fieldgate/broker/mqtt"
	"fieldgate/broker/packet"
	"fieldgate/broker/session"
	"fieldgate/internal/fault"
)

// What happens to a message for a session whose queue is full.
const (
	DropOldest = "drop_oldest" // the oldest message goes
	Reject     = "reject"      // the new message is not queued
)

// Config is the section mqtt of the host file. Take DefaultConfig and change it.
type Config struct {
	Listeners          []listen.Config `json:"listeners"`
	AllowAnonymous     bool            `json:"allow_anonymous"`
	MaxConnections     int             `json:"max_connections"`       // 1 to 1,000,000
	MaxInflight        int             `json:"max_inflight"`          // 1 to 65,535 deliveries of QoS 1 and 2
	MaxPacketSize      int             `json:"max_packet_size"`       // bytes, 1024 to 268,435,460
	MaxKeepAlive       int             `json:"max_keep_alive"`        // seconds, 1 to 65,535; only 5.0 clients can be told
	MaxTopicAlias      int             `json:"max_topic_alias"`       // 0 to 65,535
	MaxQoS             int             `json:"max_qos"`               // 0, 1 or 2
	RetainAvailable    bool            `json:"retain_available"`      // false: RETAIN is ignored
	AllowEmptyClientID bool            `json:"allow_empty_client_id"` // the broker makes one up
	MaxQueuedMessages  int             `json:"max_queued_messages"`   // per session
	MaxQueuedBytes     int64           `json:"max_queued_bytes"`      // per session
	MaxSessionExpiry   int64           `json:"max_session_expiry"`    // seconds; 4,294,967,295 and more for never
	MaxSubscriptions   int             `json:"max_subscriptions"`     // per session, 1 to 1,000,000
	MaxSessions        int             `json:"max_sessions"`          // that may live on without a connection, and others, 1 to 10,000,000
	MaxRetained        int             `json:"max_retained_messages"` // 1 to 100,000,000, without $SYS; parts of the gateway are not refused
	MaxRetainedBytes   int64           `json:"max_retained_bytes"`    // topic names, payloads and properties, 1 KiB to 1 TiB; they are in RAM
	MaxUnsentBytes     int64           `json:"max_unsent_bytes"`      // what all slow readers together let wait in RAM, 1 MiB to 1 TiB; their shares shrink towards it
	QueueFull          string          `json:"queue_full"`            // DropOldest or Reject
	QueueQoS0          bool            `json:"queue_qos0"`            // QoS 0 for offline sessions
	ConnectTimeout     time.Duration   `json:"connect_timeout"`       // from the first byte that may come to CONNECT, 100 ms to 5 min

	// DefaultAccess is what holds where no access rule speaks of a topic: allow or deny.
	// Empty means allow with AllowAnonymous and while there is no rule at all, else deny.
	DefaultAccess access.Default `json:"default_access"`

	Version string `json:"-"` // of the gateway, for $SYS/broker/version
}

// DefaultConfig is what a host file without the section mqtt means.
func DefaultConfig() Config {
	return Config{
		Listeners:          []listen.Config{{Address: "127.0.0.1:1883"}},
		MaxConnections:     10_000,
		MaxInflight:        20,
		MaxPacketSize:      1 << 20,
		MaxKeepAlive:       65535,
		MaxTopicAlias:      10,
		MaxQoS:             2,
		RetainAvailable:    true,
		AllowEmptyClientID: true,
		MaxQueuedMessages:  100_000,
		MaxQueuedBytes:     1 << 30,
		MaxSessionExpiry:   7 * 24 * 3600,
		MaxSubscriptions:   10_000,
		MaxSessions:        100_000,
		MaxRetained:        200_000,
		MaxRetainedBytes:   128 << 20,
		MaxUnsentBytes:     64 << 20,
		QueueFull:          DropOldest,
		ConnectTimeout:     10 * time.Second,
	}
}

// Validate tells everything that is wrong, as a fault.List with JSON pointers
// into the section, or nil.
func (c Config) Validate() error {
	var faults fault.List
	seen := map[string]bool{}
	for i, l := range c.Listeners {
		at := "/listeners/" + strconv.Itoa(i)
		for _, f := range l.Validate() {
			f.Field = at + f.Field
			faults = append(faults, f)
		}
		if seen[l.Address] && !strings.HasSuffix(l.Address, ":0") { // which takes another port each time
			faults.Add(at+"/address", fault.Conflict, "another listener has %s", l.Address)
		}
		seen[l.Address] = true
	}
	for _, n := range []struct {
		key           string
		value, lo, hi int64
	}{
		{"max_connections", int64(c.MaxConnections), 1, 1_000_000},
		{"max_inflight", int64(c.MaxInflight), 1, 65535},
		{"max_packet_size", int64(c.MaxPacketSize), 1024, packet.MaxSize},
		{"max_keep_alive", int64(c.MaxKeepAlive), 1, 65535},
		{"max_topic_alias", int64(c.MaxTopicAlias), 0, 65535},
		{"max_qos", int64(c.MaxQoS), 0, 2},
		{"max_unsent_bytes", c.MaxUnsentBytes, 1 << 20, 1 << 40},
		{"max_sessions", int64(c.MaxSessions), 1, 10_000_000},
		{"max_retained_messages", int64(c.MaxRetained), 1, 100_000_000},
		{"max_retained_bytes", c.MaxRetainedBytes, 1024, 1 << 40},
		{"max_subscriptions", int64(c.MaxSubscriptions), 1, 1_000_000},
		{"max_queued_messages", int64(c.MaxQueuedMessages), 1, 1_000_000_000},
		{"max_queued_bytes", c.MaxQueuedBytes, 1024, 1 << 50},
		{"max_session_expiry", c.MaxSessionExpiry, 0, math.MaxInt64},
	} {
		if n.value < n.lo || n.value > n.hi {
			faults.Add("/"+n.key, fault.OutOfRange, "must be %d to %d", n.lo, n.hi)
		}
	}
	if c.QueueFull != DropOldest && c.QueueFull != Reject {
		faults.Add("/queue_full", fault.Invalid, "must be %s or %s", DropOldest, Reject)
	}
	switch c.DefaultAccess {
	case access.DenyWithRules, access.Allow, access.Deny:
	default:
		faults.Add("/default_access", fault.Invalid, "must be %s or %s", access.Allow, access.Deny)
	}
	if c.ConnectTimeout < 100*time.Millisecond || c.ConnectTimeout > 5*time.Minute {
		faults.Add("/connect_timeout", fault.OutOfRange, "must be 100ms to 5m")
	}
	return faults.Err()
}

// Access gives what holds where no access rule speaks of a topic.
func (c Config) Access() access.Default {
	if c.DefaultAccess == access.DenyWithRules && c.AllowAnonymous {
		return access.Allow
	}
	return c.DefaultAccess
}

func (c *Config) maxQoS() mqtt.QoS { return mqtt.QoS(c.MaxQoS) }

// sessionExpiry is how long a durable session lives on without its client.
func (c *Config) sessionExpiry() time.Duration {
	if c.MaxSessionExpiry >= math.MaxUint32 {
		return session.Never
	}
	return time.Duration(c.MaxSessionExpiry) * time.Second
}
