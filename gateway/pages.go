package gateway

import (
	"bufio"
	"bytes"
	"io"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// pages is a piece of the process's memory.
type pages struct{ start, length uintptr }

// releaseProgram lets go of the pages of the program's own file, as far as they are in use from the file
// alone: code and constants. Most of them were needed once, at the start. They stay in the system's file cache, as
// the first that it may drop, and who needs one again gets it back from there, or from the disk when it was
// dropped; so this makes room where memory is short, and costs some hundred page faults.
func releaseProgram() {
	program, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return
	}
	smaps, err := os.Open("/proc/self/smaps") // a kernel may be built without it
	if err != nil {
		return
	}
	defer func() { _ = smaps.Close() }() // it was only read
	for _, p := range unchangedPages(smaps, program) {
		// Either may be refused: then the pages stay where they are.
		_, _, _ = unix.Syscall(unix.SYS_MADVISE, p.start, p.length, unix.MADV_COLD)
		_, _, _ = unix.Syscall(unix.SYS_MADVISE, p.start, p.length, unix.MADV_DONTNEED)
	}
}

// unchangedPages finds the mappings of the file in what /proc/PID/smaps says that hold nothing but the file's own
// bytes and can't be written to. A page that was changed, by the dynamic linker say, would be lost.
func unchangedPages(smaps io.Reader, file string) (found []pages) {
	var at pages
	for lines := bufio.NewScanner(smaps); lines.Scan(); { // thousands of them: no string is made of most
		line := lines.Bytes()
		if len(line) == 0 || line[0] >= 'A' && line[0] <= 'Z' {
			rest, is := bytes.CutPrefix(line, []byte("Anonymous:"))
			if is && at.length > 0 && string(bytes.TrimSpace(rest)) == "0 kB" {
				found = append(found, at)
			}
			continue
		}
		// "400000-403000 r--p 00000000 fe:00 1234      /usr/bin/fieldgate"
		at = pages{}
		if !bytes.HasSuffix(line, []byte(" "+file)) {
			continue
		}
		where, rest, _ := strings.Cut(string(line), " ")
		if strings.HasPrefix(rest, "r--p ") || strings.HasPrefix(rest, "r-xp ") {
			at = rangeOf(where)
		}
	}
	return found
}

// rangeOf reads "START-END" in hexadecimal digits.
func rangeOf(text string) pages {
	from, to, _ := strings.Cut(text, "-")
	start, err := strconv.ParseUint(from, 16, strconv.IntSize)
	if err != nil {
		return pages{}
	}
	end, err := strconv.ParseUint(to, 16, strconv.IntSize)
	if err != nil || end <= start {
		return pages{}
	}
	return pages{uintptr(start), uintptr(end - start)}
}
