// Package demo shows the whole product with nothing plugged in: simulated devices
// on pseudo-terminals, and a second broker as the cloud. Everything lives in a
// temporary folder that is removed at the end.
package demo

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"fieldgate/gateway"
	"fieldgate/gateway/config"
)

// startWithin is how long all may take to run.
const startWithin = 30 * time.Second

// Config says where the demo is seen.
type Config struct {
	Admin   string // host:port of the page; port 0 takes a free one
	MQTT    string // host:port of the local broker
	Version string
	Out     io.Writer // for the banner
	Log     *slog.Logger
}

// demo is what runs.
type demo struct {
	cfg      Config
	dir      string
	notes    []string // about ports that were taken
	devices  *devices
	cloud    *cloud
	file     config.File // of the gateway
	gateway  *gateway.Gateway
	password string
	shown    chan struct{} // closed when the banner has been written, or setting up failed
}

// Run shows the demo until ctx is done and leaves nothing behind.
func Run(ctx context.Context, cfg Config) (err error) {
	dir, err := os.MkdirTemp("", "fieldgate-demo-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	d := &demo{cfg: cfg, dir: dir, password: rand.Text()[:10], shown: make(chan struct{})}
	defer func() { err = errors.Join(err, d.close()) }()
	if err := d.build(); err != nil {
		return err
	}
	return d.run(ctx)
}

// close closes what build made.
func (d *demo) close() error {
	var errs []error
	if d.gateway != nil {
		errs = append(errs, d.gateway.Close())
	}
	if d.cloud != nil {
		errs = append(errs, d.cloud.db.Close())
	}
	if d.devices != nil {
		errs = append(errs, d.devices.unplug())
	}
	return errors.Join(errs...)
}

// build makes all parts.
func (d *demo) build() error {
	var err error
	if d.devices, err = plugIn(d.dir); err != nil {
		return fmt.Errorf("plug the simulated devices in: %w", err)
	}
	if d.cloud, err = newCloud(filepath.Join(d.dir, "cloud"), d.cfg.Version, d.cfg.Log.With("part", "cloud")); err != nil {
		return fmt.Errorf("start the simulated cloud: %w", err)
	}
	d.file = config.Defaults()
	d.file.DataDir = filepath.Join(d.dir, "gateway")
	d.file.Admin.DataDir = d.file.DataDir
	d.file.Admin.Address = d.free(d.cfg.Admin, "page")
	d.file.MQTT.AllowAnonymous = true
	d.file.MQTT.Listeners[0].Address = d.free(d.cfg.MQTT, "MQTT broker")
	if err := d.file.MQTT.Validate(); err != nil {
		return err // a gateway would come up to show it on its page
	}
	d.gateway, err = gateway.New(d.file, d.cfg.Version, d.cfg.Log)
	return err
}

// free gives the address, or one with a free port when it is taken.
func (d *demo) free(address, what string) string {
	l, err := net.Listen("tcp", address)
	if err == nil {
		_ = l.Close() // it only showed that the port is free
		return address
	}
	host, _, splitErr := net.SplitHostPort(address)
	if splitErr != nil {
		return address // whoever listens says what is wrong with it
	}
	d.notes = append(d.notes, fmt.Sprintf("%s is taken, so the %s has a port of its own.", address, what))
	return net.JoinHostPort(host, "0")
}

// run runs the devices, the cloud and the gateway; the first that fails ends all.
// The gateway ends first: what it still says has somebody to hear it.
func (d *demo) run(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	outside, leave := context.WithCancel(context.WithoutCancel(ctx))
	var parts, gatewayRun sync.WaitGroup
	start := func(wg *sync.WaitGroup, ctx context.Context, run func(context.Context) error) {
		wg.Go(func() {
			if err := run(ctx); err != nil {
				cancel(err)
			}
		})
	}
	start(&parts, outside, d.devices.run)
	start(&parts, outside, d.cloud.broker.Run)
	start(&gatewayRun, ctx, d.serve)
	if err := d.setUp(ctx); err != nil {
		cancel(err)
	}
	close(d.shown)
	<-ctx.Done()
	gatewayRun.Wait()
	leave()
	parts.Wait()
	if cause := context.Cause(ctx); !errors.Is(cause, context.Canceled) {
		return cause
	}
	return nil
}

// serve runs the gateway, and another in its place when a person restarts it or restores a backup.
func (d *demo) serve(ctx context.Context) error {
	for {
		err := d.gateway.Run(ctx)
		<-d.shown // setUp works with this one
		if err != nil || ctx.Err() != nil || !d.gateway.StartAnew() {
			return err
		}
		err = d.gateway.Close()
		d.gateway = nil
		if err != nil {
			return err
		}
		if d.gateway, err = gateway.New(d.file, d.cfg.Version, d.cfg.Log); err != nil {
			return err
		}
	}
}

// setUp configures the gateway and says how to look at it.
func (d *demo) setUp(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startWithin)
	defer cancel()
	cloudAddr, err := bound(ctx, d.cloud.broker.Addrs)
	if err != nil {
		return err
	}
	doc, at, err := config.FromYAML("demo.yaml", d.devices.settings(cloudAddr.String()))
	if err != nil {
		return err
	}
	if _, err := d.gateway.Settings().Apply(ctx, "demo", doc, false); err != nil {
		return at.InFile("demo.yaml", err)
	}
	if err := d.claim(ctx); err != nil {
		return err
	}
	page, err := d.gateway.PageAddr(ctx)
	if err != nil {
		return fmt.Errorf("serve the page on %s: %w", d.cfg.Admin, err)
	}
	local, err := bound(ctx, d.gateway.MQTTAddrs)
	if err != nil {
		return err
	}
	d.file.Admin.Address, d.file.MQTT.Listeners[0].Address = page.String(), local.String() // where it comes back after a restart
	d.banner(page, local, cloudAddr)
	return nil
}

