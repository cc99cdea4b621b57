package broker_test

import (
	"fmt"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"fieldgate/broker/mqtt"
	"fieldgate/broker/session/sessiontest"
)

// TestSubscribe_GetsWhatIsRetainedMeanwhile subscribes while a retained message is
// being published: it must come, as a live one or as the retained one.
func TestSubscribe_GetsWhatIsRetainedMeanwhile(t *testing.T) {
	spool := sessiontest.NewMemory()
	defer spool.Close()
	b := quietBroker(t, spool)
	for i := range 3000 {
		topic := fmt.Sprintf("state/%d", i)
		var both sync.WaitGroup
		both.Go(func() {
			err := b.Publish(t.Context(), &mqtt.Message{Topic: topic, Payload: []byte("on"), QoS: 1, Retain: true}, nil)
			if err != nil {
				t.Error(err)
			}
		})
		l, err := b.Attach(t.Context(), mqtt.Attachment{ClientID: "$dashboard", Subscriptions: []mqtt.Subscription{{Filter: topic, QoS: 1}}})
		require.NoError(t, err)
		both.Wait()
		require.NotEmpty(t, next(t, l, 1))
		require.NoError(t, l.Close())
	}
}
