package api

import (
	"context"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"fieldgate/bridges"
	"fieldgate/broker"
)

// Limits of what one look at the metrics gives.
const (
	maxMetricPoints  = 5000
	maxMetricScrapes = 2 // at once
)

// addMetrics serves all numbers in Prometheus' text format. They are collected when
// somebody asks; nothing is counted for them beside what the parts count anyway.
func (a *API) addMetrics() {
	registry := prometheus.NewRegistry()
	registry.MustRegister(
		collector{a}, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	a.metrics = promhttp.HandlerFor(registry, promhttp.HandlerOpts{
		ErrorHandling: promhttp.ContinueOnError, MaxRequestsInFlight: maxMetricScrapes, DisableCompression: true,
	})
	op := operation{method: http.MethodGet, path: "/metrics", id: "get-metrics", summary: "All numbers for Prometheus; also at /metrics", tag: "system", role: Viewer}
	add(a, op, func(ctx context.Context, _ *struct{}) (*huma.StreamResponse, error) {
		return &huma.StreamResponse{Body: func(ctx huma.Context) {
			e := requestOf(ctx.Context()).echo
			a.metrics.ServeHTTP(e.Response(), e.Request())
		}}, nil
	})
	a.huma.OpenAPI().Paths[op.path].Get.Responses["200"] = &huma.Response{
		Description: "Prometheus' text format",
		Content:     map[string]*huma.MediaType{"text/plain": {Schema: &huma.Schema{Type: huma.TypeString}}},
	}
}

// collector makes the metrics from snapshots of the parts. It is unchecked: which
// names there are depends on what is configured.
type collector struct{ a *API }

// Describe implements prometheus.Collector.
func (collector) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (c collector) Collect(to chan<- prometheus.Metric) {
	m := meter{to}
	system := c.a.System()
	m.gauge("build_info", "Always 1; the version stands in the labels.", 1, "version", system.Version, "go_version", runtime.Version())
	m.gauge("uptime_seconds", "Since the gateway was started.", time.Since(system.Started).Seconds())
	if b, err := c.a.Broker(); err == nil {
		m.broker(b.Stats())
	}
	m.disk(c.a.Disk())
	for _, role := range c.a.linkRoles() {
		m.links(role.name, role.links.Statuses())
	}
	readings, _ := c.a.Bridges.ValuesSince(0)
	m.points(readings)
	alarms, _ := c.a.Alarms.List()
	m.gauge("alarms", "Alarms that stand.", float64(len(alarms)))
	for _, alarm := range alarms {
		m.gauge("alarm_since_seconds", "When an alarm that stands was raised, in Unix time.", seconds(alarm.Since), "part", alarm.Part, "code", string(alarm.Code))
	}
}

// seconds is Unix time, 0 for none.
func seconds(t time.Time) float64 {
	if t.IsZero() {
		return 0
	}
	return float64(t.UnixMilli()) / 1000
}

// meter sends metrics.
type meter struct{ to chan<- prometheus.Metric }

func (m meter) gauge(name, help string, value float64, labels ...string) {
	m.send(prometheus.GaugeValue, name, help, value, labels)
}

func (m meter) counter(name, help string, value int64, labels ...string) {
	m.send(prometheus.CounterValue, name, help, float64(value), labels)
}

// send sends one metric; labels are pairs of name and value.
func (m meter) send(kind prometheus.ValueType, name, help string, value float64, labels []string) {
	var names, values []string
	for i := 0; i < len(labels); i += 2 {
		names, values = append(names, labels[i]), append(values, labels[i+1])
	}
	one, err := prometheus.NewConstMetric(prometheus.NewDesc("fieldgate_"+name, help, names, nil), kind, value, values...)
	if err != nil { // a label that is no UTF-8: this metric alone is missing
		one = prometheus.NewInvalidMetric(prometheus.NewDesc("fieldgate_"+name, help, nil, nil), err)
	}
	m.to <- one
}

func (m meter) broker(s broker.Stats) {
	for _, c := range []struct {
		name, help string
		value      int64
	}{
		{"packets_received_total", "Control packets from network clients.", s.MessagesReceived},
		{"packets_sent_total", "Control packets to network clients.", s.MessagesSent},
		{"messages_received_total", "PUBLISH from network clients.", s.PublishReceived},
		{"messages_sent_total", "PUBLISH to network clients.", s.PublishSent},
		{"payload_received_bytes_total", "Payloads from network clients.", s.PublishBytesIn},
		{"payload_sent_bytes_total", "Payloads to network clients.", s.PublishBytesOut},
		{"received_bytes_total", "Bytes of packets from network clients.", s.BytesReceived},
		{"sent_bytes_total", "Bytes of packets to network clients.", s.BytesSent},
		{"messages_dropped_total", "Deliveries given up: for slow readers, full queues, maximum packet sizes, topics that are not open to clients.", s.PublishDropped},
		{"messages_expired_total", "Deliveries whose message expiry interval was over.", s.PublishExpired},
		{"sockets_accepted_total", "Connections that were accepted, before CONNECT too.", s.Sockets},
		{"connects_total", "CONNECT that was answered with success.", s.Connects},
		{"connections_refused_total", "Connections beyond max_connections, of a listener too, or max_connections_per_address.", s.ConnectionsRefused},
		{"connections_delayed_total", "Connections that came faster than max_connection_rate or max_connection_rate_per_address and had to wait.", s.ConnectionsDelayed},
		{"sessions_expired_total", "Sessions that nobody came back to in time.", s.ClientsExpired},
	} {
		m.counter("mqtt_"+c.name, c.help, c.value)
	}
	for _, g := range []struct {
		name, help string
		value      int64
	}{
		{"clients_connected", "Network clients that are connected.", int64(s.ClientsConnected)},
		{"clients_connected_maximum", "The most connections at once since the start.", int64(s.ClientsMaximum)},
		{"sessions", "Sessions, connected or not, in process too.", int64(s.Sessions)},
		{"subscriptions", "Subscriptions of all sessions.", int64(s.Subscriptions)},
		{"shared_subscriptions", "Shared ones among them.", int64(s.SharedSubs)},
		{"inflight_messages", "Deliveries of QoS 1 and 2 that wait for an acknowledgement.", int64(s.Inflight)},
		{"queued_messages", "Messages owed to sessions, one count for each.", s.QueuedMessages},
		{"queued_bytes", "What they take.", s.QueuedBytes},
		{"retained_messages", "Retained messages.", int64(s.RetainedMessages)},
		{"retained_bytes", "What they take.", s.RetainedBytes},
		{"traces", "Traces of clients that are open.", int64(s.Traces)},
	} {
		m.gauge("mqtt_"+g.name, g.help, float64(g.value))
	}
}

func (m meter) disk(d Disk) {
	for _, g := range []struct {
		name, help string
		value      int64
	}{
		{"spool_file_bytes", "The spool's files.", d.Spool},
		{"spool_pending_bytes", "Accepted and not committed yet.", d.Pending},
		{"state_file_bytes", "The settings' files.", d.State},
		{"disk_free_bytes", "Free for the gateway where its data is.", d.Free},
		{"disk_size_bytes", "The file system where its data is.", d.Size},
	} {
		if g.value >= 0 {
			m.gauge(g.name, g.help, float64(g.value))
		}
	}
}

// links tells of bridges or uplinks, and their devices.
func (m meter) links(role string, all []bridges.Status) {
	for _, s := range all {
		m.gauge(role+"_up", "1 while it is online (connected).", one(isUp(s.State)), role, s.ID, "kind", s.Kind)
		m.gauge(role+"_state_since_seconds", "Since when it is in its state, in Unix time.", seconds(s.Since), role, s.ID, "state", string(s.State))
		for name, n := range s.Counters {
			m.counter(role+"_events_total", "What it counts since its start, by event.", n, role, s.ID, "event", name)
		}
		for _, d := range s.Devices {
			m.gauge("device_up", "1 while the device answers.", one(isUp(d.State)), role, s.ID, "device", d.ID)
		}
		if q := s.Queue; q != nil {
			m.gauge(role+"_queued_messages", "Messages that wait for the far side.", float64(q.Messages), role, s.ID)
			m.gauge(role+"_queued_bytes", "What they take.", float64(q.Bytes), role, s.ID)
			m.gauge(role+"_oldest_queued_seconds", "When the oldest was accepted, in Unix time; 0 for an empty queue.", seconds(q.Oldest), role, s.ID)
		}
	}
}

// points tells the last values, up to a limit, in a stable order.
func (m meter) points(readings []bridges.Reading) {
	readings = slices.Clone(readings)
	slices.SortFunc(readings, func(a, b bridges.Reading) int {
		if a.Device != b.Device {
			return strings.Compare(a.Device, b.Device)
		}
		return strings.Compare(a.Point, b.Point)
	})
	m.gauge("points_omitted", "Points beyond the limit of points in metrics.", float64(max(0, len(readings)-maxMetricPoints)))
	for _, r := range readings[:min(len(readings), maxMetricPoints)] {
		m.gauge("point_good", "1 while the last reading of the point is good.", one(r.Quality == bridges.Good), "device", r.Device, "point", r.Point)
		if r.Quality == bridges.Bad {
			continue // no value: an old one would pass for a new one
		}
		if v, isNumber := numberOf(r.Value); isNumber {
			m.gauge("point_value", "The last value of a point that is a number, or 0 and 1.", v, "device", r.Device, "point", r.Point, "unit", r.Unit)
			m.gauge("point_time_seconds", "When it was read, in Unix time.", seconds(r.Time), "device", r.Device, "point", r.Point)
		}
	}
}

func numberOf(v bridges.Value) (float64, bool) {
	if on, isBool := v.AsBool(); isBool {
		return one(on), true
	}
	return v.Number()
}

func one(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}
