package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const patience = 30 * time.Second

// site is a host file with a data folder, and the service when it runs.
type site struct {
	t    *testing.T
	dir  string
	host string
}

func newSite(t *testing.T) *site {
	s := &site{t: t, dir: t.TempDir()}
	s.host = filepath.Join(s.dir, "fieldgate.yaml")
	text := fmt.Sprintf("data_dir: %s/data\nadmin: {address: '127.0.0.1:0'}\nmqtt: {listeners: [{address: '127.0.0.1:0'}]}\n", s.dir)
	require.NoError(t, os.WriteFile(s.host, []byte(text), 0o600))
	return s
}

// cli runs a command line in this process.
func (s *site) cli(stdin string, args ...string) (status int, out, errs string) {
	s.t.Helper()
	var stdout, stderr bytes.Buffer
	status = execute(s.t.Context(), stdio{in: strings.NewReader(stdin), out: &stdout, err: &stderr}, append(args, "--config", s.host))
	return status, stdout.String(), stderr.String()
}

// done runs a command line that must succeed.
func (s *site) done(stdin string, args ...string) string {
	s.t.Helper()
	status, out, errs := s.cli(stdin, args...)
	require.Equal(s.t, statusDone, status, "%v: %s", args, errs)
	return out
}

func (s *site) write(name, text string) string {
	path := filepath.Join(s.dir, name)
	require.NoError(s.t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

// service is fieldgate serve as a child process.
type service struct {
	cmd  *exec.Cmd
	done chan error

	mu  sync.Mutex
	log []string
}

// serve starts the service and waits until the command line can talk to it.
func (s *site) serve() *service {
	s.t.Helper()
	v := &service{cmd: exec.Command(os.Args[0], "serve", "--config", s.host), done: make(chan error, 1)}
	v.cmd.Env = append(os.Environ(), asFieldgate+"=1")
	stderr, err := v.cmd.StderrPipe()
	require.NoError(s.t, err)
	require.NoError(s.t, v.cmd.Start())
	go func() {
		v.follow(stderr)
		v.done <- v.cmd.Wait()
	}()
	s.t.Cleanup(func() { v.stop(s.t, syscall.SIGKILL) })
	socket := filepath.Join(s.dir, "data", "admin.sock")
	require.Eventually(s.t, func() bool {
		conn, err := net.Dial("unix", socket)
		if err != nil {
			return false
		}
		return conn.Close() == nil
	}, patience, 10*time.Millisecond, "%s", v.text())
	return v
}

func (v *service) follow(r io.Reader) {
	for lines := bufio.NewScanner(r); lines.Scan(); {
		v.mu.Lock()
		v.log = append(v.log, lines.Text())
		v.mu.Unlock()
	}
}

func (v *service) text() string {
	v.mu.Lock()
	defer v.mu.Unlock()
	return strings.Join(v.log, "\n")
}

// stop sends the signal and gives how the process ended and how long that took.
func (v *service) stop(t *testing.T, signal syscall.Signal) (time.Duration, error) {
	t.Helper()
	start := time.Now()
	_ = v.cmd.Process.Signal(signal) // it may have ended
	select {
	case err := <-v.done:
		v.done <- err // for who asks again
		return time.Since(start), err
	case <-time.After(patience):
		t.Fatalf("the service does not end:\n%s", v.text())
		return 0, nil
	}
}

func TestServe_EndsWithinTenSecondsOfSIGTERM(t *testing.T) {
	v := newSite(t).serve()
	require.Eventually(t, func() bool { return strings.Contains(v.text(), "admin page") }, patience, 10*time.Millisecond)
	took, err := v.stop(t, syscall.SIGTERM)
	require.NoError(t, err, "%s", v.text())
	require.Less(t, took, 10*time.Second)
	require.Contains(t, v.text(), "fieldgate stopped")
}

func TestServe_ASecondOneSaysWhoHasTheData(t *testing.T) {
	s := newSite(t)
	v := s.serve()
	status, _, errs := s.cli("", "serve")
	require.Equal(t, statusFailed, status)
	require.Contains(t, errs, fmt.Sprint(v.cmd.Process.Pid))
}

func TestServe_BeginsAnewWhenAskedTo(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", "") // systemd would do it
	s := newSite(t)
	v := s.serve()
	starts := func() int { return strings.Count(v.text(), "msg=\"fieldgate starts\"") }
	require.Equal(t, 1, starts())
	require.NoError(t, withClient(t.Context(), stdio{err: io.Discard}, s.host, func(c *client) error {
		return c.call(t.Context(), http.MethodPost, "/system/restart", nil, nil)
	}))
	require.Eventually(t, func() bool { return starts() == 2 && strings.Count(v.text(), "admin page") == 2 }, patience, 10*time.Millisecond, "%s", v.text())
	require.NotEmpty(t, s.done("", "config", "export"))
	_, err := v.stop(t, syscall.SIGTERM)
	require.NoError(t, err)
}

func TestRestart_IsRefusedWhereNobodyWouldStartItAgain(t *testing.T) {
	s := newSite(t)
	err := withClient(t.Context(), stdio{err: io.Discard}, s.host, func(c *client) error {
		return c.call(t.Context(), http.MethodPost, "/system/restart", nil, nil)
	})
	require.ErrorContains(t, err, "nobody would start it again")
}

func TestCommands_WorkThroughTheServiceAndWithoutIt(t *testing.T) {
	for _, tt := range []struct {
		name    string
		serving bool
	}{{"through the service", true}, {"without it", false}} {
		t.Run(tt.name, func(t *testing.T) {
			s := newSite(t)
			if tt.serving {
				s.serve()
			}
			require.Regexp(t, `^\d{4}-\d{4}\n$`, s.done("", "setup-code"))
			require.Equal(t, "bridges: []\nuplinks: []\naccounts: []\naccess_rules: []\n", s.done("", "config", "export"))

			require.Empty(t, s.done("from stdin\n", "account", "add", "sensor"))
			require.Regexp(t, `^password: [A-Z0-9]{16}\n$`, s.done("", "account", "add", "other"))
			require.Empty(t, s.done("another\n", "account", "passwd", "sensor"))
			require.Equal(t, "sensor  may log in\nother   may log in\n", s.done("", "account", "list"))
			require.Empty(t, s.done("", "account", "remove", "other"))
			require.Empty(t, s.done("", "user", "list"))
			require.Equal(t, "bridges: []\nuplinks: []\naccounts:\n  - {username: sensor, password: {secret: sensor-password}}\naccess_rules: []\n", s.done("", "config", "export"))

			file := s.write("site.yaml", "uplinks:\n  - id: cloud\n    url: mqtt://127.0.0.1:1\n    username: gw\n    password: topsecret\n    out: [{filter: 'fieldgate/#', qos: 1}]\n")
			dry := s.done("", "config", "apply", file, "--dry-run")
			require.Contains(t, dry, "add uplinks/cloud\n")
			require.Equal(t, dry, s.done("", "config", "diff", file))
			require.NotContains(t, s.done("", "config", "export"), "cloud")
			require.Contains(t, s.done("", "config", "apply", file), "revision 5\n")
			exported := s.done("", "config", "export")
			require.Contains(t, exported, "password: {secret: cloud-password}")
			require.NotContains(t, exported, "topsecret")
			require.Equal(t, "nothing changes\n", s.done(exported, "config", "apply", "-"))
		})
	}
}

func TestCommands_SayWhatIsWrong(t *testing.T) {
	s := newSite(t)
	broken := s.write("broken.yaml", "uplinks:\n  - id: cloud\n    url: mqtt://x\n    out: [{filter: 'a/#/b'}]\n  - id: cloud2\n    urll: mqtt://x\n")
	wrongHost := s.write("wrong.yaml", "mqtt:\n  max_inflght: 3\n")
	for _, tt := range []struct {
		name   string
		args   []string
		status int
		want   string
	}{
		{"no command", nil, statusUsage, "a command is missing"},
		{"an unknown command", []string{"server"}, statusUsage, `unknown command "server"`},
		{"an unknown flag", []string{"serve", "--port", "1"}, statusUsage, "unknown flag: --port"},
		{"a missing argument", []string{"account", "add"}, statusUsage, "accepts 1 arg(s), received 0"},
		{"half a command", []string{"config"}, statusUsage, "fieldgate config: a command is missing"},
		{"an account that is not there", []string{"account", "passwd", "nobody"}, statusFailed, "there is no such account"},
		{"a person who is not there", []string{"user", "reset", "nobody"}, statusFailed, "there is no user of that name"},
		{"a file that is not there", []string{"config", "apply", s.dir + "/none.yaml"}, statusFailed, "none.yaml: no such file or directory"},
		{"faults with lines", []string{"config", "apply", broken}, statusFailed, broken + ":6: uplinks[1].urll: there is no such key; did you mean \"url\"?"},
		{"a backup to where nothing can be written", []string{"backup", s.dir + "/none/x"}, statusFailed, "no such file or directory"},
		{"a backup that is not there", []string{"restore", s.dir + "/none"}, statusFailed, "none: no such file or directory"},
		{"a time below zero", []string{"modbus", "read", "0", "--tcp", "127.0.0.1:1", "--timeout", "-5s"}, statusUsage, "--timeout must not be below 0s"},
		{"a wrong address of the demo", []string{"demo", "--admin", "nonsense"}, statusFailed, "must be host:port"},
		{"a wrong address of its broker", []string{"demo", "--mqtt", "nonsense"}, statusFailed, "must be host:port"},
		{"a wrong host file for the bus", []string{"modbus", "read", "0", "--tcp", "127.0.0.1:1", "--config", wrongHost}, statusFailed, "max_inflght"},
		{"a wrong host file", []string{"check", "--config", wrongHost}, statusFailed, wrongHost + `:2: mqtt.max_inflght: there is no such key; did you mean "max_inflight"?`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			args := tt.args
			if len(args) > 1 && !slices.Contains(args, "--config") {
				args = append(args, "--config", s.host)
			}
			status := execute(t.Context(), stdio{in: strings.NewReader(""), out: &stdout, err: &stderr}, args)
			require.Contains(t, stderr.String(), tt.want)
			require.Equal(t, tt.status, status, "%s", stderr.String())
		})
	}
	require.Equal(t, s.host+": ok\n", s.done("", "check"))
}
