package line

import (
	"fieldgate/bridges"
	"fieldgate/broker/mqtt"
)

// The codes of a command that was not obeyed, beside those of readings.
const (
	codeOutOfRange   = "out_of_range"
	codeReadOnly     = bridges.ErrReadOnly
	codeUnknownPoint = bridges.ErrUnknownPoint
	codeExpired      = bridges.ErrExpired
	codeRefused      = "refused" // by the device, in its words
	codeUnavailable  = bridges.ErrUnavailable
)

// command asks for a write.
type command = bridges.PendingCommand[*Device]

// subscriptions are the command topics, those of what can't be written or is switched off too: who asks gets an answer.
func (r *run) subscriptions() []mqtt.Subscription {
	var list []mqtt.Subscription
	for _, d := range r.bridge.settings.Devices {
		list = append(list, bridges.SetTopics(d.Topic))
	}
	return list
}

// deviceAt finds the device whose topic it is.
func (r *run) deviceAt(topic string) (*Device, bool) {
	for i := range r.bridge.settings.Devices {
		if d := &r.bridge.settings.Devices[i]; d.Topic == topic {
			return d, true
		}
	}
	return nil, false
}
