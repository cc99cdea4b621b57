package broker_test

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"fieldgate/broker"
)

// TestJudge plays the conversations to mosquitto: wherever it behaves in another
// way, the script must say so and which clause decides. Run it with make judge.
func TestJudge(t *testing.T) {
	binary := os.Getenv("FIELDGATE_JUDGE")
	if binary == "" {
		t.Skip("make judge runs it: FIELDGATE_JUDGE is not the path of mosquitto")
	}
	faketime, err := filepath.Glob("/usr/lib/*/faketime/libfaketimeMT.so.1")
	require.NoError(t, err)
	require.Len(t, faketime, 1, "Debian package libfaketime, which lets mosquitto see clocks that are ahead of ours")
	texts := conversations(t)
	for _, name := range slices.Sorted(maps.Keys(texts)) {
		text := texts[name]
		if strings.Contains(text, "\n# ours: ") {
			continue
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			judge(t, text, &mosquittoServer{t: t, binary: binary, faketime: faketime[0], dir: t.TempDir(), cfg: broker.DefaultConfig()})
		})
	}
}

// judged is a script that is played to mosquitto.
type judged struct {
	*testing.T
	*player
	differs string // how mosquitto answered the last step, where that was not as we do
	told    bool   // the script tells it
	at      int    // line of the step
	untold  int
}

// judge plays one script and checks that it tells every difference, and none too many.
func judge(t *testing.T, text string, m *mosquittoServer) {
	how := stage{tcp: true, patience: 3 * time.Second, quietly: strings.Contains(text, "\nwait "), sorted: true}
	j := &judged{T: t}
	for n, line := range steps(t, text, &m.cfg) {
		if j.player == nil {
			j.player = newPlayer(t, how, m)
			m.start()
		}
		j.step(n, line)
	}
	j.tell()
}

// step plays a line: ours or, with a tilde, what the script says of mosquitto.
func (j *judged) step(n int, line string) {
	who, what, _ := strings.Cut(line, " ")
	what, _, _ = strings.Cut(what, " -- ")
	name, _, _ := strings.Cut(who, "~")
	switch {
	case strings.HasSuffix(who, "~?") && j.differs == "": // it may, and does not
	case strings.HasSuffix(who, "~?"), strings.HasSuffix(who, "~"):
		j.instead(n, name, what)
	case strings.HasSuffix(who, "~>"):
		require.NoError(j, j.player.send(name, what), "line %d", n)
	default:
		j.tell()
		require.LessOrEqual(j, j.untold, 20, "too many differences to go on")
		j.try(n, line)
	}
}

// try plays a step that both should answer alike. What acknowledges a packet that mosquitto never sent is left out.
func (j *judged) try(n int, line string) {
	who, what, _ := strings.Cut(line, " ")
	j.player.settle()
	j.at, j.told = n, false
	if strings.HasSuffix(who, ">") && !j.player.knows(what) {
		return
	}
	if err := j.player.step(line); err != nil {
		j.differs = j.player.observed(strings.TrimSuffix(who, "<"), err)
		j.player.open = ""
		if what == "closed" {
			j.player.open = strings.TrimSuffix(who, "<")
		}
	}
}

// instead checks what the script says that mosquitto does.
func (j *judged) instead(n int, name, what string) {
	if j.differs == "" && !j.told {
		j.Errorf("line %d: mosquitto does as we do", n)
	}
	j.differs, j.told = "", true
	if err := j.player.expect(name, what); err != nil {
		require.FailNow(j, fmt.Sprintf("line %d: %s~ %s: %v", n, name, what, err))
	}
}

// tell reports a difference that the script does not tell, and goes on behind it.
func (j *judged) tell() {
	if j.differs != "" {
		j.Errorf("line %d: mosquitto: %s", j.at, j.differs)
		j.untold++
		if name, _, ok := strings.Cut(j.differs, "~ "); ok && len(j.player.peers[name].held) > 0 {
			j.player.peers[name].held = j.player.peers[name].held[1:]
		}
	}
	j.differs = ""
}

// knows tells whether the packet identifier of what is sent was seen.
func (p *player) knows(what string) bool {
	f, _, err := parseFields(what)
	pid := f["pid"]
	_, bound := p.vars[pid]
	return err != nil || !strings.HasPrefix(pid, "$") || bound
}

// settle closes a connection that the broker should have closed.
func (p *player) settle() {
	if c := p.peers[p.open]; c != nil {
		c.nc.Close()
		<-c.gone
		delete(p.peers, p.open)
	}
	p.open = ""
}

