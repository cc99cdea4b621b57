package api

import (
	"context"

	"fieldgate/bridges"
	"fieldgate/broker"
	"fieldgate/broker/mqtt"
)

// Broker is the running broker; *broker.Broker.
type Broker interface {
	Peers
	Messages
	// Stats gives the counters as they are now.
	Stats() broker.Stats
	// OpenTrace begins to follow one client identifier.
	OpenTrace(clientID string, packets, payload int) (*broker.Trace, error)
}

// Peers is the sessions of the broker and who is connected.
type Peers interface {
	Sessions(q broker.SessionQuery) (list []broker.ClientInfo, more bool)
	Session(clientID string) (broker.ClientInfo, bool)
	Disconnect(clientID, by string) error
	EndSession(ctx context.Context, clientID, by string) error
	PeekQueue(clientID string, after mqtt.MsgID, limit, maxBytes int) ([]broker.QueuedMessage, error)
}

// Messages is what stands in the broker, and what a person may publish.
type Messages interface {
	Retained(filter, after string, limit int) (list []*mqtt.Message, more bool, err error)
	Levels(prefix string) ([]broker.Level, error)
	PublishCounted(ctx context.Context, m *mqtt.Message, safe func(error)) (receivers int, err error)
}

var _ Broker = (*broker.Broker)(nil)

// Disk is what the data directory takes and leaves, in bytes. What can't be told is -1.
type Disk struct {
	Spool   int64 // of the spool's files
	State   int64 // of the settings' files
	Pending int64 // accepted and not committed yet
	Free    int64 // of the file system, for us
	Size    int64 // of the file system
}

// bridgesRole and uplinkRole name links in metrics.
type linkRole struct {
	name  string // "bridge" or "uplink"
	links Links
}

func (a *API) linkRoles() []linkRole {
	return []linkRole{{"bridge", a.Bridges}, {"uplink", a.Uplinks}}
}

// isUp tells whether the state of a bridge, device or uplink is a good one.
func isUp(s bridges.State) bool { return s == bridges.Online || s == bridges.Connected }
