// Package gateway wires the parts: it builds them in order (storage, page, broker,
// uplinks, bridges), lets none fall because of another, and stops them in reverse.
// It holds no logic of its own beyond that.
package gateway

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"fieldgate/bridges"
	"fieldgate/bridges/all"
	"fieldgate/bridges/homeassistant"
	"fieldgate/bridges/template"
	"fieldgate/broker"
	"fieldgate/broker/access"
	"fieldgate/broker/listen"
	"fieldgate/gateway/config"
	"fieldgate/internal/fault"
	"fieldgate/internal/logring"
	"fieldgate/storage"
	"fieldgate/webui"
	"fieldgate/webui/api"
)

// stopWithin is how long all parts together may take to stop.
const stopWithin = 10 * time.Second

// keptLogs is how many log records people can read over REST.
const keptLogs = 2000

// brokerRetry is the pause between tries to load the broker's sessions.
const brokerRetry = 10 * time.Second

// Gateway is the product. Make it with New, run it once with Run, then Close it.
type Gateway struct {
	file      config.File
	version   string
	started   time.Time
	log       *slog.Logger
	logs      *logring.Ring
	alarms    *fault.Alarms
	db        *storage.DB      // nil when there is a standIn
	standIn   *storage.StandIn // what there is while the data directory can't be used
	wanted    storage.Config   // of that directory
	unkept    string           // why nothing is kept; empty when it is
	accounts  *broker.Accounts
	bus       *bus
	uplinks   *bridges.Supervisor
	bridges   *bridges.Supervisor
	announcer *homeassistant.Announcer
	settings  *config.Manager
	templates *template.Set
	presets   []bridges.Preset
	page      *webui.Server
	ready     chan struct{}   // closed once all parts have been started
	anew      context.Context // done when another Gateway is to take this one's place
	startAnew context.CancelFunc
	running   atomic.Bool // Run has begun, so that startAnew has a meaning
	starting  *patience   // until all parts have been started, or Close
}

// New opens the storage and builds the parts; nothing runs yet. It fails when
// data_dir can't be used: with fault.Conflict when another process uses it.
func New(file config.File, version string, log *slog.Logger) (*Gateway, error) {
	g := newGateway(file, version, log)
	var err error
	if g.db, err = storage.Open(file.Storage(), g.alarms, g.log.With("part", "storage")); err != nil {
		g.starting.end()
		return nil, &DataDirError{err}
	}
	return g.build(g.db.State())
}

// DataDirError says that the data directory can't be used; it may be mended while
// the gateway runs without it, see NewStandIn.
type DataDirError struct{ Err error }

// Error gives what the file system or the database said.
func (e *DataDirError) Error() string { return e.Err.Error() }

// Unwrap gives the cause.
func (e *DataDirError) Unwrap() error { return e.Err }

func newGateway(file config.File, version string, log *slog.Logger) *Gateway {
	logs := logring.New(keptLogs)
	log = slog.New(logs.Handler(log.Handler()))
	g := &Gateway{
		logs: logs,
		file: file, version: version, started: time.Now(), log: log,
		alarms: &fault.Alarms{}, accounts: broker.NewAccounts(), bus: &bus{}, ready: make(chan struct{}),
		starting: startPatience(sdNotify, log),
	}
	g.anew, g.startAnew = context.WithCancel(context.Background())
	return g
}

// build makes the parts. When it fails the storage is closed, and there is no gateway.
func (g *Gateway) build(state *storage.State) (*Gateway, error) {
	if err := g.makeParts(state); err != nil {
		return nil, errors.Join(err, g.Close())
	}
	return g, nil
}

func (g *Gateway) makeParts(state *storage.State) (err error) {
	file, log := g.file, g.log
	if g.presets, err = all.UplinkPresets(); err != nil {
		return err
	}
	g.templates = template.New(ReadTemplate, filepath.Join(file.DataDir, "templates"))
	kinds, clouds := all.Kinds(g.templates), all.Uplinks()
	for i, err := range g.templates.Load() {
		log.Error("template left out", "part", "templates", "err", err)
		g.alarms.Raise(fmt.Sprintf("template/%d", i+1), fault.Invalid, "left out: "+err.Error())
	}
	g.uplinks = bridges.NewSupervisor(bridges.UplinkRole, clouds, g.bus, g.alarms, log)
	g.bridges = bridges.NewSupervisor(bridges.FieldRole, kinds, g.bus, g.alarms, log)
	clock := systemClock()
	g.uplinks.SetClock(clock)
	g.bridges.SetClock(clock)
	g.announcer = homeassistant.New(g.bus, kinds, g.version, log.With("part", "homeassistant"))
	g.settings = config.NewManager(config.ManagerConfig{
		State: state, Kinds: slices.Concat(kinds, clouds), Check: g.checker(kinds, clouds),
		Hash: broker.HashPassword, Alarms: g.alarms, Log: log.With("part", "settings"),
	})
	if g.page, err = webui.New(file.Admin, g.deps(state, kinds), log.With("part", "webui")); err != nil {
		return fmt.Errorf("build the admin page: %w", err)
	}
	return nil
}

