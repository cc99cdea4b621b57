package port_test

import (
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"fieldgate/bridges/internal/port"
)

func config(path string) port.Config {
	return port.Config{Path: path, Baud: 19200, Format: port.Format{DataBits: 8, Parity: 'N', StopBits: 1}}
}

func openPTY(t *testing.T, link string) *port.PTY {
	t.Helper()
	pty, err := port.OpenPTY(link)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, pty.Close()) })
	return pty
}

func openPort(t *testing.T, ports *port.Ports, path string) *port.Port {
	t.Helper()
	p, err := ports.Open(config(path), "bridge cabinet")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, p.Close()) })
	return p
}

func soon() time.Time { return time.Now().Add(5 * time.Second) }

func echo(t *testing.T, pty *port.PTY, p *port.Port) {
	t.Helper()
	sent := []byte{0, 1, 3, 4, 13, 10, 17, 19, 26, 127, 255}
	require.NoError(t, p.Write(sent, soon()))
	got := make([]byte, len(sent))
	_, err := io.ReadFull(pty, got)
	require.NoError(t, err)
	require.Equal(t, sent, got)
	_, err = pty.Write(sent)
	require.NoError(t, err)
	got = got[:0]
	for b := make([]byte, 32); len(got) < len(sent); {
		n, err := p.Read(b, soon())
		require.NoError(t, err)
		got = append(got, b[:n]...)
	}
	require.Equal(t, sent, got)
}

func TestPort_CarriesAllBytesBothWays(t *testing.T) {
	pty := openPTY(t, "")
	echo(t, pty, openPort(t, new(port.Ports), pty.Path()))
}

func TestRead_SilenceIsAnError(t *testing.T) {
	p := openPort(t, new(port.Ports), openPTY(t, "").Path())
	for _, deadline := range []time.Time{time.Now().Add(20 * time.Millisecond), time.Now().Add(-time.Second)} {
		n, err := p.Read(make([]byte, 8), deadline)
		require.ErrorIs(t, err, port.ErrTimeout)
		require.Zero(t, n)
	}
}

func TestOpen_SecondOwnerLearnsWhoHoldsIt(t *testing.T) {
	dir := t.TempDir()
	pty := openPTY(t, filepath.Join(dir, "ttyA"))
	var ports port.Ports
	p := openPort(t, &ports, pty.Path())
	other := filepath.Join(dir, "another-name")
	require.NoError(t, os.Symlink(pty.Path(), other))
	for _, path := range []string{pty.Path(), other} {
		_, err := ports.Open(config(path), "bridge scale")
		require.EqualError(t, err, "port "+path+" is in use by bridge cabinet")
		require.Equal(t, "bridge cabinet", ports.Holder(path))
	}
	require.NoError(t, p.Close())
	require.Empty(t, ports.Holder(pty.Path()))
	again, err := ports.Open(config(pty.Path()), "bridge scale")
	require.NoError(t, err)
	require.NoError(t, again.Close())
}

func TestOpen_AnotherOwnerOutsideIsSeen(t *testing.T) {
	pty := openPTY(t, "")
	f, err := os.OpenFile(pty.Path(), os.O_RDWR|syscall.O_NOCTTY, 0)
	require.NoError(t, err)
	defer f.Close()
	require.NoError(t, syscall.Flock(int(f.Fd()), syscall.LOCK_EX))
	_, err = new(port.Ports).Open(config(pty.Path()), "bridge cabinet")
	busy := new(port.BusyError)
	require.ErrorAs(t, err, &busy)
}

// flock of util-linux holds the port in a process of its own, which is named.
func TestOpen_NamesTheOtherProcess(t *testing.T) {
	flock, err := exec.LookPath("flock")
	if err != nil {
		t.Skip("flock is not installed")
	}
	pty := openPTY(t, "")
	holder := exec.Command(flock, "--no-fork", pty.Path(), "sh", "-c", "echo held; exec cat")
	in, err := holder.StdinPipe()
	require.NoError(t, err)
	out, err := holder.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, holder.Start())
	_, err = io.ReadFull(out, make([]byte, len("held\n")))
	require.NoError(t, err)
	_, err = new(port.Ports).Open(config(pty.Path()), "bridge cabinet")
	require.ErrorContains(t, err, fmt.Sprintf("is in use by process %d (", holder.Process.Pid))
	require.NoError(t, in.Close())
	require.NoError(t, holder.Wait())
	p, err := new(port.Ports).Open(config(pty.Path()), "bridge cabinet")
	require.NoError(t, err)
	require.NoError(t, p.Close())
}

