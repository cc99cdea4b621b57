package broker_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"
	"github.com/stretchr/testify/require"

	"fieldgate/broker"
)

// tool gives the path of a Debian tool; where it is missing the test is skipped,
// and fails under CI.
func tool(t *testing.T, name string) string {
	path, err := exec.LookPath(name)
	if err != nil && os.Getenv("CI") == "true" {
		require.NoError(t, err)
	}
	if err != nil {
		t.Skipf("%s is not installed (Debian package mosquitto-clients)", name)
	}
	return path
}

func TestMosquittoClients_ExchangeMessages(t *testing.T) {
	sub, pub := tool(t, "mosquitto_sub"), tool(t, "mosquitto_pub")
	for _, version := range []string{"mqttv31", "mqttv311", "mqttv5"} {
		for qos := range 3 {
			t.Run(fmt.Sprintf("%s QoS %d", version, qos), func(t *testing.T) {
				b := start(t, memory(t), onTCP)
				args := []string{"-V", version, "-p", fmt.Sprint(b.address(t).Port), "-q", fmt.Sprint(qos), "-t", "a/b"}
				var out, errs bytes.Buffer
				s := exec.Command(sub, append(args, "-C", "3", "-W", "20")...)
				s.Stdout, s.Stderr = &out, &errs
				require.NoError(t, s.Start())
				require.Eventually(t, func() bool { return b.Stats().Subscriptions == 1 }, 10*time.Second, time.Millisecond)
				p := exec.Command(pub, append(args, "-l")...)
				p.Stdin = strings.NewReader("one\ntwo\nthree\n")
				said, err := p.CombinedOutput()
				require.NoError(t, err, string(said))
				require.NoError(t, s.Wait(), errs.String())
				require.Equal(t, "one\ntwo\nthree\n", out.String())
			})
		}
	}
}

func TestPaho_ExchangesMessages(t *testing.T) {
	b := start(t, memory(t), onTCP)
	server := "tcp://" + b.address(t).String()
	connect := func(id string, clean bool) paho.Client {
		c := paho.NewClient(paho.NewClientOptions().AddBroker(server).SetClientID(id).SetCleanSession(clean).SetOrderMatters(true).SetConnectTimeout(10 * time.Second))
		done(t, c.Connect())
		return c
	}
	got := make(chan string, 1000)
	s := connect("sub", false)
	done(t, s.Subscribe("t/+", 2, func(_ paho.Client, m paho.Message) { got <- string(m.Payload()) }))
	p := connect("pub", false)
	for qos := range byte(3) {
		for n := range 100 {
			done(t, p.Publish("t/x", qos, false, fmt.Sprint(qos, "/", n)))
		}
		for n := range 100 {
			require.Equal(t, fmt.Sprint(qos, "/", n), receive(t, got))
		}
	}
	s.Disconnect(100)
	p.Disconnect(100)
}

// mosquitto runs mosquitto_pub or mosquitto_sub to its end.
func mosquitto(t *testing.T, b *testBroker, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(tool(t, name), append([]string{"-p", fmt.Sprint(b.address(t).Port)}, args...)...).CombinedOutput()
	require.NoError(t, err, "%s", out)
	return string(out)
}

func TestMosquittoClients_RetainedMessages(t *testing.T) {
	b := start(t, memory(t), onTCP)
	mosquitto(t, b, "mosquitto_pub", "-t", "r/1", "-m", "kept", "-q", "1", "-r")
	mosquitto(t, b, "mosquitto_pub", "-t", "r/2", "-m", "gone", "-q", "1", "-r")
	mosquitto(t, b, "mosquitto_pub", "-t", "r/2", "-n", "-q", "1", "-r")
	require.Equal(t, "1 r/1 kept\n", mosquitto(t, b, "mosquitto_sub", "-t", "r/#", "-q", "1", "-C", "1", "-W", "20", "-F", "%r %t %p"))
	version := mosquitto(t, b, "mosquitto_sub", "-t", "$SYS/broker/version", "-C", "1", "-W", "20")
	require.True(t, strings.HasPrefix(version, "fieldgate"), version)
}

func TestMosquittoClients_PersistentSession(t *testing.T) {
	b := start(t, memory(t), onTCP)
	session := []string{"-i", "durable", "-c", "-q", "2", "-t", "d/+"}
	mosquitto(t, b, "mosquitto_sub", append(session, "-E")...) // subscribes and goes
	for qos := range 3 {
		mosquitto(t, b, "mosquitto_pub", "-t", fmt.Sprint("d/", qos), "-m", fmt.Sprint(qos), "-q", fmt.Sprint(qos))
	}
	require.Equal(t, "d/1 1 1\nd/2 2 2\n", mosquitto(t, b, "mosquitto_sub", append(session, "-C", "2", "-W", "20", "-F", "%t %q %p")...))
}