// checker judges settings by supervisors that never run: those that run would
// count the devices of the present settings, the manager counts those of the next.
func (g *Gateway) checker(kinds, clouds []bridges.Kind) func(config.Section, bridges.Config) error {
	quiet := slog.New(slog.DiscardHandler)
	field := bridges.NewSupervisor(bridges.FieldRole, kinds, g.bus, &fault.Alarms{}, quiet)
	cloud := bridges.NewSupervisor(bridges.UplinkRole, clouds, g.bus, &fault.Alarms{}, quiet)
	return func(section config.Section, c bridges.Config) error {
		if section == config.Uplinks {
			return cloud.Check(c)
		}
		return field.Check(c)
	}
}

// deps is what the page works with.
func (g *Gateway) deps(state *storage.State, kinds []bridges.Kind) api.Deps {
	return api.Deps{
		Settings:    g.settings,
		Bridges:     trial{g.bridges, g.settings, config.Bridges},
		Field:       g.bridges,
		Uplinks:     trial{g.uplinks, g.settings, config.Uplinks},
		Clients:     g.bus,
		Access:      g.accounts,
		Store:       state,
		Unkept:      g.unkept,
		Notice:      g.notice(),
		Passwords:   api.Passwords{Hash: broker.HashPassword, Verify: verifyPassword},
		YAML:        api.YAML{FromYAML: fromYAML, ToYAML: config.ToYAML},
		Alarms:      g.alarms,
		Templates:   g.templates,
		Kinds:       kinds,
		SerialPorts: g.serialPorts,
		System:      g.system,
		Broker:      g.bus.peers,
		Disk:        g.disk,
		Logs:        g.logs,
		Presets:     g.presets,
		Restart:     g.restart,
		Backups:     g,
	}
}

// ReadTemplate reads the YAML of a template; see template.Read.
func ReadTemplate(name string, text []byte) (json.RawMessage, func(error) error, error) {
	doc, lines, err := config.FromYAML(name, text)
	return doc, func(faults error) error { return lines.InFile(name, faults) }, err
}

func fromYAML(text []byte) (json.RawMessage, func(string) int, error) {
	doc, lines, err := config.FromYAML("body", text)
	return doc, lines.Of, err
}

// serialPorts lists the machine's serial ports and whose they are.
func (g *Gateway) serialPorts(context.Context) ([]api.SerialPort, error) {
	found, err := all.SerialPorts()
	users := g.settings.SerialPortUsers()
	ports := make([]api.SerialPort, len(found))
	for i, p := range found {
		ports[i] = api.SerialPort{Port: p.Port, Device: p.Device, Name: p.Name, UsedBy: cmp.Or(users[p.Port], users[p.Device]), Problem: p.Problem}
	}
	return ports, err
}

// verifyPassword tells a wrong password from a hash that can't be read.
func verifyPassword(hash, password string) (bool, error) {
	err := broker.VerifyPassword(hash, password)
	if errors.Is(err, broker.ErrCredentials) {
		return false, nil
	}
	return err == nil, err
}

func (g *Gateway) system() api.System {
	hostname, err := os.Hostname()
	if err != nil {
		hostname = "localhost"
	}
	s := api.System{Version: g.version, Hostname: hostname, Started: g.started, Machine: machine(), Anonymous: g.file.MQTT.AllowAnonymous, Host: hostFacts(g.file)}
	for _, l := range g.file.MQTT.Listeners {
		e := api.Endpoint{Address: l.Address, Transport: cmp.Or(l.Transport, listen.TCP), TLS: l.TLS != nil, ClientCert: l.TLS != nil && l.TLS.RequireClientCert}
		if e.Transport == listen.WebSocket {
			e.Path = cmp.Or(l.Path, listen.DefaultPath)
		}
		s.Endpoints = append(s.Endpoints, e)
	}
	for _, a := range g.MQTTAddrs() {
		s.Listeners = append(s.Listeners, a.String())
	}
	return s
}

// PageBuilt tells whether this binary holds the page; without it, it says how to build it.
func PageBuilt() bool { return webui.PageBuilt() }

// Handler is the REST interface for calls in the process, as the machine's
// administrator. It works without Run.
func (g *Gateway) Handler() http.Handler { return g.page.Handler() }