func TestOpen_ErrorsTellThePath(t *testing.T) {
	dir := t.TempDir()
	plain := filepath.Join(dir, "plain")
	require.NoError(t, os.WriteFile(plain, nil, 0o600))
	missing := filepath.Join(dir, "ttyUSB7")
	_, err := new(port.Ports).Open(config(missing), "bridge x")
	require.ErrorIs(t, err, fs.ErrNotExist)
	require.EqualError(t, err, "open serial port "+missing+": no such file or directory")
	_, err = new(port.Ports).Open(config(plain), "bridge x")
	require.EqualError(t, err, "open serial port "+plain+": this is no serial port")
	_, err = new(port.Ports).Open(config("/dev/null"), "bridge x")
	require.Error(t, err)
}

func TestPort_UnplugEndsTheReadAndReplugIsFound(t *testing.T) {
	link := filepath.Join(t.TempDir(), "ttyUSB0")
	pty, err := port.OpenPTY(link)
	require.NoError(t, err)
	var ports port.Ports
	p := openPort(t, &ports, link)
	gone := make(chan error, 1)
	go func() {
		_, err := p.Listen(make([]byte, 1), time.Now().Add(time.Minute))
		gone <- err
	}()
	require.True(t, p.Present())
	require.NoError(t, pty.Close())
	require.ErrorIs(t, <-gone, port.ErrGone)
	require.False(t, p.Present())
	require.ErrorIs(t, p.Write([]byte{1}, soon()), port.ErrGone)
	require.NoError(t, p.Close())

	_, err = ports.Open(config(link), "bridge cabinet")
	require.ErrorIs(t, err, fs.ErrNotExist)
	back := openPTY(t, link)
	echo(t, back, openPort(t, &ports, link))
}

func TestListen_InterruptEndsItOnce(t *testing.T) {
	p := openPort(t, new(port.Ports), openPTY(t, "").Path())
	b := make([]byte, 1)
	p.Interrupt()
	_, err := p.Listen(b, soon())
	require.ErrorIs(t, err, port.ErrInterrupted, "an interrupt before it")
	waits := make(chan error, 1)
	go func() {
		_, err := p.Listen(b, time.Now().Add(time.Minute))
		waits <- err
	}()
	p.Interrupt()
	require.ErrorIs(t, <-waits, port.ErrInterrupted)
	_, err = p.Listen(b, time.Now().Add(10*time.Millisecond))
	require.ErrorIs(t, err, port.ErrTimeout)
}

// The set of select(2), on which go.bug.st/serial's Read waits, has room for 1024 descriptors.
func TestPort_WorksAboveDescriptor1024(t *testing.T) {
	var limit syscall.Rlimit
	require.NoError(t, syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit))
	const many = 1100
	if limit.Cur < many+100 {
		t.Skipf("this process may open %d descriptors only", limit.Cur)
	}
	link := filepath.Join(t.TempDir(), "ttyUSB0")
	pty := openPTY(t, link)
	for range many {
		f, err := os.Open(os.DevNull)
		require.NoError(t, err)
		defer f.Close()
	}
	var ports port.Ports
	for range 3 { // a port that is unplugged and plugged in again among many clients
		p := openPort(t, &ports, link)
		_, err := p.Read(make([]byte, 1), time.Now().Add(time.Millisecond))
		require.ErrorIs(t, err, port.ErrTimeout)
		echo(t, pty, p)
		require.NoError(t, p.Close())
	}
}

func TestPTY_SurvivesThatNobodyHasItOpen(t *testing.T) {
	pty := openPTY(t, "")
	var ports port.Ports
	for range 3 {
		p := openPort(t, &ports, pty.Path())
		echo(t, pty, p)
		require.NoError(t, p.Close())
	}
}

func TestPTY_CloseEndsItsRead(t *testing.T) {
	pty, err := port.OpenPTY("")
	require.NoError(t, err)
	ended := make(chan error, 1)
	go func() {
		_, err := pty.Read(make([]byte, 1))
		ended <- err
	}()
	require.NoError(t, pty.Close())
	require.ErrorIs(t, <-ended, os.ErrClosed)
}

func TestParseFormat(t *testing.T) {
	for text, bits := range map[string]int{"8N1": 10, "7E1": 10, "8E2": 12, "8O1": 11, "7N2": 10} {
		f, err := port.ParseFormat(text)
		require.NoError(t, err)
		require.Equal(t, text, f.String())
		require.Equal(t, bits, f.CharBits())
	}
	for _, text := range []string{"", "8", "8N", "9N1", "8X1", "8N3", "8n1", "8N1 ", "N81", "6N1"} {
		_, err := port.ParseFormat(text)
		require.Error(t, err, text)
	}
}
