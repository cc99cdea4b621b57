package port

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// Info describes a serial port of the machine.
type Info struct {
	Port    string // the path to write into settings: the stable one when there is one
	Device  string // /dev/ttyUSB0
	Name    string // for a person: "FTDI FT232R USB UART"
	UsedBy  string // for whom this process has it open ("bridge cabinet"); empty when it has not
	Problem string // why it can not be opened, with what to do; empty when it can
}

// List gives the serial ports of the machine, in order of their devices. No port
// is opened for it: that would reset some devices and disturb others.
func (t *Ports) List() ([]Info, error) {
	list, err := Enumerate("/")
	for i := range list {
		list[i].UsedBy = t.Holder(list[i].Device)
	}
	return list, err
}

// Enumerate gives the serial ports below a root folder that holds sys and dev.
func Enumerate(root string) ([]Info, error) {
	class := filepath.Join(root, "sys/class/tty")
	entries, err := os.ReadDir(class)
	if errors.Is(err, fs.ErrNotExist) {
		return []Info{}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list serial ports: %w", err)
	}
	stable := stablePaths(root)
	list := []Info{}
	for _, e := range entries {
		hardware, err := filepath.EvalSymlinks(filepath.Join(class, e.Name(), "device"))
		if err != nil || isEmptySlot(filepath.Join(class, e.Name())) {
			continue // a virtual terminal, or a port that no board has
		}
		device := "/dev/" + e.Name()
		list = append(list, Info{
			Port:    cmp.Or(stable[e.Name()], device),
			Device:  device,
			Name:    hardwareName(hardware, e.Name()),
			Problem: accessProblem(filepath.Join(root, device), device),
		})
	}
	slices.SortFunc(list, func(a, b Info) int { return naturalOrder(a.Device, b.Device) })
	return list, nil
}

// isEmptySlot tells a ttyS that the 8250 driver reserved without finding a chip.
func isEmptySlot(dir string) bool {
	kind, err := os.ReadFile(filepath.Join(dir, "type"))
	return err == nil && strings.TrimSpace(string(kind)) == "0"
}

// stablePaths gives the paths that name an adapter and not the order of plugging in, by device name.
func stablePaths(root string) map[string]string {
	paths := map[string]string{}
	for _, dir := range []string{"/dev/serial/by-path", "/dev/serial/by-id"} { // the later one wins
		entries, err := os.ReadDir(filepath.Join(root, dir))
		if err != nil {
			continue // there are none
		}
		for _, e := range entries {
			if target, err := os.Readlink(filepath.Join(root, dir, e.Name())); err == nil {
				paths[filepath.Base(target)] = dir + "/" + e.Name()
			}
		}
	}
	return paths
}

// hardwareName looks for a USB product from the interface up to the device.
func hardwareName(hardware, name string) string {
	dir := hardware
	for range 4 {
		if product := attribute(dir, "product"); product != "" {
			if maker := attribute(dir, "manufacturer"); maker != "" && !strings.HasPrefix(product, maker) {
				return maker + " " + product
			}
			return product
		}
		dir = filepath.Dir(dir)
	}
	if strings.HasPrefix(name, "ttyUSB") || strings.HasPrefix(name, "ttyACM") {
		return "USB serial adapter"
	}
	return "built-in serial port " + name
}

// attribute reads a short text of sysfs; what an adapter says of itself is not trusted to be text.
func attribute(dir, name string) string {
	const longest = 80
	data, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		return ""
	}
	text := strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == '\uFFFD' {
			return -1
		}
		return r
	}, strings.ToValidUTF8(string(data), ""))
	text = strings.TrimSpace(text)
	return strings.ToValidUTF8(text[:min(len(text), longest)], "")
}

func accessProblem(path, device string) string {
	err := unix.Access(path, unix.R_OK|unix.W_OK)
	switch {
	case err == nil:
		return ""
	case errors.Is(err, unix.ENOENT):
		return fmt.Sprintf("the kernel knows the port but %s does not exist", device)
	case errors.Is(err, unix.EACCES):
		return PermissionAdvice(device)
	}
	return fmt.Sprintf("%s: %s", device, err)
}

// PermissionAdvice says how the gateway gets the right to open a port.
func PermissionAdvice(path string) string {
	return fmt.Sprintf("no permission to open %s: the gateway's user must be in the group dialout "+
		"(sudo usermod -aG dialout USER, then start the gateway again; the package does this)", path)
}

// naturalOrder puts ttyUSB2 before ttyUSB10.
func naturalOrder(a, b string) int {
	nameA, nameB := strings.TrimRight(a, "0123456789"), strings.TrimRight(b, "0123456789")
	return cmp.Or(cmp.Compare(nameA, nameB), cmp.Compare(len(a), len(b)), cmp.Compare(a, b))
}
