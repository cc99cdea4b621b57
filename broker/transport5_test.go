package broker_test

import (
	"net/url"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/autopaho"
	paho5 "github.com/eclipse/paho.golang/paho"
	"github.com/stretchr/testify/require"

	"fieldgate/broker"
	"fieldgate/broker/listen"
)

func TestPaho5_ExchangesMessagesOverEveryTransport(t *testing.T) {
	k := newKeys(t)
	for scheme, cfg := range transports(t, k) {
		if scheme == "unix" {
			continue // autopaho has none
		}
		t.Run(scheme, func(t *testing.T) {
			b := start(t, memory(t), func(c *broker.Config) { c.Listeners = []listen.Config{cfg} })
			server, err := url.Parse(b.url(t, scheme))
			require.NoError(t, err)
			got, ended := make(chan string, 10), make(chan byte, 1)
			ctx := withTimeout(t)
			c, err := autopaho.NewConnection(ctx, autopaho.ClientConfig{
				ServerUrls: []*url.URL{server}, TlsCfg: k.client, KeepAlive: 30, ConnectTimeout: 10 * time.Second, CleanStartOnInitialConnection: true,
				ClientConfig: paho5.ClientConfig{
					ClientID: "c",
					OnPublishReceived: []func(paho5.PublishReceived) (bool, error){func(p paho5.PublishReceived) (bool, error) {
						got <- string(p.Packet.Payload)
						return true, nil
					}},
					OnServerDisconnect: func(d *paho5.Disconnect) { ended <- d.ReasonCode },
				},
			})
			require.NoError(t, err)
			require.NoError(t, c.AwaitConnection(ctx))
			_, err = c.Subscribe(ctx, &paho5.Subscribe{Subscriptions: []paho5.SubscribeOptions{{Topic: "t", QoS: 2}}})
			require.NoError(t, err)
			for _, text := range []string{"one", "two", "three"} {
				_, err = c.Publish(ctx, &paho5.Publish{Topic: "t", QoS: 2, Payload: []byte(text)})
				require.NoError(t, err)
				require.Equal(t, text, receive(t, got))
			}
			b.stop()
			require.EqualValues(t, 0x8b, receive(t, ended), "the server shuts down")
			require.NoError(t, c.Disconnect(ctx))
		})
	}
}
