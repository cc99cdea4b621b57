package line

import "bytes"

// Framer cuts a stream of bytes into lines. What is longer than its limit is
// dropped up to the next delimiter and counted, so garbage costs one line at most
// and memory stays bounded. However the stream is cut into pieces, the lines are the same.
type Framer struct {
	Overlong int64 // lines that were dropped for their length

	delimiter []byte
	most      int
	buf       []byte // begins a line; holds no whole delimiter
	skipping  bool   // until the next delimiter
}

// NewFramer makes a framer for lines of at most that many bytes, delimiter not counted.
func NewFramer(delimiter string, most int) *Framer {
	return &Framer{delimiter: []byte(delimiter), most: most}
}

// Push takes the next bytes and calls line for every line that they complete,
// without its delimiter; the slice is valid until line returns.
func (f *Framer) Push(data []byte, line func([]byte)) {
	seen := max(0, len(f.buf)-len(f.delimiter)+1)
	f.buf = append(f.buf, data...)
	rest := f.buf
	for {
		i := bytes.Index(rest[seen:], f.delimiter)
		if i < 0 {
			break
		}
		i += seen
		switch {
		case f.skipping:
			f.skipping = false
		case i > f.most:
			f.Overlong++
		default:
			line(rest[:i])
		}
		rest, seen = rest[i+len(f.delimiter):], 0
	}
	tail := len(f.delimiter) - 1 // may be the beginning of a delimiter
	if !f.skipping && len(rest) > f.most+tail {
		f.Overlong++
		f.skipping = true
	}
	if f.skipping {
		rest = rest[max(0, len(rest)-tail):]
	}
	f.buf = append(f.buf[:0], rest...)
}

// Skip drops what has come of the line that is under way, and the rest of it.
func (f *Framer) Skip() {
	f.skipping = true
	f.buf = f.buf[max(0, len(f.buf)-len(f.delimiter)+1):]
}

// Reset drops what has come of the line that is under way; the next byte begins a
// new one. It tells whether anything was dropped.
func (f *Framer) Reset() bool {
	torn := len(f.buf) > 0 || f.skipping
	f.buf, f.skipping = f.buf[:0], false
	return torn
}

// Partial gives what has come of the line that is under way.
func (f *Framer) Partial() []byte { return f.buf }
