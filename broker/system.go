package broker

import (
	"context"
	"strconv"
	"time"

	"fieldgate/broker/mqtt"
)

// systemInterval is how often $SYS/broker/... is published.
const systemInterval = 10 * time.Second

// publishSystem publishes what the broker says of itself, under mosquitto's names, until ctx is done.
func (b *Broker) publishSystem(ctx context.Context) {
	b.sayOne("version", "fieldgate "+b.cfg.Version)
	ticker := time.NewTicker(systemInterval)
	defer ticker.Stop()
	for {
		b.saySystem()
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

func (b *Broker) saySystem() {
	s := b.Stats()
	b.sayOne("uptime", strconv.Itoa(int(s.Uptime/time.Second))+" seconds")
	for _, one := range []struct {
		name  string
		value int64
	}{
		{"clients/connected", int64(s.ClientsConnected)},
		{"clients/disconnected", int64(s.ClientsTotal - s.ClientsConnected)},
		{"clients/total", int64(s.ClientsTotal)},
		{"clients/maximum", int64(s.ClientsMaximum)},
		{"clients/expired", s.ClientsExpired},
		{"messages/received", s.MessagesReceived},
		{"messages/sent", s.MessagesSent},
		{"publish/messages/received", s.PublishReceived},
		{"publish/messages/sent", s.PublishSent},
		{"publish/messages/dropped", s.PublishDropped + s.QueueLosses.Dropped + s.QueueLosses.Refused + s.QueueLosses.Outdated},
		{"publish/bytes/received", s.PublishBytesIn},
		{"publish/bytes/sent", s.PublishBytesOut},
		{"bytes/received", s.BytesReceived},
		{"bytes/sent", s.BytesSent},
		{"subscriptions/count", int64(s.Subscriptions)},
		{"retained messages/count", int64(s.RetainedMessages)},
		{"store/messages/count", s.QueuedMessages},
		{"store/messages/bytes", s.QueuedBytes},
		{"store/messages/dropped", s.QueueLosses.Dropped},
		{"store/messages/refused", s.QueueLosses.Refused},
		{"store/messages/outdated", s.QueueLosses.Outdated},
	} {
		b.sayOne(one.name, strconv.FormatInt(one.value, 10))
	}
}

// sayOne publishes one retained value. It has QoS 0, so nothing of it is stored.
func (b *Broker) sayOne(name, value string) {
	w := b.batch()
	defer w.done()
	m := &mqtt.Message{Topic: "$SYS/broker/" + name, Payload: []byte(value), Retain: true}
	b.publish(w, m, true, func(error) {})
}
