package api

import (
	"context"
	"encoding/json"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"fieldgate/bridges/homeassistant"
)

const (
	homeAssistantSection = "home_assistant"
	homeAssistantKey     = "settings" // of the section's only object
)

// homeAssistantChange is a change of the section's only object.
type homeAssistantChange struct {
	IfMatch string `header:"If-Match" doc:"The ETag that GET gave, or *"`
	RawBody []byte `contentType:"application/json"`
}

func (a *API) addHomeAssistant() {
	const tag, path = "home-assistant", "/home-assistant"
	schema := homeAssistantSchema(a)
	add(a, operation{method: http.MethodGet, path: path, id: "get-home-assistant", summary: "The switch for all devices", tag: tag, role: Viewer, result: schema},
		func(context.Context, *struct{}) (*objectOutput, error) { return a.homeAssistant() })
	changed := []int{http.StatusPreconditionFailed, http.StatusPreconditionRequired, http.StatusUnprocessableEntity}
	for method, merge := range map[string]func(old, b json.RawMessage) json.RawMessage{
		http.MethodPut:   func(_, b json.RawMessage) json.RawMessage { return b },
		http.MethodPatch: mergePatch,
	} {
		id, words := "put-home-assistant", "Replace; what is left out takes its default"
		if method == http.MethodPatch {
			id, words = "patch-home-assistant", "Change in part, by a JSON merge patch (RFC 7396)"
		}
		add(a, operation{method: method, path: path, id: id, summary: words, tag: tag, role: Operator, errors: changed, body: body(schema), result: schema},
			func(ctx context.Context, in *homeAssistantChange) (*objectOutput, error) {
				return a.changeHomeAssistant(ctx, in, merge)
			})
	}
}

func homeAssistantSchema(a *API) *huma.Schema {
	return shared(a, "HomeAssistant", settings("The announcement of all devices to Home Assistant.", nil, map[string]*huma.Schema{
		"enabled": flag("Announces every device that does not say home_assistant: false; false when missing"),
		"prefix":  text("Home Assistant's discovery prefix; homeassistant when missing"),
		"node_id": text("Names this gateway where several announce to one Home Assistant; fieldgate when missing"),
	}))
}

// effective gives the settings with their defaults; stored is nil when there are none.
func effective(stored json.RawMessage) (json.RawMessage, error) {
	s, err := homeassistant.Decode(stored)
	if err != nil {
		return nil, err
	}
	return json.Marshal(s)
}

func (a *API) homeAssistant() (*objectOutput, error) {
	var stored json.RawMessage
	if list := a.Settings.List(homeAssistantSection); len(list) > 0 {
		stored = list[0]
	}
	shown, err := effective(stored)
	return &objectOutput{ETag: etag(shown), Body: shown}, err
}

func (a *API) changeHomeAssistant(ctx context.Context, in *homeAssistantChange, merge func(old, b json.RawMessage) json.RawMessage) (*objectOutput, error) {
	b, err := readBody(in.RawBody)
	if err != nil {
		return nil, err
	}
	stored, err := a.change(ctx, homeAssistantSection, homeAssistantKey, func(old json.RawMessage) (json.RawMessage, error) {
		now, err := effective(old)
		if err != nil {
			now = json.RawMessage("{}") // a change puts it right
		}
		if err := checkMatch(in.IfMatch, etag(now)); err != nil {
			return nil, err
		}
		return merge(now, b.JSON()), nil
	})
	if err != nil {
		return nil, err
	}
	shown, err := effective(stored)
	return &objectOutput{ETag: etag(shown), Body: shown}, err
}
