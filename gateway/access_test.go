package gateway_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"fieldgate/broker"
	"fieldgate/gateway"
)

// ask makes a request of the page as the machine's administrator.
func ask(t *testing.T, g *gateway.Gateway, method, path, body string, status int) string {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, "http://fieldgate/api/v1"+path, bytes.NewReader([]byte(body)))
	require.NoError(t, err)
	r.RemoteAddr, r.RequestURI = "127.0.0.1:0", r.URL.RequestURI()
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("If-Match", "*")
	a := &answer{header: http.Header{}, status: http.StatusOK}
	g.Handler().ServeHTTP(a, r)
	require.Equal(t, status, a.status, "%s", a.body)
	return string(a.body)
}

func TestRun_AccessRulesOfTheRESTInterfaceActOnConnectedClients(t *testing.T) {
	file := hostFile(t)
	file.MQTT = broker.DefaultConfig()
	file.MQTT.Listeners[0].Address = "127.0.0.1:0"
	g := build(t, file)
	run(t, g)
	ready(t, g)
	ask(t, g, "POST", "/accounts", `{"username":"a","password":"secret"}`, 201)
	require.Eventually(t, func() bool { return len(g.MQTTAddrs()) == 1 }, patience, time.Millisecond)
	conn, err := net.Dial("tcp", g.MQTTAddrs()[0].String())
	require.NoError(t, err)
	defer conn.Close()
	require.NoError(t, conn.SetDeadline(time.Now().Add(patience)))
	expect := func(packet, want string) {
		t.Helper()
		_, err = conn.Write([]byte(packet))
		require.NoError(t, err)
		got := make([]byte, len(want))
		_, err = io.ReadFull(conn, got)
		require.NoError(t, err)
		require.Equal(t, []byte(want), got)
	}
	const subscribe, granted, refused = "\x82\x06\x00\x01\x00\x01t\x00", "\x90\x03\x00\x01\x00", "\x90\x03\x00\x01\x80"
	expect("\x10\x18\x00\x04MQTT\x04\xc2\x00\x3c\x00\x01a\x00\x01a\x00\x06secret", "\x20\x02\x00\x00")
	expect(subscribe, granted)
	question := `{"username":"a","action":"read","topic":"t"}`
	require.JSONEq(t, `{"allowed":true,"rule":""}`, ask(t, g, "POST", "/access-rules/check", question, 200))

	ask(t, g, "POST", "/access-rules", `{"id":"own","filter":"site/%u/#","allow":["read"]}`, 201)
	expect(subscribe, refused)
	require.JSONEq(t, `{"allowed":false,"rule":""}`, ask(t, g, "POST", "/access-rules/check", question, 200))
	ask(t, g, "POST", "/access-rules", `{"id":"t","account":"a","filter":"t","allow":["read"]}`, 201)
	expect(subscribe, granted)
	require.JSONEq(t, `{"allowed":true,"rule":"t"}`, ask(t, g, "POST", "/access-rules/check", question, 200))
	ask(t, g, "PATCH", "/access-rules/t", `{"allow":null,"deny":["read","write"]}`, 200)
	expect(subscribe, refused)
	ask(t, g, "POST", "/config/apply", `{"access_rules":[]}`, 200)
	expect(subscribe, granted)

	var list struct{ Items []json.RawMessage }
	require.NoError(t, json.Unmarshal([]byte(ask(t, g, "GET", "/config/revisions", "", 200)), &list))
	require.Len(t, list.Items, 5)
	ask(t, g, "DELETE", "/accounts/a", "", 204)
	_, err = conn.Read(make([]byte, 1))
	require.ErrorIs(t, err, io.EOF)
}
