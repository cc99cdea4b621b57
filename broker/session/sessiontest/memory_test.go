package sessiontest_test

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"fieldgate/broker/mqtt"
	"fieldgate/broker/session"
	"fieldgate/broker/session/sessiontest"
	"fieldgate/internal/leak"
)

func TestMain(m *testing.M) { leak.Main(m) }

func TestMemory_Conforms(t *testing.T) {
	sessiontest.Run(t, func(t *testing.T) (session.Spool, func() session.Spool) {
		m := sessiontest.NewMemory()
		t.Cleanup(func() { m.Close() })
		return m, func() session.Spool {
			m = m.Reopen()
			return m
		}
	})
}

func TestMemory_LosesWhatWasHeldBack(t *testing.T) {
	m := sessiontest.NewMemory()
	safe, wait := sessiontest.Await(t)
	m.Apply(session.Change{Session: 1, Put: &session.Record{ID: 1, ClientID: "a"}}, safe)
	require.NoError(t, wait())
	m.Hold()
	first := m.Append(session.Entry{Message: &mqtt.Message{Topic: "t"}, Owed: []session.Owed{{Session: 1, QoS: 1}}}, nil)
	m = m.Reopen()
	defer m.Close()
	page, err := m.Page(1, 0, 10, 1000)
	require.NoError(t, err)
	require.Empty(t, page)
	require.Greater(t, m.Append(session.Entry{Message: &mqtt.Message{Topic: "t"}}, nil), first)
}

func TestMemory_FailsAsToldTo(t *testing.T) {
	m := sessiontest.NewMemory()
	defer m.Close()
	full := errors.New("disk full")
	m.Fail(full)
	safe, wait := sessiontest.Await(t)
	m.Append(session.Entry{Message: &mqtt.Message{Topic: "t"}, Retain: true}, safe)
	require.ErrorIs(t, wait(), full)
}
