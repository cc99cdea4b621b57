package broker

import (
	"io"
	"net"
	"slices"
	"sync"
	"syscall"
)

// readSize is the length in bytes of the buffer that a connection reads into; all
// whole packets of one read are handled together.
const readSize = 32 << 10

// The same for TLS and WebSockets. Such a connection holds its buffer while it
// waits, so it is small, and not shared; one that is busy gets a longer one.
const (
	plainSize = 2 << 10
	plainBusy = 16 << 10
)

// readBuffers holds the buffers that no connection needs now.
type readBuffers struct{ pool sync.Pool }

func (p *readBuffers) get() []byte {
	if b, ok := p.pool.Get().(*[readSize]byte); ok {
		return b[:]
	}
	return make([]byte, readSize)
}

func (p *readBuffers) put(b []byte) {
	if len(b) == readSize {
		p.pool.Put((*[readSize]byte)(b)) // what a pool holds is a pointer; one to b would be an allocation
	}
}

// input reads from one connection. While it waits it holds no buffer, only the
// beginning of a packet that has not come whole.
type input struct {
	nc      net.Conn
	raw     syscall.RawConn // nil when nc has to be read in the plain way
	buffers *readBuffers
	tryFunc func(uintptr) bool // try, made once

	buf  []byte // nil while waiting
	n    int    // bytes in buf
	rest []byte // bytes read while buf is nil
	err  error
	dry  bool // it had to wait since somebody last set this to false
}

func (in *input) open(nc net.Conn, raw syscall.RawConn) {
	in.nc, in.raw = nc, raw
	in.tryFunc = in.try
}

// more waits for bytes and gives all that are not consumed; they are valid until
// consume. A packet that is not whole yet is given again, longer.
func (in *input) more() ([]byte, error) {
	if in.raw == nil {
		if in.buf == nil {
			in.buf = make([]byte, plainSize)
		}
		in.take()
		n, err := in.nc.Read(in.buf[in.n:])
		in.n += n
		if n == 0 && err != nil {
			return nil, err
		}
		return in.buf[:in.n], nil
	}
	if err := in.raw.Read(in.tryFunc); err != nil {
		return nil, err
	}
	if in.err != nil {
		return nil, in.err
	}
	return in.buf[:in.n], nil
}

// try is called by the runtime with the socket's descriptor whenever it may be
// readable; false asks to wait.
func (in *input) try(fd uintptr) bool {
	in.take()
	for {
		n, err := syscall.Read(int(fd), in.buf[in.n:])
		switch {
		case err == syscall.EINTR:
			continue
		case err == syscall.EAGAIN:
			in.park()
			return false
		case err != nil:
			in.err = err
		case n == 0:
			in.err = io.EOF
		default:
			in.n += n
		}
		return true
	}
}

// take makes sure that there is a buffer with room.
func (in *input) take() {
	if in.buf == nil {
		in.buf = in.buffers.get()
		in.n = copy(in.buf, in.rest)
		in.rest = nil
	}
	if in.n == len(in.buf) {
		// A packet longer than the buffer grows with what has come, not with what it announces.
		in.buf = append(in.buf, make([]byte, len(in.buf))...)
	}
}

// park gives the buffer back, except when it holds the beginning of a long packet.
func (in *input) park() {
	in.dry = true
	if len(in.buf) > readSize {
		return
	}
	if in.n > 0 {
		in.rest = slices.Clone(in.buf[:in.n])
	}
	in.release()
}

// consume drops the first used bytes.
func (in *input) consume(used int) {
	came := in.n
	in.n = copy(in.buf, in.buf[used:in.n])
	if in.raw == nil {
		in.fit(came)
		return
	}
	if in.n <= readSize/2 && len(in.buf) > readSize {
		long := in.buf
		in.buf = in.buffers.get()
		copy(in.buf, long[:in.n])
	}
}

// fit chooses the buffer of a connection that is read in the plain way, after came
// bytes were in it.
func (in *input) fit(came int) {
	size := plainSize
	if came >= plainSize { // more is to be expected
		size = plainBusy
	}
	if in.n >= size || len(in.buf) == size {
		return
	}
	next := make([]byte, size)
	copy(next, in.buf[:in.n])
	in.buf = next
}

// filled tells whether so many bytes of one read are a sign that there are more.
func (in *input) filled(used int) bool { return 2*used >= len(in.buf) && used > plainSize }

// release gives the buffer back.
func (in *input) release() {
	if in.buf != nil {
		in.buffers.put(in.buf)
		in.buf, in.n = nil, 0
	}
}