// DialAdmin connects to the REST interface of the gateway that runs on the data folder, as its administrator.
func DialAdmin(ctx context.Context, dataDir string) (net.Conn, error) {
	return webui.DialSocket(ctx, dataDir)
}

// Settings is the managed settings.
func (g *Gateway) Settings() *config.Manager { return g.settings }

// Alarms is what is wrong now.
func (g *Gateway) Alarms() *fault.Alarms { return g.alarms }

// PageAddr waits until the page is served and gives its address.
func (g *Gateway) PageAddr(ctx context.Context) (net.Addr, error) {
	select {
	case <-g.page.Bound():
		return g.page.Addr(), nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// MQTTAddrs gives the addresses of the MQTT listeners that are bound.
func (g *Gateway) MQTTAddrs() []net.Addr {
	if b := g.bus.broker.Load(); b != nil {
		return b.Addrs()
	}
	return nil
}

// Ready is closed once all parts have been started.
func (g *Gateway) Ready() <-chan struct{} { return g.ready }

// Run starts the parts in order and works until ctx is done, or a backup was
// restored; then it stops them in reverse. It fails when they did not stop within 10 s. Close comes after it.
func (g *Gateway) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(g.anew, cancel)()
	g.running.Store(true)
	up := newStack(ctx, g.log)
	g.page.Prepare()
	up.start("webui", g.page.Run)
	up.start("memory", trimMemory)
	if g.standIn != nil {
		up.start("data directory", g.awaitDataDir)
	}
	if b := g.loadBroker(ctx); b != nil {
		// Before the parts run: a client that comes at once must find its account.
		g.settings.Start(config.Parts{
			Bridges: g.setBridges, Uplinks: g.uplinks.Apply, Accounts: g.accounts.Set, Access: g.setRules,
			HomeAssistant: g.announcer.SetSettings,
		})
		g.forgetOrphans(ctx, b)
		up.start("mqtt", b.Run)
		up.start("uplinks", g.uplinks.Run)
		up.start("bridges", g.bridges.Run)
		up.start("homeassistant", g.announcer.Run)
		g.starting.end()
		up.start("notify", newNotifier(g.probe, g.log).run)
		close(g.ready)
		<-ctx.Done()
	}
	return up.stop(stopWithin)
}

// forgetOrphans ends the queues of uplinks that were removed while the gateway was off. Nothing is
// forgotten when the settings may not be what they were: a queue is worth more than its disk space.
func (g *Gateway) forgetOrphans(ctx context.Context, b *broker.Broker) {
	if !g.settings.Trusted() {
		return
	}
	known := map[string]bool{}
	for _, raw := range g.settings.List(config.Uplinks) {
		var u struct {
			ID string `json:"id"`
		}
		if json.Unmarshal(raw, &u) == nil {
			known[u.ID] = true
		}
	}
	const limit = 5 * time.Second
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	for _, client := range b.Clients() {
		rest, ours := strings.CutPrefix(client.ClientID, bridges.UplinkRole.SessionID("", ""))
		id, _, _ := strings.Cut(rest, "/")
		if !ours || known[id] {
			continue
		}
		if err := b.Forget(ctx, client.ClientID); err != nil {
			g.log.Warn("queue of a removed uplink not dropped", "uplink", id, "err", err)
			continue
		}
		g.log.Warn("queue of a removed uplink dropped", "uplink", id)
	}
}

// setBridges makes the bridges run as they are set up.
func (g *Gateway) setBridges(list []bridges.Config) error {
	g.announcer.SetBridges(list)
	return g.bridges.Apply(list)
}

// setRules makes the access rules what clients may do.
func (g *Gateway) setRules(rules []access.Rule) {
	g.accounts.SetPolicy(access.New(rules, g.file.MQTT.Access()))
}

// loadBroker makes the broker, which reads its sessions from the spool. While that
// fails the page shows why; nil when ctx ended before it worked.
func (g *Gateway) loadBroker(ctx context.Context) *broker.Broker {
	const part = "mqtt"
	cfg := g.file.MQTT
	cfg.Version = g.version
	for {
		b, err := broker.New(cfg, g.spool(), g.accounts, g.alarms, g.log.With("part", part))
		if err == nil {
			g.alarms.Clear(part, fault.Internal)
			g.bus.broker.Store(b)
			return b
		}
		g.alarms.Raise(part, fault.Internal, "the broker does not start: "+err.Error())
		g.log.Error("broker not started", "err", err, "retry", brokerRetry)
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(brokerRetry):
		}
	}
}

// Close closes the storage; everything that was accepted is committed first.
func (g *Gateway) Close() error {
	g.starting.end()
	if g.standIn != nil {
		return g.standIn.Close()
	}
	return g.db.Close()
}
