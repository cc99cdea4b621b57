// Package broker is the MQTT broker: connections from CONNECT to DISCONNECT,
// keep alive, wills, authentication, and sessions of the gateway's own parts in
// the same process. It must not know SQL, bridges or HTTP.
package broker

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/semaphore"

	"fieldgate/broker/access"
	"fieldgate/broker/listen"
	"fieldgate/broker/mqtt"
	"fieldgate/broker/route"
	"fieldgate/broker/session"
	"fieldgate/internal/fault"
)

// insidePublisher names to the spool everybody in the process who waits for a message to be safe.
const insidePublisher = 1

// insideLimit is how many bytes that were published in process may wait for their commit.
const insideLimit = 4 << 20

var errStopping = errors.New("the broker stops")

// Broker routes messages between network clients and the parts of the gateway.
// All methods may be called at the same time. Publish, Attach and Forget work as
// soon as it is made, and as long as its spool; network clients are served while
// Run runs.
type Broker struct {
	cfg      Config
	spool    session.Spool
	auth     Authenticator
	ruleless *access.Policy // what holds without auth
	alarms   *fault.Alarms
	log      *slog.Logger
	started  time.Time

	tree     *route.Tree[*client]
	retained *route.Retained
	stats    totals
	late     late
	inside   *semaphore.Weighted // bytes of in-process publications that are not committed
	lastConn atomic.Uint64       // counts connections

	unsent  unsent
	reads   readBuffers
	outs    outBuffers
	batches batches

	entitling     sync.Mutex    // held while sessions get their rights; before client.mu
	rightsChanged atomic.Uint64 // with each change of rights of a session that has subscriptions

	throttledTold atomic.Int64 // when the log was told that logins are refused unseen, in nanoseconds since started

	mayRefuse      atomic.Bool // a session may have a queue that refuses what does not fit
	retainedExpire atomic.Bool // a retained message has an expiry interval
	retaining      fence
	retainOrder    sync.Mutex // held from Append to the change of the retained index

	mu       sync.Mutex
	clients  map[string]*client  // sessions by client identifier
	willGone <-chan struct{}     // closed when the will that went last is out of the spool
	wills    map[string]*bequest // of connections that have ended, by client identifier
	conns    map[*conn]struct{}
	lastSID  session.ID
	stopping bool
	doors    []*listen.Listener // that are or were open

	traces  map[string][]*Trace // by client identifier; under mu
	tracing atomic.Int32        // how many there are

	serving sync.WaitGroup // connections
}

// New makes a broker with the sessions and retained messages that the spool
// holds. auth may be nil: then everybody is anonymous. It fails with the faults
// of cfg, or when the spool can't be read.
func New(cfg Config, spool session.Spool, auth Authenticator, alarms *fault.Alarms, log *slog.Logger) (*Broker, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	b := &Broker{
		cfg:      cfg,
		spool:    spool,
		auth:     auth,
		alarms:   alarms,
		log:      log,
		started:  time.Now(),
		tree:     route.New[*client](),
		retained: route.NewRetained(),
		late:     late{wake: make(chan struct{}, 1)},
		inside:   semaphore.NewWeighted(insideLimit),
		clients:  map[string]*client{},
		wills:    map[string]*bequest{},
		conns:    map[*conn]struct{}{},
		traces:   map[string][]*Trace{},
	}
	b.unsent.budget = cfg.MaxUnsentBytes
	b.mayRefuse.Store(cfg.QueueFull == Reject)
	b.ruleless = access.New(nil, cfg.Access())
	if err := b.load(); err != nil {
		return nil, err
	}
	if auth != nil {
		auth.Watch(b.disconnectUser, b.policyChanged)
	}
	for _, cl := range b.snapshot() {
		b.entitle(cl)
	}
	return b, nil
}

// Run serves network clients until ctx is done; then it publishes the wills of
// those who are connected and returns nil. A listener that can't be opened is an
// alarm, and is tried again; the others serve. Run may be called once.
func (b *Broker) Run(ctx context.Context) error {
	b.publishDueWills(time.Now(), 0)
	workers, stopWorkers := context.WithCancel(context.WithoutCancel(ctx))
	var wg sync.WaitGroup
	wg.Go(func() { b.late.run(workers, b) })
	wg.Go(func() { b.sweep(workers) })
	wg.Go(func() { b.newSystem().run(workers) })
	var listeners sync.WaitGroup
	for _, l := range b.cfg.Listeners {
		listeners.Go(func() { b.listen(ctx, l) })
	}
	<-ctx.Done()
	listeners.Wait()
	b.stop()
	b.serving.Wait()
	b.noteOffline(time.Now())
	stopWorkers()
	wg.Wait()
	b.waitForWills()
	return nil
}

// stop ends all connections; those that come after it are refused.
func (b *Broker) stop() {
	b.mu.Lock()
	b.stopping = true
	conns := make([]*conn, 0, len(b.conns))
	for c := range b.conns {
		conns = append(conns, c)
	}
	b.mu.Unlock()
	for _, c := range conns {
		c.end(ending{text: "the broker stops", reason: mqtt.ServerShuttingDown, quiet: true})
	}
}

// serveConn serves one connection in a goroutine of its own.
// ln is nil when no listener accepted it.
func (b *Broker) serveConn(nc net.Conn, listener string, ln *listen.Listener) {
	c := b.newConn(nc, listener)
	c.door = ln
	b.mu.Lock()
	full := len(b.conns) >= b.cfg.MaxConnections
	if b.stopping || full {
		b.mu.Unlock()
		_ = nc.Close() // it was never served
		if full {
			b.stats.refused.Add(1)
			c.log(slog.LevelWarn, "connection refused: max_connections is reached", "max_connections", b.cfg.MaxConnections)
		}
		return
	}
	b.conns[c] = struct{}{}
	b.stats.sockets.Add(1)
	b.stats.maximum = max(b.stats.maximum, len(b.conns))
	b.serving.Go(c.serve)
	b.mu.Unlock()
}

// disconnectUser ends the connections of a user who may no longer be there, or
// not with that password.
func (b *Broker) disconnectUser(username string) {
	b.mu.Lock()
	var conns []*conn
	for c := range b.conns {
		conns = append(conns, c)
	}
	b.mu.Unlock()
	for _, c := range conns {
		if name := c.user.Load(); name != nil && *name == username {
			c.end(ending{text: "the account changed", reason: mqtt.NotAuthorized})
		}
	}
}
