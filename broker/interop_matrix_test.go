package broker_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/autopaho"
	paho5 "github.com/eclipse/paho.golang/paho"
	paho "github.com/eclipse/paho.mqtt.golang"
	"github.com/stretchr/testify/require"

	"fieldgate/broker"
	"fieldgate/broker/listen"
)

// said is what every client of the matrix must get: a message of each QoS, and a retained one.
const said = "zero\none\ntwo\nretained kept\n"

// TestRealClients is the matrix of clients that we did not write, as testdata/clients.txt tells it; over TLS
// each logs in with its certificate.
func TestRealClients(t *testing.T) {
	k := newKeys(t)
	k.cfg.RequireClientCert = true
	ways := transports(t, k)
	scripts := map[string]func(t *testing.T, b *testBroker, at *url.URL, k keys, version int) string{
		"mosquitto":         mosquittoSays,
		"paho.mqtt.golang":  pahoSays,
		"paho.golang":       paho5Says,
		"python3-paho-mqtt": pythonSays,
		"MQTT.js in Node":   nodeSays,
	}
	for _, c := range realClients(t) {
		script := scripts[c.name]
		require.NotNil(t, script, c.name)
		for _, scheme := range c.schemes {
			for _, version := range c.versions {
				t.Run(fmt.Sprintf("%s %d over %s", c.name, version, scheme), func(t *testing.T) {
					b := start(t, memory(t), func(c *broker.Config) { c.Listeners = []listen.Config{ways[scheme]} })
					at, err := url.Parse(b.url(t, scheme))
					require.NoError(t, err)
					require.Equal(t, said, script(t, b, at, k, version))
				})
			}
		}
	}
}

// realClient is a row of testdata/clients.txt that TestRealClients plays.
type realClient struct {
	name     string
	versions []int
	schemes  []string
}

func realClients(t *testing.T) (list []realClient) {
	text, err := os.ReadFile("testdata/clients.txt")
	require.NoError(t, err)
	for line := range strings.Lines(string(text)) {
		cells := strings.Split(line, " | ")
		if line[0] == '#' || cells[3] != "TestRealClients" {
			continue
		}
		c := realClient{name: cells[0], schemes: strings.Fields(strings.Replace(cells[2], "tls", "ssl", 1))}
		for _, version := range strings.Fields(cells[1]) {
			c.versions = append(c.versions, map[string]int{"3.1": 3, "3.1.1": 4, "5.0": 5}[version])
		}
		list = append(list, c)
	}
	return list
}

func mosquittoSays(t *testing.T, b *testBroker, at *url.URL, k keys, version int) string {
	args := []string{"-V", map[int]string{3: "mqttv31", 4: "mqttv311", 5: "mqttv5"}[version]}
	switch at.Scheme {
	case "unix":
		args = append(args, "--unix", at.Path)
	case "ssl":
		args = append(args, "--cafile", k.file("ca.pem"), "--cert", k.file("anna.pem"), "--key", k.file("anna.key"))
		fallthrough
	default:
		args = append(args, "-h", at.Hostname(), "-p", at.Port())
	}
	publish := func(more ...string) {
		out, err := exec.Command(tool(t, "mosquitto_pub"), append(args, more...)...).CombinedOutput()
		require.NoError(t, err, "%s", out)
	}
	listen := func(more ...string) (wait func() string) {
		var out bytes.Buffer
		s := exec.Command(tool(t, "mosquitto_sub"), append(append(args, "-q", "2", "-W", "20"), more...)...)
		s.Stdout, s.Stderr = &out, &out
		require.NoError(t, s.Start())
		return func() string {
			require.NoError(t, s.Wait(), out.String())
			return out.String()
		}
	}
	live := listen("-t", "m/+", "-C", "3")
	require.Eventually(t, func() bool { return b.Stats().Subscriptions == 1 }, 10*time.Second, time.Millisecond)
	for qos, word := range []string{"zero", "one", "two"} {
		publish("-t", "m/a", "-m", word, "-q", fmt.Sprint(qos))
	}
	publish("-t", "kept", "-m", "kept", "-q", "1", "-r")
	return live() + strings.ReplaceAll(listen("-t", "kept", "-C", "1", "-F", "%r %p")(), "1 ", "retained ")
}

func pahoSays(t *testing.T, _ *testBroker, at *url.URL, k keys, version int) string {
	c := paho.NewClient(paho.NewClientOptions().AddBroker(at.String()).SetClientID("paho").SetProtocolVersion(uint(version)).
		SetTLSConfig(k.client).SetConnectTimeout(10 * time.Second).SetAutoReconnect(false))
	done(t, c.Connect())
	got := make(chan string, 10)
	hear := func(_ paho.Client, m paho.Message) { got <- word(m.Retained(), m.Payload()) }
	done(t, c.Subscribe("g/+", 2, hear))
	for qos, word := range []string{"zero", "one", "two"} {
		done(t, c.Publish("g/a", byte(qos), false, word))
	}
	done(t, c.Publish("kept", 1, true, "kept"))
	done(t, c.Subscribe("kept", 1, hear))
	defer c.Disconnect(100)
	return words(t, got)
}

