package port

import (
	"errors"
	"fmt"
	"os"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// RS485 says who switches the direction of an RS-485 transceiver.
type RS485 string

// The ways to drive a transceiver.
const (
	RS485Auto RS485 = "auto" // the kernel where its driver can, else the adapter by itself
	RS485On   RS485 = "on"   // the kernel; where its driver can not, this package by the RTS line
	RS485Off  RS485 = "off"  // the port is left as it is
)

// serialRS485 is struct serial_rs485 of <linux/serial.h>.
type serialRS485 struct {
	flags            uint32
	delayBeforeSend  uint32 // ms
	delayAfterSend   uint32 // ms
	addressesPadding [5]uint32
}

const (
	rs485Enabled   = 1 << 0
	rs485RTSOnSend = 1 << 1
)

// rtsLine is what is needed to switch a transceiver by RTS: a serial.Port.
type rtsLine interface {
	SetRTS(on bool) error
	Drain() error // waits until all was sent
}

// setRS485 asks the driver to raise RTS while it sends; the line is given when that is left to us.
func setRS485(f *os.File, line rtsLine, mode RS485) (rtsLine, error) {
	if mode != RS485Auto && mode != RS485On {
		return nil, nil
	}
	request := serialRS485{flags: rs485Enabled | rs485RTSOnSend}
	err := ioctl(f, unix.TIOCSRS485, unsafe.Pointer(&request))
	if err == nil || mode == RS485Auto { // auto: a driver that knows no RS-485 (ENOTTY), or does not for this port
		return nil, nil
	}
	if !errors.Is(err, unix.ENOTTY) && !errors.Is(err, unix.EINVAL) {
		return nil, fmt.Errorf("switch to RS-485: %w", err)
	}
	if err := line.SetRTS(false); err != nil {
		return nil, fmt.Errorf("neither the kernel's driver switches RS-485 nor has this port an RTS line (%w): set rs485 to auto or off", err)
	}
	return line, nil
}

// writeWithRTS holds RTS while it sends. The transceiver must not keep the line when the
// answer comes, so this returns only after the last bit.
func (p *Port) writeWithRTS(b []byte, deadline time.Time) error {
	if err := p.rts.SetRTS(true); err != nil {
		return p.fault(err)
	}
	err := p.write(b, deadline)
	if err == nil {
		if drained := p.rts.Drain(); drained != nil {
			err = p.fault(drained)
		}
	}
	if off := p.rts.SetRTS(false); off != nil && err == nil {
		err = p.fault(off)
	}
	return err
}

func ioctl(f *os.File, request uint, arg unsafe.Pointer) error {
	raw, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var errno unix.Errno
	err = raw.Control(func(fd uintptr) {
		_, _, errno = unix.Syscall(unix.SYS_IOCTL, fd, uintptr(request), uintptr(arg))
	})
	if err != nil {
		return err
	}
	if errno != 0 {
		return errno
	}
	return nil
}
