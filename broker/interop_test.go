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
	for _, version := range []string{"mqttv31", "mqttv311"} {
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
	url := "tcp://" + b.address(t).String()
	connect := func(id string, clean bool) paho.Client {
		c := paho.NewClient(paho.NewClientOptions().AddBroker(url).SetClientID(id).SetCleanSession(clean).SetOrderMatters(true).SetConnectTimeout(10 * time.Second))
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
