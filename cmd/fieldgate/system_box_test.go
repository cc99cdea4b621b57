package main_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// patience bounds every wait of the system tests; none of them waits for it when all is well.
const patience = 30 * time.Second

// built makes the binary once for all system tests, with the race detector when the tests have it.
var built = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "fieldgate-system")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "fieldgate")
	out, err := exec.Command("go", "build", "-o", path, ".").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	return path, nil
})

// box is one gateway: a data folder, a host file, and a child process that may be killed and started again.
type box struct {
	t     *testing.T
	dir   string
	mqtt  string // host:port
	admin string // host:port
	uid   int    // of the gateway; 0 for that of the test
	cmd   *exec.Cmd
	log   *os.File
}

func newBox(t *testing.T) *box {
	t.Helper()
	b := &box{t: t, dir: t.TempDir(), mqtt: freePort(t), admin: freePort(t)}
	host := fmt.Sprintf(`data_dir: %s
log: {level: info}
mqtt:
  listeners: [{address: "%s"}]
  allow_anonymous: true
  max_queued_messages: 10000000
admin: {address: "%s"}
`, b.data(), b.mqtt, b.admin)
	require.NoError(t, os.WriteFile(b.config(), []byte(host), 0o600))
	var err error
	b.log, err = os.Create(filepath.Join(b.dir, "log"))
	require.NoError(t, err)
	t.Cleanup(func() {
		b.kill(syscall.SIGKILL)
		if t.Failed() {
			text, _ := os.ReadFile(b.log.Name())
			t.Logf("log of the gateway:\n%s", tail(text, 6000))
		}
		b.log.Close()
	})
	return b
}

func tail(b []byte, n int) []byte { return b[max(0, len(b)-n):] }

func (b *box) data() string   { return filepath.Join(b.dir, "data") }
func (b *box) config() string { return filepath.Join(b.dir, "fieldgate.yaml") }

// start runs `fieldgate serve` and returns once the broker accepts connections.
func (b *box) start() {
	b.t.Helper()
	b.spawn()
	awaitPort(b.t, b.mqtt)
}

// spawn runs `fieldgate serve`.
func (b *box) spawn() {
	b.t.Helper()
	path, err := built()
	require.NoError(b.t, err)
	b.cmd = exec.Command(path, "serve", "--config", b.config())
	b.cmd.Stdout, b.cmd.Stderr = b.log, b.log
	b.cmd.Env = append(os.Environ(), "TMPDIR="+b.dir)
	b.cmd.SysProcAttr = b.identity()
	b.cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
	// The death signal comes when the thread that started the child ends.
	runtime.LockOSThread()
	err = b.cmd.Start()
	runtime.UnlockOSThread()
	require.NoError(b.t, err)
}

// identity says as whom the gateway runs.
func (b *box) identity() *syscall.SysProcAttr {
	attr := &syscall.SysProcAttr{}
	if b.uid != 0 {
		attr.Credential = &syscall.Credential{Uid: uint32(b.uid), Gid: uint32(b.uid)}
	}
	return attr
}

// kill ends the gateway with a signal and waits until it is gone.
func (b *box) kill(s syscall.Signal) {
	if b.cmd == nil || b.cmd.Process == nil {
		return
	}
	_ = b.cmd.Process.Signal(s)
	_ = b.cmd.Wait()
	b.cmd = nil
}

// fieldgate runs a command of the same binary with the box's host file.
func (b *box) fieldgate(args ...string) string {
	b.t.Helper()
	path, err := built()
	require.NoError(b.t, err)
	out, err := exec.Command(path, append(args, "--config", b.config())...).CombinedOutput()
	require.NoError(b.t, err, "%s", out)
	return string(out)
}

// apply puts managed settings in force.
func (b *box) apply(yaml string) {
	b.t.Helper()
	file := filepath.Join(b.dir, "settings.yaml")
	require.NoError(b.t, os.WriteFile(file, []byte(yaml), 0o600))
	b.fieldgate("config", "apply", file)
}

func freePort(t *testing.T) string {
	t.Helper()
	return freePorts(t, 1)[0]
}

// freePorts gives addresses that nobody listens on now, each another.
func freePorts(t *testing.T, n int) (addresses []string) {
	t.Helper()
	for range n {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		defer ln.Close() // only then are all of them different
		addresses = append(addresses, ln.Addr().String())
	}
	return addresses
}

func awaitPort(t *testing.T, address string) {
	t.Helper()
	await(t, "something listens on "+address, func() bool {
		c, err := net.DialTimeout("tcp", address, time.Second)
		if err != nil {
			return false
		}
		c.Close()
		return true
	})
}

// await looks at a condition outside this process until it holds.
func await(t *testing.T, what string, cond func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if cond() {
			return
		}
	}
	t.Fatalf("waited in vain until %s", what)
}

