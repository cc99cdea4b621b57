package modbus_test

import (
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"fieldgate/bridges/internal/port"
	"fieldgate/bridges/sim"
)

// line is a serial line between a bridge (near) and the slaves (far), two
// pseudo-terminals, that keeps the bit rate: what one side sends reaches the other
// when its last bit would have. It watches the silence before each request.
type line struct {
	link string
	char time.Duration
	far  io.ReadWriteCloser
	path string // where slaves open their end, empty for sims

	// onRequest and onAnswer, when set, take the frame in place of the other side.
	onRequest  func(frame []byte) (taken bool)
	onAnswer   func(frame []byte) (taken bool)
	turnaround time.Duration // before a slave's answer
	// patience, when set, is how late the slave may be; what comes later is dropped, for the
	// machine was too busy to be a slave.
	patience time.Duration
	// slow, when set, is told when the slave gave no answer in time, or none at all, by itself.
	slow   func()
	inTime time.Duration // before which an answer is no slow one

	mu      sync.Mutex // protects what follows
	near    sim.PTY
	talking time.Time // until when the answer that was sent last takes
	closed  bool
	waiting bool // for the answer to the last request

	asked                                map[uint64]time.Time // when a ruler was asked last, by its tag
	requests, early, collisions, stalled atomic.Int64
	strange                              atomic.Int64 // requests that no ruler was asked
	waste                                atomic.Int64 // ns that the bridge let pass after the silence
	pumps                                sync.WaitGroup
}

// newLine makes a line whose near end is at link; bits is of a character.
func newLine(t testing.TB, link string, baud, bits int) *line {
	t.Helper()
	far, err := sim.NewPTY("")
	require.NoError(t, err)
	l := lineTo(t, far, link, baud, bits)
	l.path = far.Path()
	return l
}

// simLine makes a line with simulated units on it, and runs it.
func simLine(t testing.TB, link string, baud int, units map[byte]sim.Device) *line {
	t.Helper()
	l := unitsLine(t, link, baud, units)
	l.run()
	return l
}

// unitsLine makes a line with simulated units on it, for the caller to run.
func unitsLine(t testing.TB, link string, baud int, units map[byte]sim.Device) *line {
	t.Helper()
	far, slaves := net.Pipe()
	l := lineTo(t, far, link, baud, 10)
	serve(t, slaves, units)
	return l
}

func lineTo(t testing.TB, far io.ReadWriteCloser, link string, baud, bits int) *line {
	t.Helper()
	l := &line{link: link, far: far, char: time.Duration(bits) * time.Second / time.Duration(baud), asked: map[uint64]time.Time{}}
	require.NoError(t, l.plug())
	t.Cleanup(l.close)
	return l
}

// run carries frames until the test's end.
func (l *line) run() {
	l.pumps.Go(l.carryRequests)
	l.pumps.Go(l.carryAnswers)
}

// plug puts a fresh near end at the link.
func (l *line) plug() error {
	near, err := sim.NewPTY(l.link)
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return near.Close()
	}
	l.near = near
	return nil
}

func (l *line) unplug() { _ = l.end().Close() }

func (l *line) end() sim.PTY {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.near
}

func (l *line) close() {
	l.mu.Lock()
	l.closed = true
	near := l.near
	l.mu.Unlock()
	_ = near.Close()
	_ = l.far.Close()
	l.pumps.Wait()
}

// Write sends to the bridge, at once.
func (l *line) Write(b []byte) (int, error) { return l.end().Write(b) }

func (l *line) Read([]byte) (int, error) { return 0, os.ErrClosed }
func (l *line) Close() error             { return nil }

func (l *line) silence() time.Duration { return max(l.char*7/2, 1750*time.Microsecond) }

func (l *line) carryRequests() {
	buf := make([]byte, 1024)
	for {
		near := l.end()
		n, err := near.Read(buf)
		now := time.Now()
		if err != nil {
			l.mu.Lock()
			closed := l.closed
			l.mu.Unlock()
			if closed {
				return
			}
			l.until(now.Add(time.Millisecond))
			continue
		}
		l.mu.Lock()
		gap := now.Sub(l.talking)
		l.mu.Unlock()
		l.requests.Add(1)
		l.waste.Add(int64(max(0, gap-l.silence())))
		if gap < 0 {
			l.collisions.Add(1)
		} else if gap < l.silence() {
			l.early.Add(1)
		}
		l.until(now.Add(time.Duration(n) * l.char))
		if l.onRequest != nil && l.onRequest(buf[:n]) {
			continue
		}
		if l.patience > 0 {
			l.note(buf[:n], now)
		}
		_, _ = l.far.Write(buf[:n])
	}
}

// note keeps what was asked when.
func (l *line) note(request []byte, now time.Time) {
	for ; len(request) > 8; request = request[8:] { // we were held up, and the bridge has asked again, maybe more than once
		l.note(request[:8], now)
	}
	if len(request) != 8 || !crcFits(request) {
		l.strange.Add(1)
		return
	}
	l.mu.Lock()
	unanswered := l.waiting
	l.waiting = true
	l.asked[rulerTag(int(request[0]), int(request[2])<<8|int(request[3]))] = now
	l.mu.Unlock()
	if unanswered && l.slow != nil {
		l.slow()
	}
}

// answered tells whether the slave's answer is fit to be passed on.
func (l *line) answered(frame []byte, begin time.Time) bool {
	l.mu.Lock()
	l.waiting = false
	l.mu.Unlock()
	if l.patience == 0 || len(frame) != 13 {
		return true
	}
	l.mu.Lock()
	asked, known := l.asked[uint64(frame[3])<<16|uint64(frame[4])<<8|uint64(frame[5])]
	l.mu.Unlock()
	if known && begin.Sub(asked) > l.inTime && l.slow != nil {
		l.slow()
	}
	if known && begin.Sub(asked) > l.patience {
		l.stalled.Add(1)
		return false
	}
	return true
}

func (l *line) carryAnswers() {
	buf := make([]byte, 1024)
	have := 0
	for {
		n, err := l.far.Read(buf[have:])
		if err != nil {
			return
		}
		begin := time.Now()
		have += n
		frame := buf[:have]
		whole := have >= 5 && crcFits(frame) || frame[0] == ':' && frame[have-1] == '\n'
		if !whole && have < 512 {
			continue
		}
		end := begin.Add(l.turnaround + time.Duration(have)*l.char)
		l.mu.Lock()
		l.talking = end
		l.mu.Unlock()
		if fit := l.answered(frame, begin); fit {
			l.until(end)
			if l.onAnswer == nil || !l.onAnswer(frame) {
				_, _ = l.Write(frame)
			}
		}
		have = 0
	}
}

// until waits; a timer may come a millisecond late.
func (l *line) until(end time.Time) {
	const timer = 2 * time.Millisecond
	if d := time.Until(end) - timer; d > 0 {
		<-time.After(d)
	}
	port.Nap(time.Until(end))
}

func crcFits(b []byte) bool {
	n := len(b)
	fresh := frame(b[: n-2 : n-2]...)
	return fresh[n-2] == b[n-2] && fresh[n-1] == b[n-1]
}
