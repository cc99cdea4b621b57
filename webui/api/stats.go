package api

import (
	"context"
	"net/http"
	"time"

	"fieldgate/bridges"
)

// bridgeStats is what a bridge has counted since it was started.
type bridgeStats struct {
	ID       string           `json:"id"`
	State    bridges.State    `json:"state"`
	Since    time.Time        `json:"since" doc:"When the state began"`
	Counters map[string]int64 `json:"counters" nullable:"false"`
	Devices  []deviceStats    `json:"devices" nullable:"false"`
}

type deviceStats struct {
	ID       string           `json:"id"`
	State    bridges.State    `json:"state"`
	Since    time.Time        `json:"since"`
	Counters map[string]int64 `json:"counters" nullable:"false" doc:"Empty when its kind does not count by device"`
}

func (a *API) addStats() {
	add(a, operation{
		method: http.MethodGet, path: "/bridges/{id}/stats", id: "get-bridge-stats", summary: "What a bridge and its devices have counted since it was started",
		tag: bridgesSection, role: Viewer, errors: []int{http.StatusNotFound},
	}, a.getStats)
}

func (a *API) getStats(_ context.Context, in *idInput) (*struct{ Body bridgeStats }, error) {
	if a.find(a.bridges, in.ID) == nil {
		return nil, a.bridges.missing()
	}
	stats := bridgeStats{ID: in.ID, State: bridges.Offline, Counters: map[string]int64{}, Devices: []deviceStats{}}
	for _, s := range a.Bridges.Statuses() {
		if s.ID != in.ID {
			continue
		}
		stats.State, stats.Since, stats.Counters = s.State, s.Since, complete(s).Counters
		for _, d := range s.Devices {
			one := deviceStats{ID: d.ID, State: d.State, Since: d.Since, Counters: d.Counters}
			if one.Counters == nil {
				one.Counters = map[string]int64{}
			}
			stats.Devices = append(stats.Devices, one)
		}
	}
	return &struct{ Body bridgeStats }{stats}, nil
}
