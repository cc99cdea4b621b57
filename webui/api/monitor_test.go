package api_test

import (
	"bufio"
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"fieldgate/bridges"
	"fieldgate/webui/api"
)

func TestMonitor_SendsFramesAndCountsWhatIsDropped(t *testing.T) {
	h := newHouse(t)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.echo.ServeHTTP(w, r.WithContext(api.WithLocal(r.Context())))
	}))
	defer server.Close()
	h.local().send("GET", "/bridges/nobody/monitor", "").want(404)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, "GET", server.URL+"/api/v1/bridges/cabinet/monitor", nil)
	require.NoError(t, err)
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	defer response.Body.Close()
	require.Equal(t, "text/event-stream", response.Header.Get("Content-Type"))
	require.True(t, <-h.field.looks)
	h.field.emit(bridges.Frame{Direction: "request", Unit: 1, Function: 3, Hex: "0103"})
	lines := bufio.NewScanner(response.Body)
	lines.Buffer(nil, 1<<20)
	next := func(prefix string) string {
		for lines.Scan() {
			if rest, ok := strings.CutPrefix(lines.Text(), prefix); ok {
				return rest
			}
		}
		t.Fatal("the stream ended")
		return ""
	}
	require.Equal(t, "frames", next("event: "))
	require.Contains(t, next("data: "), `"hex":"0103"`)
	for range 5000 {
		h.field.emit(bridges.Frame{Direction: "other"})
	}
	for dropped := false; !dropped; {
		dropped = !strings.HasSuffix(next("data: "), `"dropped":0}`) || dropped
	}
	close(h.field.gone)
	require.Contains(t, next("event: end"), "")
	require.False(t, <-h.field.looks, "nobody looks any more")
}
