package gateway

import (
	"time"

	"fieldgate/internal/fault"
)

// restartAfter lets the answer of the request that asked go out first.
const restartAfter = 500 * time.Millisecond

// restart ends Run soon, and who runs it makes a new Gateway.
func (g *Gateway) restart() error {
	if !g.running.Load() {
		return fault.New(fault.Unavailable, "the gateway does not run as a service here: nobody would start it again")
	}
	time.AfterFunc(restartAfter, g.startAnew)
	return nil
}