// observed gives what mosquitto did, as a script would say it, and takes it.
func (p *player) observed(name string, err error) string {
	c := p.peers[name]
	if c == nil {
		return err.Error()
	}
	if raw := c.look(); raw != nil {
		return name + "~ " + asScript(render(raw, c.version))
	}
	select {
	case <-c.gone:
		return name + "~ closed"
	default:
		return name + "~ nothing"
	}
}

// asScript writes a packet as a script does.
func asScript(f fields) string {
	text := f[""]
	for _, key := range slices.Sorted(maps.Keys(f)) {
		switch value := f[key]; {
		case key == "":
		case strings.ContainsAny(value, " ="):
			text += fmt.Sprintf(" %s=%q", key, value)
		default:
			text += " " + key + "=" + value
		}
	}
	return text
}

// mosquittoServer is a process of Debian's broker as a script's counterpart.
type mosquittoServer struct {
	t        *testing.T
	binary   string
	faketime string // the library
	dir      string
	cfg      broker.Config
	address  string
	cmd      *exec.Cmd
	ahead    time.Duration // of the clocks that it sees
}

// wait puts its clocks forward. It looks at them, and at closed sockets, ten times a second.
func (m *mosquittoServer) wait(d time.Duration) {
	time.Sleep(300 * time.Millisecond)
	m.ahead += d
	require.NoError(m.t, os.WriteFile(m.file("ahead.new"), fmt.Appendf(nil, "+%f\n", m.ahead.Seconds()), 0o600))
	require.NoError(m.t, os.Rename(m.file("ahead.new"), m.file("ahead")))
	time.Sleep(300 * time.Millisecond)
}

func (m *mosquittoServer) file(name string) string { return filepath.Join(m.dir, name) }

// configure writes what of our settings mosquitto has too.
func (m *mosquittoServer) configure() {
	m.address = freeAddress(m.t)
	_, port, err := net.SplitHostPort(m.address)
	require.NoError(m.t, err)
	var b strings.Builder
	fmt.Fprintf(&b, "listener %s 127.0.0.1\nallow_anonymous true\n", port)
	fmt.Fprintf(&b, "max_qos %d\nmax_topic_alias %d\n", m.cfg.MaxQoS, m.cfg.MaxTopicAlias)
	fmt.Fprintf(&b, "queue_qos0_messages %t\n", m.cfg.QueueQoS0)
	fmt.Fprintf(&b, "persistence true\npersistence_location %s/\nuser root\n", m.dir)
	fmt.Fprintf(&b, "max_inflight_messages %d\nmax_packet_size %d\nretain_available %t\n", m.cfg.MaxInflight, m.cfg.MaxPacketSize, m.cfg.RetainAvailable)
	if m.cfg.MaxKeepAlive < 65535 {
		fmt.Fprintf(&b, "max_keepalive %d\n", m.cfg.MaxKeepAlive)
	}
	require.NoError(m.t, os.WriteFile(m.file("mosquitto.conf"), []byte(b.String()), 0o600))
}

// freeAddress gives an address that nobody listens on now.
func freeAddress(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	return l.Addr().String()
}

func (m *mosquittoServer) start() {
	if m.address == "" {
		m.configure()
		m.wait(0)
	}
	m.cmd = exec.Command(m.binary, "-c", m.file("mosquitto.conf"))
	m.cmd.Env = append(os.Environ(), "LD_PRELOAD="+m.faketime, "FAKETIME_TIMESTAMP_FILE="+m.file("ahead"), "FAKETIME_NO_CACHE=1")
	m.cmd.Stdout, m.cmd.Stderr = m.t.Output(), m.t.Output()
	require.NoError(m.t, m.cmd.Start())
	require.Eventually(m.t, func() bool {
		nc, err := net.Dial("tcp", m.address)
		if err != nil {
			return false
		}
		return nc.Close() == nil
	}, 20*time.Second, 10*time.Millisecond)
}

func (m *mosquittoServer) dial() (net.Conn, error) { return net.Dial("tcp", m.address) }

func (m *mosquittoServer) do(command string) error {
	switch command {
	case "stop":
		m.end(syscall.SIGTERM)
	case "restart":
		m.end(syscall.SIGTERM)
		m.start()
	case "crash":
		m.end(syscall.SIGKILL)
		m.start()
	case "hold", "release": // it has no commits that could be held
	default:
		return errors.New("mosquitto has no such command")
	}
	return nil
}

func (m *mosquittoServer) end(how syscall.Signal) {
	if m.cmd.ProcessState != nil {
		return
	}
	require.NoError(m.t, m.cmd.Process.Signal(how))
	_ = m.cmd.Wait() // a signal ended it
}

func (m *mosquittoServer) close() {
	if m.cmd != nil {
		m.end(syscall.SIGKILL)
	}
}