func paho5Says(t *testing.T, _ *testBroker, at *url.URL, k keys, _ int) string {
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	got := make(chan string, 10)
	c, err := autopaho.NewConnection(ctx, autopaho.ClientConfig{
		ServerUrls: []*url.URL{at}, TlsCfg: k.client, KeepAlive: 30, ConnectTimeout: 10 * time.Second, CleanStartOnInitialConnection: true,
		ClientConfig: paho5.ClientConfig{
			ClientID: "paho5",
			OnPublishReceived: []func(paho5.PublishReceived) (bool, error){func(p paho5.PublishReceived) (bool, error) {
				got <- word(p.Packet.Retain, p.Packet.Payload)
				return true, nil
			}},
		},
	})
	require.NoError(t, err)
	require.NoError(t, c.AwaitConnection(ctx))
	subscribe := func(topic string) {
		_, err := c.Subscribe(ctx, &paho5.Subscribe{Subscriptions: []paho5.SubscribeOptions{{Topic: topic, QoS: 2}}})
		require.NoError(t, err)
	}
	subscribe("g/+")
	for qos, word := range []string{"zero", "one", "two"} {
		_, err := c.Publish(ctx, &paho5.Publish{Topic: "g/a", QoS: byte(qos), Payload: []byte(word)})
		require.NoError(t, err)
	}
	_, err = c.Publish(ctx, &paho5.Publish{Topic: "kept", QoS: 1, Retain: true, Payload: []byte("kept")})
	require.NoError(t, err)
	subscribe("kept")
	all := words(t, got)
	require.NoError(t, c.Disconnect(ctx))
	return all
}

func word(retained bool, payload []byte) string {
	if retained {
		return "retained " + string(payload)
	}
	return string(payload)
}

func words(t *testing.T, got <-chan string) string {
	var all strings.Builder
	for range strings.Count(said, "\n") {
		all.WriteString(receive(t, got) + "\n")
	}
	return all.String()
}

// python is Debian's, for that one has Debian's modules.
const python = "/usr/bin/python3"

func pythonSays(t *testing.T, _ *testBroker, at *url.URL, k keys, version int) string {
	if out, err := exec.Command(python, "-c", "import paho.mqtt.client").CombinedOutput(); err != nil {
		require.NotEqual(t, "true", os.Getenv("CI"), "%s", out)
		t.Skip("python3-paho-mqtt is not installed")
	}
	cmd := exec.Command(python, "testdata/interop.py", at.Scheme, at.Hostname(), at.Port(), fmt.Sprint(version),
		k.file("ca.pem"), k.file("anna.pem"), k.file("anna.key"))
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	require.NoError(t, err, errs.String())
	return string(out)
}

// nodeModules is where npm puts MQTT.js for the page.
const nodeModules = "../webui/app/node_modules"

func nodeSays(t *testing.T, _ *testBroker, at *url.URL, k keys, version int) string {
	node, err := exec.LookPath("node")
	if err == nil {
		_, err = os.Stat(nodeModules + "/mqtt")
	}
	if err != nil {
		require.NotEqual(t, "true", os.Getenv("CI"), "%v", err)
		t.Skipf("no MQTT.js in Node: %v; make install-tools", err)
	}
	modules, err := filepath.Abs(nodeModules)
	require.NoError(t, err)
	server := *at
	server.Scheme = map[string]string{"tcp": "mqtt", "ssl": "mqtts", "ws": "ws", "wss": "wss"}[at.Scheme]
	cmd := exec.Command(node, "testdata/interop.mjs", modules, server.String(), fmt.Sprint(version),
		k.file("ca.pem"), k.file("anna.pem"), k.file("anna.key"))
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	require.NoError(t, err, errs.String())
	return string(out)
}

// TestRealClients_NeedTheirCertificate: without one the same door stays shut.
func TestRealClients_NeedTheirCertificate(t *testing.T) {
	k := newKeys(t)
	k.cfg.RequireClientCert = true
	stranger := &tls.Config{RootCAs: k.client.RootCAs}
	for _, scheme := range []string{"ssl", "wss"} {
		t.Run(scheme, func(t *testing.T) {
			b := start(t, memory(t), func(c *broker.Config) { c.Listeners = []listen.Config{transports(t, k)[scheme]} })
			c := paho.NewClient(paho.NewClientOptions().AddBroker(b.url(t, scheme)).SetTLSConfig(stranger).SetConnectTimeout(10 * time.Second).SetConnectRetry(false))
			token := c.Connect()
			require.True(t, token.WaitTimeout(20*time.Second))
			require.Error(t, token.Error())
		})
	}
}
