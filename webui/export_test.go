package webui

import (
	"io/fs"
	"net"

	"github.com/labstack/echo/v4"
)

// Page gives what serves the page out of files.
func Page(files fs.FS) (echo.HandlerFunc, error) {
	p, err := newPage(files, "")
	if err != nil {
		return nil, err
	}
	return p.serve, nil
}

// Limit is what the admin listener is bounded with.
func Limit(l net.Listener, n, each int) net.Listener { return limit(l, n, each) }
