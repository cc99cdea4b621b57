// Package port opens serial ports: one owner per port, reads with deadlines, a
// timeout that is an error, unplug and replug. It also lists the ports of the
// machine and makes pseudo-terminals for simulated devices. It must not know
// what travels over a port.
//
// go.bug.st/serial opens and configures a port; the bytes go through a second,
// non-blocking descriptor that Go's poller watches. The library's own Read waits
// in select(2) with a set of 1024 descriptors and panics when the port's is
// higher, which a broker with many clients reaches at a replug; the poller has no
// such limit, costs no thread while it waits, and takes deadlines.
package port

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sync"
	"syscall"
	"time"

	"go.bug.st/serial"
	"golang.org/x/sys/unix"
)

var (
	// ErrTimeout says that nothing came before the deadline.
	ErrTimeout = errors.New("timeout")
	// ErrGone says that the port is not there any more: unplugged, or its other side closed.
	ErrGone = errors.New("the port is gone")
	// ErrInterrupted says that Interrupt ended the wait.
	ErrInterrupted = errors.New("interrupted")
)

// BusyError says who has the port.
type BusyError struct {
	Path   string
	Holder string // "bridge cabinet", "process 712 (minicom)", "another process"
}

// Error says who has which port.
func (e *BusyError) Error() string {
	return fmt.Sprintf("port %s is in use by %s", e.Path, e.Holder)
}

// Config says which port, and how it speaks.
type Config struct {
	Path   string
	Baud   int // bits per second, MinBaud to MaxBaud
	Format Format
	RS485  RS485
}

// Ports knows which serial ports this process has open, and for whom. Its zero
// value is ready; all methods may be called at the same time.
type Ports struct {
	// TimedPTYs says that pseudo-terminals keep the bit rate, which only a test's do.
	TimedPTYs bool

	mu   sync.Mutex
	held map[uint64]string // holders by device number
}

// Open opens the port for the holder ("bridge cabinet"), at once or not at all.
// Errors: *BusyError; those of os.OpenFile, so that errors.Is finds
// fs.ErrNotExist and fs.ErrPermission.
func (t *Ports) Open(c Config, holder string) (*Port, error) {
	device, err := deviceNumber(c.Path)
	if err != nil {
		return nil, fmt.Errorf("open serial port %s: %w", c.Path, err)
	}
	if err := t.take(device, c.Path, holder); err != nil {
		return nil, err
	}
	p, err := open(c, device)
	if err != nil {
		t.release(device)
		if _, busy := errors.AsType[*BusyError](err); busy {
			return nil, err
		}
		return nil, fmt.Errorf("open serial port %s: %w", c.Path, err)
	}
	p.timed = keepsBitRate(c.Path, device) || t.TimedPTYs && isPTY(device)
	p.close = sync.OnceValue(func() error {
		defer t.release(device)
		return p.shut()
	})
	return p, nil
}

// Holder tells for whom the port is open, empty when it is not.
func (t *Ports) Holder(path string) string {
	device, err := deviceNumber(path)
	if err != nil {
		return ""
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.held[device]
}

func (t *Ports) take(device uint64, path, holder string) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if other, ok := t.held[device]; ok {
		return &BusyError{Path: path, Holder: other}
	}
	if t.held == nil {
		t.held = map[uint64]string{}
	}
	t.held[device] = holder
	return nil
}

func (t *Ports) release(device uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.held, device)
}

// deviceNumber names a port by what the kernel calls it, whichever path leads there.
func deviceNumber(path string) (uint64, error) {
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return 0, err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFCHR {
		return 0, errors.New("this is no serial port")
	}
	return uint64(st.Rdev), nil
}

// Port is an open serial port. One goroutine may read and write; Interrupt, Present
// and Close may be called by others at the same time.
type Port struct {
	path    string
	device  uint64
	file    *os.File        // carries the bytes
	control serial.Port     // holds the settings, and the port against other processes
	raw     syscall.RawConn // of file
	rts     rtsLine         // switches the transceiver, nil when the kernel or the adapter does
	timed   bool
	close   func() error // once; who comes second waits for the first

	mu          sync.Mutex // protects what follows, and the deadline of Listen
	listening   bool
	interrupted bool
}

