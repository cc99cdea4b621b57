package bridges

import (
	"fmt"
	"slices"
	"strings"

	"fieldgate/internal/fault"
)

// owners tells whose a device or its topic is already.
type owners struct {
	bridges map[string]string   // by what they have
	topics  map[string]Device   // the devices by their topic
	below   map[string][]Device // devices that mean something by their own topic or by set and result below it, by the topic above theirs
}

func newOwners() owners {
	return owners{bridges: map[string]string{}, topics: map[string]Device{}, below: map[string][]Device{}}
}

// claim takes the devices for a bridge, all or none.
func (o owners) claim(bridge string, devices []Device) error {
	var faults Faults
	mine := newOwners()
	for i, d := range devices {
		for _, claim := range []struct{ key, pointer, words string }{
			{"device " + d.ID, "/id", "device " + d.ID},
			{"topic " + d.Topic, "/topic", "topic " + d.Topic},
		} {
			owner, taken := o.bridges[claim.key]
			if _, twice := mine.bridges[claim.key]; twice {
				owner, taken = bridge, true
			}
			mine.bridges[claim.key] = bridge
			if taken {
				faults.Add(fmt.Sprintf("/devices/%d%s", i, claim.pointer), fault.Conflict, "%s is used by bridge %s already", claim.words, owner)
			}
		}
		mine.put(d)
		for _, other := range []owners{o, mine} {
			if words := other.twoMeanings(d); words != "" {
				faults.Add(fmt.Sprintf("/devices/%d/topic", i), fault.Conflict, "%s", words)
			}
		}
	}
	if err := faults.Err(); err != nil {
		return err
	}
	for key := range mine.bridges {
		o.bridges[key] = bridge
	}
	for _, d := range devices {
		o.put(d)
	}
	return nil
}

func (o owners) put(d Device) {
	o.topics[d.Topic] = d
	if above, _ := d.above(); d.Document || d.has("set") || d.has("result") {
		o.below[above] = append(o.below[above], d)
	}
}

// twoMeanings says in words which topic would be both a point's (or its commands' or results') and another device's.
func (o owners) twoMeanings(d Device) string {
	const words = "topic %s of device %s is that of the point %s of device %s: their messages could not be told from each other"
	above, last := d.above()
	if parent, there := o.topics[above]; there && parent.has(last) && (d.Document || d.has("set") || d.has("result")) {
		return fmt.Sprintf(words, d.Topic, d.ID, last, parent.ID)
	}
	for _, child := range o.below[d.Topic] {
		if _, last := child.above(); d.has(last) {
			return fmt.Sprintf(words, child.Topic, child.ID, last, d.ID)
		}
	}
	return ""
}

// above splits the device's topic at its last level.
func (d *Device) above() (above, last string) {
	i := strings.LastIndexByte(d.Topic, '/')
	return d.Topic[:max(i, 0)], d.Topic[i+1:]
}

func (d *Device) has(point string) bool {
	return slices.ContainsFunc(d.Points, func(p Point) bool { return p.ID == point })
}
