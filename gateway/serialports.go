package gateway

import (
	"encoding/json"
	"errors"
	"io/fs"
	"path"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"fieldgate/webui/api"
)

// serialPorts lists the machine's serial ports: those with hardware behind them,
// by the name that stays when the adapter is plugged in elsewhere. It opens none:
// opening a port moves its modem lines. root is the file system's root, configured
// the bridges that may use them.
func serialPorts(root fs.FS, configured []json.RawMessage) ([]api.SerialPort, error) {
	entries, err := fs.ReadDir(root, "sys/class/tty")
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	stable, users := stableNames(root), portUsers(configured)
	var ports []api.SerialPort
	for _, e := range entries {
		name := e.Name()
		if !isHardware(root, name) {
			continue
		}
		device := "/dev/" + name
		p := api.SerialPort{Port: device, Device: device, Name: productName(root, name)}
		if byID, ok := stable[name]; ok {
			p.Port = byID
		}
		for _, used := range []string{p.Port, device} {
			if users[used] != "" {
				p.UsedBy = users[used]
			}
		}
		if err := unix.Access(device, unix.R_OK|unix.W_OK); err != nil {
			p.Problem = err.Error()
			if errors.Is(err, unix.EACCES) {
				p.Problem = "permission denied: the user that runs fieldgate must be in the group dialout"
			}
		}
		ports = append(ports, p)
	}
	slices.SortFunc(ports, func(a, b api.SerialPort) int { return strings.Compare(a.Port, b.Port) })
	return ports, nil
}

// isHardware tells a port from a console or a placeholder: it has a driver, and
// when it is one of the 8250's four, the driver has found a chip.
func isHardware(root fs.FS, name string) bool {
	dir := path.Join("sys/class/tty", name)
	if _, err := fs.Stat(root, dir+"/device/driver"); err != nil {
		return false
	}
	if kind, err := fs.ReadFile(root, dir+"/type"); err == nil && strings.TrimSpace(string(kind)) == "0" {
		return false // PORT_UNKNOWN
	}
	return true
}

// stableNames gives the path below /dev/serial/by-id of each device that has one.
func stableNames(root fs.FS) map[string]string {
	const dir = "dev/serial/by-id"
	names := map[string]string{}
	entries, err := fs.ReadDir(root, dir)
	if err != nil {
		return names // no USB adapter is plugged in
	}
	links, ok := root.(fs.ReadLinkFS)
	if !ok {
		return names
	}
	for _, e := range entries {
		if target, err := links.ReadLink(path.Join(dir, e.Name())); err == nil {
			names[path.Base(target)] = "/" + path.Join(dir, e.Name())
		}
	}
	return names
}

// productName gives what a USB adapter calls itself; its interface lies below the device that says it.
func productName(root fs.FS, name string) string {
	dir := path.Join("sys/class/tty", name, "device")
	for _, up := range []string{"..", "../..", "../../.."} {
		if text, err := fs.ReadFile(root, path.Join(realDir(root, dir), up, "product")); err == nil {
			return strings.TrimSpace(string(text))
		}
	}
	return ""
}

// realDir follows the links on the way to a directory, for .. to mean its parent.
func realDir(root fs.FS, dir string) string {
	links, ok := root.(fs.ReadLinkFS)
	if !ok {
		return dir
	}
	done := ""
	for rest := strings.Split(dir, "/"); len(rest) > 0; rest = rest[1:] {
		next := path.Join(done, rest[0])
		if target, err := links.ReadLink(next); err == nil && !path.IsAbs(target) {
			next = path.Join(done, target)
		}
		done = next
	}
	return done
}

// portUsers gives the bridge of each port that one uses.
func portUsers(configured []json.RawMessage) map[string]string {
	users := map[string]string{}
	for _, raw := range configured {
		var b struct {
			ID   string
			Link struct{ Serial struct{ Port string } }
		}
		if json.Unmarshal(raw, &b) == nil && b.Link.Serial.Port != "" {
			users[b.Link.Serial.Port] = b.ID
		}
	}
	return users
}
