package port

import (
	"errors"
	"fmt"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// RS485 says who switches the direction of an RS-485 transceiver.
type RS485 string

// The ways to drive a transceiver.
const (
	RS485Auto RS485 = "auto" // the kernel where its driver can, else the adapter by itself
	RS485On   RS485 = "on"   // the kernel; an error when its driver can not
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

// setRS485 asks the driver to raise RTS while it sends.
func setRS485(f *os.File, mode RS485) error {
	if mode != RS485Auto && mode != RS485On {
		return nil
	}
	request := serialRS485{flags: rs485Enabled | rs485RTSOnSend}
	err := ioctl(f, unix.TIOCSRS485, unsafe.Pointer(&request))
	if err == nil {
		return nil
	}
	if mode == RS485Auto {
		return nil // the driver knows no RS-485 (ENOTTY), or does not for this port
	}
	if errors.Is(err, unix.ENOTTY) || errors.Is(err, unix.EINVAL) {
		return fmt.Errorf("the kernel's driver of this port does not switch RS-485: set rs485 to auto or off")
	}
	return fmt.Errorf("switch to RS-485: %w", err)
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
