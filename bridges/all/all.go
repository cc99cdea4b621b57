// Package all is the table of the kinds in this build. A new kind is one line
// here. It must not know what any of them does.
package all

import (
	"fieldgate/bridges"
	"fieldgate/bridges/internal/port"
	"fieldgate/bridges/line"
	"fieldgate/bridges/modbus"
	"fieldgate/bridges/template"
	"fieldgate/bridges/uplink"
)

// Kinds gives the kinds of bridges to the field. Those of one call share their
// serial ports: a port has one owner among all of them. Their devices may name templates.
func Kinds(templates *template.Set) []bridges.Kind {
	ports := &port.Ports{}
	return []bridges.Kind{
		templates.Kind(line.Kind(ports)),
		templates.Kind(modbus.Kind(ports)),
	}
}

// Uplinks gives the kinds of uplinks.
func Uplinks() []bridges.Kind {
	return []bridges.Kind{
		uplink.Kind,
	}
}

// UplinkPresets gives settings to begin an uplink with.
func UplinkPresets() ([]bridges.Preset, error) { return uplink.Presets() }

// SerialPort is a serial port of the machine.
type SerialPort struct {
	Port    string `json:"port"`    // the path to write into settings: below /dev/serial/by-id when there is one
	Device  string `json:"device"`  // "/dev/ttyUSB0"
	Name    string `json:"name"`    // what the adapter calls itself
	Problem string `json:"problem"` // why it can't be opened, empty when it can
}

// SerialPorts lists the serial ports of the machine. It opens none.
func SerialPorts() ([]SerialPort, error) {
	list, err := port.Enumerate("/")
	ports := make([]SerialPort, 0, len(list))
	for _, p := range list {
		ports = append(ports, SerialPort{Port: p.Port, Device: p.Device, Name: p.Name, Problem: p.Problem})
	}
	return ports, err
}
