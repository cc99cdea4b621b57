package webui

import (
	"embed"
	"errors"
	"fmt"
	"html"
	"io/fs"
	"net/http"
	"path"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"fieldgate/webui/api"
)

//go:embed all:dist
var dist embed.FS

// unbuilt stands in for the page in a binary that was built without it.
const unbuilt = `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>fieldgate</title>
<h1>fieldgate</h1>
<p>This binary was built without its page. Run <code>make build</code> (it needs node), then start it again.</p>
<p>The gateway itself works; its REST interface is under <a href="/api/v1/openapi.json">/api/v1</a>.</p>
</html>
`

// notice is all that there is to see while nobody can log in. It looks again by itself.
const notice = `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="refresh" content="10">
<title>fieldgate</title>
<h1>fieldgate</h1>
<p role="alert">The gateway runs, but {{.}}.</p>
<p lang="zh-CN">网关正在运行，但数据目录无法使用，暂时不能保存任何内容。请检查磁盘或存储卡以及该目录的权限；恢复后网关会自动重新启动。</p>
</html>
`

// clientFolder holds the MQTT client for other people's pages (docs/browser.md).
const clientFolder = "client/"

// page serves the built page from the binary.
type page struct {
	files fs.FS
	index []byte // nil when the page was not built
	alone string // in place of all of it, when it is not empty
}

// embedded gives the files that Vite built.
func embedded() (fs.FS, error) { return fs.Sub(dist, "dist") }

// PageBuilt tells whether this binary holds the page.
func PageBuilt() bool {
	_, err := dist.ReadFile("dist/index.html")
	return err == nil
}

func newPage(files fs.FS, words string) (*page, error) {
	index, err := fs.ReadFile(files, "index.html")
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("read the embedded page: %w", err)
	}
	p := &page{files: files, index: index}
	if words != "" {
		p.alone = strings.ReplaceAll(notice, "{{.}}", html.EscapeString(words))
	}
	return p, nil
}

// serve gives a file, else the index: paths that are no file are the page's own.
func (p *page) serve(c echo.Context) error {
	if m := c.Request().Method; m != http.MethodGet && m != http.MethodHead {
		return echo.ErrMethodNotAllowed
	}
	name := strings.TrimPrefix(path.Clean(c.Request().URL.Path), "/")
	h := c.Response().Header()
	if p.alone != "" {
		h.Set("Cache-Control", "no-store")
		return c.HTML(http.StatusServiceUnavailable, p.alone)
	}
	if p.index == nil {
		h.Set("Cache-Control", "no-cache")
		return c.HTML(http.StatusOK, unbuilt)
	}
	b, err := fs.ReadFile(p.files, name)
	if err != nil || strings.HasPrefix(path.Base(name), ".") {
		// An asset of another version, or no part of the client: the index in its place would not run.
		if strings.HasPrefix(name, "assets/") || strings.HasPrefix(name, clientFolder) {
			return api.NewProblem(http.StatusNotFound, "not_found", "there is no such file; load the page again")
		}
		name, b = "index.html", p.index
	}
	if strings.HasPrefix(name, clientFolder) {
		// Public code: pages of any origin may import it, and this alone.
		h.Set("Access-Control-Allow-Origin", "*")
		h.Set("Cross-Origin-Resource-Policy", "cross-origin")
	}
	if strings.HasPrefix(name, "assets/") { // Vite puts a hash of the content into these names
		h.Set("Cache-Control", "public, max-age=31536000, immutable")
	} else {
		h.Set("Cache-Control", "no-cache")
	}
	http.ServeContent(c.Response(), c.Request(), name, time.Time{}, strings.NewReader(string(b)))
	return nil
}
