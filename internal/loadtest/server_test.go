package loadtest_test

import (
	"bufio"
	"errors"
	"fmt"
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

// kind is a broker that may be started.
type kind string

const (
	fieldgate kind = "fieldgate"
	mosquitto kind = "mosquitto"
)

// program finds a broker's binary: FIELDGATE names ours, MOSQUITTO Debian's. Empty means that there is none.
func (k kind) program() string {
	path := os.Getenv(strings.ToUpper(string(k)))
	if path == "" && k == mosquitto {
		path = "/usr/sbin/mosquitto"
	}
	if _, err := os.Stat(path); err != nil {
		return ""
	}
	return path
}

// server is a broker in a process and an empty folder of its own.
type server struct {
	t         testing.TB
	kind      kind
	dir       string
	address   string
	listeners string   // more of ours, as YAML
	env       []string // of the process
	cmd       *exec.Cmd
}

// launch starts a broker; change may alter it before.
func launch(t testing.TB, k kind, change func(s *server)) *server {
	t.Helper()
	dir, err := os.MkdirTemp("", "fieldgate-load") // on the disk that the product would use
	require.NoError(t, err)
	s := &server{t: t, kind: k, dir: dir, address: freePort(t)}
	if change != nil {
		change(s)
	}
	config := fmt.Sprintf(`data_dir: %s/data
log: {level: warn}
mqtt:
  listeners: [{address: "%s", max_connection_rate: 1000000}%s] # the rate is a choice, not a speed
  allow_anonymous: true
  max_connections: 12000
  max_inflight: 100
  max_queued_messages: 1000000
  max_queued_bytes: 4294967296
admin: {address: "%s"}
`, dir, s.address, s.listeners, freePort(t))
	if k == mosquitto {
		host, port, _ := net.SplitHostPort(s.address)
		config = fmt.Sprintf("listener %s %s\nallow_anonymous true\nuser root\nmax_inflight_messages 100\nmax_queued_messages 0\n"+
			"persistence true\npersistence_location %s/\nlog_type error\n", port, host, dir)
	}
	require.NoError(t, os.WriteFile(s.config(), []byte(config), 0o600))
	s.start()
	return s
}

func (s *server) config() string { return filepath.Join(s.dir, "broker.conf") }

// start runs the broker and returns when it accepts connections.
func (s *server) start() {
	s.t.Helper()
	args := "serve --config"
	if s.kind == mosquitto {
		args = "-c"
	}
	line := fmt.Sprintf("ulimit -n $(ulimit -Hn); exec %s %s %s >>%s/log 2>&1", s.kind.program(), args, s.config(), s.dir)
	s.cmd = exec.Command("sh", "-c", line)
	s.cmd.Env = append(os.Environ(), s.env...)
	require.NoError(s.t, s.cmd.Start())
	for end := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		nc, err := net.Dial("tcp", s.address)
		if err == nil {
			_ = nc.Close()
			return
		}
		if time.Now().After(end) {
			log, _ := os.ReadFile(s.dir + "/log")
			s.kill(syscall.SIGKILL)
			require.FailNow(s.t, "the broker does not start", "%s", log)
		}
	}
}

// kill ends the process with a signal and waits until it is gone.
func (s *server) kill(sig syscall.Signal) {
	if s.cmd == nil {
		return
	}
	_ = s.cmd.Process.Signal(sig)
	force := time.AfterFunc(patience, func() { _ = s.cmd.Process.Kill() })
	_ = s.cmd.Wait()
	force.Stop()
	s.cmd = nil
}

// stop ends the broker and removes its folder.
func (s *server) stop() {
	s.kill(syscall.SIGTERM)
	_ = os.RemoveAll(s.dir)
}

func freePort(t testing.TB) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { _ = ln.Close() }()
	return ln.Addr().String()
}

// proc is what the system says of a process.
type proc struct {
	at          time.Time
	cpu         time.Duration // user and system
	rss         int64         // bytes
	private     int64         // bytes of rss that are not pages of a file
	writes      int64         // bytes to the disk
	threads     int
	descriptors int
}

var errGone = errors.New("the process is gone")

func (s *server) look() proc {
	s.t.Helper()
	if s.cmd == nil {
		require.NoError(s.t, errGone)
	}
	p, err := readProc(s.cmd.Process.Pid)
	require.NoError(s.t, err)
	return p
}

// readProc reads /proc; the CPU time comes in steps of 10 ms.
func readProc(pid int) (p proc, err error) {
	dir := fmt.Sprintf("/proc/%d/", pid)
	p.at = time.Now()
	stat, err := os.ReadFile(dir + "stat")
	if err != nil {
		return p, err
	}
	var user, system int64
	after := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	if len(after) < 13 {
		return p, errGone
	}
	if _, err = fmt.Sscan(after[11]+" "+after[12], &user, &system); err != nil {
		return p, err
	}
	p.cpu = time.Duration(user+system) * 10 * time.Millisecond
	for _, name := range []string{"status", "io"} {
		file, err := os.Open(dir + name)
		if err != nil {
			return p, err
		}
		for lines := bufio.NewScanner(file); lines.Scan(); {
			line := lines.Text()
			if n, err := fmt.Sscanf(line, "VmRSS: %d kB", &p.rss); n == 1 && err == nil {
				p.rss <<= 10
			}
			if n, err := fmt.Sscanf(line, "RssAnon: %d kB", &p.private); n == 1 && err == nil {
				p.private <<= 10
			}
			_, _ = fmt.Sscanf(line, "Threads: %d", &p.threads)
			_, _ = fmt.Sscanf(line, "write_bytes: %d", &p.writes)
		}
		_ = file.Close()
	}
	open, err := os.ReadDir(dir + "fd")
	p.descriptors = len(open)
	return p, err
}
