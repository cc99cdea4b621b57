package webui

import (
	"io/fs"

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
