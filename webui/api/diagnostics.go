package api

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"fieldgate/internal/logring"
)

// diagnosticLogs is how many log records go into the diagnostics.
const diagnosticLogs = 2000

type zipOutput struct {
	ContentType string `header:"Content-Type"`
	Disposition string `header:"Content-Disposition"`
	Body        []byte
}

func (a *API) addDiagnostics() {
	op := operation{method: http.MethodGet, path: "/diagnostics", id: "get-diagnostics", summary: "A zip of what support needs; no secrets", tag: "system", role: Admin}
	add(a, op, a.getDiagnostics)
	a.huma.OpenAPI().Paths[op.path].Get.Responses["200"].Content = map[string]*huma.MediaType{
		"application/zip": {Schema: &huma.Schema{Type: huma.TypeString, Format: "binary"}},
	}
}

// getDiagnostics packs the settings as everybody with a login may see them, logs, states and numbers.
func (a *API) getDiagnostics(ctx context.Context, _ *struct{}) (*zipOutput, error) {
	settings, err := a.Settings.Export(ctx)
	if err != nil {
		return nil, err
	}
	system, err := a.getSystem(ctx, nil)
	if err != nil {
		return nil, err
	}
	alarms, _ := a.Alarms.List()
	logs := mapped(a.Logs.Since(0, diagnosticLogs, func(*logring.Record) bool { return true }), logRecordOf)
	parts := []struct {
		name string
		what any
	}{
		{"system.json", system.Body},
		{"alarms.json", alarms},
		{"bridges.json", a.Bridges.Statuses()},
		{"uplinks.json", a.Uplinks.Statuses()},
		{"logs.json", logs},
	}
	if clients, err := a.listSessions(ctx, &clientsInput{Page: Page{Limit: 1000}}); err == nil { // without a broker there are none
		parts = append(parts, struct {
			name string
			what any
		}{"sessions.json", clients.Body})
	}
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	put := func(name string, text []byte) error {
		w, err := z.CreateHeader(&zip.FileHeader{Name: "fieldgate/" + name, Method: zip.Deflate, Modified: time.Now()})
		if err == nil {
			_, err = w.Write(text)
		}
		return err
	}
	for _, p := range parts {
		text, err := json.MarshalIndent(p.what, "", "  ")
		if err != nil {
			return nil, err
		}
		if err := put(p.name, text); err != nil {
			return nil, err
		}
	}
	if err := put("config.yaml", a.YAML.ToYAML(settings)); err != nil {
		return nil, err
	}
	var metrics bytes.Buffer
	if err := a.writeMetrics(&metrics); err != nil {
		return nil, err
	}
	if err := put("metrics.txt", metrics.Bytes()); err != nil {
		return nil, err
	}
	if err := z.Close(); err != nil {
		return nil, err
	}
	return &zipOutput{ContentType: "application/zip", Disposition: `attachment; filename="fieldgate-diagnostics.zip"`, Body: b.Bytes()}, nil
}

// writeMetrics writes the metrics as a scrape would get them.
func (a *API) writeMetrics(to io.Writer) error {
	r, err := http.NewRequest(http.MethodGet, "/metrics", nil)
	if err != nil {
		return err
	}
	a.metrics.ServeHTTP(&plainResponse{header: http.Header{}, to: to}, r)
	return nil
}

// plainResponse is a response that only its body counts of.
type plainResponse struct {
	header http.Header
	to     io.Writer
}

func (p *plainResponse) Header() http.Header         { return p.header }
func (p *plainResponse) Write(b []byte) (int, error) { return p.to.Write(b) }
func (p *plainResponse) WriteHeader(int)             {}
