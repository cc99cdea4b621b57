package broker_test

import (
	"context"
	"fmt"
	"net"
	"os/exec"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/packets"
	paho5 "github.com/eclipse/paho.golang/paho"
	"github.com/stretchr/testify/require"
)

func TestMosquittoClients_PropertiesOf5(t *testing.T) {
	b := start(t, memory(t), onTCP)
	five := []string{"-V", "mqttv5"}
	mosquitto(t, b, "mosquitto_pub", append(five, "-t", "r/1", "-m", "kept", "-q", "1", "-r",
		"-D", "publish", "message-expiry-interval", "1000", "-D", "publish", "content-type", "text/plain", "-D", "publish", "payload-format-indicator", "1",
		"-D", "publish", "response-topic", "re/ply", "-D", "publish", "correlation-data", "17",
		"-D", "publish", "user-property", "b", "1", "-D", "publish", "user-property", "a", "2")...)
	got := mosquitto(t, b, "mosquitto_sub", append(five, "-t", "r/#", "-q", "1", "-C", "1", "-W", "20", "-D", "subscribe", "subscription-identifier", "7",
		"-F", "%r %t %p %C %F %R %D %S %P")...)
	require.Equal(t, "1 r/1 kept text/plain 1 re/ply 17 7 b:1 a:2\n", got)
	require.Equal(t, "kept\n", mosquitto(t, b, "mosquitto_sub", "-V", "mqttv311", "-t", "r/1", "-C", "1", "-W", "20"))
}

func TestMosquittoClients_SessionOf5(t *testing.T) {
	b := start(t, memory(t), onTCP)
	session := []string{"-V", "mqttv5", "-i", "durable", "-c", "-x", "60", "-q", "2", "-t", "d/+"}
	mosquitto(t, b, "mosquitto_sub", append(session, "-E")...) // subscribes and goes
	for qos := range 3 {
		mosquitto(t, b, "mosquitto_pub", "-V", "mqttv5", "-t", fmt.Sprint("d/", qos), "-m", fmt.Sprint(qos), "-q", fmt.Sprint(qos))
	}
	require.Equal(t, "d/1 1 1\nd/2 2 2\n", mosquitto(t, b, "mosquitto_sub", append(session, "-C", "2", "-W", "20", "-F", "%t %q %p")...))
}

func TestMosquittoClients_SharedSubscriptionOf5(t *testing.T) {
	b := start(t, memory(t), onTCP)
	out := make([]chan string, 2)
	for i := range out {
		out[i] = make(chan string, 1)
		s := exec.Command(tool(t, "mosquitto_sub"), "-V", "mqttv5", "-p", fmt.Sprint(b.address(t).Port), "-q", "1", "-t", "$share/g/s", "-C", "2", "-W", "20")
		go func() {
			said, _ := s.CombinedOutput() // what is missing is seen below
			out[i] <- string(said)
		}()
	}
	require.Eventually(t, func() bool { return b.Stats().Subscriptions == 2 }, 10*time.Second, time.Millisecond)
	for range 4 {
		mosquitto(t, b, "mosquitto_pub", "-V", "mqttv5", "-t", "s", "-m", "x", "-q", "1")
	}
	for i := range out {
		require.Equal(t, "x\nx\n", receive(t, out[i]))
	}
}

// paho5Client connects a paho.golang client; what it receives goes to got.
func paho5Client(t *testing.T, b *testBroker, connect *paho5.Connect, got chan<- *paho5.Publish, ended chan<- byte) (*paho5.Client, *paho5.Connack) {
	t.Helper()
	nc, err := net.Dial("tcp", b.address(t).String())
	require.NoError(t, err)
	c := paho5.NewClient(paho5.ClientConfig{
		Conn:     packets.NewThreadSafeConn(nc),
		ClientID: connect.ClientID,
		OnPublishReceived: []func(paho5.PublishReceived) (bool, error){func(p paho5.PublishReceived) (bool, error) {
			got <- p.Packet
			return true, nil
		}},
		OnServerDisconnect: func(d *paho5.Disconnect) { ended <- d.ReasonCode },
	})
	ack, err := c.Connect(withTimeout(t), connect)
	require.NoError(t, err)
	return c, ack
}

func withTimeout(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func TestPaho5_ExchangesMessages(t *testing.T) {
	b := start(t, memory(t), onTCP)
	got, ended := make(chan *paho5.Publish, 1000), make(chan byte, 10)
	hour, most := uint32(3600), uint16(5)
	s, ack := paho5Client(t, b, &paho5.Connect{ClientID: "s", CleanStart: true, KeepAlive: 30, Properties: &paho5.ConnectProperties{
		SessionExpiryInterval: &hour, ReceiveMaximum: &most,
	}}, got, ended)
	require.EqualValues(t, 20, *ack.Properties.ReceiveMaximum)
	require.EqualValues(t, 10, *ack.Properties.TopicAliasMaximum)
	id := 9
	_, err := s.Subscribe(withTimeout(t), &paho5.Subscribe{
		Subscriptions: []paho5.SubscribeOptions{{Topic: "t/+", QoS: 2}}, Properties: &paho5.SubscribeProperties{SubscriptionIdentifier: &id},
	})
	require.NoError(t, err)
	p, _ := paho5Client(t, b, &paho5.Connect{ClientID: "p", CleanStart: true, KeepAlive: 30}, got, ended)
	for qos := range byte(3) {
		for n := range 50 {
			answer, err := p.Publish(withTimeout(t), &paho5.Publish{Topic: "t/x", QoS: qos, Payload: fmt.Append(nil, qos, "/", n), Properties: &paho5.PublishProperties{
				ContentType: "text", User: paho5.UserProperties{{Key: "b", Value: "1"}, {Key: "a", Value: "2"}},
			}})
			require.NoError(t, err)
			require.Zero(t, answer.ReasonCode)
		}
		for n := range 50 {
			m := receive(t, got)
			require.Equal(t, fmt.Sprint(qos, "/", n), string(m.Payload))
			require.Equal(t, "text", m.Properties.ContentType)
			require.Equal(t, paho5.UserProperties{{Key: "b", Value: "1"}, {Key: "a", Value: "2"}}, m.Properties.User)
			require.Equal(t, id, *m.Properties.SubscriptionIdentifier)
		}
	}
	answer, err := p.Publish(withTimeout(t), &paho5.Publish{Topic: "nobody", QoS: 1})
	require.NoError(t, err)
	require.EqualValues(t, packets.PubackNoMatchingSubscribers, answer.ReasonCode)
	_, err = s.Unsubscribe(withTimeout(t), &paho5.Unsubscribe{Topics: []string{"t/+"}})
	require.NoError(t, err)

	thief, ack := paho5Client(t, b, &paho5.Connect{ClientID: "s", KeepAlive: 30}, got, ended)
	require.True(t, ack.SessionPresent)
	require.EqualValues(t, packets.DisconnectSessionTakenOver, receive(t, ended))
	require.NoError(t, thief.Disconnect(&paho5.Disconnect{}))
	b.stop()
	require.EqualValues(t, packets.DisconnectServerShuttingDown, receive(t, ended))
	for _, c := range []*paho5.Client{s, p, thief} {
		receive(t, c.Done())
	}
}
