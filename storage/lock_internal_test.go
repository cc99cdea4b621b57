package storage

import (
	"os/exec"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// A child has the files of its parent until it runs its own program; what it holds
// for that moment must not keep the directory from who opens it next.
func TestLock_IsFreedWhileAChildStarts(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	quit := make(chan struct{})
	var children sync.WaitGroup
	for range 2 {
		children.Go(func() {
			for {
				select {
				case <-quit:
					return
				default:
				}
				_ = exec.Command("/bin/true").Run()
			}
		})
	}
	defer children.Wait()
	defer close(quit)
	for range 1000 {
		held, err := takeLock(dir)
		require.NoError(t, err)
		require.NoError(t, held.release())
	}
}
