package port_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"fieldgate/bridges/internal/port"
)

// machine builds a root folder with the sysfs of a board: two USB adapters, a
// built-in port, a reserved ttyS without a chip, a virtual terminal.
func machine(t *testing.T) string {
	root := t.TempDir()
	write := func(path, text string) {
		path = filepath.Join(root, path)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	}
	link := func(target, path string) {
		path = filepath.Join(root, path)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.Symlink(target, path))
	}
	write("sys/devices/usb1/1-1/product", "FT232R USB UART\n")
	write("sys/devices/usb1/1-1/manufacturer", "FTDI\n")
	write("sys/devices/usb1/1-1/1-1:1.0/ttyUSB10/x", "")
	write("sys/devices/usb1/1-2/1-2:1.0/ttyUSB2/x", "")
	write("sys/devices/soc/serial0/x", "")
	write("sys/class/tty/ttyS1/type", "0\n")
	write("sys/class/tty/tty1/dev", "4:1\n")
	link("../../../devices/usb1/1-1/1-1:1.0/ttyUSB10", "sys/class/tty/ttyUSB10/device")
	link("../../../devices/usb1/1-2/1-2:1.0/ttyUSB2", "sys/class/tty/ttyUSB2/device")
	link("../../../devices/soc/serial0", "sys/class/tty/ttyAMA0/device")
	link("../../../devices/soc/serial0", "sys/class/tty/ttyS1/device")
	link("../../ttyUSB10", "dev/serial/by-id/usb-FTDI_FT232R-if00-port0")
	link("../../ttyUSB10", "dev/serial/by-path/platform-1")
	link("../../ttyUSB2", "dev/serial/by-path/platform-2")
	for _, name := range []string{"ttyUSB10", "ttyAMA0"} {
		write("dev/"+name, "")
	}
	return root
}

func TestEnumerate_FindsRealPortsByTheirStablePaths(t *testing.T) {
	list, err := port.Enumerate(machine(t))
	require.NoError(t, err)
	require.Equal(t, []port.Info{
		{Port: "/dev/ttyAMA0", Device: "/dev/ttyAMA0", Name: "built-in serial port ttyAMA0"},
		{Port: "/dev/serial/by-path/platform-2", Device: "/dev/ttyUSB2", Name: "USB serial adapter", Problem: "the kernel knows the port but /dev/ttyUSB2 does not exist"},
		{Port: "/dev/serial/by-id/usb-FTDI_FT232R-if00-port0", Device: "/dev/ttyUSB10", Name: "FTDI FT232R USB UART"},
	}, list)
}

func TestEnumerate_NoPortsIsNoError(t *testing.T) {
	list, err := port.Enumerate(t.TempDir())
	require.NoError(t, err)
	require.Empty(t, list)
}
