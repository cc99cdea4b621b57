package api_test

import (
	"archive/zip"
	"bufio"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"fieldgate/broker"
	"fieldgate/broker/mqtt"
	"fieldgate/broker/packet"
	"fieldgate/broker/session/sessiontest"
	"fieldgate/internal/fault"
	"fieldgate/webui/api"
)

const patience = 20 * time.Second

// running is a broker that runs until the test ends, beside an API that works with it.
type running struct {
	*house
	broker *broker.Broker
}

func newRunning(t *testing.T) running {
	t.Helper()
	spool := sessiontest.NewMemory()
	t.Cleanup(spool.Close)
	cfg := broker.DefaultConfig()
	cfg.AllowAnonymous = true
	cfg.Listeners[0].Address = "127.0.0.1:0"
	b, err := broker.New(cfg, spool, nil, &fault.Alarms{}, slog.New(slog.NewTextHandler(t.Output(), nil)))
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1) // one send, whoever waits
	go func() { ended <- b.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		require.NoError(t, <-ended)
	})
	h := newHouse(t)
	h.broker = func() (api.Broker, error) { return b, nil }
	require.Eventually(t, func() bool { return len(b.Addrs()) > 0 }, patience, time.Millisecond)
	return running{h, b}
}

// mqttClient connects and reads the CONNACK.
func (r running) mqttClient(connect packet.Connect) net.Conn {
	r.t.Helper()
	conn, err := net.Dial("tcp", r.broker.Addrs()[0].String())
	require.NoError(r.t, err)
	r.t.Cleanup(func() { conn.Close() })
	require.NoError(r.t, conn.SetDeadline(time.Now().Add(patience)))
	connect.Version = mqtt.V311
	r.exchange(conn, connect.Append(nil), 4)
	return conn
}

// exchange writes a packet and reads so many bytes.
func (r running) exchange(conn net.Conn, raw []byte, answer int) {
	r.t.Helper()
	_, err := conn.Write(raw)
	require.NoError(r.t, err)
	_, err = io.ReadFull(conn, make([]byte, answer))
	require.NoError(r.t, err)
}

func subscribe(filter string) []byte {
	s := packet.Subscribe{PacketID: 1, Subscriptions: []mqtt.Subscription{{Filter: filter, QoS: 1}}}
	return s.Append(nil, mqtt.V311)
}

func TestClients_AreListedShownAndDisconnected(t *testing.T) {
	r := newRunning(t)
	vera, otto, anna := r.login("vera"), r.login("otto"), r.login("anna")
	secret := packet.Connect{ClientID: "pump/1", KeepAlive: 60, HasUsername: true, Username: "sensor", HasPassword: true, Password: []byte("hunter2")}
	conn := r.mqttClient(secret)
	r.exchange(conn, subscribe("a/#"), 5)
	r.mqttClient(packet.Connect{ClientID: "valve", CleanStart: true})

	first := vera.send("GET", "/clients?limit=1", "").want(200).json()
	require.Len(t, first["items"], 1)
	require.Equal(t, "/api/v1/clients?after=pump%2F1&limit=1", first["next"])
	second := vera.send("GET", strings.TrimPrefix(first["next"].(string), "/api/v1"), "").want(200).json()
	require.Nil(t, second["next"])
	require.Equal(t, "valve", second["items"].([]any)[0].(map[string]any)["client_id"])
	require.Empty(t, vera.send("GET", "/clients?contains=none", "").want(200).json()["items"])
	vera.send("GET", "/clients?limit=1001", "").want(422)

	a := vera.send("GET", "/clients/pump%2F1", "").want(200)
	require.NotContains(t, a.body, "hunter2")
	one := a.json()
	for key, want := range map[string]any{
		"client_id": "pump/1", "protocol": "3.1.1", "keep_alive_seconds": 60.0, "clean_start": false, "session_expiry_seconds": 604800.0,
		"listener": "127.0.0.1:0", "address": conn.LocalAddr().String(), "inflight": 0.0, "queued_messages": 0.0, "subscription_count": 1.0, "last_disconnect": nil,
	} {
		require.Equal(t, want, one[key], key)
	}
	require.Equal(t, "a/#", one["subscriptions"].([]any)[0].(map[string]any)["filter"])
	require.EqualValues(t, 2, one["received"].(map[string]any)["packets"])
	vera.send("GET", "/clients/nobody", "").want(404)

	otto.send("POST", "/clients/nobody/disconnect", "").want(404)
	otto.send("POST", "/clients/pump%2F1/disconnect", "").want(204)
	require.Eventually(t, func() bool { return vera.send("GET", "/clients/pump%2F1", "").status == 404 }, patience, time.Millisecond)
	require.Eventually(t, func() bool {
		s := vera.send("GET", "/sessions/pump%2F1", "").want(200).json()
		last, _ := s["last_disconnect"].(map[string]any)
		return last != nil && last["cause"] == "disconnected by otto" && s["connected"] == false
	}, patience, time.Millisecond)

	anna.send("POST", "/publish", `{"topic":"a/1","payload":"x","qos":1}`).want(200)
	anna.send("POST", "/publish", `{"topic":"a/2","payload":{"on":true},"qos":1}`).want(200)
	queue := vera.send("GET", "/sessions/pump%2F1/queue?limit=1", "").want(200).json()
	require.Equal(t, "x", queue["items"].([]any)[0].(map[string]any)["payload"])
	rest := vera.send("GET", strings.TrimPrefix(queue["next"].(string), "/api/v1"), "").want(200).json()
	require.Equal(t, `{"on":true}`, rest["items"].([]any)[0].(map[string]any)["payload"])
	require.EqualValues(t, 2, vera.send("GET", "/sessions/pump%2F1", "").want(200).json()["queued_messages"], "nothing was taken")
	vera.send("GET", "/sessions/pump%2F1/queue?after=x", "").want(422)

	anna.send("DELETE", "/sessions/pump%2F1", "").want(204)
	anna.send("DELETE", "/sessions/pump%2F1", "").want(404)
	vera.send("GET", "/sessions/pump%2F1/queue", "").want(404)
	anna.send("DELETE", "/sessions/$uplink", "").want(409)
}

