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
	texts := conversations(t)
	for _, name := range slices.Sorted(maps.Keys(texts)) {
		text := texts[name]
		if strings.Contains(text, "\n# ours: ") {
			continue
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			judge(t, text, binary)
		})
	}
}

// judge plays one script and checks that it tells every difference, and none too many.
func judge(t *testing.T, text, binary string) {
	m := &mosquittoServer{t: t, binary: binary, dir: t.TempDir(), cfg: broker.DefaultConfig()}
	how := stage{tcp: true, patience: 3 * time.Second, quietly: strings.Contains(text, "\nwait "), sorted: true}
	var p *player
	differs := "" // how mosquitto answered the last step, where that was not as we do
	at, untold := 0, 0
	tell := func() {
		if differs != "" {
			t.Errorf("line %d: mosquitto: %s", at, differs)
			untold++
			if name, _, ok := strings.Cut(differs, "~ "); ok && len(p.peers[name].held) > 0 {
				p.peers[name].held = p.peers[name].held[1:]
			}
		}
		differs = ""
	}
	told := false
	for n, line := range steps(t, text, &m.cfg) {
		who, what, _ := strings.Cut(line, " ")
		theirs, isTheirs := strings.CutSuffix(who, "~")
		what, _, _ = strings.Cut(what, " -- ")
		if p == nil {
			p = newPlayer(t, how, m)
			m.start()
		}
		switch {
		case isTheirs && differs == "" && !told:
			t.Errorf("line %d: mosquitto does as we do", n)
		case isTheirs && what == "stop":
			return
		case isTheirs:
			differs, told = "", true
			if err := p.expect(theirs, what); err != nil {
				require.FailNow(t, fmt.Sprintf("line %d: %s: %v", n, line, err))
			}
		default:
			if tell(); untold > 20 {
				require.FailNow(t, "too many differences to go on")
			}
			p.settle()
			at, told = n, false
			if err := p.step(line); err != nil {
				differs = p.observed(strings.TrimSuffix(who, "<"), err)
				p.open = ""
				if what == "closed" {
					p.open = strings.TrimSuffix(who, "<")
				}
			}
		}
	}
	tell()
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
	t       *testing.T
	binary  string
	dir     string
	cfg     broker.Config
	address string
	cmd     *exec.Cmd
}

// configure writes what of our settings mosquitto has too.
func (m *mosquittoServer) configure() {
	m.address = freeAddress(m.t)
	_, port, err := net.SplitHostPort(m.address)
	require.NoError(m.t, err)
	var b strings.Builder
	fmt.Fprintf(&b, "listener %s 127.0.0.1\nallow_anonymous true\n", port)
	fmt.Fprintf(&b, "max_qos %d\nmax_topic_alias %d\n", m.cfg.MaxQoS, m.cfg.MaxTopicAlias)
	fmt.Fprintf(&b, "persistence true\npersistence_location %s/\nuser root\n", m.dir)
	fmt.Fprintf(&b, "max_inflight_messages %d\nmax_packet_size %d\nretain_available %t\n", m.cfg.MaxInflight, m.cfg.MaxPacketSize, m.cfg.RetainAvailable)
	if m.cfg.MaxKeepAlive < 65535 {
		fmt.Fprintf(&b, "max_keepalive %d\n", m.cfg.MaxKeepAlive)
	}
	require.NoError(m.t, os.WriteFile(filepath.Join(m.dir, "mosquitto.conf"), []byte(b.String()), 0o600))
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
	}
	m.cmd = exec.Command(m.binary, "-c", filepath.Join(m.dir, "mosquitto.conf"))
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
