package line

import "bytes"

// Framer cuts a stream of bytes into frames: lines, telegrams, records. However the
// stream is cut into pieces, the frames are the same; memory stays bounded, and
// garbage costs nothing after the next place where a frame can begin for certain.
// One goroutine uses it.
type Framer interface {
	// Push takes the next bytes and calls frame for every frame that they complete. The
	// slice is valid until frame returns; false says that it is no frame after all
	// (its checksum is wrong), so that a framer that was led astray looks again.
	Push(data []byte, frame func(Frame) bool)
	// Skip says that the bytes that come belong to a frame that began unseen.
	Skip()
	// Reset drops what has come of the frame that is under way; the next byte begins a
	// new one. It tells whether anything was dropped.
	Reset() bool
	// Partial gives what has come of the frame that is under way.
	Partial() []byte
	// Dropped gives how many frames were too long, and how many bytes were in none, since the start.
	Dropped() (overlong, garbage int64)
}

// Frame is one frame as it came. Head and Tail are how many of its bytes are marks
// around the body.
type Frame struct {
	Bytes      []byte
	Head, Tail int
	Delimiter  []byte // that ended it, behind Bytes; nil for none
}

// Body is the frame without its marks.
func (f Frame) Body() []byte { return f.Bytes[f.Head : len(f.Bytes)-f.Tail] }

// lineFramer ends a frame at a delimiter, whichever of them is complete first.
type lineFramer struct {
	delimiters [][]byte
	last       [256]bool // the last bytes of delimiters
	longest    int
	most       int
	buf        []byte // begins a line; holds no whole delimiter
	skipping   bool   // until the next delimiter
	overlong   int64
}

// NewLineFramer makes a framer for lines of at most that many bytes, delimiter not
// counted. No delimiter may be empty.
func NewLineFramer(most int, delimiters ...string) Framer {
	f := &lineFramer{most: most}
	for _, d := range delimiters {
		f.delimiters = append(f.delimiters, []byte(d))
		f.last[d[len(d)-1]] = true
		f.longest = max(f.longest, len(d))
	}
	return f
}

func (f *lineFramer) Push(data []byte, frame func(Frame) bool) {
	for _, c := range data {
		f.buf = append(f.buf, c)
		if f.last[c] {
			if n := f.delimiter(); n > 0 {
				f.end(len(f.buf)-n, frame)
				continue
			}
		}
		tail := f.longest - 1 // may be the beginning of a delimiter
		if !f.skipping && len(f.buf) > f.most+tail {
			f.overlong++
			f.skipping = true
		}
		if f.skipping && len(f.buf) > tail {
			f.buf = append(f.buf[:0], f.buf[len(f.buf)-tail:]...)
		}
	}
}

// delimiter gives the length of the one that stands at the end.
func (f *lineFramer) delimiter() int {
	for _, d := range f.delimiters {
		if bytes.HasSuffix(f.buf, d) {
			return len(d)
		}
	}
	return 0
}

// end takes a line of n bytes with its delimiter behind it.
func (f *lineFramer) end(n int, frame func(Frame) bool) {
	switch {
	case f.skipping:
		f.skipping = false
	case n > f.most:
		f.overlong++
	default:
		frame(Frame{Bytes: f.buf[:n:n], Delimiter: f.buf[n:]})
	}
	f.buf = f.buf[:0]
}

func (f *lineFramer) Skip() {
	f.skipping = true
	f.buf = append(f.buf[:0], f.buf[max(0, len(f.buf)-f.longest+1):]...)
}

func (f *lineFramer) Reset() bool {
	torn := len(f.buf) > 0 || f.skipping
	f.buf, f.skipping = f.buf[:0], false
	return torn
}

func (f *lineFramer) Partial() []byte { return f.buf }

func (f *lineFramer) Dropped() (overlong, garbage int64) { return f.overlong, 0 }

// gapFramer ends a frame when nothing comes for a while; who reads the wire tells
// it by Flush.
type gapFramer struct {
	most     int
	exact    int // the only length that is right; 0 for any
	buf      []byte
	skipping bool
	overlong int64
	garbage  int64
}

func (f *gapFramer) Push(data []byte, _ func(Frame) bool) {
	if f.skipping {
		f.garbage += int64(len(data))
		return
	}
	if f.buf = append(f.buf, data...); len(f.buf) > f.most {
		f.overlong++
		f.skipping, f.buf = true, f.buf[:0]
	}
}

// Flush says that the gap has come.
func (f *gapFramer) Flush(frame func(Frame) bool) {
	switch {
	case f.skipping || len(f.buf) == 0:
	case f.exact > 0 && len(f.buf) != f.exact:
		f.garbage += int64(len(f.buf))
	default:
		frame(Frame{Bytes: f.buf})
	}
	f.buf, f.skipping = f.buf[:0], false
}

func (f *gapFramer) Skip() { f.skipping, f.buf = true, f.buf[:0] }

func (f *gapFramer) Reset() bool {
	torn := len(f.buf) > 0 || f.skipping
	f.buf, f.skipping = f.buf[:0], false
	return torn
}

func (f *gapFramer) Partial() []byte { return f.buf }

func (f *gapFramer) Dropped() (overlong, garbage int64) { return f.overlong, f.garbage }
