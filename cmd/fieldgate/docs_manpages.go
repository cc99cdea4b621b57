//go:build manpages

package main

import (
	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
)

// addDocs adds the command that packaging/deb.sh writes the man pages with.
func addDocs(root *cobra.Command) {
	root.AddCommand(&cobra.Command{Use: "man-pages DIR", Hidden: true, Args: wrongUse(cobra.ExactArgs(1)), RunE: func(_ *cobra.Command, args []string) error {
		root.DisableAutoGenTag, root.CompletionOptions.HiddenDefaultCmd = true, true
		return doc.GenManTree(root, &doc.GenManHeader{Title: "FIELDGATE", Section: "1", Source: "fieldgate " + version, Manual: "fieldgate"}, args[0])
	}})
}
