package broker_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"fieldgate/broker"
	"fieldgate/broker/mqtt"
	"fieldgate/broker/packet"
	"fieldgate/internal/fault"
)

// patience is how long a test waits for what must come.
const patience = 20 * time.Second

func patient(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

// systemTopics gives the names below $SYS/broker that a subscriber gets, until it has as many as it wants or time is over.
func systemTopics(t *testing.T, b *testBroker, want int) []string {
	local, err := b.Attach(t.Context(), mqtt.Attachment{ClientID: "$test", Subscriptions: []mqtt.Subscription{{Filter: "$SYS/#"}}})
	require.NoError(t, err)
	defer local.Close()
	names := map[string]bool{}
	for ctx := patient(t); len(names) < want; {
		got, err := local.Next(ctx, 100)
		if errors.Is(err, context.DeadlineExceeded) {
			break
		}
		require.NoError(t, err)
		for _, d := range got {
			require.NotEmpty(t, d.Message.Payload)
			names[d.Message.Topic] = true
		}
	}
	return sorted(names)
}

func sorted(names map[string]bool) []string {
	var list []string
	for name := range names {
		list = append(list, name)
	}
	slices.Sort(list)
	return list
}

func TestSystem_HasTheTopicsOfMosquitto(t *testing.T) {
	tool(t, "mosquitto_sub")
	dir := t.TempDir()
	socket, conf := filepath.Join(dir, "s"), filepath.Join(dir, "mosquitto.conf")
	require.NoError(t, os.WriteFile(conf, []byte("listener 0 "+socket+"\nallow_anonymous true\nsys_interval 1\nuser root\n"), 0o600))
	judge := exec.Command(tool(t, "mosquitto"), "-c", conf)
	require.NoError(t, judge.Start())
	t.Cleanup(func() {
		require.NoError(t, judge.Process.Kill())
		_ = judge.Wait() // it was killed
	})
	theirs := map[string]bool{}
	require.Eventually(t, func() bool { // it publishes what has changed, once a second; all of it is retained
		out, _ := exec.Command("mosquitto_sub", "--unix", socket, "-t", "$SYS/#", "-F", "%t", "-W", "1").Output() // its time is over, or nobody listens yet
		before := len(theirs)
		for line := range strings.Lines(string(out)) {
			theirs[strings.TrimSpace(line)] = true
		}
		return before > 20 && len(theirs) == before
	}, patience, 10*time.Millisecond)
	want := sorted(theirs)
	ours := systemTopics(t, start(t, memory(t), nil), len(want))
	require.Equal(t, want, ours, "mosquitto's topics and ours")
}

func TestInfo_TellsWhatAClientCarries(t *testing.T) {
	b := start(t, memory(t), onTCP)
	before := time.Now()
	c := dial(t, b, packet.Connect{ClientID: "c", KeepAlive: 60})
	c.subscribe("a/#", 1)
	c.publish("b", 1, 2, 10)
	dial(t, b, packet.Connect{ClientID: "p", CleanStart: true}).publish("a/b", 1, 3, 10)
	require.Eventually(t, func() bool { i, _ := b.Session("c"); return i.Sent.Messages == 3 }, patience, time.Millisecond)
	i, found := b.Session("c")
	require.True(t, found)
	require.Equal(t, time.Minute, i.KeepAlive)
	require.False(t, i.CleanStart)
	require.True(t, i.Durable)
	require.Equal(t, 7*24*time.Hour, i.Expiry)
	require.Equal(t, mqtt.V311, i.Version)
	require.WithinRange(t, i.LastPacket, before, time.Now())
	require.Equal(t, "127.0.0.1:0", i.Listener)
	require.Zero(t, i.Offline)
	require.EqualValues(t, 4, i.Received.Packets, "CONNECT, SUBSCRIBE, 2 PUBLISH")
	require.EqualValues(t, 2, i.Received.Messages)
	require.Positive(t, i.Received.Bytes)
	require.EqualValues(t, 7, i.Sent.Packets, "CONNACK, SUBACK, 2 PUBACK, 3 PUBLISH")
	require.EqualValues(t, 3, i.Sent.Messages)
	require.Positive(t, i.Sent.Bytes)
	require.Equal(t, 3, i.Inflight)
	require.EqualValues(t, 3, i.Queue.Messages)
	require.Nil(t, i.Left)

	require.Equal(t, 1, b.Stats().Subscriptions)
	require.Equal(t, 3, b.Stats().Inflight)
	require.NoError(t, b.Disconnect("c", "anna"))
	require.Eventually(t, func() bool { i, _ = b.Session("c"); return !i.Connected && i.Left != nil }, patience, time.Millisecond)
	require.Equal(t, "disconnected by anna", i.Left.Cause)
	require.Equal(t, mqtt.AdministrativeAction, i.Left.Reason)
	require.Positive(t, i.Offline)
	require.Equal(t, fault.NotFound, fault.CodeOf(b.Disconnect("c", "anna")))
}

func TestSessions_AreChosenAndPaged(t *testing.T) {
	b := start(t, memory(t), onTCP)
	for _, id := range []string{"Pump-2", "valve", "pump-1"} {
		dial(t, b, packet.Connect{ClientID: id, CleanStart: true})
	}
	ids := func(q broker.SessionQuery) string {
		list, more := b.Sessions(q)
		var names []string
		for _, i := range list {
			names = append(names, i.ClientID)
		}
		return fmt.Sprint(names, more)
	}
	require.Eventually(t, func() bool { return ids(broker.SessionQuery{Connected: true}) == "[Pump-2 pump-1 valve] false" }, patience, time.Millisecond)
	for name, row := range map[string]struct {
		q    broker.SessionQuery
		want string
	}{
		"by a word": {broker.SessionQuery{Contains: "PUMP"}, "[Pump-2 pump-1] false"},
		"page":      {broker.SessionQuery{Limit: 2}, "[Pump-2 pump-1] true"},
		"next page": {broker.SessionQuery{Limit: 2, After: "pump-1"}, "[valve] false"},
	} {
		t.Run(name, func(t *testing.T) { require.Equal(t, row.want, ids(row.q)) })
	}
}

func TestEndSession_TakesQueueAndSubscriptions(t *testing.T) {
	spool := memory(t)
	b := start(t, spool, onTCP)
	c := dial(t, b, packet.Connect{ClientID: "c"})
	c.subscribe("a/#", 1)
	dial(t, b, packet.Connect{ClientID: "p", CleanStart: true}).publish("a/b", 1, 3, 10)
	page, err := b.PeekQueue("c", 0, 2, 1000)
	require.NoError(t, err)
	require.Len(t, page, 2)
	require.Equal(t, "a/b", page[0].Topic)
	rest, err := b.PeekQueue("c", page[1].ID, 10, 1000)
	require.NoError(t, err)
	require.Len(t, rest, 1)
	i, _ := b.Session("c")
	require.EqualValues(t, 3, i.Queue.Messages, "nothing was taken")
	require.NoError(t, b.EndSession(patient(t), "c", "anna"))
	_, found := b.Session("c")
	require.False(t, found)
	require.Zero(t, b.Stats().Subscriptions)
	require.Equal(t, fault.NotFound, fault.CodeOf(b.EndSession(patient(t), "c", "anna")))
	require.Equal(t, fault.Conflict, fault.CodeOf(b.EndSession(patient(t), "$uplink/x", "anna")))
	_, err = b.PeekQueue("c", 0, 2, 1000)
	require.Equal(t, fault.NotFound, fault.CodeOf(err))
	again := dial(t, b, packet.Connect{ClientID: "c"})
	again.subscribe("x", 0)
	i, _ = b.Session("c")
	require.Zero(t, i.Queue.Messages)
}

func TestRetained_IsListedAndBrowsed(t *testing.T) {
	b := start(t, memory(t), nil)
	for _, topic := range []string{"a/b", "a/b/c", "a/d/e/f", "/x", "z"} {
		require.NoError(t, b.Publish(t.Context(), &mqtt.Message{Topic: topic, Payload: []byte("1"), Retain: true}, nil))
	}
	list, more, err := b.Retained("a/#", "a/b", 1)
	require.NoError(t, err)
	require.True(t, more)
	require.Equal(t, "a/b/c", list[0].Topic)
	_, _, err = b.Retained("a/#/b", "", 1)
	require.Equal(t, fault.Invalid, fault.CodeOf(err))
	for prefix, want := range map[string]string{
		"": "=0+1 a=0+3 z=1+0", "a/": "b=1+1 d=0+1", "a/d/": "e=0+1", "/": "x=1+0", "none/": "",
	} {
		t.Run("below "+prefix, func(t *testing.T) {
			levels, err := b.Levels(prefix)
			require.NoError(t, err)
			var words []string
			for _, l := range levels {
				require.Equal(t, prefix+l.Name, l.Topic)
				if l.Name == "$SYS" {
					continue
				}
				own := 0
				if l.Retained != nil {
					own = 1
				}
				words = append(words, fmt.Sprintf("%s=%d+%d", l.Name, own, l.Below))
			}
			require.Equal(t, want, strings.Join(words, " "))
		})
	}
	_, err = b.Levels("a/+/")
	require.Equal(t, fault.Invalid, fault.CodeOf(err))
}

func TestTrace_ShowsPacketsBothWaysWithoutSecrets(t *testing.T) {
	b := start(t, memory(t), onTCP)
	tr, err := b.OpenTrace("c", 100, 3)
	require.NoError(t, err)
	other, err := b.OpenTrace("c", 100, 0)
	require.NoError(t, err)
	c := dial(t, b, packet.Connect{ClientID: "c", CleanStart: true, KeepAlive: 60, HasUsername: true, Username: "u", HasPassword: true, Password: []byte("hunter2")})
	quiet := dial(t, b, packet.Connect{ClientID: "quiet", CleanStart: true})
	c.subscribe("a/#", 1)
	quiet.publish("a/b", 1, 1, 1)
	quiet.publish("other", 0, 5, 1)
	c.publish("a/c", 0, 1, 1)
	_, err = c.recvPublish()
	require.NoError(t, err)
	_, err = c.recvPublish()
	require.NoError(t, err)
	require.NoError(t, c.nc.Close())

	type line = string
	read := func(tr *broker.Trace) (lines []line) {
		for ctx := patient(t); ; {
			events, dropped, err := tr.Next(ctx)
			require.NoError(t, err)
			require.Zero(t, dropped)
			for _, e := range events {
				require.NotContains(t, fmt.Sprintf("%+v %+v", e, e.Connect), "hunter2")
				lines = append(lines, strings.TrimSpace(fmt.Sprintf("%s %s %s %s", e.Direction, e.Type, e.Topic, e.Payload)))
				if e.Direction == broker.TraceClosed {
					require.Contains(t, e.Error, "closed without DISCONNECT")
					return lines
				}
				require.Positive(t, e.Bytes)
				require.Empty(t, e.Error)
				if e.Connect != nil {
					require.Equal(t, &broker.TraceConnect{ClientID: "c", Protocol: "3.1.1", CleanStart: true, KeepAlive: 60, Username: "u", HasPassword: true}, e.Connect)
				}
			}
		}
	}
	got := read(tr)
	require.Equal(t, []line{"in CONNECT", "out CONNACK", "in SUBSCRIBE", "out SUBACK"}, got[:4])
	require.Contains(t, got, "out PUBLISH a/b 0")
	require.Contains(t, got, "in PUBLISH a/c 0")
	require.Contains(t, got, "in PUBACK")
	require.NotContains(t, strings.Join(got, "\n"), "other")
	require.Contains(t, read(other), "out PUBLISH a/b", "no payload that was not asked for")
	require.NoError(t, tr.Close())
	require.NoError(t, other.Close())
	require.NoError(t, other.Close())
	_, _, err = tr.Next(patient(t))
	require.ErrorIs(t, err, broker.ErrTraceEnded)
	require.Zero(t, b.Stats().Traces)
}

func TestTrace_IsBounded(t *testing.T) {
	b := start(t, memory(t), onTCP)
	c := dial(t, b, packet.Connect{ClientID: "c", CleanStart: true})
	tr, err := b.OpenTrace("c", 1000, 0)
	require.NoError(t, err)
	defer tr.Close()
	c.publish("a", 1, 700, 1) // 1,400 packets
	seen, lost := 0, 0
	for {
		events, dropped, err := tr.Next(patient(t))
		if errors.Is(err, broker.ErrTraceEnded) {
			break
		}
		require.NoError(t, err)
		seen, lost = seen+len(events), lost+int(dropped)
	}
	require.Equal(t, 1000, seen+lost)
	require.Positive(t, lost)
	require.LessOrEqual(t, seen, 512)

	for range broker.MaxTraces - 1 {
		more, err := b.OpenTrace("x", 1, 0)
		require.NoError(t, err)
		defer more.Close()
	}
	_, err = b.OpenTrace("x", 1, 0)
	require.Equal(t, fault.TooMany, fault.CodeOf(err))
	_, err = b.OpenTrace("$inside", 1, 0)
	require.Equal(t, fault.Invalid, fault.CodeOf(err))
}
