package broker_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"fieldgate/broker"
	"fieldgate/broker/mqtt"
	"fieldgate/broker/session"
	"fieldgate/broker/session/sessiontest"
)

// TestRetained_ThatExpiredIsPurged looks into memory and spool: that it is not
// sent any more is what the conversations show.
//
// shows v5 MQTT-3.3.2-5
func TestRetained_ThatExpiredIsPurged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		spool := sessiontest.NewMemory()
		t.Cleanup(spool.Close)
		b := start(t, spool, func(*broker.Config) {})
		for topic, expiry := range map[string]time.Duration{"short": 5 * time.Second, "long": time.Hour, "ever": 0} {
			safe, wait := sessiontest.Await(t)
			require.NoError(t, b.Publish(t.Context(), &mqtt.Message{Topic: topic, Payload: []byte("x"), QoS: 1, Retain: true, Expiry: expiry}, safe))
			require.NoError(t, wait())
		}
		kept := func() (topics []string) {
			require.NoError(t, spool.Load(session.Visitor{Retained: func(m *mqtt.Message) { topics = append(topics, m.Topic) }}))
			return topics
		}
		time.Sleep(3 * time.Second)
		require.ElementsMatch(t, []string{"short", "long", "ever"}, kept())
		before := b.Stats().RetainedMessages
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		require.ElementsMatch(t, []string{"long", "ever"}, kept())
		require.Equal(t, before-1, b.Stats().RetainedMessages)
	})
}
