// Package leak fails a package's tests when a goroutine is left behind.
package leak

import (
	"testing"

	"go.uber.org/goleak"
)

// Main is the TestMain of every package that starts goroutines.
func Main(m *testing.M) { goleak.VerifyTestMain(m) }
