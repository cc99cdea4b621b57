package uplink

import (
	"strings"

	"fieldgate/bridges"
	"fieldgate/broker/mqtt"
)

// mapping renames the topics that match a filter from one side's names to the other's.
type mapping struct {
	filter string // of the side that the message comes from
	cut    string // the prefix that goes
	put    string // the prefix that comes in its place
}

// check finds what is wrong with the mapping of the entry at the JSON pointer. Every topic that
// matches must begin with cut, so the filter itself must.
func (m mapping) check(faults *bridges.Faults, at string, qos mqtt.QoS, cutName, putName string) {
	if err := mqtt.CheckFilter(m.filter); err != nil {
		faults.Add(at+"/filter", bridges.Invalid, "%s", err)
	} else if !strings.HasPrefix(m.filter, m.cut) {
		faults.Add(at+"/"+cutName, bridges.Invalid, "the filter %s does not begin with it", m.filter)
	}
	if strings.ContainsAny(m.cut, "+#\x00") {
		faults.Add(at+"/"+cutName, bridges.Invalid, "must not contain a wildcard")
	}
	if strings.ContainsAny(m.put, "+#\x00") {
		faults.Add(at+"/"+putName, bridges.Invalid, "must not contain a wildcard")
	}
	if qos > mqtt.AtLeastOnce {
		faults.Add(at+"/qos", bridges.OutOfRange, "must be 0 or 1")
	}
}

// rename gives the topic's name on the other side by the first mapping that matches it. It fails
// when none does, when nothing of the name would be left or it would be too long, and when what is put in
// place of nothing makes it one of the topics that are the broker's own.
func rename(mappings []mapping, topic string) (string, bool) {
	for _, m := range mappings {
		if !mqtt.Match(m.filter, topic) {
			continue
		}
		rest, ok := strings.CutPrefix(topic, m.cut)
		name := m.put + rest
		if own := strings.HasPrefix(name, "$") && m.put == "" && m.cut != ""; ok && !own && mqtt.CheckName(name) == nil {
			return name, true
		}
	}
	return "", false
}
