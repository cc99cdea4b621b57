package main_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// wire is a pair of pseudo-terminals of socat: the gateway's end and the slave's.
type wire struct {
	t             *testing.T
	gateway, far  string // stable paths
	socat, python *process
}

func newWire(t *testing.T) *wire {
	dir := t.TempDir()
	w := &wire{t: t, gateway: filepath.Join(dir, "gateway"), far: filepath.Join(dir, "far")}
	w.plug()
	return w
}

// plug makes the pair and starts the slave of pymodbus on its far end.
func (w *wire) plug() {
	w.t.Helper()
	w.socat = launch(w.t, need(w.t, "socat"), "pty,raw,echo=0,link="+w.far, "pty,raw,echo=0,link="+w.gateway)
	await(w.t, "the pty pair exists", func() bool {
		_, err1 := os.Stat(w.gateway)
		_, err2 := os.Stat(w.far)
		return err1 == nil && err2 == nil
	})
	w.python = launch(w.t, need(w.t, "python3"), "testdata/slave.py", w.far, "19200")
	w.python.awaitLine("READY")
}

// unplug removes both ends.
func (w *wire) unplug() {
	w.python.stop(syscall.SIGKILL)
	w.socat.stop(syscall.SIGTERM)
	_, err := os.Lstat(w.gateway)
	require.ErrorIs(w.t, err, os.ErrNotExist)
}

func (w *wire) settings(cloud string) string {
	return fmt.Sprintf(`
bridges:
  - id: cabinet
    kind: modbus
    link: {serial: {port: %s, baud: 19200, format: 8N1}}
    timeout: 300ms
    devices:
      - id: meter
        unit: 1
        interval: 200ms
        points:
          - {id: voltage, table: input, address: 0, type: float32, unit: V}
          - {id: temperature, table: holding, address: 0x0A, type: int16, scale: 0.1, unit: °C}
      - id: relays
        unit: 2
        interval: 200ms
        points:
          - {id: lamp, table: coil, address: 3, write: {}}
          - {id: setpoint, table: holding, address: 4, type: int16, scale: 0.5, write: {min: -10, max: 60}}
uplinks:
  - id: cloud
    url: mqtt://%s
    out: [{filter: "fieldgate/#", qos: 1, local_prefix: "fieldgate/", remote_prefix: "site-7/"}]
    in: [{filter: "cmd/site-7/#", qos: 1, remote_prefix: "cmd/site-7/", local_prefix: "fieldgate/"}]
`, w.gateway, cloud)
}

// TestSystem_MeterToCloud carries values of a pymodbus slave through socat's wire and the gateway into
// mosquitto, and commands from mosquitto back to the slave.
func TestSystem_MeterToCloud(t *testing.T) {
	w, c, b := newWire(t), newCloud(t), newBox(t)
	log := record(t, c.address, "recorder", "site-7/#")
	b.start()
	began := time.Now()
	b.apply(w.settings(c.address))

	t.Run("values with unit, quality and time", func(t *testing.T) {
		voltage := awaitReading(t, log, "site-7/meter/voltage", good)
		require.Equal(t, 230.25, voltage.Value)
		require.Equal(t, "V", voltage.Unit)
		require.WithinRange(t, voltage.Time, began, time.Now())
		temperature := awaitReading(t, log, "site-7/meter/temperature", good)
		require.Equal(t, -12.5, temperature.Value)
		require.Equal(t, "°C", temperature.Unit)
	})
	t.Run("a command switches a relay", func(t *testing.T) {
		publish(t, c.address, "cmd/site-7/relays/lamp/set", `{"value":true,"id":"c1"}`)
		w.python.awaitLine("WRITE coil 3 ")
		result := awaitResult(t, log, "site-7/relays/lamp/result", "c1")
		require.True(t, result.OK, "%+v", result)
		awaitReading(t, log, "site-7/relays/lamp", func(r reading) bool { return r.Value == true })
	})
	t.Run("a command changes a register", func(t *testing.T) {
		publish(t, c.address, "cmd/site-7/relays/setpoint/set", `{"value":21.5,"id":"c2"}`)
		w.python.awaitLine("WRITE holding 4 43")
		result := awaitResult(t, log, "site-7/relays/setpoint/result", "c2")
		require.True(t, result.OK, "%+v", result)
		require.Equal(t, 21.5, result.Value)
		awaitReading(t, log, "site-7/relays/setpoint", func(r reading) bool { return r.Value == 21.5 })
	})
	for _, bad := range []struct{ point, payload, code string }{
		{"relays/setpoint", `{"value":60.5,"id":"b1"}`, "out_of_range"},
		{"relays/setpoint", `{"value":"warm","id":"b2"}`, "not_a_number"},
		{"meter/voltage", `{"value":1,"id":"b3"}`, "read_only"},
		{"meter/nonesuch", `{"value":1,"id":"b4"}`, "unknown_point"},
	} {
		t.Run("a bad command is answered with "+bad.code, func(t *testing.T) {
			publish(t, c.address, "cmd/site-7/"+bad.point+"/set", bad.payload)
			var sent struct{ ID string }
			require.NoError(t, json.Unmarshal([]byte(bad.payload), &sent))
			result := awaitResult(t, log, "site-7/"+bad.point+"/result", sent.ID)
			require.False(t, result.OK)
			require.Equal(t, bad.code, result.Code)
			require.NotEmpty(t, result.Detail)
		})
	}
}

// TestSystem_UnplugAndReplug takes the wire away and brings it back under the same path.
func TestSystem_UnplugAndReplug(t *testing.T) {
	w, c, b := newWire(t), newCloud(t), newBox(t)
	log := record(t, c.address, "recorder", "site-7/#")
	b.start()
	pid := b.cmd.Process.Pid
	b.apply(w.settings(c.address))
	awaitReading(t, log, "site-7/meter/voltage", good)

	w.unplug()
	gone := time.Now()
	bad := awaitReading(t, log, "site-7/meter/voltage", func(r reading) bool { return r.Quality == "bad" })
	require.WithinDuration(t, gone, time.Now(), 2*time.Second, "until the quality is bad")
	require.Nil(t, bad.Value)
	require.NotEmpty(t, bad.Error)

	w.plug()
	back := time.Now()
	awaitReading(t, log, "site-7/meter/voltage", func(r reading) bool { return good(r) && r.Time.After(gone) })
	require.WithinDuration(t, back, time.Now(), time.Second, "until the first good value")
	require.Equal(t, pid, b.cmd.Process.Pid)
	require.NoError(t, b.cmd.Process.Signal(syscall.Signal(0)))
}

func good(r reading) bool { return r.Quality == "good" }

// awaitReading waits for a reading of the topic for which cond holds.
func awaitReading(t *testing.T, log *process, topic string, cond func(reading) bool) (found reading) {
	t.Helper()
	await(t, "a certain reading of "+topic, func() bool {
		for _, m := range log.messages() {
			if m.topic == topic {
				if found = parseReading(t, m.payload); cond(found) {
					return true
				}
			}
		}
		return false
	})
	return found
}

type result struct {
	ID     string `json:"id"`
	OK     bool   `json:"ok"`
	Value  any    `json:"value"`
	Code   string `json:"code"`
	Detail string `json:"detail"`
}

func awaitResult(t *testing.T, log *process, topic, id string) (r result) {
	t.Helper()
	await(t, "the result of "+id, func() bool {
		for _, m := range log.messages() {
			if m.topic == topic && json.Unmarshal([]byte(m.payload), &r) == nil && r.ID == id {
				return true
			}
		}
		return false
	})
	return r
}
