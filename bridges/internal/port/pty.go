package port

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// PTY is a pseudo-terminal: what is opened as a serial port by its path is read
// and written here, as if by the device at the other end of the cable. Read, Write
// and Close may be called at the same time.
type PTY struct {
	master *os.File
	slave  string // /dev/pts/7

	mu     sync.Mutex // protects what follows
	link   string     // the symbolic link to the slave, empty for none
	closed chan struct{}
}

// OpenPTY makes a raw pseudo-terminal. When link is not empty, a symbolic link is
// put there, so that a port which was unplugged can come back under the same path;
// what stood there before must be a symbolic link too.
func OpenPTY(link string) (*PTY, error) {
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("open a pseudo-terminal: %w", err)
	}
	p := &PTY{master: master, closed: make(chan struct{})}
	if err := p.setUp(link); err != nil {
		return nil, errors.Join(fmt.Errorf("set up a pseudo-terminal: %w", err), p.Close())
	}
	return p, nil
}

func (p *PTY) setUp(link string) error {
	var unlocked int32
	if err := ioctl(p.master, unix.TIOCSPTLCK, unsafe.Pointer(&unlocked)); err != nil {
		return err
	}
	var number uint32
	if err := ioctl(p.master, unix.TIOCGPTN, unsafe.Pointer(&number)); err != nil {
		return err
	}
	p.slave = fmt.Sprintf("/dev/pts/%d", number)
	if err := p.makeRaw(); err != nil {
		return err
	}
	if link == "" {
		return nil
	}
	return p.linkFrom(link)
}

// makeRaw keeps the terminal from echoing what comes before the slave is opened.
func (p *PTY) makeRaw() error {
	var t unix.Termios
	if err := ioctl(p.master, unix.TCGETS, unsafe.Pointer(&t)); err != nil {
		return err
	}
	t.Lflag, t.Oflag, t.Iflag = 0, 0, 0
	t.Cc[unix.VMIN], t.Cc[unix.VTIME] = 1, 0
	return ioctl(p.master, unix.TCSETS, unsafe.Pointer(&t))
}

func (p *PTY) linkFrom(link string) error {
	if st, err := os.Lstat(link); err == nil && st.Mode()&os.ModeSymlink == 0 {
		return fmt.Errorf("%s is in the way", link)
	}
	fresh := filepath.Join(filepath.Dir(link), "."+filepath.Base(link)+".new")
	_ = os.Remove(fresh) // left by a crash
	if err := os.Symlink(p.slave, fresh); err != nil {
		return err
	}
	if err := os.Rename(fresh, link); err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.link = link
	return nil
}

// Path is where the port is opened: the link, or /dev/pts/7 when there is none.
func (p *PTY) Path() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.link != "" {
		return p.link
	}
	return p.slave
}

// Read gives what was written to the port. While nobody has it open it waits; it
// ends with os.ErrClosed after Close.
func (p *PTY) Read(b []byte) (int, error) {
	const again = 10 * time.Millisecond
	for {
		n, err := p.master.Read(b)
		if !errors.Is(err, unix.EIO) {
			return n, err
		}
		select { // EIO: nobody has the slave open
		case <-p.closed:
			return 0, os.ErrClosed
		case <-time.After(again):
		}
	}
}

// Write sends to the port. What nobody reads is lost once the kernel's buffer is
// full, as on a wire.
func (p *PTY) Write(b []byte) (int, error) {
	const patience = 100 * time.Millisecond
	if err := p.master.SetWriteDeadline(time.Now().Add(patience)); err != nil {
		return 0, err
	}
	n, err := p.master.Write(b)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return len(b), nil
	}
	return n, err
}

// Close unplugs: the link goes away and whoever has the port open gets a hang-up.
func (p *PTY) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-p.closed:
		return nil
	default:
		close(p.closed)
	}
	var err error
	if target, readErr := os.Readlink(p.link); readErr == nil && target == p.slave {
		err = os.Remove(p.link)
	}
	return errors.Join(err, p.master.Close())
}
