package bridges

import "strings"

// Role tells apart the two families of bridges, whose ids are name spaces of their own.
type Role string

// The two roles.
const (
	FieldRole  Role = "bridge" // to the field
	UplinkRole Role = "uplink" // to a cloud
)

// StateTopic is where the state and counters of a bridge or uplink are published.
func (r Role) StateTopic(id string) string { return "fieldgate/$" + string(r) + "/" + id }

// Part names a bridge or uplink in alarms.
func (r Role) Part(id string) string { return string(r) + "/" + id }

// SessionID is the client identifier of a bridge's in-process session. name is
// the bridge's own name for it, usually empty.
func (r Role) SessionID(id, name string) string {
	base := "$" + string(r) + "/" + id
	switch {
	case name == "":
		return base
	case name == base || strings.HasPrefix(name, base+"/"):
		return name
	}
	return base + "/" + name
}

// lost is the state of a bridge whose Run ended with an error.
func (r Role) lost() State {
	if r == UplinkRole {
		return Disconnected
	}
	return Offline
}
