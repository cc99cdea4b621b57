package broker

import (
	"context"
	"fmt"
	"math"
	"runtime/metrics"
	"strconv"
	"time"

	"fieldgate/broker/mqtt"
)

// systemInterval is how often $SYS/broker/... is published.
const systemInterval = 10 * time.Second

// system publishes what the broker says of itself, under mosquitto's names. What
// did not change is not published again.
type system struct {
	b       *Broker
	said    map[string]string
	loads   []load
	heap    []metrics.Sample
	highest uint64 // heap
}

// load is a counter whose rate a minute is averaged over three windows.
type load struct {
	name    string
	of      func(*Stats) int64
	last    int64
	average [3]float64 // a minute
}

// loadWindows are the windows of a load, as mosquitto names them.
func loadWindows() [3]time.Duration {
	return [3]time.Duration{time.Minute, 5 * time.Minute, 15 * time.Minute}
}

func (b *Broker) newSystem() *system {
	return &system{b: b, said: map[string]string{}, heap: []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}, loads: []load{
		{name: "messages/received", of: func(s *Stats) int64 { return s.MessagesReceived }},
		{name: "messages/sent", of: func(s *Stats) int64 { return s.MessagesSent }},
		{name: "publish/dropped", of: func(s *Stats) int64 { return s.PublishDropped }},
		{name: "publish/received", of: func(s *Stats) int64 { return s.PublishReceived }},
		{name: "publish/sent", of: func(s *Stats) int64 { return s.PublishSent }},
		{name: "bytes/received", of: func(s *Stats) int64 { return s.BytesReceived }},
		{name: "bytes/sent", of: func(s *Stats) int64 { return s.BytesSent }},
		{name: "sockets", of: func(s *Stats) int64 { return s.Sockets }},
		{name: "connections", of: func(s *Stats) int64 { return s.Connects }},
	}}
}

// run publishes until ctx is done.
func (y *system) run(ctx context.Context) {
	y.say("version", "fieldgate "+y.b.cfg.Version)
	ticker := time.NewTicker(systemInterval)
	defer ticker.Stop()
	for {
		s := y.b.Stats()
		y.sayCounts(&s)
		y.sayLoads(&s)
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

func (y *system) sayCounts(s *Stats) {
	metrics.Read(y.heap)
	heap := y.heap[0].Value.Uint64()
	y.highest = max(y.highest, heap)
	stored := s.QueuedMessages + int64(s.RetainedMessages)
	disconnected := int64(s.ClientsTotal - s.ClientsConnected)
	y.say("uptime", strconv.Itoa(int(s.Uptime/time.Second))+" seconds")
	for _, one := range []struct {
		name  string
		value int64
	}{
		{"clients/connected", int64(s.ClientsConnected)},
		{"clients/active", int64(s.ClientsConnected)}, // the older name
		{"clients/disconnected", disconnected},
		{"clients/inactive", disconnected},
		{"clients/total", int64(s.ClientsTotal)},
		{"clients/maximum", int64(s.ClientsMaximum)},
		{"clients/expired", s.ClientsExpired},
		{"messages/received", s.MessagesReceived},
		{"messages/sent", s.MessagesSent},
		{"messages/stored", stored},
		{"publish/messages/received", s.PublishReceived},
		{"publish/messages/sent", s.PublishSent},
		{"publish/messages/dropped", s.PublishDropped + s.QueueLosses.Dropped + s.QueueLosses.Refused + s.QueueLosses.Outdated},
		{"publish/bytes/received", s.PublishBytesIn},
		{"publish/bytes/sent", s.PublishBytesOut},
		{"bytes/received", s.BytesReceived},
		{"bytes/sent", s.BytesSent},
		{"subscriptions/count", int64(s.Subscriptions)},
		{"shared_subscriptions/count", int64(s.SharedSubs)},
		{"retained messages/count", int64(s.RetainedMessages)},
		{"store/messages/count", stored},
		{"store/messages/bytes", s.QueuedBytes + s.RetainedBytes},
		{"heap/current", int64(heap)},
		{"heap/maximum", int64(y.highest)},
	} {
		y.say(one.name, strconv.FormatInt(one.value, 10))
	}
}

// sayLoads moves the averages on by one interval: each forgets what lies a window
// back to a third (1/e), and takes in the rate of the interval.
func (y *system) sayLoads(s *Stats) {
	for i := range y.loads {
		l := &y.loads[i]
		now := l.of(s)
		rate := float64(now-l.last) * float64(time.Minute/systemInterval)
		l.last = now
		for j, window := range loadWindows() {
			keep := math.Exp(-float64(systemInterval) / float64(window))
			l.average[j] = rate + keep*(l.average[j]-rate)
			y.say(fmt.Sprintf("load/%s/%dmin", l.name, int(window/time.Minute)), strconv.FormatFloat(l.average[j], 'f', 2, 64))
		}
	}
}

// say publishes one retained value, when it is a new one. It has QoS 0, so nothing of it is stored.
func (y *system) say(name, value string) {
	if y.said[name] == value {
		return
	}
	y.said[name] = value
	w := y.b.batch()
	defer w.done()
	m := &mqtt.Message{Topic: "$SYS/broker/" + name, Payload: []byte(value), Retain: true}
	y.b.publish(w, m, true, func(error) {})
}
