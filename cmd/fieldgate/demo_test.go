package main

import (
	"bufio"
	"bytes"
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestDemo_LeavesNothingBehindOnSIGTERM(t *testing.T) {
	temp := t.TempDir()
	cmd := exec.Command(os.Args[0], "demo", "--admin", "127.0.0.1:0", "--mqtt", "127.0.0.1:0")
	cmd.Env = append(os.Environ(), asFieldgate+"=1", "TMPDIR="+temp)
	cmd.Stderr = t.Output()
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	guard := time.AfterFunc(patience, func() { _ = cmd.Process.Kill() })
	defer guard.Stop()
	var said strings.Builder
	for lines := bufio.NewScanner(out); lines.Scan(); {
		said.WriteString(lines.Text() + "\n")
		if strings.Contains(lines.Text(), "Ctrl-C") {
			break
		}
	}
	require.Contains(t, said.String(), "login     demo / ")
	require.NoError(t, cmd.Process.Signal(syscall.SIGINT)) // a terminal's, with a supervisor's right behind it
	require.NoError(t, cmd.Process.Signal(syscall.SIGTERM))
	require.NoError(t, cmd.Process.Signal(syscall.SIGTERM))
	require.NoError(t, cmd.Wait())
	left, err := os.ReadDir(temp)
	require.NoError(t, err)
	require.Empty(t, left)
}

func TestSim_SaysWhereItsDeviceIsFound(t *testing.T) {
	link := filepath.Join(t.TempDir(), "tty")
	own := filepath.Join(t.TempDir(), "my-meter.yaml")
	text := "id: my-meter\nkind: modbus\nmanufacturer: ACME\nmodel: EM-3\ncategory: energy_meter\nsource: my manual\npoints:\n  - {id: power, address: 7, sample: 815}\n"
	require.NoError(t, os.WriteFile(own, []byte(text), 0o600))
	for _, tt := range []struct {
		name  string
		args  []string
		found func(where string) error
	}{
		{"a meter on a pseudo-terminal", []string{"sim", "meter", "--link", link}, stat},
		{"a scale on a pseudo-terminal", []string{"sim", "scale"}, stat},
		{"a template on a pseudo-terminal", []string{"sim", "eastron-sdm630"}, stat},
		{"a template over TCP", []string{"sim", "sunspec-inverter", "--tcp", "127.0.0.1:0"}, dial},
		{"a file over TCP", []string{"sim", own, "--tcp", "127.0.0.1:0"}, dial},
		{"a template of lines", []string{"sim", "nmea-gps", "--interval", "10ms"}, stat},
		{"a template of lines that is asked", []string{"sim", "mettler-toledo-sics"}, stat},
		{"relays over TCP", []string{"sim", "relays", "--tcp", "127.0.0.1:0", "--unit", "7"}, dial},
	} {
		t.Run(tt.name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			said := &firstLine{lines: make(chan string, 1)}
			ended := make(chan int, 1) // one send, whoever waits
			go func() { ended <- execute(ctx, stdio{in: strings.NewReader(""), out: said, err: t.Output()}, tt.args) }()
			select {
			case where := <-said.lines:
				require.NoError(t, tt.found(where))
			case <-time.After(patience):
				t.Fatal("it says nothing")
			}
			cancel()
			require.Equal(t, statusDone, <-ended)
		})
	}
	var errs bytes.Buffer
	require.Equal(t, statusUsage, execute(t.Context(), stdio{in: strings.NewReader(""), out: &errs, err: &errs}, []string{"sim", "scale", "--interval", "0s"}))
	require.Equal(t, statusUsage, execute(t.Context(), stdio{in: strings.NewReader(""), out: &errs, err: &errs}, []string{"sim", "eastron-sdm999"}))
	require.NoError(t, os.WriteFile(own, []byte(strings.Replace(text, "address: 7", "address: 70000", 1)), 0o600))
	require.Equal(t, statusFailed, execute(t.Context(), stdio{in: strings.NewReader(""), out: &errs, err: &errs}, []string{"sim", own}))
	require.Contains(t, errs.String(), "my-meter.yaml:8: points[0].address")
}

func stat(where string) error {
	_, err := os.Stat(where)
	return err
}

func dial(where string) error {
	conn, err := net.Dial("tcp", where)
	if err != nil {
		return err
	}
	return conn.Close()
}

// firstLine gives the first line that is written.
type firstLine struct{ lines chan string }

func (f *firstLine) Write(b []byte) (int, error) {
	select {
	case f.lines <- strings.TrimSpace(string(b)):
	default:
	}
	return len(b), nil
}
