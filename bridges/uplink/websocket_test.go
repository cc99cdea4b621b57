package uplink_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/require"

	"fieldgate/bridges"
	"fieldgate/bridges/bridgestest"
	"fieldgate/bridges/uplink"
	"fieldgate/broker/mqtt"
	"fieldgate/broker/packet"
	"fieldgate/internal/fault"
)

// A cloud that hears nothing any more, not even the end of a WebSocket, does not hold up a stop.
func TestUplink_StopsInTimeThoughAWebSocketsFarSideIsDeaf(t *testing.T) {
	deaf := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := websocket.Accept(w, r, &websocket.AcceptOptions{Subprotocols: []string{"mqtt"}})
		if err != nil {
			return
		}
		defer c.CloseNow()
		if _, _, err := c.Read(r.Context()); err != nil {
			return
		}
		_ = c.Write(r.Context(), websocket.MessageBinary, (&packet.Connack{}).Append(nil, mqtt.V311))
		<-deaf
	}))
	defer server.Close()
	defer close(deaf)
	var log bridgestest.Log
	bus := &bridgestest.Bus{}
	s := bridges.NewSupervisor(bridges.UplinkRole, []bridges.Kind{uplink.Kind}, bus, &fault.Alarms{}, log.Logger())
	settings := `{"id":"cloud","url":"` + strings.Replace(server.URL, "http", "ws", 1) + `","out":[{"filter":"#","qos":1}]}`
	require.NoError(t, s.Apply([]bridges.Config{{ID: "cloud", Kind: "uplink", Settings: json.RawMessage(settings)}}))
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- s.Run(ctx) }()
	bus.AwaitRetained(t, "fieldgate/$uplink/cloud", `"state":"connected"`)
	stop()
	require.NoError(t, <-ended)
	require.NotContains(t, log.String(), "did not stop in time")
}
