package api

import (
	"context"
	"net/http"

	"fieldgate/internal/fault"
)

type cloneInput struct {
	ID      string `path:"id"`
	RawBody []byte `contentType:"application/json"`
}

func (a *API) addClone() {
	schema := deviceSchema(a)
	add(a, operation{
		method: http.MethodPost, path: "/devices/{id}/clone", id: "clone-device", tag: "devices", role: Operator, status: http.StatusCreated,
		summary: "Add a device like this one. The body has its id, and what differs, as a JSON merge patch (RFC 7396)",
		errors:  []int{http.StatusNotFound, http.StatusConflict, http.StatusUnprocessableEntity}, body: body(schema), result: schema,
	}, a.cloneDevice)
}

// cloneDevice copies a device. Its topic is its own: two devices on one are none.
func (a *API) cloneDevice(ctx context.Context, in *cloneInput) (*objectOutput, error) {
	changes, err := readBody(in.RawBody)
	if err != nil {
		return nil, err
	}
	d, err := a.device(in.ID)
	if err != nil {
		return nil, err
	}
	if changes.Text("id") == "" {
		return nil, fault.At("/id", fault.Required, "is required: the id of the new device")
	}
	like := d.object()
	like.Remove("topic")
	like.Remove("name")
	return a.createDevice(ctx, &free{RawBody: mergePatch(like.JSON(), changes.JSON())})
}
