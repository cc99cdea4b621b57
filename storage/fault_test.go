package storage_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// shim compiles the library that makes writes and flushes fail.
func shim(t *testing.T) string {
	t.Helper()
	cc, err := exec.LookPath("cc")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("cc is missing")
		}
		t.Skip("cc is missing")
	}
	library := filepath.Join(t.TempDir(), "fault.so")
	out, err := exec.Command(cc, "-shared", "-fPIC", "-O1", "-o", library, "testdata/fault.c", "-ldl").CombinedOutput()
	require.NoError(t, err, "%s", out)
	return library
}

// TestSpool_OutlivesFailingWrites has a child append while some of its writes or flushes fail: nothing that it said
// was safe is lost, the process goes on, and once they work again everything is acknowledged.
func TestSpool_OutlivesFailingWrites(t *testing.T) {
	t.Parallel()
	const messages = 300
	library := shim(t)
	for _, c := range []struct {
		name  string
		op    string
		errno syscall.Errno
		count int
		tries int
		power bool // is cut at the end: what a flush that failed had to write is gone by then, and was there till then
	}{
		{"a flush fails and takes the writes along", "fsync", syscall.EIO, 1, 5, false},
		{"flushes fail three times", "fsync", syscall.EIO, 3, 2, false},
		{"a flush fails, and later the power", "fsync", syscall.EIO, 1, 5, true},
		{"flushes fail, and later the power", "fsync", syscall.EIO, 3, 3, true},
		{"a write fails", "write", syscall.EIO, 1, 5, false},
		{"writes fail three times", "write", syscall.EIO, 3, 2, false},
		{"a write finds no room", "write", syscall.ENOSPC, 1, 5, false},
		{"the file system is read-only for a while", "write", syscall.EROFS, 5, 2, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			lost := filepath.Join(t.TempDir(), "lost")
			run := func(dir string, after int) (out []byte, err error) {
				cmd := exec.Command(os.Args[0])
				cmd.Env = append(os.Environ(), childEnv+"="+dir, fmt.Sprint(childEnv, "_MESSAGES=", messages), "LD_PRELOAD="+library, "FAULT_DIR="+dir,
					"FAULT_OP="+c.op, fmt.Sprint("FAULT_ERRNO=", int(c.errno)), fmt.Sprint("FAULT_AFTER=", after), fmt.Sprint("FAULT_COUNT=", c.count))
				if c.power {
					cmd.Env = append(cmd.Env, childEnv+"_ABRUPT=1", "FAULT_LOST="+lost)
				}
				return cmd.CombinedOutput()
			}
			whole, err := run(t.TempDir(), math.MaxInt32)
			require.NoError(t, err, "%s", whole)
			places := bytes.Count(whole, []byte("SEEN "))
			hit := 0
			for range c.tries {
				dir := t.TempDir()
				after := rand.IntN(places)
				out, err := run(dir, after)
				hit += min(bytes.Count(out, []byte("FAULT ")), 1)
				safe, acked := map[int]bool{}, map[int]bool{}
				refused := err != nil
				for lines := bufio.NewScanner(bytes.NewReader(out)); lines.Scan(); {
					if !strings.HasPrefix(lines.Text(), "E ") { // it says so when a read met the failure, and goes on
						note(t, lines.Text(), safe, acked)
					}
				}
				if refused { // it could not begin: nothing was promised, and it says why
					require.Contains(t, string(out), "\nE ", "after %d", after)
					require.Empty(t, safe)
				} else {
					require.NoError(t, err, "after %d: %s", after, out)
					require.Len(t, safe, messages, "after %d", after)
				}
				if c.power {
					cutPower(t, lost)
				}
				checkAfterKill(t, dir, safe, acked)
			}
			t.Logf("%d of %d runs met a failure at one of %d places", hit, c.tries, places)
			require.Positive(t, hit)
		})
	}
}

// cutPower puts back what the disk has where it did not get what was written; see testdata/fault.c.
func cutPower(t *testing.T, list string) {
	t.Helper()
	raw, err := os.ReadFile(list)
	require.NoError(t, err)
	for len(raw) > 0 {
		line, rest, _ := bytes.Cut(raw, []byte("\n"))
		var name string
		var at int64
		_, err := fmt.Sscanf(string(line), "%s %d", &name, &at)
		require.NoError(t, err, "%q", line)
		raw = rest[4096:]
		file, err := os.OpenFile(name, os.O_WRONLY, 0)
		if errors.Is(err, os.ErrNotExist) {
			continue // it was removed since
		}
		require.NoError(t, err)
		_, err = file.WriteAt(rest[:4096], at)
		require.NoError(t, errors.Join(err, file.Close()))
	}
}
