package modbus_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"fieldgate/bridges/sim"
)

// watched is what a line saw of the bridge.
type watched struct {
	Requests   int64
	Early      int64
	Collisions int64
	Waste      time.Duration // from the end of the silence to the next request, in sum
}

// lineBaud tells a child process that it is to be a line, with which bit rate.
const lineBaud = "MODBUS_LINE_BAUD"

// TestLine_InAProcess is the far side of BenchmarkWire: a line at the link that MODBUS_LINE names, with units 1 to 4. It says
// what it saw whenever it is sent a line.
func TestLine_InAProcess(t *testing.T) {
	baud := 0
	if _, err := fmt.Sscan(os.Getenv(lineBaud), &baud); err != nil {
		t.Skip("BenchmarkWire starts it")
	}
	units := map[byte]sim.Device{}
	for unit := byte(1); unit <= benchUnits; unit++ {
		units[unit] = holed{}
	}
	l := simLine(t, os.Getenv("MODBUS_LINE"), baud, units)
	l.turnaround = l.silence()
	out := json.NewEncoder(os.Stdout)
	require.NoError(t, out.Encode(watched{}))
	for questions := bufio.NewScanner(os.Stdin); questions.Scan(); {
		require.NoError(t, out.Encode(watched{l.requests.Load(), l.early.Load(), l.collisions.Load(), time.Duration(l.waste.Load())}))
	}
}

// farLine is a line in a process of its own, so that what it costs is not the bridge's.
type farLine struct {
	in  io.Writer
	out *json.Decoder
}

func startLine(b *testing.B, link string, baud int) *farLine {
	b.Helper()
	cmd := exec.Command(os.Args[0], "-test.run", "^TestLine_InAProcess$")
	cmd.Env = append(os.Environ(), "MODBUS_LINE="+link, fmt.Sprintf("%s=%d", lineBaud, baud))
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	require.NoError(b, err)
	out, err := cmd.StdoutPipe()
	require.NoError(b, err)
	require.NoError(b, cmd.Start())
	b.Cleanup(func() {
		_ = in.Close() // ends it
		_, _ = io.Copy(io.Discard, out)
		require.NoError(b, cmd.Wait())
	})
	l := &farLine{in: in, out: json.NewDecoder(out)}
	l.read(b)
	return l
}

func (l *farLine) read(b *testing.B) (w watched) {
	b.Helper()
	require.NoError(b, l.out.Decode(&w))
	return w
}

func (l *farLine) saw(b *testing.B) watched {
	b.Helper()
	_, err := io.WriteString(l.in, "\n")
	require.NoError(b, err)
	return l.read(b)
}

const benchUnits = 4

// theory is what a poll takes at least: a request of 8 characters, an answer of 5 + 2n, a silence before each.
func theory(baud, registers int) time.Duration {
	char := 10 * time.Second / time.Duration(baud)
	return time.Duration(13+2*registers)*char + 2*max(char*7/2, 1750*time.Microsecond)
}

func processCPU() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u) // fails for wrong arguments only
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// Four units are asked as often as the wire allows. The line adds one silence itself: a slave answers when it is over.
// %wire counts all that the simulated line and slaves lose too; %bridge only what the bridge does, from the answer's
// last bit to the next request's first, the way through two pseudo-terminals included. %core is the bridge's processor time.
func BenchmarkWire(b *testing.B) {
	for _, baud := range []int{9600, 19200, 115200} {
		for _, registers := range []int{10, 60} {
			b.Run(fmt.Sprintf("baud=%d/registers=%d", baud, registers), func(b *testing.B) { benchWire(b, baud, registers) })
		}
	}
}

func benchWire(b *testing.B, baud, registers int) {
	link := filepath.Join(b.TempDir(), "ttyUSB0")
	line := startLine(b, link, baud)
	points := make([]string, registers)
	for i := range points {
		points[i] = fmt.Sprintf(`{"id":"p%d","address":%d}`, i, i)
	}
	devices := make([]string, benchUnits)
	for i := range devices {
		devices[i] = fmt.Sprintf(`{"id":"d%d","unit":%d,"interval":"10ms","points":[%s]}`, i, i+1, strings.Join(points, ","))
	}
	bus := &sink{}
	drive(b, bus, fmt.Sprintf(`{"id":"b","kind":"modbus","link":{"serial":{"port":%q,"baud":%d}},"devices":[%s]}`, link, baud, strings.Join(devices, ",")))
	await(b, bus.values.Load, int64(5*registers))
	before, begin, busy := line.saw(b), time.Now(), processCPU()
	for b.Loop() {
		await(b, bus.values.Load, int64(registers))
	}
	after, took, cpu := line.saw(b), time.Since(begin), processCPU()-busy
	polls := float64(after.Requests - before.Requests)
	least := theory(baud, registers).Seconds()
	b.ReportMetric(100*polls*least/took.Seconds(), "%wire")
	b.ReportMetric(100*least/(least+(after.Waste-before.Waste).Seconds()/polls), "%bridge")
	b.ReportMetric(float64(after.Early+after.Collisions), "too-early")
	b.ReportMetric(100*cpu.Seconds()/took.Seconds(), "%core")
}
