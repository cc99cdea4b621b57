package bridges

import (
	"slices"
	"time"

	"fieldgate/broker/mqtt"
)

// documents makes the messages of the devices with "document": true that the readings, which came
// together, are of: each holds all points of the device as they stand after them.
func (b *board) documents(readings []Reading) []*mqtt.Message {
	var list []*mqtt.Message
	for i := range b.devices {
		d := &b.devices[i]
		if !d.Document {
			continue
		}
		var at time.Time
		for _, r := range readings {
			if r.Device == d.ID && r.Time.After(at) {
				at = r.Time
			}
		}
		if !at.IsZero() {
			list = append(list, &mqtt.Message{Topic: d.Topic, Payload: b.appendDocument(nil, d, at), QoS: mqtt.AtLeastOnce, Retain: true})
		}
	}
	return list
}

// appendDocument appends {"time":"...","points":{"power":{"value":230,"unit":"W","quality":"good"}}}. A point
// that was read at another moment than the document's carries its own time, for no value may get
// a newer one. With Plain a point is its bare value, and null when it is bad or of another moment.
func (b *board) appendDocument(out []byte, d *Device, at time.Time) []byte {
	b.mu.Lock()
	defer b.mu.Unlock()
	out = appendTime(append(out, `{"time":`...), at)
	out = append(out, `,"points":{`...)
	first := true
	for _, p := range d.Points {
		s, known := b.slot(d.ID, p.ID)
		if !known || s.last.ruled.silent() {
			continue
		}
		if !first {
			out = append(out, ',')
		}
		first = false
		out = append(appendText(out, p.ID), ':')
		out = b.reading(s).appendMember(out, at)
	}
	return append(out, "}}"...)
}

// appendMember appends the reading as a member of a document of that moment.
func (r Reading) appendMember(out []byte, at time.Time) []byte {
	together := r.Time.Equal(at)
	switch {
	case r.Plain && (!together || r.Quality == Bad):
		return append(out, "null"...)
	case r.Plain:
		return r.Value.AppendJSON(out)
	case together:
		return r.appendObject(out, false)
	}
	return r.appendObject(out, true)
}

// hasDocuments tells whether any device wants its points in one message too.
func (b *board) hasDocuments() bool {
	return slices.ContainsFunc(b.devices, func(d Device) bool { return d.Document })
}
