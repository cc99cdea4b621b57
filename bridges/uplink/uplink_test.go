package uplink_test

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"fieldgate/bridges"
	"fieldgate/broker/mqtt"
)

// mosquitto starts Debian's broker on a free port with extra configuration lines.
func mosquitto(t *testing.T, lines ...string) (address string) {
	t.Helper()
	program := need(t, "mosquitto")
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	address = ln.Addr().String()
	_, port, _ := net.SplitHostPort(address)
	file := filepath.Join(t.TempDir(), "mosquitto.conf")
	conf := append([]string{"listener " + port + " 127.0.0.1", "user root"}, lines...)
	require.NoError(t, os.WriteFile(file, []byte(strings.Join(conf, "\n")+"\n"), 0o600))
	ln.Close()
	cmd := exec.Command(program, "-c", file)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	require.Eventually(t, func() bool {
		c, err := net.Dial("tcp", address)
		if err == nil {
			c.Close()
		}
		return err == nil
	}, patience, 10*time.Millisecond)
	return address
}

// subscriber runs mosquitto_sub and gives the lines that it prints once it is subscribed.
func subscriber(t *testing.T, address string, args ...string) *bufio.Scanner {
	t.Helper()
	host, port, _ := net.SplitHostPort(address)
	// Without stdbuf what it prints stays in its buffer: a pipe is no terminal.
	cmd := exec.Command("stdbuf", append([]string{"-oL", need(t, "mosquitto_sub"), "-W", "30", "-h", host, "-p", port, "-d", "-v"}, args...)...)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if strings.HasPrefix(lines.Text(), "Subscribed") {
			return lines
		}
	}
	t.Fatal("mosquitto_sub did not subscribe")
	return nil
}

func nextMessage(t *testing.T, lines *bufio.Scanner) string {
	t.Helper()
	for lines.Scan() {
		if line := lines.Text(); !strings.HasPrefix(line, "Client ") {
			return line
		}
	}
	t.Fatal("mosquitto_sub ended")
	return ""
}

func TestUplink_CarriesBothWaysThroughMosquitto(t *testing.T) {
	address := mosquitto(t, "allow_anonymous true")
	cloud := subscriber(t, address, "-t", "site-7/#", "-q", "1")
	g := newGateway()
	start(t, g, fmt.Sprintf(`{"id":"cloud","url":"mqtt://%s",
		"out":[{"filter":"fieldgate/#","qos":1,"local_prefix":"fieldgate/","remote_prefix":"site-7/"}],
		"in":[{"filter":"cmd/site-7/#","qos":1,"remote_prefix":"cmd/site-7/","local_prefix":"fieldgate/"}]}`, address))
	g.awaitState(t, bridges.Connected)
	const n = 350 // more than three windows
	for i := range n {
		g.offer("fieldgate/meter/power", fmt.Sprint(i), mqtt.AtLeastOnce)
	}
	for i := range n {
		require.Equal(t, fmt.Sprintf("site-7/meter/power %d", i), nextMessage(t, cloud))
	}
	g.await(t, "the queue is empty", func() bool { return g.waiting() == 0 })

	host, port, _ := net.SplitHostPort(address)
	publish := func() {
		require.NoError(t, exec.Command(need(t, "mosquitto_pub"), "-h", host, "-p", port, "-q", "1",
			"-t", "cmd/site-7/relay/1/set", "-m", "true").Run())
	}
	publish()
	g.await(t, "the command came down", func() bool { return len(g.down) == 1 })
	require.Equal(t, "fieldgate/relay/1/set", g.down[0].Topic)
	require.Equal(t, "true", string(g.down[0].Payload))
	require.Equal(t, "$uplink/cloud", g.down[0].Origin)
}

func TestUplink_SaysWhyItIsRefused(t *testing.T) {
	passwords := filepath.Join(t.TempDir(), "passwords")
	require.NoError(t, os.WriteFile(passwords, nil, 0o644))
	address := mosquitto(t, "allow_anonymous false", "password_file "+passwords)
	g := newGateway()
	start(t, g, fmt.Sprintf(`{"id":"cloud","url":"mqtt://%s","username":"x","password":"y","out":[{"filter":"#"}]}`, address))
	require.Contains(t, g.awaitState(t, bridges.Disconnected), "username")
}

func TestUplink_SaysWhatToDoWhenNothingListens(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	ln.Close()
	g := newGateway()
	start(t, g, fmt.Sprintf(`{"id":"cloud","url":"mqtt://%s","out":[{"filter":"#"}]}`, ln.Addr()))
	require.Contains(t, g.awaitState(t, bridges.Disconnected), "nothing listens")
}