func TestMessages_ArePublishedBrowsedAndCleared(t *testing.T) {
	r := newRunning(t)
	otto := r.login("otto")
	got, err := r.broker.Attach(t.Context(), mqtt.Attachment{ClientID: "$test", Subscriptions: []mqtt.Subscription{{Filter: "a/#"}}})
	require.NoError(t, err)
	defer got.Close()
	raw := base64.StdEncoding.EncodeToString([]byte{0xff, 0})
	for name, row := range map[string]struct {
		body, want string
		pointers   []string
	}{
		"text":             {body: `{"topic":"a/x","payload":"21.5","retain":true,"qos":1}`, want: "21.5"},
		"JSON":             {body: `{"topic":"a/x/y","payload":{"value": 1},"retain":true}`, want: `{"value": 1}`},
		"bytes":            {body: `{"topic":"a/z","payload_base64":"` + raw + `","retain":true}`, want: "\xff\x00"},
		"nothing":          {body: `{"topic":"a/empty"}`},
		"wildcard":         {body: `{"topic":"a/#","payload":"x"}`, pointers: []string{"/topic invalid"}},
		"the broker's own": {body: `{"topic":"$SYS/x","payload":"x"}`, pointers: []string{"/topic invalid"}},
		"both payloads":    {body: `{"topic":"a","payload":"x","payload_base64":"eA=="}`, pointers: []string{"/payload_base64 invalid"}},
		"QoS 3":            {body: `{"topic":"a","qos":3}`, pointers: []string{"/qos out_of_range"}},
	} {
		t.Run(name, func(t *testing.T) {
			if row.pointers != nil {
				require.Equal(t, row.pointers, otto.send("POST", "/publish", row.body).want(422).pointers())
				return
			}
			require.EqualValues(t, 1, otto.send("POST", "/publish", row.body).want(200).json()["receivers"])
			next, err := got.Next(t.Context(), 1)
			require.NoError(t, err)
			require.Equal(t, row.want, string(next[0].Message.Payload))
		})
	}
	top := otto.send("GET", "/topics?prefix=a", "").want(200).json()["items"].([]any)
	require.Len(t, top, 2)
	x := top[0].(map[string]any)
	require.Equal(t, []any{"x", "a/x", 1.0, "21.5"}, []any{x["name"], x["topic"], x["below"], x["retained"].(map[string]any)["payload"]})
	require.Equal(t, raw, top[1].(map[string]any)["retained"].(map[string]any)["payload_base64"])
	page := otto.send("GET", "/topics?prefix=a/&limit=1", "").want(200).json()
	require.Len(t, otto.send("GET", strings.TrimPrefix(page["next"].(string), "/api/v1"), "").want(200).json()["items"], 1)

	page = otto.send("GET", "/retained?filter=a/%23&limit=2", "").want(200).json()
	require.Len(t, page["items"], 2)
	page = otto.send("GET", strings.TrimPrefix(page["next"].(string), "/api/v1"), "").want(200).json()
	require.Len(t, page["items"], 1)
	require.Nil(t, page["next"])
	otto.send("GET", "/retained?filter=a/%23/b", "").want(422)
	otto.send("DELETE", "/retained?topic=a/x", "").want(204)
	otto.send("DELETE", "/retained?topic=a/x", "").want(404)
	otto.send("DELETE", "/retained?topic=$SYS/broker/uptime", "").want(422)
}

