package line

import (
	"context"
	"time"
)

// The rules that keep a torn line from being taken for a value. A silence counts
// only as far as reads were seen to wait for nothing: a machine that was too busy
// to read has not heard a silence.
const (
	// A line's bytes follow each other. What comes after a pause may be the rest of the
	// line before, and is dropped up to the next delimiter.
	lineGap = time.Second
	// After a longer pause it is a new line for certain.
	freshSerial = 5 * time.Second
	freshTCP    = time.Minute // a lost packet is sent again that long
	// After the link is opened the first bytes are the beginning of a line only
	// when nothing came for this long; else they are the end of one.
	quietStart = 100 * time.Millisecond
	// The end of an idle gap is looked at once more for this long.
	gapCheck = 2 * time.Millisecond
	// A frame of a length without a checksum counts when nothing stands behind it for this long. USB adapters
	// deliver in steps of up to 16 ms.
	holdGap = 25 * time.Millisecond
)

// flood is how many bytes are read in one pollEvery; a far side that sends more has
// to wait, and costs no more of the processor. The fastest serial port sends 80,000.
const flood = 200_000

// listener cuts what comes on one open link into frames, and proves them.
type listener struct {
	wire     wire
	framing  *Framing
	checksum *Checksum
	counters *counters
	// frame gets every proven frame, its body without marks and checksum, and the time
	// at which it was complete. Both are valid until it returns.
	frame func(f Frame, body []byte, at time.Time)
	// wrong gets what failed its checksum; nil when nobody asks.
	wrong func(f Frame, at time.Time)
	// dropped gets how many frames were too long, and how many bytes were in none; nil when nobody asks.
	dropped func(overlong, garbage int64)

	framer  Framer
	gap     *gapFramer   // the framer, when it is one
	sized   *sizedFramer // the same
	begun   bool         // it is known where a frame begins
	heard   bool         // anything since the link was opened
	silence time.Duration
	at      time.Time // when the last bytes came
	window  time.Time // since when taken is counted
	taken   int       // bytes
	seen    [2]int64  // Dropped, as it was counted
	buf     [4096]byte
}

func newListener(w wire, s *Settings, c *counters) *listener {
	l := &listener{wire: w, framing: &s.Framing, checksum: &s.Checksum, counters: c, framer: s.Framing.framer(&s.Checksum)}
	l.gap, _ = l.framer.(*gapFramer)
	l.sized, _ = l.framer.(*sizedFramer)
	return l
}

// once waits for bytes until the deadline at most and takes what came. Errors are those of the link.
func (l *listener) once(ctx context.Context, until time.Time) error {
	start := time.Now()
	until = earlier(until, start.Add(pollEvery))
	switch {
	case !l.begun:
		until = start.Add(quietStart - min(l.silence, quietStart-time.Millisecond))
	case l.gap != nil && l.silence < l.framing.IdleGap:
		until = earlier(until, start.Add(l.framing.IdleGap-l.silence))
	case l.holds() && l.silence < holdGap:
		until = earlier(until, start.Add(holdGap-l.silence))
	case l.gap == nil && l.silence < lineGap && len(l.framer.Partial()) > 0:
		until = earlier(until, start.Add(lineGap-l.silence))
	}
	n, err := l.wire.Read(l.buf[:], until)
	now := time.Now()
	if n > 0 {
		l.take(l.buf[:n], now)
		l.slowDown(ctx, n, now)
	}
	if err != nil {
		return err
	}
	if n == 0 {
		err = l.quiet(now, min(now.Sub(start), until.Sub(start)))
	}
	return err
}

// holds tells whether a frame waits for silence.
func (l *listener) holds() bool { return l.sized != nil && l.sized.holds() }

// quiet notes that nothing came for a while.
func (l *listener) quiet(now time.Time, waited time.Duration) error {
	l.silence += max(0, waited)
	if !l.begun && l.silence >= quietStart {
		l.begun = true
		l.framer.Reset()
	}
	if l.holds() && l.silence >= holdGap {
		l.flush()
	}
	if l.gap == nil || l.silence < l.framing.IdleGap || len(l.gap.Partial()) == 0 && !l.gap.skipping {
		return nil
	}
	n, err := l.wire.Read(l.buf[:], now.Add(gapCheck))
	if n > 0 { // it was no silence, or the next frame begins just now: nobody can tell
		l.gap.Skip()
		l.take(l.buf[:n], time.Now())
		return err
	}
	l.flush()
	return err
}

// flush ends the frame behind which nothing came.
func (l *listener) flush() {
	if f, waits := l.framer.(interface{ Flush(func(Frame) bool) }); waits {
		f.Flush(func(f Frame) bool { return l.prove(f, l.at) })
	}
	l.count()
}

// take cuts bytes into frames, and sees to it that no torn one is among them.
func (l *listener) take(data []byte, now time.Time) {
	switch {
	case !l.begun:
		l.begun = true
		l.framer.Skip()
	case l.gap != nil || l.silence < lineGap:
	case l.silence >= l.framing.fresh:
		if l.framer.Reset() {
			l.counters.torn++
		}
	case len(l.framer.Partial()) > 0:
		l.counters.torn++
		l.framer.Skip()
	}
	l.heard, l.silence, l.at = true, 0, now
	l.counters.bytes += int64(len(data))
	l.framer.Push(data, func(f Frame) bool { return l.prove(f, now) })
	l.count()
}

// prove checks a frame and hands it on.
func (l *listener) prove(f Frame, at time.Time) bool {
	if len(f.Bytes) == f.Head+f.Tail || isBlank(f.Body()) && !l.framing.isBinary() {
		return true // an empty line says nothing, and needs no checksum
	}
	body, ok := l.checksum.verify(f)
	if !ok {
		l.counters.badChecksums++
		if l.wrong != nil {
			l.wrong(f, at)
		}
		return false
	}
	l.counters.lines++
	l.frame(f, body, at)
	return true
}

func isBlank(data []byte) bool {
	for _, c := range data {
		if c != ' ' && c != '\t' && c != '\r' && c != '\n' {
			return false
		}
	}
	return true
}

// count takes over what the framer dropped.
func (l *listener) count() {
	overlong, garbage := l.framer.Dropped()
	freshOverlong, freshGarbage := overlong-l.seen[0], garbage-l.seen[1]
	if freshOverlong == 0 && freshGarbage == 0 {
		return
	}
	l.seen = [2]int64{overlong, garbage}
	l.counters.overlong += freshOverlong
	l.counters.garbage += freshGarbage
	if l.dropped != nil {
		l.dropped(freshOverlong, freshGarbage)
	}
}

// slowDown waits out a flood.
func (l *listener) slowDown(ctx context.Context, n int, now time.Time) {
	passed := now.Sub(l.window)
	if passed >= pollEvery {
		l.window, l.taken = now, n
		return
	}
	if l.taken += n; l.taken > flood {
		sleep(ctx, pollEvery-passed)
	}
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// sleep waits; false when ctx ended first.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
