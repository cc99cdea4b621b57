package api

import (
	"context"
	"io"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
)

// gzipType is the type of a backup.
const gzipType = "application/gzip"

// chunkTimeout is how long a reader or writer of a backup may take for the next part of it.
const chunkTimeout = time.Minute

// Backups makes backups of everything that the gateway keeps, and takes them back.
type Backups interface {
	// Backup takes a snapshot, of the settings and, when messages is set, of sessions,
	// retained messages and queues. It fails with fault.Conflict while another one is under way.
	Backup(ctx context.Context, messages bool) (Snapshot, error)
	// Restore reads and checks a backup; fault.Invalid for what is none. The gateway then
	// starts anew with it, or takes it at its next start.
	Restore(ctx context.Context, from io.Reader) error
}

// Snapshot is a backup to be written once, and closed.
type Snapshot interface {
	io.WriterTo
	io.Closer
}

type backupInput struct {
	Messages bool `query:"messages" default:"true" doc:"With sessions, retained messages and queues"`
}

// backupBody is a body that is read as it comes: a backup may be larger than RAM.
type backupBody struct{ body io.Reader }

// Resolve implements huma.Resolver.
func (b *backupBody) Resolve(ctx huma.Context) []error {
	b.body = ctx.BodyReader()
	return nil
}

func (a *API) addBackups() {
	const tag = "system"
	get := operation{
		method: http.MethodGet, path: "/backups/now", id: "get-backup", summary: "A backup of everything, secrets included", tag: tag, role: Admin,
		errors: []int{http.StatusConflict, http.StatusServiceUnavailable},
	}
	add(a, get, a.getBackup)
	file := map[string]*huma.MediaType{gzipType: {Schema: &huma.Schema{Type: huma.TypeString, Format: "binary"}}}
	a.huma.OpenAPI().Paths[get.path].Get.Responses["200"] = &huma.Response{Description: "A tar file, gzipped", Content: file}
	put := operation{
		method: http.MethodPost, path: "/restore", id: "restore-backup", summary: "Take a backup back; the gateway starts anew", tag: tag, role: Admin, status: http.StatusAccepted,
		errors: []int{http.StatusConflict, http.StatusUnprocessableEntity, http.StatusServiceUnavailable},
	}
	add(a, put, a.restoreBackup)
	a.huma.OpenAPI().Paths[put.path].Post.RequestBody = &huma.RequestBody{Required: true, Content: file}
}

func (a *API) getBackup(ctx context.Context, in *backupInput) (*huma.StreamResponse, error) {
	snapshot, err := a.Backups.Backup(ctx, in.Messages)
	if err != nil {
		return nil, err
	}
	a.note(ctx, "get-backup") // although it only reads: it holds every secret
	a.log.Info("backup begun", "author", requestOf(ctx).caller.name, "messages", in.Messages)
	return &huma.StreamResponse{Body: func(ctx huma.Context) {
		defer func() {
			if err := snapshot.Close(); err != nil {
				a.log.Warn("snapshot not removed", "err", err)
			}
		}()
		w := requestOf(ctx.Context()).echo.Response()
		w.Header().Set("Content-Type", gzipType)
		w.Header().Set("Content-Disposition", `attachment; filename="fieldgate-`+time.Now().UTC().Format("20060102-150405")+`.backup"`)
		w.Header().Set("Cache-Control", "no-store")
		_, err := snapshot.WriteTo(&patientWriter{to: w, control: http.NewResponseController(w)})
		if err != nil { // what was sent lacks its end, which tells the reader
			a.log.Warn("backup not sent", "err", err)
		}
	}}, nil
}

func (a *API) restoreBackup(ctx context.Context, in *backupBody) (*struct{}, error) {
	r := requestOf(ctx)
	control := http.NewResponseController(r.echo.Response())
	// The server's time for an answer began with the request; all of it may have gone by while the body came.
	defer func() { _ = control.SetWriteDeadline(time.Now().Add(chunkTimeout)) }() // an in-process call has none
	if err := a.Backups.Restore(ctx, &patientReader{from: in.body, control: control}); err != nil {
		return nil, err
	}
	a.log.Info("backup is restored", "author", r.caller.name)
	return nil, nil
}

// patientWriter gives every part of an answer its own time.
type patientWriter struct {
	to      io.Writer
	control *http.ResponseController
}

func (p *patientWriter) Write(b []byte) (int, error) {
	_ = p.control.SetWriteDeadline(time.Now().Add(chunkTimeout)) // an in-process call has none
	return p.to.Write(b)
}

// patientReader does so with a body.
type patientReader struct {
	from    io.Reader
	control *http.ResponseController
}

func (p *patientReader) Read(b []byte) (int, error) {
	_ = p.control.SetReadDeadline(time.Now().Add(chunkTimeout)) // an in-process call has none
	return p.from.Read(b)
}
