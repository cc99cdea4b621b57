package gateway_test

import (
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"fieldgate/gateway"
)

// smapsOf makes an entry as the kernel writes it, shortened.
func smapsOf(head, anonymous string) string {
	return head + "\nSize:               4096 kB\nRss:                2048 kB\nPrivate_Clean:      2048 kB\nAnonymous:          " + anonymous +
		" kB\nAnonHugePages:         0 kB\nVmFlags: rd mr mw me sd \n"
}

func TestUnchangedPages_AreTheFilesAlone(t *testing.T) {
	const program = "/usr/bin/field gate"
	for _, c := range []struct {
		name, smaps string
		want        [][2]uintptr
	}{
		{"code", smapsOf("00403000-00e1e000 r-xp 00003000 fe:00 17        "+program, "0"), [][2]uintptr{{0x403000, 0xa1b000}}},
		{"constants", smapsOf("00e1e000-017a8000 r--p 00a1e000 fe:00 17        "+program, "0"), [][2]uintptr{{0xe1e000, 0x98a000}}},
		{"what the linker has changed", smapsOf("017a8000-017ab000 r--p 013a8000 fe:00 17        "+program, "12"), nil},
		{"variables", smapsOf("017ab000-01820000 rw-p 013ab000 fe:00 17        "+program, "0"), nil},
		{"another file", smapsOf("7f0000000000-7f0000200000 r-xp 00000000 fe:00 18        /usr/lib/libc.so.6", "0"), nil},
		{"a file with a name that ends alike", smapsOf("00403000-00e1e000 r-xp 00003000 fe:00 19        /opt"+program, "0"), nil},
		{"shared", smapsOf("00403000-00e1e000 r--s 00003000 fe:00 17        "+program, "0"), nil},
		{"no file", smapsOf("00403000-00e1e000 r--p 00000000 00:00 0 ", "0"), nil},
		{"what another entry says does not count", smapsOf("00403000-00e1e000 r--p 00003000 fe:00 17        "+program, "4") + smapsOf("7f0000000000-7f0000200000 r-xp 0 fe:00 18 /usr/lib/libc.so.6", "0"), nil},
		{"several", smapsOf("1000-2000 r--p 0 fe:00 17 "+program, "0") + smapsOf("2000-5000 r-xp 0 fe:00 17 "+program, "0"), [][2]uintptr{{0x1000, 0x1000}, {0x2000, 0x3000}}},
		{"a range that is none", smapsOf("5000-2000 r--p 0 fe:00 17 "+program, "0") + smapsOf("x-y r-xp 0 fe:00 17 "+program, "0"), nil},
		{"nothing", "", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			require.Equal(t, c.want, gateway.UnchangedPages(strings.NewReader(c.smaps), program))
		})
	}
}

// TestReleaseProgram_TakesNothingThatIsNeeded lets go of the test's own program: it has to go on, with less memory.
func TestReleaseProgram_TakesNothingThatIsNeeded(t *testing.T) {
	if _, err := os.Stat("/proc/self/smaps"); err != nil {
		t.Skip("this kernel has no smaps")
	}
	before := mappedFiles(t)
	gateway.ReleaseProgram()
	require.Less(t, mappedFiles(t), before)
	runtime.GC() // walks types and the tables of all functions
	require.Contains(t, string(debug.Stack()), "TestReleaseProgram")
}

// mappedFiles gives the kB of pages of files that the process has.
func mappedFiles(t *testing.T) (size int) {
	t.Helper()
	status, err := os.ReadFile("/proc/self/status")
	require.NoError(t, err)
	_, rest, found := strings.Cut(string(status), "RssFile:")
	require.True(t, found)
	_, err = fmt.Sscan(rest, &size)
	require.NoError(t, err)
	return size
}
