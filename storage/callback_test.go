package storage_test

import (
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"fieldgate/broker/mqtt"
	"fieldgate/broker/session"
)

// TestSpool_CallbacksMayCallIt: the writer runs a few callbacks itself, and more have a goroutine of their own;
// from either one the spool can be called, while live messages are elided beside it.
func TestSpool_CallbacksMayCallIt(t *testing.T) {
	for _, c := range []struct {
		name       string
		publishers int
	}{
		{"a publisher alone", 1},
		{"many at once", 40},
	} {
		t.Run(c.name, func(t *testing.T) {
			const rounds = 50
			s := open(t, t.TempDir()).Spool()
			put(t, s, 1, 2)
			entry := func(to session.ID, live bool, publisher uint64) session.Entry {
				m := &mqtt.Message{Topic: "t", Payload: []byte("p"), QoS: 1}
				return session.Entry{Message: m, Publisher: publisher, Owed: []session.Owed{{Session: to, QoS: 1, Live: live}}}
			}
			ended := make(chan error, 2*c.publishers)
			var elided atomic.Int64
			var next func(publisher uint64, left int) func(error)
			next = func(publisher uint64, left int) func(error) {
				return func(err error) {
					if err != nil || left == 0 {
						ended <- err
						return
					}
					live := s.Append(entry(2, true, publisher+1000), func(error) { elided.Add(1) })
					s.Acked(2, live)
					if _, err := s.Page(1, 0, 10, 1<<10); err != nil {
						ended <- err
						return
					}
					s.Append(entry(1, false, publisher), next(publisher, left-1))
				}
			}
			for p := range uint64(c.publishers) {
				s.Append(entry(1, false, p+1), next(p+1, rounds))
			}
			for range c.publishers {
				require.NoError(t, <-ended)
			}
			commit(t, s)
			require.EqualValues(t, c.publishers*rounds, elided.Load())
			require.Equal(t, int64(c.publishers*(rounds+1)), s.Usage(1).Messages)
			require.Zero(t, s.Usage(2).Messages)
		})
	}
}