func open(c Config, device uint64) (_ *Port, err error) {
	file, err := os.OpenFile(c.Path, os.O_RDWR|unix.O_NOCTTY|unix.O_NONBLOCK, 0)
	if err != nil {
		if errors.Is(err, unix.EBUSY) {
			return nil, &BusyError{Path: c.Path, Holder: otherProcess(device)}
		}
		return nil, cause(err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, file.Close())
		}
	}()
	if err := lock(file); errors.Is(err, unix.EWOULDBLOCK) {
		return nil, &BusyError{Path: c.Path, Holder: otherProcess(device)}
	} else if err != nil {
		return nil, err
	}
	control, err := serial.Open(c.Path, c.Format.mode(c.Baud))
	if e, ok := errors.AsType[*serial.PortError](err); ok && e.Code() == serial.PortBusy {
		return nil, &BusyError{Path: c.Path, Holder: otherProcess(device)}
	}
	if err != nil {
		return nil, err
	}
	rts, err := setRS485(file, control, c.RS485)
	if err != nil {
		return nil, errors.Join(err, control.Close())
	}
	raw, err := file.SyscallConn()
	if err == nil {
		err = control.ResetInputBuffer()
	}
	if err != nil {
		return nil, errors.Join(err, control.Close())
	}
	return &Port{path: c.Path, device: device, file: file, control: control, raw: raw, rts: rts}, nil
}

// cause drops the path that the caller names anyway.
func cause(err error) error {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		return e.Err
	}
	return err
}

// Path is the path that the port was opened by.
func (p *Port) Path() string { return p.path }

// Read gives 1 to len(b) bytes. Errors: ErrTimeout at the deadline, ErrGone.
func (p *Port) Read(b []byte, deadline time.Time) (int, error) {
	if err := p.file.SetReadDeadline(deadline); err != nil {
		return 0, p.fault(err)
	}
	return p.read(b)
}

// Waiting gives what has come already, 0 bytes when nothing has; it does not wait. Errors: ErrGone.
func (p *Port) Waiting(b []byte) (n int, err error) {
	failed := p.raw.Control(func(fd uintptr) { n, err = unix.Read(int(fd), b) })
	switch {
	case failed != nil:
		return 0, p.fault(failed)
	case errors.Is(err, unix.EAGAIN), errors.Is(err, unix.EINTR):
		return 0, nil
	case err == nil && n == 0:
		err = io.EOF
	}
	if err != nil {
		return 0, p.fault(err)
	}
	return n, nil
}

// Listen is a Read that Interrupt ends: with ErrInterrupted at once, even when
// Interrupt was called before it. It is for the time between two requests, when an
// unplug would go unseen otherwise.
func (p *Port) Listen(b []byte, deadline time.Time) (int, error) {
	p.mu.Lock()
	if p.interrupted {
		p.interrupted = false
		p.mu.Unlock()
		return 0, ErrInterrupted
	}
	err := p.file.SetReadDeadline(deadline)
	p.listening = err == nil
	p.mu.Unlock()
	if err != nil {
		return 0, p.fault(err)
	}
	n, err := p.read(b)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.listening = false
	if p.interrupted && errors.Is(err, ErrTimeout) {
		p.interrupted = false
		return 0, ErrInterrupted
	}
	return n, err
}

// Interrupt ends the Listen that waits, or the next one; a Read goes on.
func (p *Port) Interrupt() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.interrupted = true
	if p.listening {
		_ = p.file.SetReadDeadline(time.Unix(1, 0)) // fails only when the port was closed, which ends Listen too
	}
}

func (p *Port) read(b []byte) (int, error) {
	n, err := p.file.Read(b)
	if err != nil {
		return 0, p.fault(err)
	}
	return n, nil
}

// Write sends all of b, or says why not: ErrTimeout when the port did not take it before the deadline, ErrGone.
func (p *Port) Write(b []byte, deadline time.Time) error {
	if p.rts != nil {
		return p.writeWithRTS(b, deadline)
	}
	return p.write(b, deadline)
}

func (p *Port) write(b []byte, deadline time.Time) error {
	if err := p.file.SetWriteDeadline(deadline); err != nil {
		return p.fault(err)
	}
	if _, err := p.file.Write(b); err != nil {
		return p.fault(err)
	}
	return nil
}

// fault sorts an error of the descriptor: a silence, or the port is gone. A tty
// has no third kind: EOF and EIO are a hang-up, ENXIO and ENODEV an unplug.
func (p *Port) fault(err error) error {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return ErrTimeout
	}
	return fmt.Errorf("%w: %s: %w", ErrGone, p.path, cause(err))
}

// Present tells whether the port's path still leads to the port that is open.
func (p *Port) Present() bool {
	device, err := deviceNumber(p.path)
	return err == nil && device == p.device
}

// Timed tells whether the port keeps its bit rate, so that nothing can come faster.
// Pseudo-terminals don't, and neither do devices that only look like a serial port over USB.
func (p *Port) Timed() bool { return p.timed }

// Close gives the port back. A Read that waits ends with ErrGone.
func (p *Port) Close() error { return p.close() }

func (p *Port) shut() error {
	err := p.control.Close()
	if errors.Is(err, syscall.EIO) || errors.Is(err, syscall.ENODEV) {
		err = nil // it was unplugged
	}
	return errors.Join(err, p.file.Close())
}
