package config_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"fieldgate/gateway/config"
	"fieldgate/storage"
)

func TestLoad_WithoutAFileGivesTheDefaults(t *testing.T) {
	file, err := config.Load("")
	require.NoError(t, err)
	require.Equal(t, "./fieldgate-data", file.DataDir)
	require.Equal(t, config.Log{Level: "info", Format: "text"}, file.Log)
	require.Equal(t, "127.0.0.1:8080", file.Admin.Address)
	require.Equal(t, file.DataDir, file.Admin.DataDir)
	require.Equal(t, storage.PowerSafe, file.Spool.Durability)
	empty, err := config.Parse("empty.yaml", nil)
	require.NoError(t, err)
	require.Equal(t, "empty.yaml", empty.Name)
	empty.Name = ""
	require.Equal(t, file, empty)
}

func TestLoad_ReadsTheFileThatThePackageInstalls(t *testing.T) {
	file, err := config.Load("../../packaging/fieldgate.yaml")
	require.NoError(t, err)
	require.Equal(t, "/var/lib/fieldgate", file.DataDir)
	require.Equal(t, ":8080", file.Admin.Address)
	var listeners []string
	for _, l := range file.MQTT.Listeners {
		listeners = append(listeners, fmt.Sprint(l.Address, " ", l.Transport, " ", l.TLS != nil))
	}
	require.Equal(t, []string{":1883  false", ":8883  true", ":8083 websocket false"}, listeners)
	require.Equal(t, "auto", file.Admin.TLS.Mode)
}

func TestParse_TakesWhatIsSaid(t *testing.T) {
	file, err := config.Parse("f.yaml", []byte(`
data_dir: /srv/gate
log: {level: debug, format: json}
spool: {durability: crash_safe, ack_window: 50ms, min_free_disk: 1GiB}
admin: {address: ":0", tls: auto}
`))
	require.NoError(t, err)
	require.Equal(t, "/srv/gate", file.DataDir)
	require.Equal(t, "/srv/gate", file.Storage().DataDir)
	require.Equal(t, config.Log{Level: "debug", Format: "json"}, file.Log)
	require.Equal(t, 50*time.Millisecond, file.Spool.AckWindow)
	require.EqualValues(t, 1<<30, file.Spool.MinFreeDisk)
	require.Equal(t, "auto", file.Admin.TLS.Mode)
}

func TestParse_NamesFileLineKeyAndTheNearestKnownKey(t *testing.T) {
	for _, tt := range []struct{ name, yaml, want string }{
		{"unknown key", "mqtt:\n  max_inflght: 3\n", `f.yaml:2: mqtt.max_inflght: there is no such key; did you mean "max_inflight"?`},
		{"unknown block", "log: {level: info}\nmqttt: {}\n", `f.yaml:2: mqttt: there is no such key; did you mean "mqtt"?`},
		{"unknown key in a list", "mqtt:\n  listeners:\n    - address: :1\n    - adress: :2\n", `f.yaml:4: mqtt.listeners[1].adress: there is no such key; did you mean "address"?` + "\nf.yaml:4: mqtt.listeners[1].address: must be host:port or unix:PATH"},
		{"wrong type", "mqtt: {max_inflight: many}\n", "f.yaml:1: mqtt.max_inflight: must be a whole number, not text"},
		{"a number for a text", "data_dir: 7\n", "f.yaml:1: data_dir: must be text (put it in quotes), not a number"},
		{"a time without a unit", "spool:\n  ack_window: 20\n", `f.yaml:2: spool.ack_window: must be a time with its unit, such as "500ms", "10s", "1m" or "24h", not a number`},
		{"out of range", "spool: {ack_window: 1h, ack_window_max: 1h}\n", "f.yaml:1: spool.ack_window: must be 0s to 10s\nf.yaml:1: spool.ack_window_max: must be 0s to 10s"},
		{"no such word", "log:\n  format: text\n  level: infos\n", `f.yaml:3: log.level: must be one of debug, info, warn, error; did you mean "info"?`},
		{"an address that is none", "admin:\n  address: 8080\n", "f.yaml:2: admin.address: must be text (put it in quotes), not a number"},
		{"twice", "data_dir: a\ndata_dir: b\n", "f.yaml:2: data_dir stands here and on line 1"},
		{"a list", "- a\n", "f.yaml:1: must be an object, not a list"},
		{"all at once", "log: {level: x}\nspool: {durability: none}\ndata_dirr: 1\n", "f.yaml:1: log.level: must be one of debug, info, warn, error\n" +
			"f.yaml:2: spool.durability: must be power_safe or crash_safe\n" + `f.yaml:3: data_dirr: there is no such key; did you mean "data_dir"?`},
		{"an empty data_dir", "data_dir: ''\n", "f.yaml:1: data_dir: must name a directory"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := config.Parse("f.yaml", []byte(tt.yaml))
			require.EqualError(t, err, tt.want)
		})
	}
}

func TestLoad_SaysWhyAFileCannotBeRead(t *testing.T) {
	dir := t.TempDir()
	_, err := config.Load(filepath.Join(dir, "none.yaml"))
	require.EqualError(t, err, "read host file "+filepath.Join(dir, "none.yaml")+": no such file or directory")
	large := filepath.Join(dir, "large.yaml")
	require.NoError(t, os.WriteFile(large, []byte(strings.Repeat("#", 1<<20+1)), 0o600))
	_, err = config.Load(large)
	require.EqualError(t, err, "read host file "+large+": it has more than 1048576 bytes")
}

func FuzzHostFile(f *testing.F) {
	for _, seed := range []string{
		"data_dir: /var/lib/fieldgate\nlog: {level: info, format: json}\n",
		"mqtt:\n  listeners:\n    - address: 127.0.0.1:1883\n", "spool: {durability: power_safe, min_free_disk: 200MiB}\n", "admin: {tls: {cert_file: a, key_file: b}}\n", "a: &a [*a]", "- 1",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		if len(src) > 4096 {
			return
		}
		file, err := config.Parse("f.yaml", src)
		if err != nil {
			for line := range strings.SplitSeq(err.Error(), "\n") {
				if strings.HasPrefix(line, "f.yaml:") {
					return
				}
			}
			t.Fatalf("an error without file and line: %v", err)
		}
		require.NoError(t, file.Storage().Validate())
		require.NoError(t, file.Admin.Validate())
		require.NoError(t, file.MQTT.Validate())
	})
}
