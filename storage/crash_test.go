package storage_test

import (
	"bufio"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"fieldgate/broker/mqtt"
	"fieldgate/broker/session"
	"fieldgate/internal/fault"
	"fieldgate/storage"
)

// childEnv names the data directory to a child process of the crash tests.
const childEnv = "FIELDGATE_STORAGE_CHILD"

// slowShare is the share of messages that the child's session 1 is owed: one in so many.
const slowShare = 50

// retainedShare is the share of them that are retained, and so never elided.
const retainedShare = 10

// child writes as fast as it can until it is killed. Session 1 is owed little and
// never acknowledges, session 2 acknowledges most, so that segments are filled,
// get thin and are merged; every payload is a number, one higher than the last.
// "S n" on stdout promises that message n is safe, "A n" that session 2 may have
// acknowledged it.
func child(dir string) {
	db, err := storage.Open(config(dir), &fault.Alarms{}, slog.New(slog.DiscardHandler))
	if err != nil {
		fmt.Println("E", err)
		os.Exit(1)
	}
	s := db.Spool()
	for _, id := range []session.ID{1, 2} {
		s.Apply(session.Change{Session: id, Put: &session.Record{ID: id, ClientID: clientID(id)}}, nil)
	}
	window := make(chan struct{}, 50) // accepted and not safe
	left, limited := childLimit()
	for n := firstNumber(s); !limited || left > 0; n++ {
		left--
		window <- struct{}{}
		owed := []session.Owed{{Session: 2, QoS: 1, Live: true}}
		if n%slowShare == 0 {
			owed = append(owed, session.Owed{Session: 1, QoS: 1})
		}
		m := &mqtt.Message{Topic: "t", Payload: strconv.AppendInt(nil, int64(n), 10), QoS: 1}
		id := s.Append(session.Entry{Message: m, Owed: owed, Retain: n%retainedShare == 0, Publisher: 1}, func(err error) {
			if err == nil {
				fmt.Println("S", n)
			}
			<-window
		})
		if n%20 != 0 {
			fmt.Println("A", n)
			s.Acked(2, id)
		}
	}
	for range cap(window) { // all callbacks have run: a failing disk is tried for ever until the spool closes
		window <- struct{}{}
	}
	if os.Getenv(childEnv+"_ABRUPT") != "" {
		os.Exit(0)
	}
	if err := db.Close(); err != nil {
		fmt.Println("E", err)
	}
}

// fullEnv names the data directory to a child process that meets a full disk.
const fullEnv = "FIELDGATE_STORAGE_FULL"

// full commits, meets a limit of the file size, which fails its writes as a full
// disk does, and prints OK when everything was kept and went on after the limit went.
func full(dir string) error {
	signal.Ignore(syscall.SIGXFSZ)
	alarms := &fault.Alarms{}
	db, err := storage.Open(config(dir), alarms, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	s := db.Spool()
	s.Apply(session.Change{Session: 1, Put: &session.Record{ID: 1, ClientID: "c"}}, nil)
	const messages = 3000
	results := make(chan error, messages)
	limit := syscall.Rlimit{}
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		return err
	}
	low := syscall.Rlimit{Cur: 300_000, Max: limit.Max}
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &low); err != nil {
		return err
	}
	for n := range messages {
		m := message(n)
		m.Payload = append(m.Payload, make([]byte, 1000)...)
		s.Append(session.Entry{Message: m, Owed: []session.Owed{{Session: 1, QoS: 1}}}, func(err error) { results <- err })
	}
	for list, _ := alarms.List(); len(list) == 0; list, _ = alarms.List() {
		time.Sleep(time.Millisecond)
	}
	early := len(results)
	if early == messages {
		return errors.New("everything was acknowledged on a full disk")
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		return err
	}
	for range messages {
		if err := <-results; err != nil {
			return err
		}
	}
	if list, _ := alarms.List(); len(list) != 0 {
		return fmt.Errorf("alarm stands: %s", list[0].Message)
	}
	fmt.Println("OK", early)
	return db.Close()
}

func TestSpool_GoesOnAfterAFullDisk(t *testing.T) {
	dir := t.TempDir()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), fullEnv+"="+dir)
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, string(out))
	require.Contains(t, string(out), "OK")
	s := open(t, dir).Spool()
	all := payloads(t, s, 1)
	require.Len(t, all, 3000)
	for n, payload := range all {
		require.Equal(t, string(message(n).Payload), strings.TrimRight(payload, "\x00"))
	}
}

