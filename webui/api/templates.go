package api

import (
	"context"
	"encoding/json"
	"mime"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"fieldgate/bridges"
	"fieldgate/bridges/template"
	"fieldgate/internal/fault"
)

// Templates is what is known of devices that people buy; *template.Set.
type Templates interface {
	// List gives all templates in the order of their ids.
	List() []*template.Template
	Get(id string) (*template.Template, bool)
	// Put checks and keeps an own template: a fault.List with pointers into what the YAML text says.
	Put(id string, text []byte) (*template.Template, error)
	// Remove ends an own template; fault.NotFound when there is none with the id.
	Remove(id string) error
	// Guess puts the templates that fit into what a scan of a bridge of the kind found.
	Guess(ctx context.Context, kind string, step bridges.ScanStep)
}

// templateEntry is a template in a list.
type templateEntry struct {
	ID           string           `json:"id"`
	Kind         string           `json:"kind" doc:"Of the bridges whose devices may name it"`
	Manufacturer string           `json:"manufacturer"`
	Model        string           `json:"model"`
	Category     string           `json:"category"`
	Description  bridges.Names    `json:"description" doc:"By language: en, zh"`
	Source       string           `json:"source" doc:"Where its points were taken from"`
	Serial       *template.Serial `json:"serial" doc:"How the device is shipped; null when nothing is known"`
	Own          bool             `json:"own" doc:"It lies in the data directory and may be changed"`
	PointCount   int              `json:"point_count"`
}

// templateBody is all of a template.
type templateBody struct {
	templateEntry
	Bridge map[string]json.RawMessage `json:"bridge" doc:"Settings of the bridge that it brings"`
	Device map[string]json.RawMessage `json:"device" doc:"Settings of the device that it brings"`
	Points []template.Point           `json:"points" nullable:"false"`
	YAML   string                     `json:"yaml" doc:"The file"`
}

type templatesInput struct {
	Kind   string `query:"kind" doc:"Of bridges; all when missing"`
	Search string `query:"q" doc:"Words that id, manufacturer, model or description must have"`
}

type templateOutput struct {
	ETag string `header:"ETag"`
	Body templateBody
}

type putTemplateInput struct {
	ID          string `path:"id"`
	IfMatch     string `header:"If-Match" doc:"The ETag that GET gave, or *; needed when an own template has the id"`
	ContentType string `header:"Content-Type"`
	RawBody     []byte `contentType:"application/yaml"`
}

func (a *API) addTemplates() {
	const tag = "templates"
	add(a, operation{method: http.MethodGet, path: "/templates", id: "list-templates", summary: "Devices whose points are known", tag: tag, role: Viewer},
		func(_ context.Context, in *templatesInput) (*listOutput[templateEntry], error) {
			var items []templateEntry
			for _, t := range a.Templates.List() {
				if (in.Kind == "" || in.Kind == t.Kind) && found(t, in.Search) {
					items = append(items, templateEntryOf(t))
				}
			}
			return listOf(items), nil
		})
	add(a, operation{method: http.MethodGet, path: "/templates/{id}", id: "get-template", summary: "A template with its points", tag: tag, role: Viewer, errors: []int{http.StatusNotFound}},
		func(_ context.Context, in *idInput) (*templateOutput, error) {
			t, ok := a.Templates.Get(in.ID)
			if !ok {
				return nil, fault.New(fault.NotFound, "there is no such template")
			}
			return templateOf(t), nil
		})
	free := &huma.Schema{Type: huma.TypeObject, AdditionalProperties: true, Description: "docs/templates.md says what stands in it"}
	add(a, operation{
		method: http.MethodPut, path: "/templates/{id}", id: "put-template", summary: "Keep an own template", tag: tag, role: Operator,
		errors: []int{http.StatusPreconditionFailed, http.StatusPreconditionRequired, http.StatusUnprocessableEntity},
		body:   map[string]*huma.Schema{yamlType: free, "application/x-yaml": free, "text/yaml": free, jsonType: free},
	}, a.putTemplate)
	add(a, operation{
		method: http.MethodDelete, path: "/templates/{id}", id: "delete-template", summary: "Remove an own template that no device names", tag: tag, role: Operator,
		status: http.StatusNoContent, errors: []int{http.StatusNotFound, http.StatusConflict, http.StatusPreconditionFailed, http.StatusPreconditionRequired},
	}, a.deleteTemplate)
}

