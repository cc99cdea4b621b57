package api

import (
	"context"
	"net/http"

	"fieldgate/bridges"
)

// uplinkKind is the kind of a status that belongs to an uplink.
const uplinkKind = "uplink"

func isUplink(s bridges.Status) bool { return s.Kind == uplinkKind }

func (a *API) addUplinks() {
	s := section{
		name: uplinksSection, singular: "uplink", key: "id", read: Viewer, write: Operator, schema: uplinkSchema(),
		decorate: a.statusDecorator(isUplink),
	}
	a.addSection(s)
	a.addSwitch(s)
	a.addTests(s)
	add(a, operation{
		method: http.MethodDelete, path: "/uplinks/{id}/queue", id: "empty-uplink-queue", summary: "Drop all that waits for the far side", tag: s.name,
		role: Admin, status: http.StatusNoContent, errors: []int{http.StatusNotFound},
	}, func(ctx context.Context, in *idInput) (*struct{}, error) {
		if a.find(s, in.ID) == nil {
			return nil, s.missing()
		}
		a.log.Warn("uplink's queue dropped", "uplink", in.ID, "author", requestOf(ctx).caller.name)
		return nil, a.Queues.Empty(ctx, in.ID)
	})
}

func (a *API) addAccounts() {
	a.addSection(section{name: accountsSection, singular: "account", key: "username", read: Admin, write: Admin, schema: accountSchema()})
}