func TestPayload_IsCutBetweenCharacters(t *testing.T) {
	r := newRunning(t)
	otto := r.login("otto")
	text := strings.Repeat("é", 3000) + "z"
	body, err := json.Marshal(map[string]any{"topic": "t", "payload": "a" + text, "retain": true})
	require.NoError(t, err)
	otto.send("POST", "/publish", string(body)).want(200)
	one := otto.send("GET", "/retained?filter=t", "").want(200).json()["items"].([]any)[0].(map[string]any)
	require.Equal(t, true, one["truncated"])
	require.EqualValues(t, 6002, one["payload_bytes"])
	require.Equal(t, "a"+strings.Repeat("é", 2047), one["payload"])
}

// events reads a stream of the interface until a line holds the word, and gives what it read.
func (r running) events(who *client, path, until string) string {
	r.t.Helper()
	server := httptest.NewServer(r.echo)
	defer server.Close()
	ctx, cancel := context.WithTimeout(r.t.Context(), patience)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, server.URL+"/api/v1"+path, nil)
	require.NoError(r.t, err)
	request.Header = who.header.Clone()
	answer, err := http.DefaultTransport.RoundTrip(request)
	require.NoError(r.t, err)
	defer answer.Body.Close()
	var text strings.Builder
	for lines := bufio.NewScanner(answer.Body); lines.Scan(); {
		text.WriteString(lines.Text() + "\n")
		if strings.Contains(lines.Text(), until) {
			return text.String()
		}
		if strings.HasPrefix(lines.Text(), ": what goes") {
			go r.speak() // it ends with the connection
		}
	}
	require.FailNow(r.t, "the stream ended", "%d %s", answer.StatusCode, text.String())
	return ""
}

// speak is a client that comes, publishes and goes.
func (r running) speak() {
	conn, err := net.Dial("tcp", r.broker.Addrs()[0].String())
	if err != nil {
		return
	}
	defer conn.Close()
	connect := packet.Connect{Version: mqtt.V311, ClientID: "pump", CleanStart: true, HasUsername: true, Username: "u", HasPassword: true, Password: []byte("hunter2")}
	publish := packet.Publish{Topic: []byte("a/b"), Payload: []byte("21.5"), QoS: 1, PacketID: 7}
	_, _ = conn.Write(publish.Append(connect.Append(nil), mqtt.V311)) // the test sees what came
	_, _ = io.ReadFull(conn, make([]byte, 8))
}

func TestTrace_ShowsAClientsPackets(t *testing.T) {
	r := newRunning(t)
	vera, otto := r.login("vera"), r.login("otto")
	text := r.events(vera, "/clients/pump/trace", `"direction":"closed"`)
	for _, want := range []string{`"type":"CONNECT"`, `"keep_alive_seconds":0`, `"has_password":true`, `"topic":"a/b"`, `"packet_id":7`, `"payload_bytes":4`, `"type":"PUBACK"`, "without DISCONNECT"} {
		require.Contains(t, text, want)
	}
	require.NotContains(t, text, "hunter2")
	require.NotContains(t, text, "21.5")
	require.NotContains(t, text, `"payload":`)
	text = r.events(otto, "/clients/pump/trace?payload_bytes=2", `"direction":"closed"`)
	require.Contains(t, text, `"payload":"21"`)
	require.NotContains(t, text, "hunter2")
	require.Contains(t, r.events(otto, "/clients/pump/trace?packets=2", "event: end"), `"type":"PUBLISH"`)
	vera.send("GET", "/clients/pump/trace?payload_bytes=2", "").want(403)
	otto.send("GET", "/clients/$uplink/trace", "").want(422)
	otto.send("GET", "/clients/pump/trace?seconds=4000", "").want(422)
	require.Eventually(t, func() bool { return r.broker.Stats().Traces == 0 }, patience, time.Millisecond)
}

