package storage

import (
	"embed"
	"fmt"
	"io/fs"
	"path"
)

//go:embed migrations
var migrations embed.FS

// major is the schema's major version. A file's user_version is 1000 times its
// major version plus the number of its last migration: a later migration of the
// same major version only adds, so an older program can go on with the file.
const major = 1

// migrate brings the file to the newest schema of its kind ("spool" or "state"),
// each step in a transaction of its own. It fails with errNewer on a newer major version.
func migrate(c *conn, kind string) error {
	version, err := c.number("PRAGMA user_version")
	if err != nil {
		return err
	}
	if version >= 1000*(major+1) {
		return fmt.Errorf("%w: schema version %d", errNewer, version)
	}
	steps, err := fs.Glob(migrations, path.Join("migrations", kind, "*.sql"))
	if err != nil {
		return err
	}
	for i, step := range steps {
		number := int64(1000*major + i + 1)
		if number <= version {
			continue
		}
		text, err := migrations.ReadFile(step)
		if err != nil {
			return err
		}
		err = c.tx(func() error { return c.script(string(text) + fmt.Sprintf("\nPRAGMA user_version=%d;", number)) })
		if err != nil {
			return fmt.Errorf("migration %s: %w", path.Base(step), err)
		}
	}
	return nil
}