// need finds a program of Debian's; under CI it must be there.
func need(t *testing.T, program string) string {
	t.Helper()
	for _, dir := range []string{"/usr/bin/", "/usr/sbin/"} {
		if _, err := os.Stat(dir + program); err == nil {
			return dir + program
		}
	}
	if os.Getenv("CI") == "true" {
		t.Fatalf("%s is missing: run make install-tools", program)
	}
	t.Skipf("%s is not installed", program)
	return ""
}

// process is a child whose output is gathered line by line.
type process struct {
	t    *testing.T
	cmd  *exec.Cmd
	name string

	mu    sync.Mutex
	lines []string
	done  chan struct{}
}

func launch(t *testing.T, name string, args ...string) *process {
	t.Helper()
	p := &process{t: t, cmd: exec.Command(name, args...), name: filepath.Base(name), done: make(chan struct{})}
	r, w := io.Pipe()
	p.cmd.Stdout, p.cmd.Stderr = w, w
	require.NoError(t, p.cmd.Start())
	go func() { // ends with the child, which Cleanup waits for
		defer close(p.done)
		for s := bufio.NewScanner(r); s.Scan(); {
			p.mu.Lock()
			p.lines = append(p.lines, s.Text())
			p.mu.Unlock()
		}
	}()
	t.Cleanup(func() {
		p.stop(syscall.SIGKILL)
		w.Close()
		<-p.done
		if t.Failed() {
			t.Logf("output of %s:\n%s", p.name, tail([]byte(strings.Join(p.lines, "\n")), 3000))
		}
	})
	return p
}

func (p *process) stop(s syscall.Signal) {
	if p.cmd.ProcessState == nil {
		_ = p.cmd.Process.Signal(s)
		_ = p.cmd.Wait()
	}
}

func (p *process) output() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]string(nil), p.lines...)
}

// awaitLine waits for a line that contains the text.
func (p *process) awaitLine(text string) string {
	p.t.Helper()
	var found string
	await(p.t, p.name+" prints "+text, func() bool {
		for _, line := range p.output() {
			if strings.Contains(line, text) {
				found = line
				return true
			}
		}
		return false
	})
	return found
}

// cloud is Debian's mosquitto with its state on disk, so that it keeps its sessions over a restart.
type cloud struct {
	t       *testing.T
	address string
	file    string
	proc    *process
}

func newCloud(t *testing.T) *cloud {
	t.Helper()
	c := &cloud{t: t, address: freePort(t)}
	dir := t.TempDir()
	host, port, _ := net.SplitHostPort(c.address)
	c.file = filepath.Join(dir, "mosquitto.conf")
	conf := fmt.Sprintf("listener %s %s\nallow_anonymous true\nuser root\npersistence true\npersistence_location %s/\n"+
		"max_queued_messages 0\nmax_inflight_messages 1000\n", port, host, dir)
	require.NoError(t, os.WriteFile(c.file, []byte(conf), 0o600))
	c.start()
	return c
}

func (c *cloud) start() {
	c.t.Helper()
	c.proc = launch(c.t, need(c.t, "mosquitto"), "-c", c.file)
	awaitPort(c.t, c.address)
}

// record runs mosquitto_sub with a persistent session and returns once it is subscribed.
func record(t *testing.T, address, id string, topics ...string) *process {
	t.Helper()
	host, port, _ := net.SplitHostPort(address)
	// Without stdbuf what it prints stays in its buffer: a pipe is no terminal.
	args := []string{"-oL", need(t, "mosquitto_sub"), "-h", host, "-p", port, "-i", id, "-c", "-q", "1", "-d", "-F", "MESSAGE %r %t %p"}
	for _, topic := range topics {
		args = append(args, "-t", topic)
	}
	p := launch(t, need(t, "stdbuf"), args...)
	p.awaitLine("Subscribed")
	return p
}

// message is one line of a recorder.
type message struct {
	retained       bool
	topic, payload string
}

func (p *process) messages() []message {
	var all []message
	for _, line := range p.output() {
		if rest, ok := strings.CutPrefix(line, "MESSAGE "); ok {
			f := strings.SplitN(rest, " ", 3)
			all = append(all, message{f[0] == "1", f[1], f[2]})
		}
	}
	return all
}

func publish(t *testing.T, address, topic, payload string) {
	t.Helper()
	host, port, _ := net.SplitHostPort(address)
	out, err := exec.Command(need(t, "mosquitto_pub"), "-h", host, "-p", port, "-q", "1", "-t", topic, "-m", payload).CombinedOutput()
	require.NoError(t, err, "%s", out)
}

// reading is the payload of a point.
type reading struct {
	Value   any       `json:"value"`
	Unit    string    `json:"unit"`
	Quality string    `json:"quality"`
	Error   string    `json:"error"`
	Time    time.Time `json:"time"`
}

func parseReading(t *testing.T, payload string) (r reading) {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader([]byte(payload)))
	require.NoError(t, d.Decode(&r), "%s", payload)
	return r
}