func TestMetrics_AreForPrometheus(t *testing.T) {
	r := newRunning(t)
	r.mqttClient(packet.Connect{ClientID: "pump", CleanStart: true})
	anna := r.login("anna")
	token := anna.send("POST", "/tokens", `{"name":"prometheus","role":"viewer"}`).want(201).json()["token"].(string)
	scraper := r.stranger()
	scraper.send("GET", "/metrics", "").want(401)
	scraper.header.Set("Authorization", "Bearer "+token)
	a := scraper.send("GET", "/metrics", "").want(200)
	require.True(t, strings.HasPrefix(a.header.Get("Content-Type"), "text/plain"), a.header)
	for _, want := range []string{
		`fieldgate_build_info{go_version="go1.26`, `version="1.2.3"} 1`, "fieldgate_mqtt_clients_connected 1", "# TYPE fieldgate_mqtt_connects_total counter",
		`fieldgate_bridge_up{bridge="cabinet",kind="modbus"} 1`, `fieldgate_bridge_events_total{bridge="cabinet",event="polls"} 12`, `fieldgate_device_up{bridge="cabinet",device="meter"} 1`,
		`fieldgate_point_value{device="meter",point="power",unit="W"} 230.1`, `fieldgate_point_good{device="meter",point="limit"} 0`,
		`fieldgate_uplink_up{kind="uplink",uplink="cloud"} 1`, "fieldgate_disk_free_bytes 7", "go_goroutines", "process_open_fds",
	} {
		require.Contains(t, a.body, want)
	}
	require.NotContains(t, a.body, `point_value{device="meter",point="limit"`, "a bad value is none")
	require.NotContains(t, a.body, "fg_")
	require.NotContains(t, a.body, "pump", "clients are no labels: their number has no limit")
}

// auditOf gives author and operation of the audit's entries, newest first.
func (h *house) auditOf(who *client) []string {
	var list []string
	for _, item := range who.send("GET", "/audit", "").want(200).json()["items"].([]any) {
		e := item.(map[string]any)
		list = append(list, fmt.Sprintf("%v/%v", e["author"], e["operation"]))
	}
	return list
}

func TestSupport_SeesLogsAuditAndDiagnosticsWithoutSecrets(t *testing.T) {
	h := newHouse(t)
	anna, otto := h.login("anna"), h.login("otto")
	otto.send("POST", "/bridges/cabinet/pause", "").want(204)
	otto.send("POST", "/bridges/cabinet/pause", "").want(204)
	otto.send("POST", "/bridges/none/pause", "").want(404)
	made := anna.send("POST", "/tokens", `{"name":"script","role":"viewer"}`).want(201).json()
	entries := anna.send("GET", "/audit", "").want(200).json()["items"].([]any)
	newest, before := entries[0].(map[string]any), entries[1].(map[string]any)
	require.Equal(t, []any{"anna", "admin", "create-token", "/tokens", "192.0.2.7"}, []any{newest["author"], newest["role"], newest["operation"], newest["path"], newest["address"]})
	require.Equal(t, []any{"otto", "pause-bridge", "/bridges/cabinet/pause"}, []any{before["author"], before["operation"], before["path"]})
	page := anna.send("GET", "/audit?limit=1", "").want(200).json()
	require.Equal(t, before, anna.send("GET", strings.TrimPrefix(page["next"].(string), "/api/v1")+"&x", "").want(200).json()["items"].([]any)[0], "the same again is not noted")

	for range 2 {
		h.stranger().send("POST", "/session", `{"name":"anna","password":"wrong horse"}`).want(401)
	}
	h.stranger().send("POST", "/session", `{"name":"wrong horse","password":"anna"}`).want(401) // in the wrong fields
	require.Equal(t, []string{"/login-refused", "anna/login-refused"}, h.auditOf(anna)[:2], "once each, and no name that nobody has")
	require.Contains(t, h.auditOf(anna), "otto/login")
	logs := otto.send("GET", "/logs?level=warn&contains=REFUSED", "").want(200).json()["items"].([]any)
	require.Len(t, logs, 3)
	last := logs[2].(map[string]any)
	require.Equal(t, []any{"warn", "login refused", map[string]any{"remote": "192.0.2.7"}}, []any{last["level"], last["message"], last["attributes"]})
	require.Empty(t, otto.send("GET", "/logs?after="+last["seq"].(string), "").want(200).json()["items"])
	otto.send("GET", "/logs?level=loud", "").want(422)

	system := otto.send("GET", "/system", "").want(200).json()
	require.EqualValues(t, 7, system["disk"].(map[string]any)["free_bytes"])

	packed := anna.send("GET", "/diagnostics", "").want(200)
	z, err := zip.NewReader(strings.NewReader(packed.body), int64(len(packed.body)))
	require.NoError(t, err)
	var names []string
	for _, f := range z.File {
		names = append(names, strings.TrimPrefix(f.Name, "fieldgate/"))
		r, err := f.Open()
		require.NoError(t, err)
		text, err := io.ReadAll(r)
		require.NoError(t, err)
		require.NotEmpty(t, text)
		for _, secret := range []string{password, "wrong horse", made["token"].(string), "fg_session="} {
			require.NotContains(t, string(text), secret, f.Name)
		}
	}
	require.Equal(t, []string{"system.json", "alarms.json", "bridges.json", "uplinks.json", "logs.json", "config.yaml", "metrics.txt"}, names)
}
