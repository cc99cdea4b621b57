package main_test

import (
	"bytes"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// simulate runs a device of the template on a pseudo-terminal and gives its path.
func simulate(t *testing.T, template string) string {
	t.Helper()
	program, err := built()
	require.NoError(t, err)
	link := filepath.Join(t.TempDir(), "ttyUSB0")
	launch(t, program, "sim", template, "--link", link).awaitLine(link)
	return link
}

// run runs the binary and gives its exit status and what it said.
func run(t *testing.T, args ...string) (status int, out, errs string) {
	t.Helper()
	program, err := built()
	require.NoError(t, err)
	var stdout, stderr bytes.Buffer
	cmd := exec.Command(program, args...)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	_ = cmd.Run() // the status tells
	return cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()
}

func TestModbus_TalksToTheDeviceItselfOrThroughTheService(t *testing.T) {
	direct := simulate(t, "eastron-sdm630")
	b := newBox(t)
	b.start()
	owned := simulate(t, "eastron-sdm630")
	b.apply("bridges: [{id: cabinet, kind: modbus, link: {serial: {port: " + owned + "}}, devices: [{id: meter, unit: 1, template: eastron-sdm630, interval: 100ms}]}]\n")
	await(t, "the bridge is online", func() bool {
		_, out, _ := run(t, "modbus", "read", "0", "--table", "input", "--bridge", "cabinet", "--config", b.config())
		return strings.Contains(out, "ADDRESS")
	})
	for name, port := range map[string]string{"direct": direct, "through the service": owned} {
		t.Run(name, func(t *testing.T) {
			at := []string{"--port", port, "--config", b.config()}
			status, out, errs := run(t, append([]string{"modbus", "read", "0", "-n", "2", "--table", "input"}, at...)...)
			require.Equal(t, 0, status, errs)
			require.Regexp(t, `0 +float32 +ABCD +2[0-9]{2}`, out)
			status, out, _ = run(t, append([]string{"modbus", "read", "0", "--table", "input", "--json"}, at...)...)
			require.Equal(t, 0, status)
			require.Contains(t, out, `"ok":true`)
			status, _, errs = run(t, append([]string{"modbus", "read", "60000"}, at...)...)
			require.Equal(t, 1, status)
			require.Contains(t, errs, "no such address")
			status, out, errs = run(t, append([]string{"modbus", "read", "--function", "43"}, at...)...)
			require.Equal(t, 0, status, errs)
			require.Regexp(t, `product +0 +SDM630`, out)
			status, out, errs = run(t, append([]string{"modbus", "scan", "--to", "2", "--timeout", "100ms"}, at...)...)
			require.Equal(t, 0, status, errs)
			require.Regexp(t, `1 +9600 8N1 .*eastron-sdm630`, out)
		})
	}
	status, _, errs := run(t, "modbus", "read", "0")
	require.Equal(t, 2, status)
	require.Contains(t, errs, "exactly one of --bridge")
	status, _, _ = run(t, "modbus", "read")
	require.Equal(t, 2, status)

	program, err := built()
	require.NoError(t, err)
	monitor := launch(t, program, "modbus", "monitor", "--port", owned, "--config", b.config())
	monitor.awaitLine("read input registers")
	monitor.stop(syscall.SIGTERM)
}
