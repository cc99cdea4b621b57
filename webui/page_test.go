package webui_test

import (
	"net/http/httptest"
	"testing"
	"testing/fstest"

	"github.com/labstack/echo/v4"
	"github.com/stretchr/testify/require"

	"fieldgate/webui"
)

func TestPage_ServesFilesAndTheIndexForItsOwnPaths(t *testing.T) {
	page, err := webui.Page(fstest.MapFS{
		".placeholder":       {Data: []byte("hidden")},
		"index.html":         {Data: []byte("<!doctype html>index")},
		"favicon.svg":        {Data: []byte("<svg/>")},
		"assets/app-1a2b.js": {Data: []byte("export {}")},
		"client/mqtt.js":     {Data: []byte("export {}")},
	})
	require.NoError(t, err)
	for name, row := range map[string]struct {
		path, body, kind, cache string
		status                  int
		allowed                 string // origins that may read it
	}{
		"index":              {"/", "<!doctype html>index", "text/html; charset=utf-8", "no-cache", 200, ""},
		"path of the page":   {"/devices/meter", "<!doctype html>index", "text/html; charset=utf-8", "no-cache", 200, ""},
		"hashed asset":       {"/assets/app-1a2b.js", "export {}", "text/javascript; charset=utf-8", "public, max-age=31536000, immutable", 200, ""},
		"file":               {"/favicon.svg", "<svg/>", "image/svg+xml", "no-cache", 200, ""},
		"hidden file":        {"/.placeholder", "<!doctype html>index", "text/html; charset=utf-8", "no-cache", 200, ""},
		"climbing":           {"/../../etc/passwd", "<!doctype html>index", "text/html; charset=utf-8", "no-cache", 200, ""},
		"client":             {"/client/mqtt.js", "export {}", "text/javascript; charset=utf-8", "no-cache", 200, "*"},
		"no such client":     {"/client/mqtt5.js", "", "", "", 404, ""},
		"asset that is gone": {"/assets/app-0000.js", "", "", "", 404, ""},
	} {
		t.Run(name, func(t *testing.T) {
			e := echo.New()
			w := httptest.NewRecorder()
			r := httptest.NewRequest("GET", "/", nil)
			r.URL.Path = row.path
			err := page(e.NewContext(r, w))
			if row.status == 404 {
				require.Error(t, err)
				return
			}
			require.NoError(t, err)
			require.Equal(t, row.status, w.Code)
			require.Equal(t, row.body, w.Body.String())
			require.Equal(t, row.kind, w.Header().Get("Content-Type"))
			require.Equal(t, row.allowed, w.Header().Get("Access-Control-Allow-Origin"))
			require.Equal(t, row.cache, w.Header().Get("Cache-Control"))
		})
	}
}
