package storage_test

import (
	"bufio"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
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

// child writes as fast as it can until it is killed. Session 1 never acknowledges,
// session 2 acknowledges most; every payload is a number, one higher than the last.
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
	for n := firstNumber(s); ; n++ {
		window <- struct{}{}
		owed := []session.Owed{{Session: 1, QoS: 1}, {Session: 2, QoS: 1}}
		m := &mqtt.Message{Topic: "t", Payload: strconv.AppendInt(nil, int64(n), 10), QoS: 1}
		id := s.Append(session.Entry{Message: m, Owed: owed, Retain: true}, func(err error) {
			if err == nil {
				fmt.Println("S", n)
			}
			<-window
		})
		if n%5 != 0 {
			fmt.Println("A", n)
			s.Acked(2, id)
		}
	}
}

// firstNumber gives the number after the last one that session 1 is owed.
func firstNumber(s *storage.Spool) int {
	last := 0
	for after := mqtt.MsgID(0); ; {
		page, err := s.Page(1, after, 1000, 1<<30)
		if err != nil || len(page) == 0 {
			return last + 1
		}
		end := page[len(page)-1].Message
		after = end.ID
		last, _ = strconv.Atoi(string(end.Payload))
	}
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
		kind, number, _ := strings.Cut(lines.Text(), " ")
		n, err := strconv.Atoi(number)
		switch {
		case err != nil && len(number) > 0 && kind != "S" && kind != "A":
			require.FailNow(t, lines.Text())
		case kind == "S":
			safe[n] = true
		case kind == "A":
			acked[n] = true
		}
	}
	_ = cmd.Wait()
	require.NotNil(t, timer, "the child said nothing")
}

func checkAfterKill(t *testing.T, dir string, safe, acked map[int]bool) {
	t.Helper()
	db, alarms := openWithAlarms(t, dir)
	defer func() { require.NoError(t, db.Close()) }()
	list, _ := alarms.List()
	require.Empty(t, list)
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
			if !found[n] && (id == 1 || !acked[n]) {
				t.Fatalf("session %d has lost message %d of %d safe ones", id, n, len(safe))
			}
		}
		// a number that was accepted and not safe may be given again after a crash
		require.GreaterOrEqual(t, len(found), 1)
	}
	retained := 0
	require.NoError(t, s.Load(session.Visitor{Retained: func(m *mqtt.Message) { retained, _ = strconv.Atoi(string(m.Payload)) }}))
	for n := range safe {
		require.GreaterOrEqual(t, retained, n)
	}
	for n := range acked {
		if !safe[n] {
			delete(acked, n) // its number is used again
		}
	}
}
