package line

import "bytes"

// markFramer takes what stands between a start and an end mark (STX, ETX), and a
// number of bytes after it. A start mark inside a frame begins a new one: the end
// of the former was lost.
type markFramer struct {
	start, end []byte
	escape     int // the byte after which the next is no mark; -1 for none
	after      int // bytes behind the end mark, for a checksum
	most       int

	buf      []byte // start mark and what follows
	inside   bool
	escaped  bool // the last byte was the escape
	plain    int  // bytes of buf up to here were escaped: no mark begins before
	rest     int  // bytes that are still to come behind the end mark
	overlong int64
	garbage  int64
}

func (f *markFramer) Push(data []byte, frame func(Frame) bool) {
	for _, c := range data {
		f.push(c, frame)
	}
}

func (f *markFramer) push(c byte, frame func(Frame) bool) {
	switch {
	case !f.inside:
		f.seek(c)
	case f.rest > 0:
		f.buf = append(f.buf, c)
		if f.rest--; f.rest == 0 {
			f.give(frame)
		}
	case f.escaped:
		f.escaped = false
		f.literal(c, frame)
	case int(c) == f.escape:
		f.escaped = true
	default:
		f.buf = append(f.buf, c)
		f.mark(frame)
	}
}

// seek waits for the start mark.
func (f *markFramer) seek(c byte) {
	f.buf = append(f.buf, c)
	switch {
	case bytes.HasSuffix(f.buf, f.start):
		f.begin()
	case len(f.buf) >= len(f.start):
		f.garbage++
		f.buf = append(f.buf[:0], f.buf[1:]...)
	}
}

func (f *markFramer) begin() {
	f.buf = append(f.buf[:0], f.start...)
	f.inside, f.escaped, f.plain, f.rest = true, false, len(f.start), 0
}

// literal takes the byte behind the escape: data, or the second half of a mark
// that begins with the escape (DLE STX, DLE ETX).
func (f *markFramer) literal(c byte, frame func(Frame) bool) {
	pair := []byte{byte(f.escape), c}
	if bytes.Equal(pair, f.start) || bytes.Equal(pair, f.end) {
		f.buf = append(f.buf, pair...)
		f.mark(frame)
		return
	}
	f.buf = append(f.buf, c)
	f.plain = len(f.buf)
	f.bound()
}

// mark looks whether a mark is complete.
func (f *markFramer) mark(frame func(Frame) bool) {
	open := f.buf[f.plain:]
	switch {
	case bytes.HasSuffix(open, f.end):
		if f.rest = f.after; f.rest == 0 {
			f.give(frame)
		}
	case bytes.HasSuffix(open, f.start):
		f.garbage += int64(len(f.buf) - len(f.start))
		f.begin()
	default:
		f.bound()
	}
}

func (f *markFramer) bound() {
	if len(f.buf) > f.most+len(f.start)+len(f.end)-1 {
		f.overlong++
		f.Reset()
	}
}

func (f *markFramer) give(frame func(Frame) bool) {
	frame(Frame{Bytes: f.buf, Head: len(f.start), Tail: len(f.end) + f.after})
	f.buf, f.inside = f.buf[:0], false
}

// Skip needs nothing: the start mark tells where a frame begins.
func (f *markFramer) Skip() { f.Reset() }

func (f *markFramer) Reset() bool {
	torn := f.inside
	f.buf, f.inside, f.escaped, f.plain, f.rest = f.buf[:0], false, false, 0, 0
	return torn
}

func (f *markFramer) Partial() []byte { return f.buf }

func (f *markFramer) Dropped() (overlong, garbage int64) { return f.overlong, f.garbage }

// sizedFramer takes frames whose length is fixed or stands in them, behind an
// optional start mark. When a frame turns out to be none, it looks for the next
// start in the same bytes. Where no checksum can tell, a frame counts only when
// another start stands behind it, or nothing for a while, which who reads the wire tells by Flush: a byte
// that was lost or came twice would make one frame of two.
type sizedFramer struct {
	start   []byte
	length  int // fixed; 0 when it stands in the frame
	field   LengthField
	most    int
	checked bool // a checksum tells right from wrong

	buf     []byte
	garbage int64
	long    int64
}

func (f *sizedFramer) Push(data []byte, frame func(Frame) bool) {
	for _, c := range data { // by the byte: the buffer never holds more than one frame and its successor's start
		f.buf = append(f.buf, c)
		for f.step(frame) {
			continue
		}
	}
}

// step takes one frame or one byte of garbage away; false when more bytes are needed.
func (f *sizedFramer) step(frame func(Frame) bool) bool {
	if n := min(len(f.buf), len(f.start)); !bytes.Equal(f.buf[:n], f.start[:n]) {
		return f.shift()
	}
	total, known := f.total()
	switch {
	case !known || len(f.buf) == 0:
		return false
	case total == 0:
		f.long++
		return f.shift()
	case len(f.buf) < total:
		return false
	case f.checked:
		return f.give(total, frame)
	}
	return f.confirm(total, frame)
}

// confirm gives a frame when another start stands behind it; before, its own start may be data.
func (f *sizedFramer) confirm(total int, frame func(Frame) bool) bool {
	behind := f.buf[total:]
	n := min(len(behind), len(f.start))
	switch {
	case !bytes.Equal(behind[:n], f.start[:n]):
		return f.shift()
	case n < len(f.start):
		return false
	}
	return f.give(total, frame)
}

func (f *sizedFramer) give(total int, frame func(Frame) bool) bool {
	if !frame(Frame{Bytes: f.buf[:total]}) && f.checked {
		return f.shift()
	}
	f.buf = append(f.buf[:0], f.buf[total:]...)
	return true
}

// holds tells whether a whole frame waits for what comes behind it.
func (f *sizedFramer) holds() bool {
	total, known := f.total()
	return known && total > 0 && total == len(f.buf)
}

// Flush says that nothing comes behind what is here.
func (f *sizedFramer) Flush(frame func(Frame) bool) {
	if f.holds() {
		f.give(len(f.buf), frame)
	}
}

// shift drops one byte: no frame begins with it.
func (f *sizedFramer) shift() bool {
	if len(f.buf) == 0 {
		return false
	}
	f.garbage++
	f.buf = append(f.buf[:0], f.buf[1:]...)
	return true
}

// total is the length of the frame at the beginning of the buffer: unknown as long
// as its length field has not come, 0 when that is impossible.
func (f *sizedFramer) total() (n int, known bool) {
	if f.length > 0 {
		return f.length, true
	}
	end := f.field.Offset + f.field.Size
	if len(f.buf) < end {
		return 0, false
	}
	field := f.buf[f.field.Offset:end]
	for i := range field {
		if f.field.Order == "little" {
			n = n<<8 | int(field[len(field)-1-i])
		} else {
			n = n<<8 | int(field[i])
		}
	}
	if n += f.field.Add; n < end || n > f.most {
		return 0, true
	}
	return n, true
}

func (f *sizedFramer) Skip() { f.buf = f.buf[:0] }

func (f *sizedFramer) Reset() bool {
	torn := len(f.buf) > 0
	f.buf = f.buf[:0]
	return torn
}

func (f *sizedFramer) Partial() []byte { return f.buf }

func (f *sizedFramer) Dropped() (overlong, garbage int64) { return f.long, f.garbage }