// childLimit gives how many messages the child appends, when there is a limit:
// the power-cut rig wants it to end by itself.
func childLimit() (n int, limited bool) {
	n, err := strconv.Atoi(os.Getenv(childEnv + "_MESSAGES"))
	return n, err == nil
}

// firstNumber gives a number above all that the spool still holds.
func firstNumber(s *storage.Spool) int {
	last := 0
	note := func(m *mqtt.Message) {
		n, _ := strconv.Atoi(string(m.Payload))
		last = max(last, n)
	}
	if err := s.Load(session.Visitor{Retained: note}); err != nil {
		fmt.Println("E", err)
	}
	for _, id := range []session.ID{1, 2} {
		for after := mqtt.MsgID(0); ; {
			page, err := s.Page(id, after, 1000, 1<<20)
			if err != nil {
				fmt.Println("E", err)
			}
			if len(page) == 0 {
				break
			}
			for _, q := range page {
				note(q.Message)
				after = q.Message.ID
			}
		}
	}
	return last + 1
}

func TestSpool_LosesNothingWhenKilled(t *testing.T) {
	dir := t.TempDir()
	safe, acked := map[int]bool{}, map[int]bool{}
	for range 8 {
		runAndKill(t, dir, safe, acked)
		checkAfterKill(t, dir, safe, acked)
	}
	require.NotEmpty(t, safe)
}

func runAndKill(t *testing.T, dir string, safe, acked map[int]bool) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"="+dir)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	life := time.Duration(50+rand.IntN(200)) * time.Millisecond
	var timer *time.Timer
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if timer == nil {
			timer = time.AfterFunc(life, func() { _ = cmd.Process.Kill() })
		}
		note(t, lines.Text(), safe, acked)
	}
	_ = cmd.Wait()
	require.NotNil(t, timer, "the child said nothing")
}

// note reads a line that the child printed.
func note(t *testing.T, line string, safe, acked map[int]bool) {
	t.Helper()
	kind, number, _ := strings.Cut(line, " ")
	n, err := strconv.Atoi(number)
	switch {
	case kind == "E":
		require.FailNow(t, line)
	case err != nil: // cut short
	case kind == "S":
		safe[n] = true
	case kind == "A":
		acked[n] = true
	}
}

// TestSpool_KeepsItsPromisesInAPowerCut is the checker of the power-cut rig:
//
//	go test -c -o spool.test ./storage
//	FIELDGATE_STORAGE_CHILD=$D FIELDGATE_STORAGE_CHILD_MESSAGES=6000 powercut -dir $D -n 300 //	  -check 'env -u FIELDGATE_STORAGE_CHILD ./spool.test -test.run InAPowerCut' -- ./spool.test
func TestSpool_KeepsItsPromisesInAPowerCut(t *testing.T) {
	dir := os.Getenv("POWERCUT_DIR")
	if dir == "" {
		t.Skip("only the power-cut rig runs this")
	}
	promises, err := os.ReadFile(os.Getenv("POWERCUT_ACKS"))
	require.NoError(t, err)
	safe, acked := map[int]bool{}, map[int]bool{}
	for line := range strings.Lines(string(promises)) {
		note(t, strings.TrimSpace(line), safe, acked)
	}
	checkAfterKill(t, dir, safe, acked)
}

func checkAfterKill(t *testing.T, dir string, safe, acked map[int]bool) {
	t.Helper()
	db, alarms := openWithAlarms(t, dir)
	defer func() { require.NoError(t, db.Close()) }()
	s := db.Spool()
	for _, id := range []session.ID{1, 2} {
		found, last := map[int]bool{}, 0
		for _, payload := range payloads(t, s, id) {
			n, err := strconv.Atoi(payload)
			require.NoError(t, err)
			require.Greater(t, n, last, "order of session %d", id)
			found[n], last = true, n
		}
		for n := range safe {
			owed := id == 1 && n%slowShare == 0 || id == 2 && !acked[n]
			if owed && !found[n] {
				list, _ := alarms.List()
				t.Fatalf("session %d has lost message %d of %d safe ones; alarms: %v", id, n, len(safe), list)
			}
		}
	}
	list, _ := alarms.List()
	require.Empty(t, list)
	retained := 0
	require.NoError(t, s.Load(session.Visitor{Retained: func(m *mqtt.Message) { retained, _ = strconv.Atoi(string(m.Payload)) }}))
	for n := range safe {
		require.True(t, retained >= n || n%retainedShare != 0)
	}
	for n := range acked {
		if !safe[n] {
			delete(acked, n) // its number is used again
		}
	}
}
