package gateway

import (
	"bufio"
	"cmp"
	"io/fs"
	"os"
	"runtime"
	"strconv"
	"strings"

	"fieldgate/gateway/config"
	"fieldgate/webui"
	"fieldgate/webui/api"
)

// machine tells what the gateway runs on, as far as the kernel says it.
func machine() api.Machine {
	proc := os.DirFS("/proc")
	memory := procTable(proc, "meminfo")
	m := api.Machine{
		OS: runtime.GOOS, Architecture: runtime.GOARCH, Kernel: procText(proc, "sys/kernel/osrelease"), CPUs: runtime.NumCPU(),
		MemoryTotal: memory["MemTotal"], MemoryAvailable: memory["MemAvailable"], ProcessMemory: procTable(proc, "self/status")["VmRSS"],
	}
	load, _, _ := strings.Cut(procText(proc, "loadavg"), " ")
	m.Load1, _ = strconv.ParseFloat(load, 64) // 0 when the kernel does not tell
	if known, right := kernelClock(); known {
		m.ClockSynchronized = &right
	}
	return m
}

func procText(proc fs.FS, name string) string {
	text, err := fs.ReadFile(proc, name)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(text))
}

// procTable reads lines such as "MemTotal:  948048 kB" into bytes.
func procTable(proc fs.FS, name string) map[string]int64 {
	sizes := map[string]int64{}
	for lines := bufio.NewScanner(strings.NewReader(procText(proc, name))); lines.Scan(); {
		key, rest, _ := strings.Cut(lines.Text(), ":")
		if number, found := strings.CutSuffix(strings.TrimSpace(rest), " kB"); found {
			if n, err := strconv.ParseInt(number, 10, 64); err == nil {
				sizes[key] = n << 10
			}
		}
	}
	return sizes
}

// hostFacts is what people may know of the host file.
func hostFacts(f config.File) api.Host {
	return api.Host{
		File: f.Name, DataDir: f.DataDir, LogLevel: f.Log.Level, AdminAddress: f.Admin.Address, AdminTLS: cmp.Or(f.Admin.TLS.Mode, webui.TLSOff),
		Durability: string(f.Spool.Durability), MinFreeDisk: int64(f.Spool.MinFreeDisk), MaxConnections: f.MQTT.MaxConnections,
		MaxPacketSize: f.MQTT.MaxPacketSize, MaxQueued: f.MQTT.MaxQueuedMessages, QueueFull: f.MQTT.QueueFull,
	}
}
