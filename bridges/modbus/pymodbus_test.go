package modbus_test

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"fieldgate/bridges/internal/port"
)

// need gives the path of a tool; without it the test is skipped, under CI=true it fails.
func need(t testing.TB, path string, probe ...string) string {
	t.Helper()
	found, err := exec.LookPath(path)
	if err == nil {
		err = exec.Command(found, probe...).Run()
	}
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("%s is needed: %s", path, err)
		}
		t.Skipf("%s is not installed (%s)", path, err)
	}
	return found
}

// launch starts a process until the test's end and gives its first line of output.
func launch(t testing.TB, path string, args ...string) *bufio.Scanner {
	t.Helper()
	cmd := exec.Command(path, args...)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // killed
	})
	return bufio.NewScanner(out)
}

func slave(t testing.TB, args ...string) (ready string) {
	t.Helper()
	return script(t, "slave.py", args...)
}

// script starts a script of testdata and waits until it says READY.
func script(t testing.TB, name string, args ...string) (ready string) {
	t.Helper()
	python := need(t, "/usr/bin/python3", "-c", "import pymodbus, serial")
	out := launch(t, python, append([]string{"testdata/" + name}, args...)...)
	require.True(t, out.Scan(), "the slave did not start")
	return strings.TrimSpace(strings.TrimPrefix(out.Text(), "READY"))
}

const pymodbusDevices = `"devices":[
	{"id":"meter","unit":1,"interval":"100ms","points":[
		{"id":"voltage","table":"input","address":0,"type":"float32","unit":"V"},
		{"id":"temperature","table":"holding","address":10,"type":"int16","scale":0.1,"unit":"°C"}]},
	{"id":"relays","unit":2,"interval":"100ms","payload":"value","points":[
		{"id":"lamp","table":"coil","address":3,"write":{"verify":true}},
		{"id":"door","table":"discrete_input","address":1},
		{"id":"limit","table":"holding","address":4,"type":"float32","order":"CDAB","write":{"verify":true}},
		{"id":"mode","table":"holding","address":6,"type":"uint16","write":{}},
		{"id":"flag","table":"holding","address":7,"bit":3,"write":{"verify":true}}]}]`

func checkPymodbus(t *testing.T, f *field) {
	f.AwaitRetained(t, "fieldgate/meter/voltage", `"value":230.25,"unit":"V","quality":"good"`)
	f.AwaitRetained(t, "fieldgate/meter/temperature", `"value":-12.5,"unit":"°C","quality":"good"`)
	f.AwaitRetained(t, "fieldgate/relays/lamp", "false")
	f.AwaitRetained(t, "fieldgate/relays/door", "true")
	for point, value := range map[string]string{"lamp": "true", "limit": "21.75", "mode": "7", "flag": "true"} {
		require.NoError(t, f.Publish(t.Context(), set("fieldgate/relays/"+point+"/set", value), nil))
		result := "fieldgate/relays/" + point + "/result"
		f.Await(t, result, func() bool { return len(f.Payloads(result)) == 1 })
		require.Contains(t, f.Payloads(result)[0], `{"ok":true,"value":`+value+`,`)
		f.AwaitRetained(t, "fieldgate/relays/"+point, value)
	}
}

func TestPymodbus_RTUThroughSocat(t *testing.T) {
	socat := need(t, "socat", "-V")
	dir := t.TempDir()
	far, near := filepath.Join(dir, "far"), filepath.Join(dir, "near")
	launch(t, socat, "pty,raw,echo=0,link="+far, "pty,raw,echo=0,link="+near)
	require.Eventually(t, func() bool {
		_, err1 := os.Stat(far)
		_, err2 := os.Stat(near)
		return err1 == nil && err2 == nil
	}, 10*time.Second, 10*time.Millisecond)
	slave(t, "rtu", far, "19200")
	f := start(t, fmt.Sprintf(`{"id":"b","kind":"modbus","link":{"serial":{"port":%q,"baud":19200}},%s}`, near, pymodbusDevices))
	checkPymodbus(t, f)
	require.Equal(t, "bridge b", f.ports.Holder(near))
	_, err := (&port.Ports{}).Open(port.Config{Path: near, Baud: 19200, Format: port.Format{DataBits: 8, Parity: 'N', StopBits: 1}}, "another")
	require.ErrorContains(t, err, "is in use by")
}

func TestPymodbus_TCP(t *testing.T) {
	number := slave(t, "tcp")
	f := start(t, fmt.Sprintf(`{"id":"b","kind":"modbus","link":{"tcp":{"address":"127.0.0.1:%s"}},%s}`, number, pymodbusDevices))
	checkPymodbus(t, f)
}
