package broker_test

import (
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"fieldgate/broker"
	"fieldgate/broker/mqtt"
	"fieldgate/broker/packet"
	"fieldgate/broker/session"
	"fieldgate/broker/session/sessiontest"
	"fieldgate/internal/fault"
)

// interrupted is a spool on which something else happens before a call gets there; nil functions do nothing.
type interrupted struct {
	*sessiontest.Memory
	apply  func(session.Change)
	append func(session.Entry)
	page   func()
}

func (s *interrupted) Apply(c session.Change, safe func(error)) {
	if s.apply != nil {
		s.apply(c)
	}
	s.Memory.Apply(c, safe)
}

func (s *interrupted) Append(e session.Entry, safe func(error)) mqtt.MsgID {
	if s.append != nil {
		s.append(e)
	}
	return s.Memory.Append(e, safe)
}

func (s *interrupted) Page(id session.ID, after mqtt.MsgID, maxMessages, maxBytes int) ([]session.Queued, error) {
	page, err := s.Memory.Page(id, after, maxMessages, maxBytes)
	if s.page != nil {
		s.page()
	}
	return page, err
}

// stored gives the client identifiers of the sessions that the spool holds.
func stored(t *testing.T, spool session.Spool) (ids []string) {
	require.NoError(t, spool.Load(session.Visitor{Session: func(r session.Record) { ids = append(ids, r.ClientID) }}))
	return ids
}

// A session that ends while its record is being written must not come back: in SQLite the record would even
// take the place of the client's next session.
func TestRecord_DoesNotOutliveItsSession(t *testing.T) {
	spool := &interrupted{Memory: memory(t)}
	b := start(t, spool, onTCP)
	dial(t, b, packet.Connect{ClientID: "c"}).close()
	require.Eventually(t, func() bool { return b.Stats().ClientsConnected == 0 }, patience, time.Millisecond)
	var once sync.Once
	ended := make(chan error, 1)
	spool.apply = func(c session.Change) {
		if c.Put == nil || c.Put.ClientID != "c" {
			return
		}
		once.Do(func() {
			done := make(chan struct{})
			go func() {
				defer close(done)
				ended <- b.EndSession(patient(t), "c", "anna")
			}()
			select {
			case <-done:
			case <-time.After(100 * time.Millisecond): // it has to wait for the record, as it should
			}
		})
	}
	b.stop() // which notes how long sessions were without their clients
	require.NoError(t, <-ended)
	require.Empty(t, stored(t, spool))
}

func TestNext_OfAClosedSessionLeavesTheNextOneAlone(t *testing.T) {
	spool := &interrupted{Memory: memory(t)}
	b := quietBroker(t, spool)
	former := attach(t, b, uplink("v"))
	for n := range 3 {
		publish(t, b, mqtt.Message{Topic: "v", QoS: 1, Payload: fmt.Append(nil, n)})
	}
	next(t, former, 3)
	require.NoError(t, former.Close())
	former = attach(t, b, uplink("v")) // it may have again what was sent once
	var l *broker.Local
	var once sync.Once
	spool.page = func() {
		once.Do(func() {
			require.NoError(t, former.Close())
			l = attach(t, b, uplink("v"))
		})
	}
	got, err := former.Next(patient(t), 10)
	require.ErrorIs(t, err, broker.ErrClosed)
	require.Empty(t, got)
	require.Equal(t, []string{"0", "1", "2"}, payloads(next(t, l, 3)))
}

func TestAttach_RacesWithClose(t *testing.T) {
	b := quietBroker(t, memory(t))
	page := mqtt.Attachment{ClientID: "$page", Subscriptions: []mqtt.Subscription{{Filter: "t", QoS: 1}}}
	former := attach(t, b, page)
	for range 1000 {
		var closing sync.WaitGroup
		closing.Go(func() { _ = former.Close() }) // it never fails
		l, err := b.Attach(t.Context(), page)
		for ; fault.CodeOf(err) == fault.Conflict; l, err = b.Attach(t.Context(), page) {
			runtime.Gosched()
		}
		closing.Wait()
		require.NoError(t, err)
		publish(t, b, mqtt.Message{Topic: "t", QoS: 1})
		require.Len(t, next(t, l, 1), 1)
		former = l
	}
	require.NoError(t, former.Close())
}

func TestAttach_RacesWithForget(t *testing.T) {
	spool := memory(t)
	b := quietBroker(t, spool)
	for range 300 {
		var forgetting sync.WaitGroup
		forgetting.Go(func() {
			if err := b.Forget(t.Context(), uplink().ClientID); err != nil {
				t.Error(err)
			}
		})
		l, err := b.Attach(t.Context(), uplink("t"))
		forgetting.Wait()
		if err != nil {
			require.ErrorIs(t, err, broker.ErrClosed)
		}
		if _, found := b.Session(uplink().ClientID); found {
			require.NoError(t, err)
			publish(t, b, mqtt.Message{Topic: "t", QoS: 1})
			require.Len(t, next(t, l, 1), 1)
			require.NoError(t, b.Forget(t.Context(), uplink().ClientID))
		}
		require.Zero(t, b.Stats().Subscriptions, "what is forgotten leaves nothing")
		require.Empty(t, stored(t, spool))
	}
}

func TestMark_OfAnEarlierTurnComesLater(t *testing.T) {
	var m broker.Mark
	m.Open(3)
	m.Open(1)
	require.EqualValues(t, 3, m.Opened())
}

