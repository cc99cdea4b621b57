package api

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	"fieldgate/internal/fault"
)

type systemBody struct {
	Version       string     `json:"version"`
	Hostname      string     `json:"hostname"`
	Started       time.Time  `json:"started"`
	UptimeSeconds int64      `json:"uptime_seconds"`
	Time          time.Time  `json:"time" doc:"What the machine's clock says"`
	MQTT          mqttStatus `json:"mqtt"`
	Machine       Machine    `json:"machine"`
	Disk          diskStatus `json:"disk"`
	Host          Host       `json:"host_file" doc:"What the host file says; read at start"`
}

// diskStatus is Disk for people; -1 where something can't be told.
type diskStatus struct {
	Free    int64 `json:"free_bytes" doc:"For the gateway, where its data is"`
	Size    int64 `json:"size_bytes"`
	Spool   int64 `json:"spool_bytes" doc:"The spool's files"`
	State   int64 `json:"state_bytes" doc:"The settings' files"`
	Pending int64 `json:"pending_bytes" doc:"Messages that are accepted and not committed yet"`
}

type mqttStatus struct {
	Listeners []string   `json:"listeners" nullable:"false" doc:"Addresses that are bound"`
	Clients   int        `json:"clients" doc:"Connected MQTT clients"`
	Endpoints []Endpoint `json:"endpoints" nullable:"false" doc:"The listeners as the host file has them, bound or not"`
	Anonymous bool       `json:"allow_anonymous" doc:"Clients without a user name are let in"`
}

type health struct {
	Status string   `json:"status" enum:"ok,degraded"`
	Parts  []string `json:"parts,omitempty" doc:"The parts of the gateway that have an alarm"`
}

type healthOutput struct {
	Status int
	Body   health
}

func (a *API) addSystem() {
	const tag = "system"
	add(a, operation{method: http.MethodGet, path: "/system", id: "get-system", summary: "The gateway itself", tag: tag, role: Viewer}, a.getSystem)
	add(a, operation{method: http.MethodGet, path: "/alarms", id: "list-alarms", summary: "What is wrong now, oldest first", tag: tag, role: Viewer},
		func(context.Context, *struct{}) (*listOutput[fault.Alarm], error) {
			alarms, _ := a.Alarms.List()
			return listOf(alarms), nil
		})
	add(a, operation{method: http.MethodGet, path: "/serial-ports", id: "list-serial-ports", summary: "The serial ports of the machine", tag: tag, role: Viewer},
		func(ctx context.Context, _ *struct{}) (*listOutput[SerialPort], error) {
			ports, err := a.SerialPorts(ctx)
			return listOf(ports), err
		})
}

func (a *API) getSystem(context.Context, *struct{}) (*struct{ Body systemBody }, error) {
	s := a.System()
	b := systemBody{
		Version: s.Version, Hostname: s.Hostname, Started: s.Started.UTC().Truncate(time.Second), UptimeSeconds: int64(time.Since(s.Started).Seconds()),
		MQTT: mqttStatus{Listeners: listItems(s.Listeners), Clients: a.connected(), Endpoints: listItems(s.Endpoints), Anonymous: s.Anonymous},
	}
	d := a.Disk()
	b.Time, b.Machine, b.Host = utc(time.Now()), s.Machine, s.Host
	b.Disk = diskStatus{Free: d.Free, Size: d.Size, Spool: d.Spool, State: d.State, Pending: d.Pending}
	return &struct{ Body systemBody }{b}, nil
}

// connected counts the MQTT clients that have a connection.
func (a *API) connected() int {
	n := 0
	for _, c := range a.Clients.Clients() {
		if c.Connected && !c.InProcess {
			n++
		}
	}
	return n
}

func (a *API) addHealth() {
	add(a, operation{method: http.MethodGet, path: "/health/live", id: "get-live", summary: "Whether the process answers", tag: "health", role: Open},
		func(context.Context, *struct{}) (*healthOutput, error) {
			return &healthOutput{Status: http.StatusOK, Body: health{Status: "ok"}}, nil
		})
	add(a, operation{
		method: http.MethodGet, path: "/health/ready", id: "get-ready", summary: "Whether every part works; 503 when one has an alarm", tag: "health", role: Open,
	}, a.ready)
}

// ready looks at the gateway's own parts: a bridge or an uplink ("bridge/cabinet") that has an alarm is for a person, not for who restarts services.
func (a *API) ready(context.Context, *struct{}) (*healthOutput, error) {
	alarms, _ := a.Alarms.List()
	var parts []string
	for _, alarm := range alarms {
		if !strings.Contains(alarm.Part, "/") && !slices.Contains(parts, alarm.Part) {
			parts = append(parts, alarm.Part)
		}
	}
	if len(parts) > 0 {
		return &healthOutput{Status: http.StatusServiceUnavailable, Body: health{Status: "degraded", Parts: parts}}, nil
	}
	return &healthOutput{Status: http.StatusOK, Body: health{Status: "ok"}}, nil
}
