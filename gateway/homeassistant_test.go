package gateway_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	paho "github.com/eclipse/paho.mqtt.golang"

	"fieldgate/gateway"
	"fieldgate/gateway/config"
)

// watcher is a real MQTT client that keeps what Home Assistant would see.
type watcher struct {
	t    *testing.T
	news chan paho.Message
	seen map[string]string // by topic; an empty payload removes
}

func watch(t *testing.T, addr net.Addr, filter string) *watcher {
	t.Helper()
	w := &watcher{t: t, news: make(chan paho.Message, 1000), seen: map[string]string{}}
	client := paho.NewClient(paho.NewClientOptions().AddBroker("tcp://" + addr.String()).SetClientID(t.Name() + filter).SetAutoReconnect(false))
	wait := func(token paho.Token) {
		require.True(t, token.WaitTimeout(patience))
		require.NoError(t, token.Error())
	}
	wait(client.Connect())
	t.Cleanup(func() { client.Disconnect(0) })
	wait(client.Subscribe(filter, 1, func(_ paho.Client, m paho.Message) { w.news <- m }))
	return w
}

// until waits until what is retained is as done wants it.
func (w *watcher) until(what string, done func() bool) {
	w.t.Helper()
	limit := time.After(patience)
	for !done() {
		select {
		case m := <-w.news:
			if len(m.Payload()) == 0 {
				delete(w.seen, m.Topic())
			} else {
				w.seen[m.Topic()] = string(m.Payload())
			}
		case <-limit:
			w.t.Fatalf("waited in vain for %s; there are %v", what, w.seen)
		}
	}
}

const cabinet = `{"id":"cabinet","kind":"modbus","link":{"tcp":{"address":"127.0.0.1:1"}},"devices":[
	{"id":"meter.1","template":"eastron-sdm120","unit":1},
	{"id":"board","unit":2,"points":[
		{"id":"relay","table":"coil","address":0,"write":{}},
		{"id":"door","table":"discrete_input","address":0},
		{"id":"setpoint","address":0,"type":"int16","scale":0.1,"unit":"°C","write":{"min":-10,"max":60,"step":0.5}},
		{"id":"mode","address":1,"enum":{"0":"off","1":"auto"},"write":{}},
		{"id":"hidden","address":2,"publish":false},
		{"id":"unused","address":3,"enabled":false}]}]}`

func TestHomeAssistant_AnnouncesAndTakesBack(t *testing.T) {
	file := hostFile(t)
	g := build(t, file)
	run(t, g)
	ready(t, g)
	require.Eventually(t, func() bool { return len(g.MQTTAddrs()) == 1 }, patience, time.Millisecond)
	ask(t, g, "POST", "/bridges", cabinet, 201)
	w := watch(t, g.MQTTAddrs()[0], "#")
	require.JSONEq(t, `{"enabled":false,"prefix":"homeassistant","node_id":"fieldgate"}`, ask(t, g, "GET", "/home-assistant", "", 200))
	require.Contains(t, ask(t, g, "PATCH", "/home-assistant", `{"prefix":"a/#","node_id":"x/y"}`, 422), "/node_id")

	ask(t, g, "PATCH", "/home-assistant", `{"enabled":true}`, 200)
	const board = "homeassistant/number/fieldgate/board_P_setpoint/config"
	w.until("the last in their order", func() bool { return w.seen["homeassistant/switch/fieldgate/board_P_relay/config"] != "" })
	require.JSONEq(t, `{
		"name":"setpoint","unique_id":"fieldgate_board_P_setpoint","state_topic":"fieldgate/board/setpoint","value_template":"{{ value_json.value }}",
		"availability":[{"topic":"fieldgate/board/$state","value_template":"{{ 'online' if value_json.state in ['online', 'degraded'] else 'offline' }}"}],
		"command_topic":"fieldgate/board/setpoint/set","qos":1,"device_class":"temperature","unit_of_measurement":"°C",
		"min":-10,"max":60,"step":0.5,"mode":"box",
		"device":{"identifiers":["fieldgate_board"],"name":"board"},"origin":{"name":"fieldgate","sw_version":"1.2.3"}}`, w.seen[board])
	components := map[string]bool{}
	for topic, payload := range w.seen {
		if rest, ours := strings.CutPrefix(topic, "homeassistant/"); ours {
			components[strings.Split(rest, "/")[0]+" "+strings.Split(rest, "/")[2]] = true
			checkConfig(t, strings.Split(rest, "/")[0], payload)
		}
	}
	for _, want := range []string{"switch board_P_relay", "binary_sensor board_P_door", "number board_P_setpoint", "select board_P_mode"} {
		require.Contains(t, components, want)
	}
	require.NotContains(t, components, "sensor board_P_hidden")
	require.NotContains(t, components, "sensor board_P_unused")
	w.until("the meter, from its template", func() bool {
		return strings.Contains(w.seen["homeassistant/sensor/fieldgate/meter_DOT_1_P_voltage/config"], `"manufacturer":"Eastron"`)
	})
	require.Contains(t, w.seen["homeassistant/sensor/fieldgate/meter_DOT_1_P_voltage/config"], `"device_class":"voltage","state_class":"measurement","unit_of_measurement":"V"`)

	ask(t, g, "PATCH", "/devices/board", `{"home_assistant":false}`, 200)
	w.until("the board to go", func() bool { return count(w.seen, "board_P_") == 0 })
	require.Positive(t, count(w.seen, "meter_DOT_1_P_"))
	ask(t, g, "PATCH", "/home-assistant", `{"prefix":"ha"}`, 200)
	w.until("the move", func() bool { return count(w.seen, "homeassistant/") == 0 && count(w.seen, "ha/") > 0 })
	require.Contains(t, ask(t, g, "GET", "/config", "", 200), "home_assistant: {enabled: true, prefix: ha, node_id: fieldgate}\n")
	ask(t, g, "POST", "/config/apply", `{"home_assistant":null}`, 200)
	w.until("all to go", func() bool { return count(w.seen, "ha/") == 0 && w.seen["fieldgate/$homeassistant"] == "" })
	ask(t, g, "PATCH", "/devices/board", `{"home_assistant":true}`, 200)
	w.until("the board alone", func() bool { return count(w.seen, "homeassistant/") == 4 })
}