// Many filters wait for a retained message that is stuck no longer than one.
func TestSubscribe_WaitsOnceForWhatIsRetainedMeanwhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		spool := &interrupted{Memory: sessiontest.NewMemory()}
		t.Cleanup(spool.Close)
		b := start(t, spool, nil)
		stuck := make(chan struct{})
		spool.append = func(session.Entry) { <-stuck }
		var publisher sync.WaitGroup
		publisher.Go(func() {
			_ = b.Publish(t.Context(), &mqtt.Message{Topic: "other", Payload: []byte("x"), Retain: true}, nil) // it never fails
		})
		synctest.Wait()
		s := dialPipe(b.Broker, "s")
		defer s.Close()
		p := packet.Subscribe{PacketID: 1}
		for n := range 100 {
			p.Subscriptions = append(p.Subscriptions, mqtt.Subscription{Filter: fmt.Sprint("t/", n)})
		}
		began := time.Now()
		raw := packet.AppendPingreq(p.Append(nil, mqtt.V311))
		go func() { _, _ = s.Write(raw) }() // the reading says whether it came
		_, err := io.ReadFull(s, make([]byte, 4+100+2))
		require.NoError(t, err)
		require.Equal(t, time.Second, time.Since(began))
		close(stuck)
		publisher.Wait()
	})
}

// What waits for its commit counts with all its bytes, whatever packet it came in.
func TestUncommittedSubscriptions_StopTheReading(t *testing.T) {
	filters := []string{strings.Repeat("x", 60_000)}
	for _, c := range []struct {
		name string
		raw  []byte
	}{
		{"SUBSCRIBE", (&packet.Subscribe{PacketID: 1, Subscriptions: []mqtt.Subscription{{Filter: filters[0]}}}).Append(nil, mqtt.V311)},
		{"UNSUBSCRIBE", (&packet.Unsubscribe{PacketID: 1, Filters: filters}).Append(nil, mqtt.V311)},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				spool := sessiontest.NewMemory()
				t.Cleanup(spool.Close)
				b := start(t, spool, nil)
				s := durablePipe(t, b.Broker, "s")
				defer s.Close()
				go io.Copy(io.Discard, s)
				subscribe := packet.Subscribe{PacketID: 1, Subscriptions: []mqtt.Subscription{{Filter: filters[0]}}}
				_, err := s.Write(subscribe.Append(nil, mqtt.V311))
				require.NoError(t, err)
				synctest.Wait()
				spool.Hold()
				var written atomic.Int64
				go func() {
					for range 1000 {
						if _, err := s.Write(c.raw); err != nil {
							return
						}
						written.Add(1)
					}
				}()
				time.Sleep(time.Minute)
				synctest.Wait()
				require.Less(t, written.Load(), int64(100))
				spool.Release()
			})
		})
	}
}

// durablePipe connects a client with a session that lives on, without a listener.
func durablePipe(t *testing.T, b *broker.Broker, id string) net.Conn {
	here, there := net.Pipe()
	b.ServeConn(there)
	_, err := here.Write((&packet.Connect{Version: mqtt.V311, ClientID: id}).Append(nil))
	require.NoError(t, err)
	_, err = io.ReadFull(here, make([]byte, 4))
	require.NoError(t, err)
	return here
}

// The filters of one session are bounded in bytes and in levels, not in number alone.
func TestSubscribe_RefusesFiltersThatCostTooMuch(t *testing.T) {
	for _, c := range []struct{ name, filter string }{
		{"long", strings.Repeat("x", 60_000)},
		{"deep", strings.Repeat("x/", 127)},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := start(t, memory(t), func(cfg *broker.Config) {
				onTCP(cfg)
				cfg.MaxSubscriptions = 100
			})
			s := dial(t, b, packet.Connect{ClientID: "s", CleanStart: true})
			defer s.close()
			refused := 0
			for n := range 100 {
				p := packet.Subscribe{PacketID: 1, Subscriptions: []mqtt.Subscription{{Filter: fmt.Sprint(c.filter, n)}}}
				s.send(p.Append(nil, mqtt.V311))
				var a packet.Suback
				require.NoError(t, a.Decode(s.recv(), mqtt.V311))
				if a.Reasons[0].Failed() {
					refused++
				}
			}
			require.Greater(t, refused, 80)
			require.Less(t, refused, 100, "the longest one is taken")
			u := packet.Unsubscribe{PacketID: 2, Filters: []string{c.filter + "0"}}
			s.send(u.Append(nil, mqtt.V311))
			s.recv()
			s.subscribe(c.filter+"again", 0)
			require.Equal(t, 100-refused, b.Stats().Subscriptions)
		})
	}
}

func TestSharedSubscription_PrefersWhoIsAttached(t *testing.T) {
	b := quietBroker(t, memory(t))
	share := func(id string) mqtt.Attachment {
		return mqtt.Attachment{ClientID: id, Durable: true, Subscriptions: []mqtt.Subscription{{Filter: "$share/g/t", QoS: 1}}}
	}
	away := attach(t, b, share("$away"))
	require.NoError(t, away.Close())
	there := attach(t, b, share("$there"))
	for range 10 {
		publish(t, b, mqtt.Message{Topic: "t", QoS: 1})
	}
	require.Len(t, next(t, there, 10), 10)
}
