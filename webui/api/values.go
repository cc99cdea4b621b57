package api

import (
	"cmp"
	"context"
	"net/http"
	"slices"
	"time"

	"fieldgate/bridges"
)

// value is the last reading of a point.
type value struct {
	Device   string          `json:"device"`
	Point    string          `json:"point"`
	Name     bridges.Names   `json:"name,omitempty" doc:"What people call it, by language; in GET /values only, and only when it has one"`
	Value    bridgeValue     `json:"value"`
	Unit     string          `json:"unit"`
	Quality  bridges.Quality `json:"quality" enum:"good,stale,bad"`
	Error    string          `json:"error" doc:"Why the quality is not good"`
	Time     *time.Time      `json:"time" doc:"When the answer's last byte came; null when there was none yet"`
	Clock    string          `json:"clock,omitempty" enum:"unsynced" doc:"unsynced while the gateway's clock was not set yet: time is wrong, and is put right when it is set"`
	Writable bool            `json:"writable"`
}

type valuesInput struct {
	Device string `query:"device" doc:"Only the points of this device"`
}

type pointKey struct{ device, point string }

func (a *API) addValues() {
	add(a, operation{method: http.MethodGet, path: "/values", id: "list-values", summary: "The last value of every point", tag: "values", role: Viewer}, a.listValues)
}

func (a *API) listValues(_ context.Context, in *valuesInput) (*listOutput[value], error) {
	readings, _ := a.Bridges.ValuesSince(0)
	if in.Device != "" {
		readings = slices.DeleteFunc(slices.Clone(readings), func(r bridges.Reading) bool { return r.Device != in.Device })
	}
	list := values(readings, a.writable())
	names := a.pointNames()
	for i, v := range list {
		list[i].Name = names[pointKey{v.Device, v.Point}]
	}
	return listOf(list), nil
}

// pointNames gives what people call the points that have a name.
func (a *API) pointNames() map[pointKey]bridges.Names {
	names := map[pointKey]bridges.Names{}
	for _, d := range a.Bridges.Devices() {
		for _, p := range d.Points {
			if len(p.Name) > 0 {
				names[pointKey{d.ID, p.ID}] = p.Name
			}
		}
	}
	return names
}

// values gives readings by device and point.
func values(readings []bridges.Reading, writable map[pointKey]bool) []value {
	all := make([]value, 0, len(readings))
	for _, r := range readings {
		v := value{
			Device: r.Device, Point: r.Point, Value: bridgeValue{r.Value}, Unit: r.Unit, Quality: r.Quality, Error: r.Error,
			Writable: writable[pointKey{r.Device, r.Point}],
		}
		if r.Quality == bridges.Bad {
			v.Value = bridgeValue{}
		}
		if r.Boot != "" {
			v.Clock = "unsynced"
		}
		if !r.Time.IsZero() {
			t := r.Time.UTC().Truncate(time.Millisecond)
			v.Time = &t
		}
		all = append(all, v)
	}
	slices.SortFunc(all, func(a, b value) int {
		return cmp.Or(cmp.Compare(a.Device, b.Device), cmp.Compare(a.Point, b.Point))
	})
	return all
}

// writable gives the points that may be written.
func (a *API) writable() map[pointKey]bool {
	points := map[pointKey]bool{}
	for _, d := range a.Bridges.Devices() {
		for _, p := range d.Points {
			if p.Writable {
				points[pointKey{d.ID, p.ID}] = true
			}
		}
	}
	return points
}
