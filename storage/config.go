package storage

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"fieldgate/internal/fault"
)

// Config is this package's share of the host file.
type Config struct {
	DataDir string      `json:"data_dir"` // where everything is kept; made with mode 0700
	Spool   SpoolConfig `json:"spool"`
}

// SpoolConfig says how messages are kept.
type SpoolConfig struct {
	Durability   Durability    `json:"durability"`
	AckWindow    time.Duration `json:"ack_window"`     // how long a message may wait for the acknowledgements that make writing it needless
	AckWindowMax time.Duration `json:"ack_window_max"` // up to where that time adapts
	BridgeWindow time.Duration `json:"bridge_window"`  // the same for messages of bridges, where nobody waits for an answer
	MinFreeDisk  Bytes         `json:"min_free_disk"`  // stays free on the file system of the data directory
}

// Durability is what an acknowledged message survives.
type Durability string

// PowerSafe messages survive a power cut, CrashSafe ones only the end of the
// process: less wear of the flash, for gateways behind a battery.
const (
	PowerSafe Durability = "power_safe"
	CrashSafe Durability = "crash_safe"
)

// maxWindow bounds the windows: nobody waits longer for an acknowledgement.
const maxWindow = 10 * time.Second

// Default gives the settings of an empty host file.
func Default() Config {
	return Config{
		DataDir: "./fieldgate-data",
		Spool: SpoolConfig{
			Durability:   PowerSafe,
			AckWindow:    20 * time.Millisecond,
			AckWindowMax: 200 * time.Millisecond,
			BridgeWindow: time.Second,
			MinFreeDisk:  200 << 20,
		},
	}
}

// Validate gives every fault as a fault.List, with JSON pointers into the host file.
func (c Config) Validate() error {
	var faults fault.List
	if c.DataDir == "" {
		faults.Add("/data_dir", fault.Required, "must name a directory")
	}
	s := c.Spool
	if s.Durability != PowerSafe && s.Durability != CrashSafe {
		faults.Add("/spool/durability", fault.Invalid, "must be %s or %s", PowerSafe, CrashSafe)
	}
	for _, window := range []struct {
		pointer string
		value   time.Duration
	}{
		{"/spool/ack_window", s.AckWindow},
		{"/spool/ack_window_max", s.AckWindowMax},
		{"/spool/bridge_window", s.BridgeWindow},
	} {
		if window.value < 0 || window.value > maxWindow {
			faults.Add(window.pointer, fault.OutOfRange, "must be 0s to %s", maxWindow)
		}
	}
	if s.AckWindow > s.AckWindowMax && s.AckWindowMax >= 0 {
		faults.Add("/spool/ack_window_max", fault.OutOfRange, "must not be below ack_window (%s)", s.AckWindow)
	}
	if s.MinFreeDisk < 0 {
		faults.Add("/spool/min_free_disk", fault.OutOfRange, "must not be negative")
	}
	return faults.Err()
}

// Bytes is a size. Its text is a whole number and a unit: "200MiB", "4GB", "1048576".
type Bytes int64

// byteUnits from the largest; the text of a size takes the largest binary one that divides it.
func byteUnits() []byteUnit {
	return []byteUnit{
		{"TiB", 1 << 40}, {"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10},
		{"TB", 1e12}, {"GB", 1e9}, {"MB", 1e6}, {"KB", 1e3}, {"kB", 1e3}, {"B", 1},
	}
}

type byteUnit struct {
	name string
	size int64
}

// UnmarshalText reads a size such as "200MiB"; a number alone is bytes.
func (b *Bytes) UnmarshalText(text []byte) error {
	digits, factor := strings.TrimSpace(string(text)), int64(1)
	for _, unit := range byteUnits() {
		if number, found := strings.CutSuffix(digits, unit.name); found {
			digits, factor = strings.TrimSpace(number), unit.size
			break
		}
	}
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || n < 0 || n > math.MaxInt64/factor {
		return fault.New(fault.Invalid, "must be a size such as 200MiB or 4GiB")
	}
	*b = Bytes(n * factor)
	return nil
}

// MarshalText writes the size as UnmarshalText reads it.
func (b Bytes) MarshalText() ([]byte, error) { return []byte(b.String()), nil }

// String writes the size with the largest unit that leaves a whole number, as UnmarshalText reads it.
func (b Bytes) String() string {
	for _, unit := range byteUnits()[:4] {
		if b != 0 && int64(b)%unit.size == 0 {
			return fmt.Sprintf("%d%s", int64(b)/unit.size, unit.name)
		}
	}
	return strconv.FormatInt(int64(b), 10)
}