func TestMosquittoClients_Will(t *testing.T) {
	b := start(t, memory(t), onTCP)
	s := exec.Command(tool(t, "mosquitto_sub"), "-p", fmt.Sprint(b.address(t).Port), "-t", "x", "-i", "dies", "--will-topic", "will", "--will-payload", "gone", "--will-qos", "1", "--will-retain")
	require.NoError(t, s.Start())
	require.Eventually(t, func() bool { return b.Stats().Subscriptions == 1 }, 10*time.Second, time.Millisecond)
	require.NoError(t, s.Process.Kill())
	_ = s.Wait() // it was killed
	require.Equal(t, "gone\n", mosquitto(t, b, "mosquitto_sub", "-t", "will", "-C", "1", "-W", "20"))
}

func TestMosquittoClients_Accounts(t *testing.T) {
	accounts := broker.NewAccounts()
	accounts.Set([]broker.Account{{Username: "anna", PasswordHash: hash(t, "secret")}})
	b := startWith(t, memory(t), accounts, func(c *broker.Config) {
		onTCP(c)
		c.AllowAnonymous = false
	})
	pub := func(args ...string) error {
		args = append(args, "-p", fmt.Sprint(b.address(t).Port), "-t", "a", "-m", "x", "-q", "1")
		return exec.Command(tool(t, "mosquitto_pub"), args...).Run()
	}
	require.NoError(t, pub("-u", "anna", "-P", "secret"))
	require.Error(t, pub("-u", "anna", "-P", "wrong"))
	require.Error(t, pub("-u", "ben", "-P", "secret"))
	require.Error(t, pub())

	s := exec.Command(tool(t, "mosquitto_sub"), "-p", fmt.Sprint(b.address(t).Port), "-u", "anna", "-P", "secret", "-t", "a", "-i", "anna")
	require.NoError(t, s.Start())
	require.Eventually(t, func() bool { return b.Stats().Subscriptions == 1 }, 10*time.Second, time.Millisecond)
	accounts.Set(nil)
	require.Eventually(t, func() bool { return b.Stats().ClientsConnected == 0 }, 10*time.Second, time.Millisecond)
	require.NoError(t, s.Process.Kill())
	_ = s.Wait() // it was killed
}

func TestPaho_PersistentSessionRetainedAndWill(t *testing.T) {
	b := start(t, memory(t), onTCP)
	server := "tcp://" + b.address(t).String()
	got := make(chan string, 100)
	options := func(id string) *paho.ClientOptions {
		return paho.NewClientOptions().AddBroker(server).SetClientID(id).SetConnectTimeout(10 * time.Second).SetAutoReconnect(false)
	}
	durable := options("durable").SetCleanSession(false).SetDefaultPublishHandler(func(_ paho.Client, m paho.Message) {
		got <- fmt.Sprintf("%s %s %t", m.Topic(), m.Payload(), m.Retained())
	})
	s := paho.NewClient(durable)
	done(t, s.Connect())
	done(t, s.SubscribeMultiple(map[string]byte{"live/#": 2, "will": 1}, nil))
	s.Disconnect(100)

	lost := make(chan error, 1)
	dying := paho.NewClient(options("dying").SetWill("will", "gone", 1, true).SetConnectionLostHandler(func(_ paho.Client, err error) { lost <- err }))
	done(t, dying.Connect())
	done(t, dying.Publish("live/1", 1, true, "one"))
	done(t, dying.Publish("live/2", 2, true, "two"))
	thief := paho.NewClient(options("dying"))
	done(t, thief.Connect())
	require.Error(t, receive(t, lost))
	thief.Disconnect(100)

	s = paho.NewClient(durable)
	done(t, s.Connect())
	require.Equal(t, "live/1 one false", receive(t, got))
	require.Equal(t, "live/2 two false", receive(t, got))
	require.Equal(t, "will gone false", receive(t, got))
	done(t, s.Subscribe("will", 1, nil))
	require.Equal(t, "will gone true", receive(t, got))
	s.Disconnect(100)
}

func done(t *testing.T, token paho.Token) {
	t.Helper()
	require.True(t, token.WaitTimeout(20*time.Second), "no answer within 20 s")
	require.NoError(t, token.Error())
}

func receive[T any](t *testing.T, from <-chan T) T {
	t.Helper()
	select {
	case v := <-from:
		return v
	case <-time.After(20 * time.Second):
		require.FailNow(t, "nothing came within 20 s")
		panic("unreachable")
	}
}
