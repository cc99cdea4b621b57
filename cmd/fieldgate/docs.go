//go:build !manpages

package main

import "github.com/spf13/cobra"

// addDocs adds nothing: only the build of the package needs man pages.
func addDocs(*cobra.Command) {}