func TestHomeAssistant_TakesBackWhatWentWhileTheGatewayWasOff(t *testing.T) {
	file := hostFile(t)
	life := func(use func(g *gateway.Gateway, w *watcher)) {
		live(t, file, func(g *gateway.Gateway) { use(g, watch(t, g.MQTTAddrs()[0], "homeassistant/#")) })
	}
	life(func(g *gateway.Gateway, w *watcher) {
		ask(t, g, "POST", "/bridges", cabinet2, 201)
		ask(t, g, "PUT", "/home-assistant", `{"enabled":true}`, 200)
		w.until("the point", func() bool { return count(w.seen, "board_P_") == 1 })
	})
	g := must(gateway.New(file, "1.2.3", quiet())) // the settings change while no broker runs
	ask(t, g, "DELETE", "/bridges/cabinet", "", 204)
	require.NoError(t, g.Close())
	life(func(_ *gateway.Gateway, w *watcher) {
		w.until("it to be gone", func() bool { return len(w.seen) == 0 })
	})
}

// live runs a gateway on the host file's data while use works.
func live(t *testing.T, file config.File, use func(g *gateway.Gateway)) {
	t.Helper()
	g := must(gateway.New(file, "1.2.3", quiet()))
	ctx, end := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- g.Run(ctx) }()
	ready(t, g)
	require.Eventually(t, func() bool { return len(g.MQTTAddrs()) == 1 }, patience, time.Millisecond)
	use(g)
	end()
	require.NoError(t, <-ended)
	require.NoError(t, g.Close())
}

func TestRun_ForgetsTheQueueOfAnUplinkThatWentWhileItWasOff(t *testing.T) {
	file := hostFile(t)
	queues := func(g *gateway.Gateway) string { return ask(t, g, "GET", "/sessions", "", 200) }
	live(t, file, func(g *gateway.Gateway) {
		for _, id := range []string{"gone", "stays"} {
			ask(t, g, "POST", "/uplinks", `{"id":"`+id+`","url":"mqtt://127.0.0.1:1","out":[{"filter":"#","qos":1}]}`, 201)
		}
		require.Eventually(t, func() bool { return strings.Count(queues(g), `"$uplink/`) >= 2 }, patience, time.Millisecond)
	})
	g := must(gateway.New(file, "1.2.3", quiet()))
	ask(t, g, "DELETE", "/uplinks/gone", "", 204)
	require.NoError(t, g.Close())
	live(t, file, func(g *gateway.Gateway) {
		require.NotContains(t, queues(g), "$uplink/gone")
		require.Contains(t, queues(g), "$uplink/stays")
	})
	for _, name := range []string{"state.db", "state.db-wal", "state.db-shm"} { // the settings are lost
		_ = os.Remove(filepath.Join(file.DataDir, name))
	}
	live(t, file, func(g *gateway.Gateway) {
		require.Contains(t, queues(g), "$uplink/stays", "it may be wanted when a backup is restored")
	})
}

const cabinet2 = `{"id":"cabinet","kind":"modbus","link":{"tcp":{"address":"127.0.0.1:1"}},"devices":[{"id":"board","points":[{"id":"door","table":"coil","address":0}]}]}`

func count(seen map[string]string, part string) (n int) {
	for topic := range seen {
		if strings.Contains(topic, part) {
			n++
		}
	}
	return n
}

// checkConfig holds a payload against what Home Assistant's components take.
func checkConfig(t *testing.T, component, payload string) {
	t.Helper()
	var c map[string]any
	require.NoError(t, json.Unmarshal([]byte(payload), &c))
	common := "name unique_id state_topic value_template availability qos device origin"
	special := map[string]string{
		"sensor":        "device_class state_class unit_of_measurement",
		"binary_sensor": "device_class payload_on payload_off",
		"switch":        "command_topic payload_on payload_off state_on state_off",
		"number":        "command_topic device_class unit_of_measurement min max step mode",
		"select":        "command_topic command_template options",
		"text":          "command_topic command_template",
	}
	words, known := special[component]
	require.True(t, known, component)
	for key := range c {
		require.Contains(t, strings.Fields(common+" "+words), key, "of a %s", component)
	}
	for _, key := range []string{"name", "unique_id", "state_topic", "availability", "device", "origin"} {
		require.NotEmpty(t, c[key], key)
	}
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }
