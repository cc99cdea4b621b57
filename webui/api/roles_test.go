package api_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// roles says for every route who may use it: all, viewer, operator or admin.
const roles = `
all      GET    /setup
all      POST   /setup
admin    GET    /setup/code
all      POST   /session
viewer   GET    /session
viewer   PATCH  /session
viewer   DELETE /session
admin    GET    /users
admin    POST   /users
admin    GET    /users/:name
admin    PUT    /users/:name
admin    PATCH  /users/:name
admin    DELETE /users/:name
admin    GET    /tokens
admin    POST   /tokens
admin    GET    /tokens/:id
admin    DELETE /tokens/:id
viewer   GET    /bridges
operator POST   /bridges
viewer   GET    /bridges/:id
operator PUT    /bridges/:id
operator PATCH  /bridges/:id
operator DELETE /bridges/:id
viewer   GET    /bridges/:id/stats
operator POST   /bridges/:id/pause
operator POST   /bridges/:id/resume
operator POST   /bridges/:id/test
operator POST   /bridges/test
operator POST   /bridges/:id/scan
operator POST   /bridges/scan
operator POST   /bridges/:id/read
operator POST   /bridges/read
operator POST   /bridges/:id/write
operator POST   /bridges/write
viewer   GET    /bridges/:id/monitor
viewer   GET    /jobs
viewer   GET    /jobs/:id
operator POST   /jobs/:id/cancel
operator DELETE /jobs/:id
viewer   GET    /bridge-kinds
viewer   GET    /devices
operator POST   /devices
viewer   GET    /devices/:id
operator PUT    /devices/:id
operator PATCH  /devices/:id
operator DELETE /devices/:id
operator POST   /devices/test
operator POST   /devices/:id/test
operator POST   /devices/:id/clone
operator POST   /devices/:id/points/:pid/write
viewer   GET    /devices/:id/points/export
operator POST   /devices/:id/points/import
viewer   GET    /templates
viewer   GET    /templates/:id
operator PUT    /templates/:id
operator DELETE /templates/:id
viewer   GET    /home-assistant
operator PUT    /home-assistant
operator PATCH  /home-assistant
viewer   GET    /values
viewer   GET    /values/:device/:point/history
viewer   GET    /events
admin    GET    /backups/now
admin    POST   /restore
viewer   GET    /uplinks
operator POST   /uplinks
viewer   GET    /uplinks/:id
operator PUT    /uplinks/:id
operator PATCH  /uplinks/:id
operator DELETE /uplinks/:id
operator POST   /uplinks/:id/pause
operator POST   /uplinks/:id/resume
operator POST   /uplinks/:id/test
operator POST   /uplinks/test
viewer   GET    /uplinks/:id/queue
admin    DELETE /uplinks/:id/queue
viewer   GET    /uplink-presets
viewer   GET    /home-assistant
operator PUT    /home-assistant
operator PATCH  /home-assistant
admin    GET    /accounts
admin    POST   /accounts
admin    GET    /accounts/:id
admin    PUT    /accounts/:id
admin    PATCH  /accounts/:id
admin    DELETE /accounts/:id
admin    GET    /access-rules
admin    POST   /access-rules
admin    GET    /access-rules/:id
admin    PUT    /access-rules/:id
admin    PATCH  /access-rules/:id
admin    DELETE /access-rules/:id
admin    POST   /access-rules/check
viewer   GET    /home-assistant
operator PUT    /home-assistant
operator PATCH  /home-assistant
admin    GET    /config
admin    POST   /config/apply
admin    GET    /config/revisions
admin    GET    /config/revisions/:n
admin    POST   /config/revisions/:n/restore
viewer   GET    /clients
viewer   GET    /clients/:id
operator POST   /clients/:id/disconnect
viewer   GET    /clients/:id/trace
viewer   GET    /sessions
viewer   GET    /sessions/:id
admin    DELETE /sessions/:id
viewer   GET    /sessions/:id/queue
viewer   GET    /topics
viewer   GET    /retained
operator DELETE /retained
operator POST   /publish
viewer   GET    /metrics
viewer   GET    /logs
admin    GET    /audit
admin    GET    /diagnostics
viewer   GET    /system
admin    GET    /system/tls
admin    PUT    /system/tls
admin    DELETE /system/tls
admin    POST   /system/restart
viewer   GET    /alarms
viewer   GET    /serial-ports
all      GET    /health/live
all      GET    /health/ready
all      GET    /openapi.json
`

func TestRoles_EveryRouteHasARow(t *testing.T) {
	known := map[string]bool{}
	for line := range strings.Lines(strings.TrimSpace(roles)) {
		f := strings.Fields(line)
		known[f[1]+" "+f[2]] = true
	}
	for _, r := range newUnclaimed(t).echo.Routes() {
		route := r.Method + " " + strings.TrimPrefix(r.Path, "/api/v1")
		require.Contains(t, known, route, "a new route wants a row here")
		delete(known, route)
	}
	require.Empty(t, known, "rows without a route")
}

func TestRoles_EachRouteAsksForItsRole(t *testing.T) {
	h := newHouse(t)
	h.api.StopStreams() // an open event stream would not end
	people := []string{"", "vera", "otto", "anna"}
	rank := map[string]int{"all": 0, "viewer": 1, "operator": 2, "admin": 3}
	for line := range strings.Lines(strings.TrimSpace(roles)) {
		f := strings.Fields(line)
		need, method, path := f[0], f[1], strings.NewReplacer("/:name", "/:name", "/:n", "/1").Replace(f[2])
		t.Run(method+" "+path, func(t *testing.T) {
			for i, name := range people {
				who := h.stranger()
				if name != "" {
					who = h.login(name)
				}
				body := ""
				if method != "GET" && method != "DELETE" {
					body = "{}"
				}
				a := who.send(method, path, body)
				switch {
				case i >= rank[need]:
					if path != "/session" { // a login with an empty name is refused with 401 too
						require.NotEqual(t, 401, a.status, name)
					}
					require.NotEqual(t, 403, a.status, name)
					require.NotEqual(t, 500, a.status, a.body)
				case name == "":
					a.want(401)
					require.NotEmpty(t, a.header.Get("WWW-Authenticate"))
				default:
					a.want(403)
				}
			}
		})
	}
}