// bound waits for a broker's first listener.
func bound(ctx context.Context, addrs func() []net.Addr) (net.Addr, error) {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		if list := addrs(); len(list) > 0 {
			return list[0], nil
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("an MQTT listener did not open: %w", ctx.Err())
		case <-tick.C:
		}
	}
}

// claim makes the demo's user, through the interface that a person uses.
func (d *demo) claim(ctx context.Context) error {
	body, err := json.Marshal(map[string]string{"name": "demo", "password": d.password, "language": "en"})
	if err != nil {
		return err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://localhost/api/v1/setup", bytes.NewReader(body))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/json")
	r.RequestURI, r.RemoteAddr = r.URL.RequestURI(), "127.0.0.1:0"
	w := &answer{header: http.Header{}}
	d.gateway.Handler().ServeHTTP(w, r)
	if w.status != http.StatusCreated {
		return fmt.Errorf("make the demo's user: %d %s", w.status, w.body.Bytes())
	}
	return nil
}

// answer is a http.ResponseWriter into memory.
type answer struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (a *answer) Header() http.Header         { return a.header }
func (a *answer) WriteHeader(status int)      { a.status = status }
func (a *answer) Write(b []byte) (int, error) { return a.body.Write(b) }

func (d *demo) banner(page, local, cloud net.Addr) {
	var b bytes.Buffer
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line("")
	line("  fieldgate demo: an energy meter, a relay board and a scale, all simulated, and a cloud")
	line("")
	line("  page      http://%s/", page)
	line("  login     demo / %s", d.password)
	if !gateway.PageBuilt() {
		line("            the page is not built into this binary; `make run` builds it, the REST interface works")
	}
	line("")
	line("  values    mosquitto_sub -h %s -t 'fieldgate/#' -v", hostPort(local))
	line("  cloud     mosquitto_sub -h %s -t '#' -v", hostPort(cloud))
	line("  command   mosquitto_pub -h %s -t site/relays/relay-1/set -m true", hostPort(cloud))
	for _, note := range d.notes {
		line("  note      %s", note)
	}
	line("")
	line("  Ctrl-C ends it; nothing is left behind.")
	line("")
	_, _ = d.cfg.Out.Write(b.Bytes()) // nobody looks
}

// hostPort gives an address as mosquitto's tools take it.
func hostPort(a net.Addr) string {
	host, port, err := net.SplitHostPort(a.String())
	if err != nil {
		return a.String()
	}
	if ip := net.ParseIP(host); ip == nil || ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return host + " -p " + port
}
