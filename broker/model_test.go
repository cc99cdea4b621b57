package broker_test

import (
	"fmt"
	"maps"
	"net"
	"slices"
	"testing"
	"testing/synctest"

	"pgregory.net/rapid"

	"fieldgate/broker"
	"fieldgate/broker/access"
	"fieldgate/broker/mqtt"
	"fieldgate/broker/session/sessiontest"
)

// The model has three parts: what the specification says of sessions (modelsession_test.go, sharing in
// modelshared_test.go), the steps of a conversation (modelsteps_test.go), and the comparison of what comes with
// what should (modelcheck_test.go).

// TestConversations_FollowTheModel lets three clients of random versions do random things, right and wrong,
// over reconnects and restarts of the broker, and compares every packet that comes with a model of the sessions.
// One broker lives through each conversation; the spool is in memory, the time synthetic.
func TestConversations_FollowTheModel(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		var failed any
		synctest.Test(t, func(t *testing.T) {
			defer func() { failed = recover() }() // rapid wants its panics in its own goroutine
			w := newWorld(t, r)
			defer w.close()
			w.connect(r)
			r.Repeat(map[string]func(*rapid.T){
				"connect":       w.connect,
				"come back":     w.connect, // what happens more often than the rest
				"publish 2":     w.publish,
				"publish 3":     w.publish,
				"acknowledge 2": w.acknowledge,
				"acknowledge 3": w.acknowledge,
				"subscribe 2":   w.subscribe,
				"disconnect":    w.disconnect,
				"drop":          w.drop,
				"subscribe":     w.subscribe,
				"unsubscribe":   w.unsubscribe,
				"publish":       w.publish,
				"repeat":        w.repeat,
				"release":       w.release,
				"acknowledge":   w.acknowledge,
				"refuse":        w.refuse,
				"invalid":       w.invalid,
				"stranger":      w.stranger,
				"wait":          w.wait,
				"restart":       w.restart,
				"rule":          w.rule,
				"join":          w.join,
				"join 2":        w.join,
				"leave":         w.leave,
				"share":         w.share,
				"share 2":       w.share,
			})
			w.drain(r)
		})
		if fmt.Sprintf("%T", failed) == "rapid.invalidData" {
			panic(failed) // rapid tells failures apart by the line: this one is none
		}
		if failed != nil {
			panic(failed)
		}
	})
}

// world is the broker, its clients, and what the specification says about them.
type world struct {
	t        *testing.T
	spool    *sessiontest.Memory
	b        *testBroker
	accounts *broker.Accounts
	clients  map[string]*modelClient
	retained map[string]modelMessage
	wills    map[string]*modelWill // that wait, by client
	shared   []*sharedMessage
	number   int

	unreadable, unwritable map[string]bool // topics that a rule denies
}

func newWorld(t *testing.T, r *rapid.T) *world {
	w := &world{
		t: t, spool: sessiontest.NewMemory(), accounts: broker.NewAccounts(),
		clients: map[string]*modelClient{}, retained: map[string]modelMessage{}, wills: map[string]*modelWill{},
	}
	for _, id := range []string{"a", "b", "c"} {
		version := rapid.SampledFrom([]mqtt.Version{mqtt.V311, mqtt.V5}).Draw(r, "version of "+id)
		w.clients[id] = &modelClient{world: w, id: id, version: version}
	}
	w.start()
	return w
}

// modelInflight is the window towards clients of 3.1.1.
const modelInflight = 3

func (w *world) start() {
	w.b = startWith(w.t, w.spool, w.accounts, func(c *broker.Config) { c.MaxInflight = modelInflight })
	synctest.Wait()
}

func (w *world) close() {
	w.b.stop()
	for _, c := range w.clients {
		c.hangUp()
	}
	w.spool.Close()
	synctest.Wait()
}

func (c *modelClient) hangUp() {
	if c.peer != nil {
		c.peer.nc.Close()
		<-c.peer.gone
		c.peer = nil
	}
}

// any picks one of the clients of which something holds; when there is none the step is another one.
func (w *world) any(r *rapid.T, holds func(*modelClient) bool) *modelClient {
	var names []string
	for _, id := range slices.Sorted(maps.Keys(w.clients)) {
		if holds(w.clients[id]) {
			names = append(names, id)
		}
	}
	if len(names) == 0 {
		r.Skip("nobody is like that")
	}
	return w.clients[rapid.SampledFrom(names).Draw(r, "client")]
}

// online picks a client with a connection; when there is none, one connects.
func (w *world) online(r *rapid.T) *modelClient {
	if !slices.ContainsFunc(slices.Collect(maps.Values(w.clients)), (*modelClient).isOnline) {
		w.connect(r)
	}
	return w.any(r, (*modelClient).isOnline)
}

func (w *world) unique() string {
	w.number++
	return fmt.Sprint("message ", w.number)
}

// send writes to the client's connection; what the broker makes of it has happened when it returns.
func (w *world) send(c *modelClient, raw []byte) {
	_, _ = c.peer.nc.Write(raw) // what comes of it tells whether it should have gone through
	synctest.Wait()
}

func (w *world) open(version mqtt.Version) *peer {
	here, there := net.Pipe()
	p := &peer{nc: here, version: version, got: make(chan []byte, 10000), gone: make(chan struct{})}
	w.b.ServeConn(there)
	go p.read()
	return p
}

// sorted gives the clients in the order of their names.
func (w *world) sorted() (list []*modelClient) {
	for _, id := range slices.Sorted(maps.Keys(w.clients)) {
		list = append(list, w.clients[id])
	}
	return list
}

// obey lets the rules hold that the world has.
func (w *world) obey() {
	var rules []access.Rule
	for topic := range w.unreadable {
		rules = append(rules, access.Rule{ID: "r" + topic, Filter: topic, Deny: read})
	}
	for topic := range w.unwritable {
		rules = append(rules, access.Rule{ID: "w" + topic, Filter: topic, Deny: write})
	}
	w.accounts.SetPolicy(access.New(rules, access.Allow))
	synctest.Wait()
}
