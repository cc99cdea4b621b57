package bridgestest

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"fieldgate/bridges"
	"fieldgate/internal/fault"
)

// Case is what the suite needs to know of a kind.
type Case struct {
	// Good are right settings whose far side may be missing.
	Good []json.RawMessage
	// Bad are wrong settings with the JSON pointers of all their faults.
	Bad []Wrong
	// Secret is a text in Good that must never reach a log or a status; empty when the kind has none.
	Secret string
	// Quiet says that the kind needs no device's answer to be tested: no Tester is asked.
	Quiet bool
}

// Wrong is one wrong settings object.
type Wrong struct {
	Settings json.RawMessage
	Pointers []string
}

// Run checks that a kind keeps the promises of Kind and Bridge.
func Run(t *testing.T, kind bridges.Kind, c Case) {
	t.Run("names itself", func(t *testing.T) {
		require.True(t, bridges.ValidID(kind.Name), kind.Name)
		require.NotEmpty(t, kind.Title)
	})
	t.Run("reports all faults of settings at once", func(t *testing.T) { wrongSettings(t, kind, c.Bad) })
	t.Run("refuses any nonsense without panic", func(t *testing.T) { nonsense(t, kind, c.Good) })
	for i, good := range c.Good {
		config, err := bridges.NewConfig(good, kind.Name)
		require.NoError(t, err, "settings %d", i)
		t.Run("opens nothing before Run", func(t *testing.T) {
			_, err := kind.New(config, slog.New(slog.DiscardHandler))
			require.NoError(t, err)
		})
		t.Run("starts and stops within 1 s", func(t *testing.T) { startAndStop(t, kind, config, c.Secret) })
		t.Run("lists its devices", func(t *testing.T) { devices(t, kind, config) })
		t.Run("test ends when told to", func(t *testing.T) {
			if !c.Quiet {
				testEnds(t, kind, config)
			}
		})
	}
}

func wrongSettings(t *testing.T, kind bridges.Kind, wrong []Wrong) {
	for _, w := range wrong {
		_, err := kind.New(bridges.Config{ID: "x", Kind: kind.Name, Settings: w.Settings}, slog.New(slog.DiscardHandler))
		require.Error(t, err, string(w.Settings))
		var got []string
		for _, f := range fault.All(err) {
			require.NotEqual(t, fault.Internal, f.Code, "%s: %s", w.Settings, f)
			require.NotEmpty(t, f.Message)
			got = append(got, f.Field)
		}
		require.ElementsMatch(t, w.Pointers, got, "%s: %s", w.Settings, err)
	}
}

// nonsense replaces each top-level key's value by values of other types.
func nonsense(t *testing.T, kind bridges.Kind, good []json.RawMessage) {
	log := slog.New(slog.DiscardHandler)
	try := func(settings json.RawMessage) {
		c := bridges.Config{ID: "x", Kind: kind.Name, Settings: settings}
		require.NotPanics(t, func() {
			_, _ = kind.New(c, log) // whether it is an error is not the question
			if kind.Devices != nil {
				kind.Devices(c)
			}
		}, string(settings))
	}
	for _, s := range []string{"", "null", "{}", "[]", "7", `"x"`, `{"devices":[{}]}`, `{"devices":[null]}`, `{"devices":{}}`, `{"link":{}}`} {
		try(json.RawMessage(s))
	}
	for _, g := range good {
		var keys map[string]json.RawMessage
		require.NoError(t, json.Unmarshal(g, &keys))
		for key, was := range keys {
			for _, s := range []string{"null", "{}", "[]", "-1", "1e99", `""`, `"x"`, "true", "[{}]", `{"x":{}}`} {
				keys[key] = json.RawMessage(s)
				changed, err := json.Marshal(keys)
				require.NoError(t, err)
				try(changed)
			}
			keys[key] = was
		}
	}
}

func startAndStop(t *testing.T, kind bridges.Kind, config bridges.Config, secret string) {
	var log Log
	var bus Bus
	var alarms fault.Alarms
	role := bridges.FieldRole
	if kind.Devices == nil {
		role = bridges.UplinkRole
	}
	s := bridges.NewSupervisor(role, []bridges.Kind{kind}, &bus, &alarms, log.Logger())
	require.NoError(t, s.Apply([]bridges.Config{config}))
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = s.Run(ctx)
	}()
	bus.AwaitRetained(t, role.StateTopic(config.ID), `"state":`)
	cancel()
	select {
	case <-ended:
	case <-time.After(5 * time.Second):
		t.Fatal("the supervisor did not end")
	}
	require.NotContains(t, log.String(), "did not stop in time")
	require.NotContains(t, log.String(), "panic")
	if secret != "" {
		status, err := json.Marshal(s.Statuses())
		require.NoError(t, err)
		for _, text := range append(bus.Payloads("#"), log.String(), string(status)) {
			require.NotContains(t, text, secret, "a secret is told")
		}
	}
}

func devices(t *testing.T, kind bridges.Kind, config bridges.Config) {
	if kind.Devices == nil {
		return
	}
	list := kind.Devices(config)
	require.NotEmpty(t, list)
	for _, d := range list {
		require.True(t, bridges.ValidID(d.ID), d.ID)
		require.NotEmpty(t, d.Topic)
		require.NotEmpty(t, d.Points)
	}
}

func testEnds(t *testing.T, kind bridges.Kind, config bridges.Config) {
	b, err := kind.New(config, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	tester, ok := b.(bridges.Tester)
	if !ok {
		return
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_, _ = tester.Test(ctx, "")
	}()
	select {
	case <-ended:
	case <-time.After(5 * time.Second):
		t.Fatal("Test did not end after its context")
	}
}

// Log is a log that a test can read. Its zero value is ready; all methods may be called at the same time.
type Log struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

// Write takes a record.
func (l *Log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

// String gives all records.
func (l *Log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// Count counts the records that hold every one of the texts.
func (l *Log) Count(texts ...string) int {
	n := 0
records:
	for record := range strings.Lines(l.String()) {
		for _, text := range texts {
			if !strings.Contains(record, text) {
				continue records
			}
		}
		n++
	}
	return n
}

// Logger gives a logger of all levels that writes here.
func (l *Log) Logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(l, &slog.HandlerOptions{Level: slog.LevelDebug}))
}