// found tells whether a template has all words of a search.
func found(t *template.Template, search string) bool {
	text := strings.ToLower(strings.Join([]string{t.ID, t.Manufacturer, t.Model, t.Description.In("en"), t.Description.In("zh")}, " "))
	for _, word := range strings.Fields(strings.ToLower(search)) {
		if !strings.Contains(text, word) {
			return false
		}
	}
	return true
}

func templateEntryOf(t *template.Template) templateEntry {
	return templateEntry{
		ID: t.ID, Kind: t.Kind, Manufacturer: t.Manufacturer, Model: t.Model, Category: t.Category, Description: t.Description,
		Source: t.Source, Serial: t.Serial, Own: t.Own, PointCount: len(t.Points),
	}
}

func templateOf(t *template.Template) *templateOutput {
	return &templateOutput{ETag: templateTag(t), Body: templateBody{
		templateEntry: templateEntryOf(t), Bridge: t.Bridge, Device: t.Device, Points: t.Points, YAML: string(t.Text()),
	}}
}

// templateTag is the entity tag of the file.
func templateTag(t *template.Template) string {
	text, _ := json.Marshal(string(t.Text())) // a text always has a JSON form
	return etag(text)
}

func (a *API) putTemplate(ctx context.Context, in *putTemplateInput) (*templateOutput, error) {
	text := in.RawBody
	if media, _, err := mime.ParseMediaType(in.ContentType); err == nil && media == jsonType {
		doc, err := parseBody(text)
		if err != nil {
			return nil, err
		}
		text = a.YAML.ToYAML(doc.JSON())
	}
	a.changes.Lock()
	defer a.changes.Unlock()
	if old, ok := a.Templates.Get(in.ID); ok && old.Own {
		if err := checkMatch(in.IfMatch, templateTag(old)); err != nil {
			return nil, err
		}
	}
	t, err := a.Templates.Put(in.ID, text)
	if err != nil {
		return nil, err
	}
	a.log.Info("template kept", "template", in.ID, "author", requestOf(ctx).caller.name)
	return templateOf(t), nil
}

func (a *API) deleteTemplate(ctx context.Context, in *struct {
	ID      string `path:"id"`
	IfMatch string `header:"If-Match" doc:"The ETag that GET gave, or *"`
}) (*struct{}, error) {
	a.changes.Lock()
	defer a.changes.Unlock()
	t, ok := a.Templates.Get(in.ID)
	switch {
	case !ok:
		return nil, fault.New(fault.NotFound, "there is no such template")
	case !t.Own:
		return nil, fault.New(fault.Conflict, "the template came with the program and stays")
	}
	if err := checkMatch(in.IfMatch, templateTag(t)); err != nil {
		return nil, err
	}
	if device := a.namesTemplate(in.ID); device != "" {
		return nil, fault.New(fault.Conflict, "the device %s names the template", device)
	}
	if err := a.Templates.Remove(in.ID); err != nil {
		return nil, err
	}
	a.log.Info("template removed", "template", in.ID, "author", requestOf(ctx).caller.name)
	return nil, nil
}

// namesTemplate gives a device that names the template, "" when there is none.
func (a *API) namesTemplate(id string) string {
	for _, raw := range a.Settings.List(bridgesSection) {
		var bridge struct {
			Devices []struct {
				ID       string `json:"id"`
				Template string `json:"template"`
			} `json:"devices"`
		}
		if json.Unmarshal(raw, &bridge) != nil {
			continue
		}
		for _, d := range bridge.Devices {
			if d.Template == id {
				return d.ID
			}
		}
	}
	return ""
}
