package api

import (
	"context"
	"encoding/json"
	"mime"
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"fieldgate/internal/fault"
)

const yamlType = "application/yaml"

type exportInput struct {
	Accept string `header:"Accept" doc:"application/yaml (the default) or application/json"`
}

type exportOutput struct {
	ContentType string `header:"Content-Type"`
	Body        []byte
}

type applyInput struct {
	DryRun      bool   `query:"dry_run" doc:"Only tell what would change"`
	ContentType string `header:"Content-Type"`
	RawBody     []byte `contentType:"application/yaml"`
}

type revisionInput struct {
	Revision int64  `path:"n" minimum:"1"`
	Accept   string `header:"Accept" doc:"application/yaml (the default) or application/json"`
}

type restoreInput struct {
	Revision int64 `path:"n" minimum:"1"`
	DryRun   bool  `query:"dry_run" doc:"Only tell what would change"`
}

// The shapes of what Documents gives, for the description.
type (
	applyResult struct {
		Revision int64           `json:"revision" doc:"That stands now"`
		Changes  []appliedChange `json:"changes" nullable:"false"`
		Diff     string          `json:"diff"`
	}
	appliedChange struct {
		Action  string `json:"action" enum:"add,change,remove"`
		Section string `json:"section"`
		ID      string `json:"id"`
	}
	revision struct {
		Revision int64     `json:"revision"`
		Time     time.Time `json:"time"`
		Author   string    `json:"author"`
		Summary  string    `json:"summary"`
	}
)

type rawOutput struct{ Body json.RawMessage }

func (a *API) addConfig() {
	const tag = "config"
	add(a, operation{
		method: http.MethodGet, path: "/config", id: "export-config", summary: "The managed settings, without secrets", tag: tag, role: Admin,
		result: &huma.Schema{Type: huma.TypeObject, AdditionalProperties: true, Description: "bridges, uplinks, accounts, access_rules and home_assistant, as YAML or JSON"},
	}, a.exportConfig)
	add(a, operation{
		method: http.MethodGet, path: "/config/revisions/{n}", id: "get-revision", summary: "The settings as they stood with a revision, without secrets", tag: tag, role: Admin,
		errors: []int{http.StatusNotFound}, result: &huma.Schema{Type: huma.TypeObject, AdditionalProperties: true, Description: "As GET /config gives them"},
	}, func(ctx context.Context, in *revisionInput) (*exportOutput, error) {
		doc, err := a.Settings.Revision(ctx, in.Revision)
		return a.written(doc, in.Accept), err
	})
	free := &huma.Schema{Type: huma.TypeObject, AdditionalProperties: true, Description: "What GET /config gives"}
	add(a, operation{
		method: http.MethodPost, path: "/config/apply", id: "apply-config", summary: "Make the managed settings equal to the body", tag: tag, role: Admin,
		errors: []int{http.StatusConflict, http.StatusUnprocessableEntity},
		body:   map[string]*huma.Schema{yamlType: free, "application/x-yaml": free, "text/yaml": free, jsonType: free},
		result: schemaOf[applyResult](a),
	}, a.applyConfig)
	add(a, operation{
		method: http.MethodGet, path: "/config/revisions", id: "list-revisions", summary: "What was changed, newest first", tag: tag, role: Admin,
		result: schemaOf[list[revision]](a),
	}, a.revisions)
	add(a, operation{
		method: http.MethodPost, path: "/config/revisions/{n}/restore", id: "restore-revision", summary: "Apply the settings of a revision again", tag: tag,
		role: Admin, errors: []int{http.StatusNotFound}, result: schemaOf[applyResult](a),
	}, func(ctx context.Context, in *restoreInput) (*rawOutput, error) {
		a.changes.Lock()
		defer a.changes.Unlock()
		result, err := a.Settings.Restore(ctx, requestOf(ctx).caller.name, in.Revision, in.DryRun)
		return &rawOutput{Body: result}, err
	})
}

func (a *API) exportConfig(ctx context.Context, in *exportInput) (*exportOutput, error) {
	doc, err := a.Settings.Export(ctx)
	return a.written(doc, in.Accept), err
}

// written gives settings as YAML, or as JSON when that is asked for; nil for none.
func (a *API) written(doc json.RawMessage, accept string) *exportOutput {
	if doc == nil {
		return nil
	}
	if strings.Contains(accept, jsonType) && !strings.Contains(accept, "yaml") {
		return &exportOutput{ContentType: jsonType, Body: doc}
	}
	return &exportOutput{ContentType: yamlType, Body: a.YAML.ToYAML(doc)}
}

func (a *API) applyConfig(ctx context.Context, in *applyInput) (*rawOutput, error) {
	doc := json.RawMessage(in.RawBody)
	var line func(pointer string) int // nil for JSON
	media, _, err := mime.ParseMediaType(in.ContentType)
	if err != nil || media != jsonType {
		if doc, line, err = a.YAML.FromYAML(in.RawBody); err != nil {
			return nil, NewProblem(http.StatusBadRequest, fault.Invalid, "%s", err.Error())
		}
	}
	o, err := parseBody(doc)
	if err != nil {
		return nil, err
	}
	a.changes.Lock()
	defer a.changes.Unlock()
	result, err := a.Settings.Apply(ctx, requestOf(ctx).caller.name, o.json(), in.DryRun)
	if err == nil && !in.DryRun {
		a.log.Info("settings applied", "author", requestOf(ctx).caller.name)
	}
	return &rawOutput{Body: result}, withLines(err, line)
}

// withLines tells the caller of YAML the lines of the faults.
func withLines(err error, line func(pointer string) int) error {
	if err == nil || line == nil {
		return err
	}
	p := ProblemOf(err)
	if p.Status != http.StatusUnprocessableEntity || len(p.Errors) == 0 {
		return err
	}
	for i := range p.Errors {
		p.Errors[i].Line = line(p.Errors[i].Pointer)
	}
	return p
}

func (a *API) revisions(ctx context.Context, _ *struct{}) (*rawOutput, error) {
	items, err := a.Settings.Revisions(ctx)
	if err != nil {
		return nil, err
	}
	if items == nil {
		return nil, fault.New(fault.Unavailable, "no revisions are kept")
	}
	return &rawOutput{Body: object{{"items", items}, {"next", json.RawMessage("null")}}.json()}, nil
}
