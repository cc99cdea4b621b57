package api

import (
	"context"
	"net/http"
	"time"

	"fieldgate/bridges"
)

// uplinkKind is the kind of uplinks that name none.
const uplinkKind = "uplink"

// queue is what an uplink still owes to its far side.
type queue struct {
	Messages int64      `json:"messages"`
	Bytes    int64      `json:"bytes"`
	Oldest   *time.Time `json:"oldest"` // null when the queue is empty

	// What its limits have cost since the start, in messages; left out when that is nothing.
	Dropped  int64 `json:"dropped,omitzero"`  // the oldest ones, for new ones
	Refused  int64 `json:"refused,omitzero"`  // new ones
	Outdated int64 `json:"outdated,omitzero"` // those that waited longer than max_age
}

// uplinkStatus is a status with its queue in the page's form.
type uplinkStatus struct {
	bridges.Status
	Queue queue `json:"queue"`
}

func uplinkStatusOf(s bridges.Status) any {
	u := uplinkStatus{Status: s}
	if s.Queue != nil {
		u.Queue = queue{
			Messages: s.Queue.Messages, Bytes: s.Queue.Bytes,
			Dropped: s.Queue.Dropped, Refused: s.Queue.Refused, Outdated: s.Queue.Outdated,
		}
		if t := s.Queue.Oldest; !t.IsZero() {
			u.Queue.Oldest = &t
		}
	}
	return u
}

func bridgeStatusOf(s bridges.Status) any { return s }

// statusList gives statuses for the page; no field of it is null that is a list or a map.
func statusList(all []bridges.Status, form func(bridges.Status) any) []any {
	items := make([]any, 0, len(all))
	for _, s := range all {
		items = append(items, form(complete(s)))
	}
	return items
}

func complete(s bridges.Status) bridges.Status {
	if s.Counters == nil {
		s.Counters = map[string]int64{}
	}
	return s
}

func (a *API) addUplinks() {
	s := section{
		name: uplinksSection, singular: "uplink", key: "id", read: Viewer, write: Operator, schema: uplinkSchema(a), links: a.Uplinks, kind: uplinkKind, status: uplinkStatusOf,
	}
	a.addSection(s)
	a.addSwitch(s)
	a.addTests(s)
	add(a, operation{
		method: http.MethodGet, path: "/uplinks/{id}/queue", id: "peek-uplink-queue", summary: "What waits for the far side, oldest first; nothing is taken away", tag: s.name,
		role: Viewer, errors: []int{http.StatusNotFound, http.StatusServiceUnavailable},
	}, func(_ context.Context, in *queueInput) (*listOutput[queuedMessage], error) {
		if a.find(s, in.ID) == nil {
			return nil, s.missing()
		}
		out, err := a.queueOf(bridges.UplinkRole.SessionID(in.ID, ""), "/uplinks/"+pathOf(in.ID)+"/queue", in)
		if isNotFound(err) { // it never ran
			return listOf[queuedMessage](nil), nil
		}
		return out, err
	})
	add(a, operation{
		method: http.MethodDelete, path: "/uplinks/{id}/queue", id: "empty-uplink-queue", summary: "Drop all that waits for the far side", tag: s.name,
		role: Admin, status: http.StatusNoContent, errors: []int{http.StatusNotFound},
	}, func(ctx context.Context, in *idInput) (*struct{}, error) {
		if a.find(s, in.ID) == nil {
			return nil, s.missing()
		}
		a.log.Warn("uplink's queue dropped", "uplink", in.ID, "author", requestOf(ctx).caller.name)
		return nil, a.Uplinks.DropQueue(ctx, in.ID)
	})
}
