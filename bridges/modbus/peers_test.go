package modbus_test

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"fieldgate/bridges/bridgestest"
	"fieldgate/bridges/internal/port"
)

// socatPair makes two pseudo-terminals that are connected, as by a cable.
func socatPair(t *testing.T) (far, near string) {
	t.Helper()
	socat := need(t, "socat", "-V")
	dir := t.TempDir()
	far, near = filepath.Join(dir, "far"), filepath.Join(dir, "near")
	launch(t, socat, "pty,raw,echo=0,link="+far, "pty,raw,echo=0,link="+near)
	awaitFile(t, far)
	awaitFile(t, near)
	return far, near
}

func awaitFile(t *testing.T, path string) {
	t.Helper()
	require.Eventually(t, func() bool { _, err := os.Stat(path); return err == nil }, 10*time.Second, 10*time.Millisecond)
}

func TestPymodbus_ASCII(t *testing.T) {
	far, near := socatPair(t)
	script(t, "ruler.py", "ascii", "19200", far)
	f := start(t, fmt.Sprintf(`{"id":"b","kind":"modbus","link":{"serial":{"port":%q,"baud":19200,"ascii":true}},"devices":[
		{"id":"u1","unit":1,"interval":"50ms","points":[{"id":"at-0","address":0,"type":"uint64"},{"id":"at-100","address":100,"type":"uint64"}]},
		{"id":"u2","unit":2,"interval":"50ms","points":[{"id":"at-0","address":0,"type":"uint64"}]},
		{"id":"u3","unit":3,"interval":"50ms","points":[{"id":"at-0","address":0,"type":"uint64"}]}]}`, near))
	for topic, tag := range map[string]uint64{"u1/at-0": rulerTag(1, 0), "u1/at-100": rulerTag(1, 100), "u2/at-0": rulerTag(2, 0)} {
		topic = "fieldgate/" + topic
		f.Await(t, topic, func() bool { return len(f.Messages(topic)) > 20 })
		for _, payload := range f.Payloads(topic) {
			var r struct {
				Value   json.Number
				Quality string
			}
			require.NoError(t, json.Unmarshal([]byte(payload), &r))
			if r.Quality == "good" {
				n, err := strconv.ParseUint(r.Value.String(), 10, 64)
				require.NoError(t, err)
				require.Equal(t, tag, n>>sequenceBits)
			}
		}
	}
	f.AwaitRetained(t, "fieldgate/u3/at-0", `"error":"timeout"`)
}

// libmodbus is driven by a small program, compiled here.
func libmodbus(t *testing.T, args ...string) {
	t.Helper()
	cc := need(t, "cc", "--version")
	if _, err := os.Stat("/usr/include/modbus/modbus.h"); err != nil {
		need(t, "/usr/include/modbus/modbus.h (libmodbus-dev)")
	}
	binary := filepath.Join(t.TempDir(), "slave")
	out, err := exec.Command(cc, "-O1", "-I/usr/include/modbus", "-o", binary, "testdata/slave.c", "-lmodbus").CombinedOutput()
	require.NoError(t, err, string(out))
	ready := launch(t, binary, args...)
	require.True(t, ready.Scan(), "the slave did not start")
}

const libmodbusDevices = `"devices":[{"id":"d","unit":17,"interval":"50ms","payload":"value","points":[
	{"id":"count","table":"input","address":0,"type":"uint16"},
	{"id":"door","table":"discrete_input","address":1},
	{"id":"lamp","table":"coil","address":3,"write":{"verify":true}},
	{"id":"limit","table":"holding","address":4,"type":"float32","write":{"verify":true}},
	{"id":"mode","table":"holding","address":6,"type":"uint16","write":{}},
	{"id":"hole","table":"holding","address":10,"type":"uint16"}]}]`

func checkLibmodbus(t *testing.T, f *field) {
	t.Helper()
	f.AwaitRetained(t, "fieldgate/d/count", "4711")
	f.AwaitRetained(t, "fieldgate/d/door", "true")
	f.AwaitRetained(t, "fieldgate/d/$state", `"state":"degraded"`, "exception 2")
	for point, value := range map[string]string{"lamp": "true", "limit": "21.75", "mode": "7"} {
		w, err := f.supervisor.Write(t.Context(), "d", point, json.RawMessage(value))
		require.NoError(t, err)
		require.True(t, w.OK, w.Detail)
		f.AwaitRetained(t, "fieldgate/d/"+point, value)
	}
}

func TestLibmodbus_RTUThroughSocat(t *testing.T) {
	far, near := socatPair(t)
	libmodbus(t, far, "115200", "17")
	checkLibmodbus(t, start(t, serial(near, libmodbusDevices)))
}

// A serial server: RTU frames over TCP, by ser2net.
func TestSer2net_RTUOverTCP(t *testing.T) {
	ser2net := need(t, "ser2net", "-v")
	far, near := socatPair(t)
	libmodbus(t, far, "115200", "17")
	free, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	address := free.Addr().String()
	require.NoError(t, free.Close())
	_, number, err := net.SplitHostPort(address)
	require.NoError(t, err)
	settings := filepath.Join(t.TempDir(), "ser2net.yaml")
	require.NoError(t, os.WriteFile(settings, fmt.Appendf(nil,
		"connection: &line\n  accepter: tcp,127.0.0.1,%s\n  connector: serialdev,%s,115200n81,local\n  options:\n    kickolduser: true\n", number, near), 0o600))
	launch(t, ser2net, "-n", "-d", "-u", "-P", filepath.Join(t.TempDir(), "pid"), "-c", settings)
	f := start(t, fmt.Sprintf(`{"id":"b","kind":"modbus","link":{"rtu_over_tcp":{"address":%q}},%s}`, address, libmodbusDevices))
	checkLibmodbus(t, f)
}

func TestPymodbus_TCPWithSeveralRequestsUnderWay(t *testing.T) {
	number := slave(t, "tcp")
	f := startOn(t, &bridgestest.Bus{}, &port.Ports{}, fmt.Sprintf(`{"id":"b","kind":"modbus","link":{"tcp":{"address":"127.0.0.1:%s","outstanding":4}},%s}`, number, pymodbusDevices))
	checkPymodbus(t, f)
}
